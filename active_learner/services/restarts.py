"""What follows when a child process ends. Pure: the time comes as an argument. Knows no process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

DEATHS, WINDOW_S = 5, 60.0
"""After so many deaths in that time a restart will not help: the fault is in the program or its surroundings."""

DELAYS_S = (0.1, 0.5, 1.0, 2.0, 4.0)

UNDER_FIRE_S = 0.05
"""As soon as possible; not at once, so that a program that cannot start does not take the whole processor."""

NOT_LET_IN = 4
"""The broker is not there, or refuses one more: what is missing may come, however long it takes."""

LONGEST_WAIT_S = 30.0

HOPELESS = (2, 3)
"""Wrong usage, bad configuration: the same command fails in the same way."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the end of this process means to the whole."""

    ends_all: bool = False
    """Exit 0 is the end of the work: all others are ended too, exit 0."""
    may_finish: bool = False
    """Exit 0: its work is done, the others go on."""
    fatal: tuple[int, ...] = HOPELESS
    """Exit codes after which all is ended, with that code."""
    under_fire: bool = False
    """It is killed on purpose: it is started again at once, as often as it dies."""
    for_ever: bool = False
    """As long as it comes up it is started again: what ends it comes from outside, and all others wait for it."""
    may_restart: bool = True
    """False: what it knew is lost with it, so any end but 0 ends all."""


@dataclass(frozen=True, slots=True)
class End:
    """End everything with this exit code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Again:
    """Start it again after that long."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Over:
    """Leave it ended."""


class Restarts:
    """The deaths of one process."""

    def __init__(self, name: str, policy: Policy) -> None:
        self._name, self._policy = name, policy
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._was_ready = False
        self._refusals = self._never_ready = 0

    def ready(self) -> None:
        """It came up at least once: from now on a death may be an accident."""
        self._was_ready = True
        self._refusals = self._never_ready = 0

    def ended(self, code: int, at: float) -> End | Again | Over:
        """`code` as of subprocess: negative is a signal's number; `at` in monotonic seconds."""
        if code == 0 and self._policy.ends_all:
            return End(0, "")
        if code == 0 and self._policy.may_finish:
            return Over()
        self._never_ready += 1
        killed = (
            code < 0 and self._never_ready < DEATHS
        )  # from outside, as it seems: that says nothing about the program
        if not self._was_ready and code != 0 and not killed:
            return End(max(code, 1), f"{self._name} did not start ({said(code)})")
        if code in self._policy.fatal or not self._policy.may_restart:
            return End(code if code > 0 else 1, f"{self._name} cannot go on ({said(code)})")
        if self._policy.under_fire:
            return Again(UNDER_FIRE_S)
        if code == NOT_LET_IN:
            self._refusals += 1
            return Again(min(2.0**self._refusals, LONGEST_WAIT_S))
        self._deaths.append(at)
        is_hopeless = not self._policy.for_ever or self._never_ready >= DEATHS
        if is_hopeless and len(self._deaths) == DEATHS and at - self._deaths[0] < WINDOW_S:
            return End(1, f"{self._name} died {DEATHS} times within {WINDOW_S:.0f} s, the last time with {said(code)}")
        recent = sum(1 for death in self._deaths if at - death < WINDOW_S)
        return Again(DELAYS_S[recent - 1])


def said(code: int) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
