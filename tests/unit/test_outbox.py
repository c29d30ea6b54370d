"""The outbox of a labeler of one's own, over a broker without sockets; the trainer is a script of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from active_learner.durable import kept_answers
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.errors import StoreLocked, Unreachable
from active_learner.outbox import Outbox
from active_learner.peer import Peer, Received
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Action, Answer, AnswerReceipt, Lease

PATIENCE_S = 30.0


class Trainer:
    """Stores an id once; says what `status` is, or nothing."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="e", role="trainer", name="trainer", exclusive=True, address=address)
        self.heard: asyncio.Queue[Answer] = asyncio.Queue()
        self.stored: list[Answer] = []
        self.status: str | None = "stored"

    async def start(self) -> None:
        self.peer.on_message = self._heard
        await self.peer.open()
        await self.peer.join("user")

    def _heard(self, received: Received) -> None:
        answer = received.message
        if isinstance(answer, Lease):
            return
        assert isinstance(answer, Answer)
        self.heard.put_nowait(answer)
        if self.status is None:
            return
        status = "duplicate" if answer in self.stored else self.status
        if status == "stored":
            self.stored.append(answer)
        self.peer.reply(received, AnswerReceipt(answer.id, answer.question, status, ""))

    async def hears(self) -> Answer:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)


class Meeting:
    def __init__(self, broker: MemoryBroker, file: Path) -> None:
        self.broker, self.file = broker, file
        self.trainer = Trainer(broker.address)

    async def labeler(self, work: Callable[[Outbox], Awaitable[None]], max_unsent: int = 100) -> None:
        """One process of it, from start to a sudden end."""
        peer = Peer(experiment="e", role="labeler", address=self.broker.address)
        async with peer, Outbox(peer, self.file, "me", max_unsent) as outbox:
            await peer.join("user")
            await work(outbox)


def on(tmp_path: Path, scene: Callable[[Meeting], Awaitable[None]]) -> None:
    async def run() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(PATIENCE_S):
            meeting = Meeting(broker, tmp_path / "me.jsonl")
            await meeting.trainer.start()
            await scene(meeting)
            await meeting.trainer.peer.close()

    asyncio.run(run())


def statuses(file: Path) -> list[str]:
    kept = KeptAnswers(file)
    kept.close()
    return [status for _, status in kept.all()]


