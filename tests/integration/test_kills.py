"""kill -9 of each process in the middle of its work: the run ends with the weights of its plans, as plain PyTorch has them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from active_learner.peer import Peer
from protocol.messages import Member
from tests.integration.by_hand import PATIENCE_S, Gate, Hand, Shell
from tests.integration.gated_run import HERE, all_started, by_hand, ends_right

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OWN_SOURCE = (f"source={{kind: custom, factory: '{HERE}:Digits'}}", "validation.path=digits", "labeler.path=digits")
OWN_SAMPLES = ("sample.shape=[64]", "sample.dtype=float32", "sample.classes=10")


@pytest.mark.parametrize(
    ("fused", "places"),
    [("true", ("loss-12", "loss-50")), ("false", ("loss-12", "forward-40"))],
    ids=["fused, twice between forward and gradient", "two trips, there and inside a forward"],
)
def test_the_evaluator_killed_without_and_with_a_checkpoint(
    fused: str, places: tuple[str, ...], by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    """The first time in round 1, so that it begins again; then in round 2 (12 of the calls were done twice)."""
    hand = by_hand(f"trainer.fused={fused}")
    gates = [Gate(tmp_path, place) for place in places]
    shells = all_started(hand)
    for gate in gates:
        gate.reached()
        shells["evaluator"].kill()
        if gate.name.startswith("loss"):
            gate.open()
        else:
            gate.remove()
        shells["serve"].wait_for("evaluator is away")
        shells["evaluator"] = hand.start("evaluator")
    shells["evaluator"].wait_for("ready: evaluator at step 25, model version 25")
    ends_right(hand, shells["serve"])


def test_the_trainer_killed_between_forward_and_gradient(by_hand: Callable[..., Hand], tmp_path: Path) -> None:
    hand = by_hand()
    gate = Gate(tmp_path, "loss-40")
    shells = all_started(hand)
    gate.reached()
    shells["serve"].kill()
    gate.remove()
    again = hand.start("serve", "--rounds", "3")
    again.wait_for("resumed at 50 labels")
    ends_right(hand, again)


def test_row_01_the_broker_killed_in_the_middle_of_a_round_is_rejoined_within_two_seconds(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand = by_hand()
    gate = Gate(tmp_path, "loss-40")
    shells = all_started(hand)
    gate.reached()
    asyncio.run(killed_and_rejoined(hand, shells["broker"], gate))
    shells["serve"].wait_for("the broker is lost")
    ends_right(hand, shells["serve"])


async def killed_and_rejoined(hand: Hand, broker: Shell, gate: Gate) -> None:
    """From the new broker's ready line until everybody is in the room control again."""
    async with Peer(experiment="digits", role="watch", address=hand.address) as watch, asyncio.timeout(PATIENCE_S):
        here: set[str] = set()
        changed = asyncio.Event()

        def presence(room: str, member: Member, is_here: bool, why: str) -> None:
            (here.add if is_here else here.discard)(member.role)
            changed.set()

        async def until(wanted: set[str]) -> None:
            while here != wanted:
                changed.clear()
                await changed.wait()

        watch.on_presence = presence
        everybody = {"trainer", "evaluator", "source", "labeler"}
        await watch.join("control")
        await until(everybody)
        broker.kill()
        gate.open()
        await until(set())
        await asyncio.to_thread(hand.broker)
        began = time.monotonic()
        await until(everybody)
        took = time.monotonic() - began
        print(f"all are back {took:.2f} s after the broker was ready")
        assert took < 12.0  # two promised; the rest is for a busy machine


def test_row_09_source_and_labeler_killed_at_work(by_hand: Callable[..., Hand], tmp_path: Path) -> None:
    hand = by_hand(*OWN_SOURCE, *OWN_SAMPLES, f"labeler.answers={HERE}:truth")
    proposing, answering = Gate(tmp_path, "propose-6"), Gate(tmp_path, "answer-15")
    shells = all_started(hand)
    for gate, command in ((proposing, "source"), (answering, "label")):
        gate.reached()
        shells[command].kill()
        gate.remove()
        hand.start(command)
    ends_right(hand, shells["serve"])


def test_a_stopped_source_and_a_stopped_labeler_stop_nobody_else(by_hand: Callable[..., Hand]) -> None:
    """With the pool full, rounds go on without the source; with a second labeler, without the first."""
    hand = by_hand("labeler.delay_s=0.02")
    shells = all_started(hand)
    shells["serve"].wait_for("round 1:")
    shells["source"].signal(signal.SIGSTOP)
    shells["label"].signal(signal.SIGSTOP)
    hand.start("label", "--annotator", "second", ready=True)
    shells["serve"].wait_for("round 2:")
    for command in ("source", "label"):
        shells[command].signal(signal.SIGCONT)
    ends_right(hand, shells["serve"])
    assert shells["source"].interrupt()[0] == shells["label"].interrupt()[0] == 0
