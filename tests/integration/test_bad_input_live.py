"""Bad input to a run that is under way: refused in words, counted, and the run ends as if it had not been."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

from active_learner.core.leasing import SEATS_EACH
from active_learner.core.leasing_events import NO_SEAT
from active_learner.peer import Peer, Received
from protocol.codec import encode
from protocol.messages import (
    Action,
    Answer,
    AnswerReceipt,
    Candidates,
    Hello,
    Lease,
    Leased,
    Message,
    Position,
    PositionRequest,
    Question,
    StatusReport,
    StatusRequest,
    StepRefused,
    Taken,
)
from tests.integration.by_hand import PATIENCE_S, Gate, Hand, Shell, result
from tests.integration.gated_run import HERE, all_started, by_hand, ends_right
from tests.integration.up_process import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

__all__ = ["by_hand"]


def test_row_24_no_numbers_in_predictions_or_gradients_halt_training_and_leave_the_weights(
    by_hand: Callable[..., Hand],
) -> None:
    """Round 2 is steps 26 to 60. What was mended goes on to the weights of a run in which nothing was wrong."""
    hand = by_hand()
    (hand.folder / "nan-forward-30").touch()
    (hand.folder / "nan-loss-40").touch()
    shells = all_started(hand)
    mended(hand, shells, "forward-30", "step 30: evaluator: predictions are not finite in 8 of 8 rows")
    mended(hand, shells, "loss-40", "step 36: the loss (nan) or its gradient is not finite")
    ends_right(hand, shells["serve"])


def mended(hand: Hand, shells: dict[str, Shell], place: str, words: str) -> None:
    """Training is halted and says why; the fault is taken away and the evaluator started again."""
    report = hand.until(lambda report: words in report.text)
    assert report.text.startswith("training is halted: step ")
    assert report.training == "halted"
    shells["serve"].wait_for(words)
    (hand.folder / f"nan-{place}").unlink()
    shells["evaluator"].signal(signal.SIGTERM)
    assert shells["evaluator"].ended() == 0
    shells["evaluator"] = hand.start("evaluator")


async def hostile(address: str, story: Callable[[Peer], Awaitable[None]], role: str, *rooms: str) -> None:
    """A peer of the test in the experiment, for the time of the story."""
    async with asyncio.timeout(PATIENCE_S), Peer(experiment="digits", role=role, address=address) as peer:
        for room in rooms:
            await peer.join(room)
        await story(peer)


async def heard(peer: Peer, *kinds: type[Message]) -> Any:
    """The next message of one of these kinds."""
    async for received in peer:
        if isinstance(received.message, kinds):
            return received.message
    raise AssertionError("closed")


def test_hostile_peers_are_told_and_counted_and_the_run_ends_as_without_them(by_hand: Callable[..., Hand]) -> None:
    """The labeler stands in round 2 until the attack is over: the run does not end before it."""
    hand = by_hand("labeler.delay_s=0.05", f"labeler.answers={HERE}:truth")
    gate = Gate(hand.folder, "answer-45")
    shells = all_started(hand)
    for command in ("serve", "evaluator"):
        shells[command].wait_for("ready: ")
    asyncio.run(attacked(hand.address))
    gate.reached()
    counters = dict(hand.until(lambda report: report.round >= 1).counters)
    assert counters["refused"] == 7
    gate.open()
    ends_right(hand, shells["serve"])
    with sqlite3.connect(hand.run_dir / "labels.db") as store:
        assert store.execute("SELECT DISTINCT annotator FROM events").fetchall() == [("simulated",)]
        assert store.execute("SELECT count(*) FROM events").fetchall() == [(60,)]
    shells["broker"].interrupt()
    told = shells["broker"].wait_for("broker stopped")
    assert "malformed 4" in told
    assert all("Traceback" not in shell.text for shell in shells.values())


async def attacked(address: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(hostile(address, wrong_candidates, "source", "evolution"))
        group.create_task(hostile(address, wrong_labels, "labeler", "user"))
        group.create_task(wrong_frames(address))


async def wrong_candidates(peer: Peer) -> None:
    """Of another shape; and one row among good ones that float32 cannot hold: no network can say anything of it."""
    mixed = np.full((3, 64), 0.5)
    mixed[1, 7] = 1e300
    peer.send("evolution", Candidates("wide", "propose", np.zeros((4, 65), np.float32), False))
    peer.send("evolution", Candidates("mixed", "propose", mixed, False))
    receipts: dict[str, Taken] = {}
    refusals: dict[str, StepRefused] = {}
    while len(receipts) + len(refusals) < 4:
        told = await heard(peer, Taken, StepRefused)
        if isinstance(told, Taken):
            receipts[told.re] = told
        else:
            refusals[told.ticket] = told
    assert (receipts["wide"].new, receipts["wide"].refused) == (0, 4)
    assert receipts["wide"].text == "samples are (65,), the experiment's are (64,)"
    assert "does not take" in refusals["wide"].text
    assert (receipts["mixed"].new, receipts["mixed"].refused) == (0, 3)
    assert receipts["mixed"].text == f"evaluator: {refusals['mixed'].text}"
    assert refusals["mixed"].text == "predictions are not finite in 1 of 3 rows"


async def wrong_labels(peer: Peer) -> None:
    """Outside of the classes; no label where one must be; a question that nobody asked."""
    peer.send("@trainer", Lease("mallory", 1, (), ()))
    question: Question = await heard(peer, Question)

    async def answered(question_id: str, value: int | None) -> tuple[str, str]:
        answer = Answer(f"{question_id}-{value}", question_id, "mallory", 0, Action.ANSWER, value, 1.0)
        peer.send("@trainer", answer)
        receipt: AnswerReceipt = await heard(peer, AnswerReceipt)
        return receipt.status, receipt.text

    assert await answered(question.id, 10) == ("bad_value", "10 is not a label: allowed are 0 to 9")
    assert await answered(question.id, -1) == ("bad_value", "-1 is not a label: allowed are 0 to 9")
    assert await answered(question.id, None) == ("bad_value", "None is not a label: allowed are 0 to 9")
    assert (await answered("nobody-asked", 3))[0] == "unknown_question"
    peer.send("@trainer", Lease("mallory", 0, (), ()))
    assert (await heard(peer, Leased)).holds == ()


def test_hostile_leases_cost_nobody_a_question(by_hand: Callable[..., Hand]) -> None:
    hand = by_hand()
    hand.broker()
    trainer = hand.start("serve", "--rounds", "3")
    for command in ("evaluator", "source"):
        hand.start(command)
    hand.until(lambda report: report.open_questions == 40)
    asyncio.run(hostile(hand.address, out_of_turn, "source", "evolution"))
    asyncio.run(hostile(hand.address, greedy, "labeler", "user"))
    hand.start("label")
    ends_right(hand, trainer)
    with sqlite3.connect(hand.run_dir / "labels.db") as store:
        assert store.execute("SELECT DISTINCT annotator FROM events").fetchall() == [("simulated",)]
        assert store.execute("SELECT count(*) FROM events").fetchall() == [(60,)]
    assert all("Traceback" not in shell.text for shell in hand.shells)


AGAIN_S = 5.0


async def leased(peer: Peer, wants: int, *annotators: str, holds: tuple[str, ...] = ()) -> dict[str, Leased]:
    """All ask at once, and those again that are told nothing, as labelers do: a thousand answers may be too many for the
    broker's queue. What each is told first."""
    told: dict[str, Leased] = {}
    while missing := [name for name in annotators if name not in told]:
        for name in missing:
            peer.send("@trainer", Lease(name, wants, holds, holds))
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S):
                while len(told) < len(annotators):
                    answer: Leased = await heard(peer, Leased)
                    told.setdefault(answer.annotator, answer)
    return told


