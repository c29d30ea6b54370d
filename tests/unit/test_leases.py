"""The leases of an Outbox, over a broker without sockets; the trainer is a script of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from active_learner.outbox import Outbox
from active_learner.peer import Peer, Received
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Answer, AnswerReceipt, Lease, Leased

PATIENCE_S = 30.0


class Trainer:
    """Tells the test what LEASE it hears; confirms answers when it may."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="e", role="trainer", name="trainer", exclusive=True, address=address)
        self.leases: asyncio.Queue[Lease] = asyncio.Queue()
        self.confirms = True

    async def start(self) -> None:
        self.peer.on_message = self._heard
        await self.peer.open()
        await self.peer.join("user")

    def _heard(self, received: Received) -> None:
        match received.message:
            case Lease() as lease:
                self.last = received
                self.leases.put_nowait(lease)
            case Answer() as answer if self.confirms:
                self.peer.reply(received, AnswerReceipt(answer.id, answer.question, "stored", ""))

    def says_leased(self, *holds: str, annotator: str = "me", seconds: float = 30.0) -> None:
        self.peer.reply(self.last, Leased(annotator, holds, seconds, 0, ""))

    async def hears(self, **named: object) -> Lease:
        """The next LEASE with these fields: what is unanswered is said again in between."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                lease = await self.leases.get()
                if all(getattr(lease, name) == value for name, value in named.items()):
                    return lease


Work = Callable[[Trainer, Outbox, Peer], Awaitable[None]]


def on(tmp_path: Path, work: Work, ahead: int = 3) -> None:
    async def run() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(2 * PATIENCE_S):
            trainer = Trainer(broker.address)
            await trainer.start()
            peer = Peer(experiment="e", role="labeler", address=broker.address)
            async with peer, Outbox(peer, tmp_path / "me.jsonl", "me", ahead=ahead) as outbox:
                await peer.join("user")
                await work(trainer, outbox, peer)
            if ahead:
                assert (await trainer.hears(wants=0)).annotator == "me"
            await trainer.peer.close()

    asyncio.run(run())


def test_a_trainer_is_asked_for_questions_and_what_is_wanted_of_them_is_held(tmp_path: Path) -> None:
    async def work(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        assert await trainer.hears() == Lease("me", 3, (), ())
        assert outbox.wants("q")
        assert await trainer.hears(holds=("q",))

    on(tmp_path, work)


def test_what_is_decided_is_held_until_its_receipt_and_then_no_more(tmp_path: Path) -> None:
    async def work(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        await trainer.hears()
        trainer.confirms = False
        assert outbox.wants("q")
        receipt = await outbox.put("q", 1)
        await trainer.hears(holds=("q",))
        trainer.confirms = True
        await receipt
        assert outbox.wants("r")
        await trainer.hears(holds=("r",))

    on(tmp_path, work)


def test_what_leased_does_not_name_is_not_held_any_more_whatever_is_leased_to_others(tmp_path: Path) -> None:
    async def work(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        await trainer.hears()
        assert outbox.wants("q")
        assert outbox.wants("r")
        await trainer.hears(holds=("q", "r"))
        trainer.says_leased(annotator="other")
        trainer.says_leased("r", seconds=1.5)
        await trainer.hears(holds=("r",))

    on(tmp_path, work)


def test_a_trainer_that_comes_again_is_told_what_is_held(tmp_path: Path) -> None:
    async def work(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        await trainer.hears()
        assert outbox.wants("q")
        await trainer.hears(holds=("q",))
        trainer.says_leased("q", seconds=3000.0)
        await trainer.peer.close()
        again = Trainer(trainer.peer.address)
        trainer.peer, trainer.leases = again.peer, again.leases
        await again.start()
        assert await again.hears() == Lease("me", 3, ("q",), ())

    on(tmp_path, work)


def test_whoever_keeps_leases_otherwise_says_none(tmp_path: Path) -> None:
    async def work(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        assert outbox.wants("q")
        assert await outbox.answer("q", 1) == "stored"

    async def run(trainer: Trainer, outbox: Outbox, peer: Peer) -> None:
        await work(trainer, outbox, peer)
        assert trainer.leases.empty()

    on(tmp_path, run, ahead=0)
