"""What an annotator's labeler says of its leases, when, and until when they are its own. Knows ids, numbers and times; not
questions, the wire or clocks.

Nothing is said before a trainer is seen, and nothing while nobody is there who could answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from active_learner.core.resends import Backoff, Jitter, no_jitter
from protocol.messages import Lease

AHEAD = 3
"""Open questions that a labeler wants to hold: the one that is asked, and two that are there at once."""

MOST_HELD = 1000
"""Named in one LEASE; a list of the wire has 1024 elements at most."""

SHORTEST_S = 0.5
"""Between two renewals, whatever a trainer says."""


class Holding:
    """Of one annotator. `ahead`: questions wanted; 0: nobody is there."""

    def __init__(self, annotator: str, ahead: int = AHEAD, jitter: Jitter = no_jitter) -> None:
        self.ahead = ahead
        self.until: float | None = None
        """When the leases end, at the soonest; None: there are none."""
        self._annotator, self._backoff = annotator, Backoff(SHORTEST_S, 5.0, jitter)
        self._due = self._backoff.now(0.0)
        self._gives: dict[str, None] = {}
        self._trainer_here = self._has_news = self._has_spoken = False
        self._waits = False
        """For LEASED."""
        self._said_at: float | None = None
        """The oldest LEASE since the last LEASED: the trainer counts from when it hears it, a little later."""

    @property
    def _speaks(self) -> bool:
        return self._trainer_here and (self.ahead > 0 or self._waits)

    def is_due(self, at: float) -> bool:
        return self._speaks and (self._has_news or self._due.at <= at)

    # --- what happens

    def trainer(self, here: bool, at: float) -> None:
        """Who has given all back says so once more to a trainer that comes: what was said before may have come in another order."""
        self._trainer_here, self._said_at = here, None
        self._waits |= here and self._has_spoken
        self._due = self._backoff.now(at)

    def arrived(self, question: str) -> None:
        """It is told to hold that, soon, lest it is said again."""
        self._gives.pop(question, None)
        self.changed()

    def changed(self) -> None:
        """What it has is not what the trainer was told last: that is said soon."""
        self._has_news = True
        self._waits |= self.ahead == 0

    def want(self, ahead: int, gives: Iterable[str], at: float) -> None:
        self._gives.update(dict.fromkeys(gives))
        for oldest in list(self._gives)[:-MOST_HELD]:
            del self._gives[oldest]
        self._waits |= bool(self.ahead or ahead or self._gives)
        self.ahead, self._due = ahead, self._backoff.now(at)

    def leased(self, holds: tuple[str, ...], seconds: float, at: float) -> None:
        """LEASED came. While it names anything, it does not answer to having given all back."""
        if self._said_at is not None:
            self.until = self._said_at + seconds if self.ahead else None
        self._waits, self._said_at = bool(holds) and self.ahead == 0, None
        self._gives = {question: None for question in self._gives if question in holds}
        if self._waits:
            self._due = min(self._due, self._backoff.first(at), key=lambda due: due.at)
        else:
            self._due = self._backoff.now(at + max(SHORTEST_S, seconds / 3))

    # --- what is said

    def say(self, opened: Iterable[str], decided: list[str], at: float) -> list[Lease]:
        """Something changed. `opened`: what it has; `decided`: what of it has no receipt yet."""
        return self._say(opened, decided, at) if self._speaks else []

    def say_due(self, opened: Iterable[str], decided: list[str], at: float) -> list[Lease]:
        if not self.is_due(at):
            return []
        due, has_news = self._due, self._has_news
        said = self._say(opened, decided, at)
        if not has_news:
            self._due = self._backoff.next(due, at)
        return said

    def _say(self, opened: Iterable[str], decided: list[str], at: float) -> list[Lease]:
        holds = tuple(dict.fromkeys((*opened, *decided)))[:MOST_HELD]
        self._due, self._waits, self._has_news, self._has_spoken = self._backoff.first(at), True, False, True
        self._said_at = at if self._said_at is None else self._said_at
        return [Lease(self._annotator, self._wants(len(decided)), holds, tuple(self._gives)[:MOST_HELD])]

    def _wants(self, decided: int) -> int:
        """One receipt is always under way. A trainer that is behind with more does not keep the person waiting."""
        return self.ahead and min(self.ahead + max(0, decided - 1), MOST_HELD)
