"""Who answers and who proposes in a simulation: people who think, skip, change their mind, walk away; sources that are silent
or end. Knows questions and samples; what they do is drawn from the generator of their process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from active_learner.core.records import Features, SampleSpec
from active_learner.oracles.base import Oracle, Reply
from active_learner.sources.base import Source
from protocol.messages import Action, AnswerReceipt, Question

SPEC = SampleSpec(shape=(3,), dtype="uint8", classes=3)

MINUTE_S, HOUR_S = 60.0, 3600.0


@dataclass(slots=True)
class Temper:
    """Chances of what a person does with a question; all 0 once everything is to come to an end."""

    skip: float = 0.0
    undo: float = 0.0
    revise: float = 0.0
    wrong_key: float = 0.0
    """Presses a key that is no label."""
    walk_away: float = 0.0
    leave: float = 0.0
    regret: bool = False
    """Takes back what was answered, and answers nothing."""
    astray: float = 0.0
    """Says it of a question of before, perhaps one that was withdrawn."""
    think_s: tuple[float, float] = (0.5, 8.0)
    away_s: tuple[float, float] = (6 * MINUTE_S, 60 * MINUTE_S)


class Person(Oracle):
    """`told`: of every receipt that is shown; `walked_away`: of every absence."""

    def __init__(
        self,
        annotator: str,
        temper: Temper,
        random: Random,
        told: Callable[[AnswerReceipt], None],
        walked_away: Callable[[float], None],
    ) -> None:
        self.annotator = annotator
        self._temper, self._random, self._told, self._walked_away = temper, random, told, walked_away
        self._answered: list[str] = []
        self._seen: list[str] = []

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        temper, chance = self._temper, self._random.random
        if temper.regret:
            return await self._take_back()
        self._seen = [*self._seen[-4:], question.id]
        if chance() < temper.walk_away:
            await self._away()
        await asyncio.sleep(self._random.uniform(*temper.think_s))
        if chance() < temper.leave:
            return None
        again = self._second_thoughts(temper)
        if again is not None:
            return again
        if chance() < temper.skip:
            return Reply(question.id, Action.SKIP, None)
        value = SPEC.classes if chance() < temper.wrong_key else self._random.randrange(SPEC.classes)
        about = self._random.choice(self._seen) if chance() < temper.astray else question.id
        self._answered.append(about)
        return Reply(about, Action.ANSWER, value)

    def _second_thoughts(self, temper: Temper) -> Reply | None:
        """About one of the last answers; the labeler's machine says when there is nothing any more to undo."""
        if not self._answered:
            return None
        question = self._random.choice(self._answered[-4:])
        if self._random.random() < temper.undo:
            return Reply(question, Action.UNDO, None)
        if self._random.random() < temper.revise:
            return Reply(question, Action.REVISE, self._random.randrange(SPEC.classes))
        return None

    async def _take_back(self) -> Reply:
        """One after the other; then again the first, of which there is nothing any more to undo."""
        await asyncio.sleep(self._random.uniform(0.3, 1.0))
        if not self._answered:
            await asyncio.sleep(5.0)
            return Reply(self._seen[-1] if self._seen else "", Action.UNDO, None)
        self._seen.append(self._answered.pop())
        return Reply(self._seen[-1], Action.UNDO, None)

    async def rest(self) -> Reply | None:
        """Now and then something comes to their mind."""
        if self._temper.regret:
            return await self._take_back()
        await asyncio.sleep(self._random.uniform(0.5, 10.0))
        again = self._second_thoughts(self._temper)
        return again if again is not None else await super().rest()

    async def _away(self) -> None:
        seconds = self._random.uniform(*self._temper.away_s)
        self._walked_away(seconds)
        await asyncio.sleep(seconds)

    async def receipt(self, receipt: AnswerReceipt) -> None:
        self._told(receipt)


@dataclass(slots=True)
class Habit:
    """How a source proposes."""

    batch: int = 5
    total: int | None = None
    """Different samples that it has; None: no end."""
    wants_fitness: bool = False
    interval_s: float = 0.0
    silent_until: float = 0.0
    crooked: float = 0.0
    """Chance of a batch with samples of another shape."""


class Proposer(Source):
    """Proposes samples in an order of its own; a finite one begins again when told to."""

    def __init__(self, number: int, habit: Habit, now: Callable[[], float]) -> None:
        self.wants_fitness = habit.wants_fitness
        self._number, self._habit, self._now = number, habit, now
        self._next = 0

    def propose(self) -> Features | None:
        if self.ended or self._now() < self._habit.silent_until:
            return None
        count = self._habit.batch
        if self._habit.total is not None:
            count = min(count, self._habit.total - self._next)
        start, self._next = self._next, self._next + count
        return np.stack([sample(self._number, start + place) for place in range(count)])

    @property
    def ended(self) -> bool:
        return self._habit.total is not None and self._next >= self._habit.total

    def diversify(self) -> None:
        if self._habit.total is None:
            self._next += 1000

    def restart(self) -> None:
        self._next = 0


def sample(source: int, number: int) -> Features:
    """The sample of that number; every seventh is one that the other source has too."""
    whose = 0 if number % 7 == 0 else source + 1
    return np.array([whose, number >> 8 & 255, number & 255], SPEC.dtype)