async def greedy(peer: Peer) -> None:
    """All there is and more; questions that nobody asked; as many annotators as there are names."""
    made_up = tuple(f"made-up-{number}" for number in range(1000))
    mallory = (await leased(peer, 2**62, "mallory", holds=made_up))["mallory"]
    assert len({*mallory.holds} - {*made_up}) == 40
    assert mallory.text
    names = [f"mallory-{number}" for number in range(1100)]
    told = await leased(peer, 2**62, *names)
    refused = [name for name in names if told[name].text == NO_SEAT]
    assert len(refused) == len(names) + 1 - SEATS_EACH
    assert all(one.holds == () for one in (await leased(peer, 0, "mallory", *names)).values())


async def out_of_turn(peer: Peer) -> None:
    """A source that asks for questions: the broker has said so by the time that the trainer answers."""
    peer.send("@trainer", Lease("mallory", 3, (), ()))
    await peer.request("@trainer", StatusRequest("then"), lambda told: isinstance(told.message, StatusReport))
    assert peer.counters["refused.forbidden"] == 1


async def wrong_frames(address: str) -> None:
    """Junk, a wrong checksum, another version, too many parts and too many bytes, each by somebody else."""
    good = encode(Hello(1, 1, "digits", "raw", "raw", False, "i", "s"))[0]
    attacks: list[list[bytes]] = [
        [b"junk"],
        [good[:-1] + b"?"],
        [b"AL\x07" + good[3:]],
        [b"x"] * 2000,
        [bytes(65 * 1024 * 1024)],
    ]
    context = zmq.asyncio.Context()
    for frames in attacks:
        raw = context.socket(zmq.DEALER)
        raw.linger = 0
        raw.connect(address)
        await raw.send_multipart(frames)
        if len(frames[0]) < 1000:  # larger frames are cut off by the transport, without a word
            await asyncio.wait_for(raw.recv_multipart(), PATIENCE_S)
        raw.close()
    context.term()


