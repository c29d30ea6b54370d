"""The labeler service with its real peer, on a broker without sockets; the trainer is a script of the test."""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from active_learner.durable.kept_answers import KeptAnswers
from active_learner.oracles.base import Oracle, Reply
from active_learner.peer import Peer, Received
from active_learner.services import labeler
from active_learner.services.labeler import Labeler
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Action, Answer, AnswerReceipt, Question, QuestionClosed

PATIENCE_S = 30.0


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
    outbox: Path | None = None
    oracle: Puppet = field(default_factory=Puppet)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        peer = Peer(experiment="e", role="labeler", address=self.broker.address)
        kept = None if self.outbox is None else KeptAnswers(self.outbox)
        self.service = Labeler(peer, self.oracle, kept=kept, wall=lambda: 5.0, new_id=lambda: f"a{next(ids)}")
        self.trainer = Trainer(self.broker.address)

    async def asked(self) -> str:
        return await asyncio.wait_for(self.oracle.asked.get(), PATIENCE_S)

    async def told(self) -> str:
        return await asyncio.wait_for(self.oracle.told.get(), PATIENCE_S)


def on_stage(
    scene: Callable[[Stage], Awaitable[None]], trainer: bool = True, outbox: Path | None = None, left: int = 0
) -> None:
    """`left`: answers that an earlier process has left in the outbox."""

    async def run() -> None:
        async with MemoryBroker() as broker:
            stage = Stage(broker, outbox)
            if trainer:
                await stage.trainer.start()
            assert await stage.service.start() == "labeler ann"
            async with asyncio.timeout(PATIENCE_S):
                if left:
                    assert await stage.told() == f"{left} answer of an earlier start had no receipt: sent again"
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
        assert stage.service.counters["resent_answers"] >= 1

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


def on_disk(outbox: Path, answer: Answer) -> bool:
    return f'"id":"{answer.id}"' in outbox.read_text()


class TestOutbox:
    """With a file: the next process goes on where one ended, in whatever way."""

    @pytest.fixture
    def outbox(self, tmp_path: Path) -> Path:
        return tmp_path / "outbox" / "ann.jsonl"

    @staticmethod
    def kept(outbox: Path) -> list[tuple[str, str]]:
        file = KeptAnswers(outbox)
        file.close()
        return [(answer.id, status) for answer, status in file.all()]

    def test_an_answer_is_on_the_disk_before_the_trainer_hears_it(self, outbox: Path) -> None:
        async def scene(stage: Stage) -> None:
            stage.trainer.peer.send("user", question("q"))
            stage.oracle.answers("q")
            heard = await stage.trainer.answer()
            assert on_disk(outbox, heard)
            stage.trainer.peer.reply(stage.trainer.last, AnswerReceipt(heard.id, "q", "stored", ""))
            assert await stage.told() == "q stored"

        on_stage(scene, outbox=outbox)
        assert self.kept(outbox) == [("a1", "stored")]

    def test_what_had_no_receipt_is_sent_by_the_next_process_before_anything_else(
        self, outbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(labeler, "DRAIN_S", 0.05)
        first: list[Answer] = []

        async def ends_without_receipt(stage: Stage) -> None:
            stage.trainer.peer.send("user", question("q"))
            stage.oracle.answers("q", 4)
            first.append(await stage.trainer.answer())

        on_stage(ends_without_receipt, outbox=outbox)

        async def goes_on(stage: Stage) -> None:
            assert await stage.trainer.receive() == first[0]
            assert await stage.told() == "q stored"
            stage.trainer.peer.send("user", question("r"))
            assert await stage.asked() == "r+0"

        on_stage(goes_on, outbox=outbox, left=1)
        assert self.kept(outbox) == [("a1", "stored")]

    def test_what_is_kept_is_told_at_the_end(self, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(labeler, "DRAIN_S", 0.05)

        async def scene(stage: Stage) -> None:
            stage.trainer.peer.send("user", question("q"))
            stage.oracle.answers("q", 4)
            await stage.trainer.answer()
            await stage.service.stop()
            assert await stage.told() == "not delivered yet, kept here and sent by the next start: 4 for q"

        on_stage(scene, outbox=outbox)

    def test_a_full_disk_is_told_and_the_answer_gets_to_the_trainer_all_the_same(
        self, outbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(self: KeptAnswers, answer: Answer) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        async def scene(stage: Stage) -> None:
            with monkeypatch.context() as disk:
                disk.setattr(KeptAnswers, "keep", full)
                stage.trainer.peer.send("user", question("q"))
                stage.oracle.answers("q")
                sent = await stage.trainer.answer()
                assert await stage.told() == (
                    "not kept on this disk yet (No space left on device): sent all the same, and keeping it is tried again"
                )
            while not on_disk(outbox, sent):
                assert await stage.trainer.answer() == sent
            assert await stage.trainer.receive() == sent
            assert await stage.told() == "q stored"

        on_stage(scene, outbox=outbox)

    def test_too_many_answers_without_receipt_are_told_and_nothing_more_is_asked(
        self, outbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scene(stage: Stage) -> None:
            stage.service.machine._max_unsent = 2
            for number in range(3):
                stage.trainer.peer.send("user", question(f"q{number}", number))
            assert await stage.asked() == "q0+0"
            stage.oracle.answers("q0")
            assert await stage.asked() == "q1+1"
            stage.oracle.answers("q1")
            assert await stage.told() == "2 answers have no receipt: nothing is asked until half of them have one"
            assert await stage.asked() == "rest"
            await stage.trainer.receive()
            assert await stage.asked() == "q2+0"
            await stage.trainer.receive()

        on_stage(scene, outbox=outbox)
