"""The source's service against a peer made of lists: what it says, and how it ends. The clock stands still unless moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from active_learner.core.proposing import Proposing
from active_learner.core.records import Features, SampleSpec
from active_learner.errors import ActiveLearnerError, BadSample
from active_learner.peer import Received
from active_learner.services.candidate_source import CandidateSource
from active_learner.sources.base import Outcome, Source
from protocol.errors import MessageTooLarge
from protocol.messages import (
    Candidates,
    Control,
    LogLine,
    Member,
    Message,
    Scores,
    SourceEnded,
    Taken,
)

SPEC = SampleSpec((2,), "uint8", 2)
TRAINER = Member(1, "trainer", "trainer")
EVALUATOR = Member(2, "evaluator", "evaluator")
DEADLINE_S = 30.0


class Listed(Source):
    """Proposes what it was given; remembers what it was told."""

    def __init__(self, *batches: object, wants_fitness: bool = False) -> None:
        self.wants_fitness = wants_fitness
        self.batches = list(batches)
        self.told: list[object] = []
        self.found: list[str] = []

    def propose(self) -> Features | None:
        made = self.batches.pop(0) if self.batches else None
        if isinstance(made, Exception):
            raise made
        return made  # type: ignore[return-value]

    @property
    def ended(self) -> bool:
        return not self.batches

    def report(self, outcome: Outcome) -> None:
        self.told.append(outcome)

    def diversify(self) -> None:
        self.told.append("diversify")

    def restart(self) -> None:
        self.told.append("restart")

    def problems(self) -> list[str]:
        found, self.found = self.found, []
        return found

    def close(self) -> None:
        self.told.append("close")


class ListedPeer:
    """What the service uses of a peer."""

    def __init__(self, *members: Member) -> None:
        self.members = list(members)
        self.said: list[tuple[str, Message]] = []
        self.heard = asyncio.Event()
        self.too_large = False
        self.on_message: Any = None
        self.on_presence: Any = None

    name = "source-1"
    address = "memory:"
    refusal = None
    counters: ClassVar[dict[str, int]] = {"undelivered": 0}

    async def open(self) -> None:
        self.open_ = True

    async def close(self, why: str = "done") -> None:
        self.open_ = False

    async def join(self, room: str) -> tuple[Member, ...]:
        for member in self.members:
            self.on_presence(room, member, True, "")
        return tuple(self.members)

    def send(self, room: str, message: Message) -> bool:
        if self.too_large and isinstance(message, Candidates):
            raise MessageTooLarge("message", 100, 10)
        self.said.append((room, message))
        self.heard.set()
        return True

    def say(self, message: Message, room: str = "") -> None:
        self.on_message(Received(message, room, 1, TRAINER))


class Stage:
    """One service with its peer and source."""

    def __init__(self, source: Listed, *members: Member, once: bool = False) -> None:
        self.peer, self.source, self.now = ListedPeer(*members), source, 0.0
        ids = iter("abcdefgh")
        self.service = CandidateSource(
            self.peer,  # type: ignore[arg-type]
            source,
            SPEC,
            machine=Proposing(wants_fitness=source.wants_fitness),
            once=once,
            clock=lambda: self.now,
            new_id=lambda: next(ids),
        )

    async def said(self, kind: type[Message], count: int = 1) -> list[Any]:
        """The messages of that kind, as soon as there are so many."""
        async with asyncio.timeout(DEADLINE_S):
            while len(found := [one for _, one in self.peer.said if isinstance(one, kind)]) < count:
                self.peer.heard.clear()
                await self.peer.heard.wait()
        return found

    async def told(self, count: int) -> list[object]:
        """What the source was told, as soon as it is so much; the worker's own queue says when."""
        done = asyncio.Event()
        async with asyncio.timeout(DEADLINE_S):
            while len(self.source.told) < count:
                done.clear()
                self.service._worker.do(lambda: self.service._worker.tell(done.set))
                await done.wait()
        return self.source.told


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 2 * DEADLINE_S))  # type: ignore[arg-type]


ROWS = np.array([[0, 1], [1, 0]], np.uint8)


