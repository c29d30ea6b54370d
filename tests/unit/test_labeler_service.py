"""The labeler service with its real peer, on a broker without sockets; the trainer is a script of the test."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from active_learner.oracles.base import Oracle, Reply
from active_learner.peer import Peer, Received
from active_learner.services import labeler
from active_learner.services.labeler import Labeler
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Action, Answer, AnswerReceipt, Question, QuestionClosed

PATIENCE_S = 10.0


def question(id: str, rank: int = 1) -> Question:
    return Question(
        id=id, key="k", features=np.zeros(2, dtype=np.float32), media="table", classes=6, round=1, strategy="margin",
        score=0.5, rank=rank, model_version=0, stale=False, pool=1,
    )  # fmt: skip


class Puppet(Oracle):
    """Does what the test says: `asked` tells what it was asked, `say` is its reply."""

    annotator = "ann"

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.say: asyncio.Queue[Reply | None] = asyncio.Queue()
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.closed = False

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        self.asked.put_nowait(f"{question.id}+{waiting}")
        return await self.say.get()

    async def rest(self) -> Reply | None:
        self.asked.put_nowait("rest")
        return await self.say.get()

    async def receipt(self, receipt: AnswerReceipt) -> None:
        self.told.put_nowait(f"{receipt.question} {receipt.status}")

    def notice(self, text: str) -> None:
        self.told.put_nowait(text)

    def close(self) -> None:
        self.closed = True

    def answers(self, id: str, value: int = 3) -> None:
        self.say.put_nowait(Reply(id, Action.ANSWER, value))


class Trainer:
    """Hears answers; replies when the test says so."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="e", role="trainer", name="trainer", exclusive=True, address=address)
        self.heard: asyncio.Queue[Received] = asyncio.Queue()

    async def start(self) -> None:
        self.peer.on_message = self.heard.put_nowait
        await self.peer.open()
        await self.peer.join("user")

    async def answer(self) -> Answer:
        while True:
            received = await asyncio.wait_for(self.heard.get(), PATIENCE_S)
            if isinstance(received.message, Answer):
                self.last = received
                return received.message

    async def receive(self, status: str = "stored") -> Answer:
        answer = await self.answer()
        self.peer.reply(self.last, AnswerReceipt(answer.id, answer.question, status, ""))
        return answer


@dataclass
class Stage:
    broker: MemoryBroker
    oracle: Puppet = field(default_factory=Puppet)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        peer = Peer(experiment="e", role="labeler", address=self.broker.address)
        self.service = Labeler(peer, self.oracle, wall=lambda: 5.0, new_id=lambda: f"a{next(ids)}")
        self.trainer = Trainer(self.broker.address)

    async def asked(self) -> str:
        return await asyncio.wait_for(self.oracle.asked.get(), PATIENCE_S)

    async def told(self) -> str:
        return await asyncio.wait_for(self.oracle.told.get(), PATIENCE_S)


def on_stage(scene: Callable[[Stage], Awaitable[None]], trainer: bool = True) -> None:
    async def run() -> None:
        async with MemoryBroker() as broker:
            stage = Stage(broker)
            if trainer:
                await stage.trainer.start()
            assert await stage.service.start() == "labeler ann"
            async with asyncio.timeout(PATIENCE_S):
                assert await stage.asked() == "rest"
                await scene(stage)
            await stage.service.stop()
            assert stage.oracle.closed
            await stage.trainer.peer.close()

    asyncio.run(run())


def test_a_question_is_asked_and_its_answer_goes_to_the_trainer() -> None:
    async def scene(stage: Stage) -> None:
        stage.trainer.peer.send("user", question("q"))
        assert await stage.asked() == "q+0"
        stage.oracle.answers("q")
        assert await stage.trainer.receive() == Answer("a1", "q", "ann", 0, Action.ANSWER, 3, 5.0)
        assert await stage.told() == "q stored"
        assert await stage.asked() == "rest"

    on_stage(scene)


def test_an_answer_without_receipt_is_sent_again_with_the_same_id() -> None:
    async def scene(stage: Stage) -> None:
        stage.trainer.peer.send("user", question("q"))
        stage.oracle.answers("q")
        first = await stage.trainer.answer()
        assert await stage.trainer.answer() == first
        assert await stage.trainer.receive() == first
        assert await stage.told() == "q stored"

    on_stage(scene)