def test_an_answer_is_kept_said_and_its_receipt_told(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            assert outbox.wants("q")
            assert await outbox.answer("q", 3) == "stored"
            assert not outbox.wants("q")
            assert outbox.unsent == []

        await meeting.labeler(work)
        (stored,) = meeting.trainer.stored
        assert (stored.question, stored.annotator, stored.revision, stored.value) == ("q", "me", 0, 3)

    on(tmp_path, scene)
    assert statuses(tmp_path / "me.jsonl") == ["stored"]


def test_what_had_no_receipt_is_said_by_the_next_process_with_the_same_id(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        meeting.trainer.status = None
        said: list[Answer] = []

        async def ends(outbox: Outbox) -> None:
            await outbox.put("q", 3)
            said.append(await meeting.trainer.hears())

        async def goes_on(outbox: Outbox) -> None:
            assert not outbox.wants("q")
            assert outbox.unsent == said
            await outbox.drain()

        await meeting.labeler(ends)
        meeting.trainer.status = "stored"
        await meeting.labeler(goes_on)
        assert meeting.trainer.stored == said

    on(tmp_path, scene)


def test_a_receipt_that_says_that_the_disk_is_full_is_not_the_last(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            meeting.trainer.status = "storage_full"
            receipt = await outbox.put("q", 3)
            await meeting.trainer.hears()
            meeting.trainer.status = "stored"
            assert (await receipt).status == "stored"

        await meeting.labeler(work)

    on(tmp_path, scene)


def test_words_on_one_question_go_one_after_the_other_with_rising_revisions(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            meeting.trainer.status = None
            await outbox.put("q", 3)
            await outbox.put("q", None, Action.UNDO)
            await outbox.put("other", 1)
            assert outbox.wants("q")
            first = {(await meeting.trainer.hears()).question for _ in range(2)}
            assert first == {"q", "other"}
            assert all(answer.revision == 0 for answer in meeting.trainer.heard._queue)  # type: ignore[attr-defined]
            meeting.trainer.status = "stored"
            await outbox.drain()

        await meeting.labeler(work)
        assert [answer.revision for answer in meeting.trainer.stored if answer.question == "q"] == [0, 1]

    on(tmp_path, scene)


@pytest.mark.parametrize("status", ["bad_value", "conflict"])
def test_a_refused_answer_may_be_given_again_with_the_next_revision(tmp_path: Path, status: str) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            meeting.trainer.status = status
            assert await outbox.answer("q", 99) == status
            assert outbox.wants("q")
            meeting.trainer.status = "stored"
            assert await outbox.answer("q", 3) == "stored"
            assert meeting.trainer.stored[0].revision == 1

        await meeting.labeler(work)

    on(tmp_path, scene)


def test_a_settled_question_that_comes_to_a_later_process_is_wanted_and_revisions_go_on(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def first(outbox: Outbox) -> None:
            await outbox.answer("q", 3)

        async def second(outbox: Outbox) -> None:
            assert outbox.wants("q")
            await outbox.answer("q", 4)
            assert not outbox.wants("q")

        await meeting.labeler(first)
        await meeting.labeler(second)
        assert [(answer.revision, answer.value) for answer in meeting.trainer.stored] == [(0, 3), (1, 4)]

    on(tmp_path, scene)


def test_with_too_many_without_receipt_it_waits_and_drops_nothing(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            meeting.trainer.status = None
            await outbox.put("a", 1)
            await outbox.put("b", 1)
            third = asyncio.ensure_future(outbox.put("c", 1))
            await meeting.trainer.hears()
            await meeting.trainer.hears()
            assert not third.done()
            meeting.trainer.status = "stored"
            await (await third)
            await outbox.drain()

        await meeting.labeler(work, max_unsent=2)
        assert sorted(answer.question for answer in meeting.trainer.stored) == ["a", "b", "c"]

    on(tmp_path, scene)


def test_a_closed_peer_is_told_and_the_answer_stays(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        meeting.trainer.status = None

        async def work(outbox: Outbox) -> None:
            receipt = await outbox.put("q", 3)
            await meeting.trainer.hears()
            await outbox._peer.close()
            with pytest.raises(Unreachable):
                await receipt
            with pytest.raises(Unreachable):
                await outbox.drain()

        await meeting.labeler(work)

    on(tmp_path, scene)
    assert statuses(tmp_path / "me.jsonl") == [""]


def test_a_disk_that_takes_nothing_is_told_before_anything_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            def full(self: KeptAnswers, answer: Answer) -> None:
                raise OSError("No space left on device")

            with monkeypatch.context() as disk:
                disk.setattr(KeptAnswers, "keep", full)
                with pytest.raises(OSError, match="No space left"):
                    await outbox.put("q", 3)
            assert meeting.trainer.heard.empty()
            assert outbox.wants("q")
            assert await outbox.answer("q", 3) == "stored"

        await meeting.labeler(work)

    on(tmp_path, scene)


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("active_learner.outbox", kept_answers.__name__):
        monkeypatch.setattr(f"{module}.FULL", 6)
        monkeypatch.setattr(f"{module}.REMEMBERED", 2)

    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            for number in range(30):
                await outbox.answer(f"q{number}", 1)
            assert len(outbox._last) <= 7
            assert not outbox.wants("q29")

        await meeting.labeler(work)

    on(tmp_path, scene)
    assert len(statuses(tmp_path / "me.jsonl")) <= 6


def test_two_processes_of_one_file_are_told(tmp_path: Path) -> None:
    async def scene(meeting: Meeting) -> None:
        async def work(outbox: Outbox) -> None:
            with pytest.raises(StoreLocked):
                Outbox(outbox._peer, meeting.file, "me")

        await meeting.labeler(work)

    on(tmp_path, scene)