def test_candidates_go_into_the_evolution_room_and_their_outcome_to_the_source() -> None:
    async def scene() -> None:
        stage = Stage(Listed(ROWS, wants_fitness=True), TRAINER, EVALUATOR)
        assert await stage.service.start() == "source-1"
        (said,) = await stage.said(Candidates)
        assert (said.id, said.purpose, said.features.tolist()) == ("a", "propose", ROWS.tolist())
        assert stage.peer.said[0][0] == "evolution"
        stage.peer.say(Taken("a", 1, 1, 0, 0, ""))
        fitness = np.array([1, 2], np.float32)
        stage.peer.say(Scores("a", 1, np.full((2, 2), 0.5, np.float32), fitness, None), "evolution")
        (outcome,) = await stage.told(1)
        assert isinstance(outcome, Outcome)
        assert outcome.fitness is fitness
        assert outcome.new == 1
        await stage.service.stop()

    play(scene)


def test_the_end_is_said_and_the_process_stays() -> None:
    async def scene() -> None:
        stage = Stage(Listed(ROWS), TRAINER)
        await stage.service.start()
        await stage.said(Candidates)
        stage.peer.say(Taken("a", 2, 0, 0, 0, ""))
        assert await stage.said(SourceEnded) == [SourceEnded("source-1", 2, 0)]
        assert not stage.service.done.done()
        await stage.service.stop()

    play(scene)


def test_once_ends_the_process_after_the_end_was_said() -> None:
    async def scene() -> None:
        stage = Stage(Listed(), TRAINER, once=True)
        await stage.service.start()
        assert await stage.service.done == 0
        assert await stage.said(SourceEnded)
        await stage.service.stop()

    play(scene)


def test_a_trainer_that_comes_later_is_waited_for_and_a_new_one_makes_it_begin_again() -> None:
    async def scene() -> None:
        stage = Stage(Listed(ROWS, ROWS))
        await stage.service.start()
        stage.peer.on_presence("evolution", TRAINER, True, "")
        await stage.said(Candidates, 2)
        stage.peer.say(Taken("a", 2, 0, 0, 0, ""))
        stage.peer.on_presence("evolution", TRAINER, False, "the broker is lost")
        stage.peer.on_presence("evolution", Member(9, "trainer", "trainer"), True, "")
        assert (await stage.told(2))[1] == "restart"
        assert [one.id for one in await stage.said(Candidates, 3)] == ["a", "b", "b"]
        await stage.service.stop()

    play(scene)


def test_control_for_sources_is_obeyed_and_for_others_not() -> None:
    async def scene() -> None:
        stage = Stage(Listed(), TRAINER)
        await stage.service.start()
        stage.peer.say(Control("evaluator", "diversify"), "control")
        stage.peer.say(Control("source", "diversify"), "control")
        assert await stage.told(1) == ["diversify"]
        await stage.service.stop()

    play(scene)


def test_bad_input_is_told_in_the_control_room_and_counted() -> None:
    async def scene() -> None:
        source = Listed()
        source.found = ["line 3: is not JSON"]
        stage = Stage(source, TRAINER)
        await stage.service.start()
        assert await stage.said(LogLine) == [LogLine(1, "warning", "source-1: line 3: is not JSON")]
        assert stage.service.counters["bad_input"] == 1
        await stage.service.stop()

    play(scene)


@pytest.mark.parametrize(
    ("made", "error", "words"),
    [
        (np.zeros((2, 3), np.uint8), BadSample, r"shape \(2, 3\)"),
        (np.zeros((0, 2), np.uint8), BadSample, "n >= 1"),
        (np.full((1, 2), 0.5), BadSample, "not uint8"),
        (RuntimeError("its own words"), RuntimeError, "its own words"),
    ],
)
def test_a_source_that_breaks_its_promise_ends_the_process_with_an_error(
    made: object, error: type[Exception], words: str
) -> None:
    async def scene() -> None:
        stage = Stage(Listed(made), TRAINER)
        await stage.service.start()
        with pytest.raises(error, match=words):
            await stage.service.done
        await stage.service.stop()
        assert not stage.peer.open_

    play(scene)


def test_a_batch_that_is_too_large_for_a_message_ends_the_process_with_advice() -> None:
    async def scene() -> None:
        stage = Stage(Listed(ROWS), TRAINER)
        stage.peer.too_large = True
        await stage.service.start()
        with pytest.raises(ActiveLearnerError, match=r"source\.batch"):
            await stage.service.done
        await stage.service.stop()

    play(scene)
