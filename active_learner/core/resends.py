"""When what has no answer is sent again. Knows neither what is asked nor how it is sent.

Clock and jitter are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_S = 10.0
"""Later re-sends come no more seldom: who comes back by itself is noticed by presence, so this only has to be bounded."""

Jitter = Callable[[], float]
"""Factors around 1, so that those that wait for the same peer do not send in step."""


def no_jitter() -> float:
    return 1.0


@dataclass(slots=True)
class Due:
    """When something is due again, and the wait that led there, without its jitter."""

    at: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits before re-sends: the first, then twice as long each time, up to the longest."""

    first_s: float
    longest_s: float = LONGEST_S
    jitter: Jitter = no_jitter

    def now(self, at: float) -> Due:
        """Due at once, and then with the first wait."""
        return Due(at, 0.0)

    def first(self, at: float) -> Due:
        """Of what was just sent for the first time."""
        return self.next(self.now(at), at)

    def next(self, due: Due, at: float) -> Due:
        """Of what was just sent, again or because it was due now."""
        wait_s = max(self.first_s, min(2 * due.wait_s, self.longest_s))
        return Due(at + wait_s * self.jitter(), wait_s)


@dataclass(slots=True)
class Resend:
    """An unanswered request."""

    room: str
    backoff: Backoff
    due: Due


class Resends:
    """Unanswered requests by number."""

    def __init__(self, jitter: Jitter) -> None:
        self.waiting: dict[int, Resend] = {}
        self._jitter = jitter
        self._count = 0

    def add(self, room: str, first_s: float, at: float) -> int:
        """Remember a request that was just sent; returns its number."""
        self._count += 1
        backoff = Backoff(first_s, jitter=self._jitter)
        self.waiting[self._count] = Resend(room, backoff, backoff.first(at))
        return self._count

    def remove(self, number: int) -> None:
        self.waiting.pop(number, None)

    def due(self, at: float) -> list[int]:
        """The requests to send again now, oldest first."""
        numbers = [number for number, resend in self.waiting.items() if resend.due.at <= at]
        for number in numbers:
            resend = self.waiting[number]
            resend.due = resend.backoff.next(resend.due, at)
        return numbers

    def hurry(self, at: float, *rooms: str) -> None:
        """Somebody came to `rooms`, or (none given) the session is up again: their requests are due now, with the first wait
        again."""
        for resend in self.waiting.values():
            if not rooms or resend.room in rooms:
                resend.due = resend.backoff.now(at)