def test_a_closed_question_is_withdrawn_and_the_next_one_asked() -> None:
    async def scene(stage: Stage) -> None:
        for one in (question("q"), question("r", 2)):
            stage.trainer.peer.send("user", one)
        assert await stage.asked() == "q+0"
        stage.trainer.peer.send("user", QuestionClosed("q", "answered"))
        assert await stage.told() == "the question was withdrawn: answered"
        assert await stage.asked() == "r+0"
        stage.oracle.answers("r")
        assert (await stage.trainer.receive()).question == "r"

    on_stage(scene)


def test_turns_that_are_over_before_they_have_begun_leave_nothing_behind() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(3):
            stage.service._heard(Received(question("q"), "user", 0, None))
            stage.service._heard(Received(QuestionClosed("q", "answered"), "user", 0, None))
        gc.collect()
        stage.trainer.peer.send("user", question("r"))
        while await stage.asked() != "r+0":
            continue

    on_stage(scene)


def test_undo_is_an_event_and_the_question_comes_back() -> None:
    async def scene(stage: Stage) -> None:
        for one in (question("q"), question("r", 2)):
            stage.trainer.peer.send("user", one)
        assert await stage.asked() == "q+0"
        stage.oracle.answers("q")
        await stage.trainer.receive()
        assert await stage.asked() == "r+0"
        stage.oracle.say.put_nowait(Reply("q", Action.UNDO, None))
        assert await stage.asked() == "q+1"
        undo = await stage.trainer.receive()
        assert (undo.action, undo.revision) == (Action.UNDO, 1)
        stage.oracle.answers("q", 1)
        again = await stage.trainer.receive()
        assert (again.value, again.revision) == (1, 2)
        assert await stage.asked() == "r+0"
        stage.oracle.say.put_nowait(Reply("nothing", Action.UNDO, None))
        assert await stage.asked() == "r+0"

    on_stage(scene)


def test_a_trainer_that_is_away_is_told_and_gets_what_it_missed() -> None:
    async def scene(stage: Stage) -> None:
        stage.trainer.peer.send("user", question("q"))
        assert await stage.asked() == "q+0"
        await stage.trainer.peer.close()
        assert await stage.told() == "the trainer is away: no new questions come"
        stage.oracle.answers("q")
        assert await stage.asked() == "rest"
        stage.trainer = Trainer(stage.broker.address)
        await stage.trainer.start()
        assert await stage.told() == "the trainer is here"
        assert (await stage.trainer.receive()).question == "q"
        assert await stage.told() == "q stored"

    on_stage(scene)


def test_no_trainer_at_the_start_is_told_and_waited_for() -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.told() == "the trainer is away: no new questions come"
        await stage.trainer.start()
        assert await stage.told() == "the trainer is here"
        stage.trainer.peer.send("user", question("q"))
        assert await stage.asked() == "q+0"

    on_stage(scene, trainer=False)


def test_a_restarted_broker_loses_no_answer() -> None:
    async def scene(stage: Stage) -> None:
        stage.trainer.peer.send("user", question("q"))
        assert await stage.asked() == "q+0"
        await stage.broker.stop()
        stage.oracle.answers("q")
        await stage.broker.start()
        assert (await stage.trainer.receive()).question == "q"

    on_stage(scene)


def test_who_leaves_ends_the_process_with_zero_after_delivering() -> None:
    async def scene(stage: Stage) -> None:
        for one in (question("q"), question("r", 2)):
            stage.trainer.peer.send("user", one)
        assert await stage.asked() == "q+0"
        stage.oracle.answers("q")
        assert await stage.asked() == "r+0"
        stage.oracle.say.put_nowait(None)
        assert await stage.service.done == 0
        stopping = asyncio.ensure_future(stage.service.stop())
        await stage.trainer.receive()
        await stopping
        assert stage.service.machine.unsent == []

    on_stage(scene)


def test_what_could_not_be_delivered_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labeler, "DRAIN_S", 0.05)

    async def scene(stage: Stage) -> None:
        stage.trainer.peer.send("user", question("question-1"))
        stage.oracle.answers("question-1", 4)
        await stage.trainer.answer()
        await stage.service.stop()
        assert await stage.told() == "not delivered, because the trainer did not confirm: 4 for question-1"

    on_stage(scene)


def test_an_oracle_that_fails_ends_the_process_with_its_error() -> None:
    async def scene(stage: Stage) -> None:
        async def broken(question: Question, waiting: int) -> Reply | None:
            raise RuntimeError("no idea")

        stage.oracle.ask = broken  # type: ignore[method-assign]
        stage.trainer.peer.send("user", question("q"))
        with pytest.raises(RuntimeError, match="no idea"):
            await stage.service.done

    on_stage(scene)
