"""Row 46, behind the broker: one labeler says answers without end. Another one still gets its receipts, and a stop ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from active_learner.peer import Peer
from protocol.messages import Action, Answer, AnswerReceipt
from tests.integration.by_hand import PATIENCE_S, Hand, Shell

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FLOOD = 20_000
"""Answers: more than half a minute of transactions."""
RECEIPTS = 10
PROMISED_S = 3.0
BUSY_S = 15.0
"""What a busy machine may add; the figures are printed."""


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path, "digits", "labeler={kind: none}", "trainer.status_interval_s=0.1")
    yield made
    made.clear_away()


def made_up(annotator: str) -> Answer:
    return Answer(uuid4().hex, "never asked", annotator, 0, Action.ANSWER, 3, 1.0)


async def floods(peer: Peer, begun: asyncio.Event) -> None:
    sent = 0
    while sent < FLOOD:
        sent += peer.send("@trainer", made_up("mallory"))
        if sent == FLOOD // 4:
            begun.set()
        if sent % 50 == 0:
            await asyncio.sleep(0.001)


async def receipt(peer: Peer) -> float:
    """Seconds until it comes."""
    answer, began = made_up("ann"), time.monotonic()

    def is_it(received: object) -> bool:
        message = getattr(received, "message", None)
        return isinstance(message, AnswerReceipt) and message.id == answer.id

    await peer.request("@trainer", answer, is_it, PATIENCE_S, resend_s=0.2)
    return time.monotonic() - began


async def scene(hand: Hand) -> list[float]:
    def labeler(name: str) -> Peer:
        return Peer(experiment=hand.name, role="labeler", name=name, address=hand.address)

    async with asyncio.timeout(PATIENCE_S), labeler("mallory") as mallory, labeler("ann") as ann:
        for peer in (mallory, ann):
            await peer.join("user")
        begun = asyncio.Event()
        flooding = asyncio.ensure_future(floods(mallory, begun))
        await begun.wait()
        took = [await receipt(ann) for _ in range(RECEIPTS)]
        await flooding
        return took


def stopped(trainer: Shell) -> float:
    began = time.monotonic()
    trainer.signal(signal.SIGTERM)
    assert trainer.ended() == 0, trainer.text
    return time.monotonic() - began


def test_row_46_a_flood_of_answers_costs_another_labeler_no_receipt_and_the_stop_no_second(hand: Hand) -> None:
    hand.broker()
    trainer = hand.start("serve", ready=True)
    took = asyncio.run(scene(hand))
    report = hand.until(lambda report: dict(report.counters).get("answers.deferred", 0) > 0)
    seconds = stopped(trainer)
    counters = {name: number for name, number in report.counters if name.startswith("answers")}
    print(f"receipts {[round(one, 3) for one in took]}, stop {seconds:.2f} s, {counters}")
    assert max(took) < BUSY_S
    assert seconds < PROMISED_S + BUSY_S
