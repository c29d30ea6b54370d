"""What becomes of the messages of one direction of a bad link. Pure: the draw is seeded, the time is an argument."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Generic, NamedTuple, TypeVar

from active_learner.faults.rules import FaultRules

OVERTAKING_S = 0.02
"""A message that may be overtaken is held for up to that long, when no longer delay is wanted: the others are some
milliseconds behind it."""

T = TypeVar("T")


class _Held(NamedTuple):
    due_at: float
    copy: int
    """Unique, so that nothing behind it is ever compared."""
    number: int
    message: object


class Fates(Generic[T]):
    """`offer` a message, ask for what is `due`. The same seed and offers lead to the same fates."""

    def __init__(self, rules: FaultRules, name: str) -> None:
        """`name`: of link and direction, so that each draws for itself."""
        self.rules = rules
        self.counters: Counter[str] = Counter()
        self._random = Random(f"{rules.seed}/{name}")
        self._held: dict[int, _Held] = {}
        self._number = self._copies = 0
        self._last_due = 0.0

    def offer(self, message: T, at: float) -> None:
        """A message comes to the link. What becomes of it is drawn now."""
        self._number += 1
        drawn, again = self._random.random(), self._random.random()
        if drawn < self.rules.drop:
            self.counters["dropped"] += 1
            return
        copies = 1 + (again < self.rules.duplicate)
        self.counters["duplicated"] += copies - 1
        for _ in range(copies):
            self._copies += 1
            self._held[self._copies] = _Held(self._due_at(at), self._copies, self._number, message)

    def due(self, at: float) -> list[T]:
        """What leaves the link by now, in this order; forgotten here."""
        left: list[_Held] = []
        for held in sorted(one for one in self._held.values() if one.due_at <= at):
            if held.copy in self._held:
                left += self._released(held)
        return [held.message for held in left]  # type: ignore[misc]  # each is a T: only `offer` puts them there

    def next_at(self) -> float | None:
        """When `due` has something again; None: nothing is held."""
        return min((held.due_at for held in self._held.values()), default=None)

    def _due_at(self, at: float) -> float:
        if self.rules.reorder:
            return at + self._random.uniform(0, max(self.rules.delay_s, OVERTAKING_S))
        self._last_due = max(self._last_due, at + self._random.uniform(0, self.rules.delay_s))
        return self._last_due

    def _released(self, held: _Held) -> list[_Held]:
        """It, after those that it would overtake with too many others."""
        oldest = held.number - self.rules.reorder
        passed = [one for one in self._held.values() if one.number < held.number]
        before = [one for one in passed if one.number < oldest]
        self.counters["overtaken"] += len(passed) - len(before)
        gone = [*before, held]
        for one in gone:
            del self._held[one.copy]
        return gone