def test_an_evaluator_of_the_wrong_width_halts_training_and_the_right_one_ends_the_halt(
    by_hand: Callable[..., Hand],
) -> None:
    """Also: while the trainer runs, a second one and a writer of its store are refused."""
    hand = by_hand("trainer.loss=cross_entropy")
    assert hand.start("label", "--prelabel", "8").ended() == 0
    hand.broker()
    trainer = hand.start("serve", "--rounds", "1", ready=True)
    report = asyncio.run(narrow(hand))
    assert report.training == "halted"
    assert (
        report.text == "training is halted: evaluator returns 7 numbers a sample, the loss wants 10 for these classes"
    )
    assert report.step == 0
    refused_while_it_runs(hand)
    hand.start("evaluator")
    assert result(trainer)["rounds"] == "1"
    assert trainer.ended() == 0


async def narrow(hand: Hand) -> StatusReport:
    """Somebody's own evaluator; returns the trainer's report of what it thinks of it."""
    peer = Peer(experiment="digits", role="evaluator", name="evaluator", exclusive=True, address=hand.address)

    def hear(received: Received) -> None:
        if isinstance(received.message, PositionRequest):
            asked = received.message
            peer.reply(received, Position(asked.term, asked.run, "evaluator", 0, 0, (), True, 7, ""))

    peer.on_message = hear
    async with peer:
        await peer.join("traininput")
        return await hand.report(lambda report: report.training == "halted")


def refused_while_it_runs(hand: Hand) -> None:
    """Another trainer: of the same run (its store), of the same experiment (its role); and an import."""
    (hand.folder / "more.jsonl").write_text("")
    own = [*hand.sets, "--set", f"broker.address={hand.address}"]
    cases = [
        (("serve", "digits", *own), "labels.db"),
        (("labels", "import", "digits", "more.jsonl", *own), "labels.db"),
        (("serve", "digits", *own, "--set", "run_dir=elsewhere"), "trainer"),
    ]
    for command, words in cases:
        ended = call(*command, cwd=hand.folder)
        assert ended.returncode == 5, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
