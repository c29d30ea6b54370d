"""When unanswered requests are sent again. Knows neither what they ask nor how they are sent.

Clock and jitter are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST = 8
"""Times the first wait: later re-sends come no more seldom."""


@dataclass(slots=True)
class Resend:
    """When an unanswered request is due again: after `wait_s`, then twice as long each time, up to
    `LONGEST` times the first."""

    room: str
    first_s: float
    due_at: float
    wait_s: float


class Resends:
    """Unanswered requests by number. `jitter` returns factors around 1, so that peers do not re-send in step."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.waiting: dict[int, Resend] = {}
        self._jitter = jitter
        self._count = 0

    def add(self, room: str, first_s: float, at: float) -> int:
        """Remember a request that was just sent; returns its number."""
        self._count += 1
        self.waiting[self._count] = Resend(room, first_s, at + first_s * self._jitter(), first_s)
        return self._count

    def remove(self, number: int) -> None:
        self.waiting.pop(number, None)

    def due(self, at: float) -> list[int]:
        """The requests to send again now, oldest first."""
        numbers = [number for number, resend in self.waiting.items() if resend.due_at <= at]
        for number in numbers:
            resend = self.waiting[number]
            wait_s = min(resend.wait_s * 2, resend.first_s * LONGEST)
            resend.wait_s, resend.due_at = wait_s, at + wait_s * self._jitter()
        return numbers

    def hurry(self, at: float, room: str | None = None) -> None:
        """Somebody came to `room`, or (None) the session is up again: its requests are due now, with the first wait again."""
        for resend in self.waiting.values():
            if room is None or resend.room == room:
                resend.due_at, resend.wait_s = at, resend.first_s / 2
