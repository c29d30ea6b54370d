"""Attacks the processes of a run, one after the other, and notes what became of each. Knows launcher and observer; the
attacks are drawn elsewhere (faults/attacks.py), and what was lost is found out elsewhere (faults/history.py)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from active_learner.crash_points import VARIABLE as CRASH_AT
from active_learner.faults.attacks import STOP, Attack
from active_learner.services.launcher import Launcher
from active_learner.services.observer import Back, Observer

PATIENCE_S = 15.0
"""Promised: what takes longer to come back is late."""

GIVEN_UP_S = 60.0
"""What takes longer will not come back; a busy machine imports torch in half of it."""

POINT_S = 20.0
"""A crash point that is not reached in that time is given up: not every one is on the way of every experiment."""

KILLED = -int(signal.SIGKILL)


@dataclass(slots=True)
class Blow:
    """An attack that was made."""

    attack: Attack
    reached: bool = True
    """False: it never came to the crash point, and was killed there and then."""
    back: Back | None = None
    interrupted: bool = False
    """It died again before it could show that it was back."""


@dataclass(slots=True)
class Account:
    """What was done to a run and what came of it."""

    blows: list[Blow] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Processes that ended by themselves, with the end of what they said."""

    @property
    def deaths(self) -> int:
        return sum(blow.attack.how != STOP for blow in self.blows)

    @property
    def not_back(self) -> list[Blow]:
        """Never seen again."""
        return [blow for blow in self.blows if blow.back is None and not blow.interrupted]

    @property
    def late(self) -> list[Blow]:
        """Back after longer than is promised, or not at all."""
        slow = [blow for blow in self.blows if blow.back is not None and blow.back.seconds > PATIENCE_S]
        return [*slow, *self.not_back]

    def inside(self) -> Counter[str]:
        """Deaths at crash points, by program."""
        return Counter(blow.attack.program for blow in self.blows if blow.attack.at_point and blow.reached)

    def seconds(self) -> dict[str, list[float]]:
        """Program -> from each death to its next useful word."""
        found: dict[str, list[float]] = {}
        for blow in self.blows:
            if blow.back is not None and blow.back.how == "spoke" and blow.attack.how != STOP:
                found.setdefault(blow.attack.program, []).append(blow.back.seconds)
        return found


class _Death(NamedTuple):
    at: float
    known: frozenset[int]
    """Sessions that were heard of by then: what they say is no return."""


class Chaos:
    """Give `environment` and `ended` to the launcher; then `attack`."""

    def __init__(
        self,
        attacks: Sequence[Attack],
        surroundings: Mapping[str, str],
        say: Callable[[str], None],
        patience: float = 1.0,
    ) -> None:
        """`surroundings`: environment variables of all processes. `patience`: so many times GIVEN_UP_S and
        POINT_S."""
        self._attacks, self._surroundings, self._say = list(attacks), surroundings, say
        self.account = Account()
        self._point_s, self._given_up_s = POINT_S * patience, GIVEN_UP_S * patience
        self._armed: dict[str, deque[Attack]] = {}
        """Crash points of the lives that will begin next."""
        self._deaths: dict[str, asyncio.Event] = {}
        self._died: dict[str, _Death] = {}
        self._observer: Observer | None = None
        self._loop = asyncio.get_running_loop()
        self._recovering: asyncio.Task[None] | None = None

    # --- for the launcher

    def environment(self, program: str) -> Mapping[str, str]:
        """Of a life of it that begins now."""
        armed = self._armed.get(program)
        if not armed:
            return self._surroundings
        point = armed.popleft()
        return {**self._surroundings, CRASH_AT: f"{point.how}:{point.hit}"}

    def ended(self, program: str, code: int, last_words: Sequence[str]) -> None:
        """It died."""
        known = frozenset[int]() if self._observer is None else self._observer.sessions()
        self._died[program] = _Death(self._loop.time(), known)
        self._deaths.setdefault(program, asyncio.Event()).set()
        if code not in (KILLED, 0):
            self.account.unexpected.append("\n    ".join([f"{program} ended with {code}:", *list(last_words)[-5:]]))

    # --- attacks

    async def attack(self, launcher: Launcher, observer: Observer, deadline: float = float("inf")) -> None:
        """All of them, or those that begin before `deadline` (of the loop's clock)."""
        self._observer = observer
        for number, attack in enumerate(self._attacks):
            if not attack.at_point:
                await self._recovered()
                if self._loop.time() > deadline:
                    return
            later = (one for one in self._attacks[number + 1 :] if one.program == attack.program)
            await self._blow(attack, next(later, None), launcher, observer)
        await self._recovered()

    async def _blow(self, attack: Attack, following: Attack | None, launcher: Launcher, observer: Observer) -> None:
        """`following`: the next attack on the same program; for a crash point its next life is armed."""
        if following is not None and following.at_point:
            self._armed.setdefault(following.program, deque()).append(following)
        blow = Blow(attack)
        await asyncio.sleep(attack.after_s)
        if attack.how == STOP:
            death = _Death(await self._stop_and_go(attack, launcher), frozenset())
        else:
            death = await self._death(blow, launcher)
        self.account.blows.append(blow)
        self._recovering = asyncio.create_task(self._recover(blow, observer, death))

    async def _stop_and_go(self, attack: Attack, launcher: Launcher) -> float:
        launcher.signal(attack.program, signal.SIGSTOP)
        await asyncio.sleep(attack.stopped_s)
        launcher.signal(attack.program, signal.SIGCONT)
        return self._loop.time()

    async def _death(self, blow: Blow, launcher: Launcher) -> _Death:
        """Waits until it has died; at a point that may have been before this was asked."""
        attack = blow.attack
        death = self._deaths.setdefault(attack.program, asyncio.Event())
        if attack.at_point:
            blow.reached = await _within(death.wait(), self._point_s)
        if not attack.at_point or not blow.reached:
            death.clear()
            launcher.signal(attack.program, signal.SIGKILL)
            await _within(death.wait(), PATIENCE_S)
        await self._interrupt(attack.program)
        death.clear()
        return self._died.get(attack.program, _Death(self._loop.time(), frozenset()))

    # --- recovery

    async def _recover(self, blow: Blow, observer: Observer, death: _Death) -> None:
        blow.back = await observer.back(blow.attack.program, death.known, death.at, self._given_up_s)
        self._say(f"{self._place()} {blow.attack.told()}: {_told(blow, self._given_up_s)}")

    async def _recovered(self) -> None:
        if self._recovering is not None:
            await self._recovering
            self._recovering = None

    async def _interrupt(self, program: str) -> None:
        """The blow before this one hit the same life: whether it came back will not be known."""
        running, self._recovering = self._recovering, None
        if running is None:
            return
        if not running.done():
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            before = self.account.blows[-1]
            before.interrupted = True
            self._say(f"{self._place()} {before.attack.told()}")

    def _place(self) -> str:
        return f"{self.account.deaths}/{sum(one.how != STOP for one in self._attacks)}"


def _told(blow: Blow, given_up_s: float) -> str:
    missed = "" if blow.reached else "it did not come there and was killed, "
    if blow.back is None:
        return f"{missed}NOT back within {given_up_s:.0f} s"
    return f"{missed}{'works' if blow.back.how == 'spoke' else 'is there'} again after {blow.back.seconds:.2f} s"


async def _within(waiting: object, seconds: float) -> bool:
    try:
        await asyncio.wait_for(waiting, seconds)  # type: ignore[arg-type]
    except TimeoutError:
        return False
    return True
