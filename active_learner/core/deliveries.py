"""Which webhook message is sent when, and which is given up. Knows messages and times; no clock, network or secret."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

LIMIT = 1000
"""Messages that wait; about 500 KB. A receiver that lacks more than that has to ask for an export."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long it is tried."""

    first_s: float = 1.0
    """Wait after the first failure; doubled each time,"""
    longest_s: float = 600.0
    """up to this."""
    age_s: float = 6 * 3600.0
    """A message that is older is given up."""

    def wait(self, failures: int) -> float:
        """After so many in a row."""
        return float(min(self.first_s * 2.0 ** min(failures - 1, 60), self.longest_s))


@dataclass(slots=True, eq=False)
class Delivery:
    id: str
    body: bytes
    born: float
    due: float
    failures: int = 0


class Deliveries:
    """In the order in which they came. A receiver that is away lets all wait; one that refuses a message lets that one wait."""

    def __init__(self, jitter: Callable[[], float], patience: Patience | None = None, limit: int = LIMIT) -> None:
        self._jitter, self._patience, self._limit = jitter, patience or Patience(), limit
        self._waiting: dict[str, Delivery] = {}
        self._away_until = float("-inf")
        self._misses = 0
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, id: str, body: bytes, at: float) -> bool:
        """False: there are too many, this one is dropped."""
        if len(self._waiting) >= self._limit:
            self.counters["webhooks.dropped"] += 1
            return False
        self._waiting[id] = Delivery(id, body, at, at)
        return True

    def next(self, at: float) -> Delivery | None:
        """The first that is due; what is too old is given up on the way."""
        for one in [one for one in self._waiting.values() if at - one.born > self._patience.age_s]:
            del self._waiting[one.id]
            self.counters["webhooks.expired"] += 1
        if at < self._away_until:
            return None
        return next((one for one in self._waiting.values() if one.due <= at), None)

    def due_at(self) -> float | None:
        """When there is something to do again; None: nothing waits."""
        first = min((one.due for one in self._waiting.values()), default=None)
        return None if first is None else max(first, self._away_until)

    def delivered(self, one: Delivery) -> None:
        self._waiting.pop(one.id, None)
        self._misses, self._away_until = 0, float("-inf")
        self.counters["webhooks.delivered"] += 1

    def refused(self, one: Delivery, at: float) -> None:
        """The receiver is there and does not take this one: others may pass it."""
        one.failures += 1
        one.due = at + self._patience.wait(one.failures) * self._jitter()
        self._misses, self._away_until = 0, float("-inf")
        self.counters["webhooks.refused"] += 1

    def failed(self, at: float, asked_s: float = 0.0) -> None:
        """The receiver is not there, or says itself that it wants `asked_s` of rest."""
        self._misses += 1
        wait = max(self._patience.wait(self._misses), min(asked_s, self._patience.longest_s))
        self._away_until = at + wait * self._jitter()
        self.counters["webhooks.failed"] += 1
