"""A death in the middle of a round costs the steps since the last checkpoint, counted; and the weights are as without it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from torch import nn

from tests.integration.by_hand import PATIENCE_S, Gate, Hand, Shell
from tests.integration.gated_run import LAST_STEP, ROUNDS, adam, all_started, by_hand, ends_right, plain_loss
from tests.reference import digest, trained

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EVERY_TEN = ("evaluator.checkpoint_steps=10", "evaluator.checkpoint_s=1000")
"""Round 2 begins with step 26, so its first checkpoint is that of step 35."""
CHAIN = tuple(one for one in ROUNDS if not one.startswith("evaluator.network"))


def counted(folder: Path) -> Path:
    """The file to which each call of the loss adds a byte."""
    path = folder / "count-loss"
    path.touch()
    return path


def wait_for_file(path: Path) -> None:
    deadline, never = time.monotonic() + PATIENCE_S, Event()
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        never.wait(0.01)


def test_row_06_an_evaluator_killed_in_the_middle_of_a_round_does_its_last_steps_again(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand, calls, gate = by_hand(*EVERY_TEN), counted(tmp_path), Gate(tmp_path, "loss-40")
    shells = all_started(hand)
    gate.reached()
    wait_for_file(hand.run_dir / "checkpoints" / "evaluator-0000000035.safetensors")
    shells["evaluator"].kill()
    gate.open()
    shells["serve"].wait_for("evaluator is away")
    again = hand.start("evaluator")
    again.wait_for("ready: evaluator at step 35, model version 25")
    ends_right(hand, shells["serve"])
    assert calls.stat().st_size == LAST_STEP + len(range(36, 41))


def test_row_05_a_trainer_killed_in_the_middle_of_a_round_does_no_step_again(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    """The gradient of step 40 is lost with it, so only that is computed twice."""
    hand, calls, gate = by_hand(*EVERY_TEN), counted(tmp_path), Gate(tmp_path, "loss-40")
    shells = all_started(hand)
    gate.reached()
    shells["serve"].kill()
    gate.remove()
    ends_right(hand, hand.start("serve", "--rounds", "3"))
    assert calls.stat().st_size == LAST_STEP + 1


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Hand]:
    hand = Hand(tmp_path, "digits-chain", *CHAIN, *EVERY_TEN, "validation.path=digits")
    yield hand
    hand.clear_away()


def stage(hand: Hand, role: str) -> Shell:
    return hand.start("evaluator", "--set", f"evaluator.role={role}")


@pytest.mark.parametrize("killed", ["front", "back"])
def test_stages_of_a_chain_go_back_to_their_last_common_checkpoint(chain: Hand, tmp_path: Path, killed: str) -> None:
    calls, gate = counted(tmp_path), Gate(tmp_path, "loss-40")
    chain.broker()
    trainer = chain.start("serve", "--rounds", "3")
    stages = {role: stage(chain, role) for role in ("front", "back")}
    for command in ("source", "label"):
        chain.start(command)
    gate.reached()
    for role in stages:
        wait_for_file(chain.run_dir / "checkpoints" / f"{role}-0000000035.safetensors")
    stages[killed].kill()
    gate.open()
    trainer.wait_for(f"{killed} is away")
    stage(chain, killed).wait_for(f"ready: {killed} at step 35, model version 25")
    other = "back" if killed == "front" else "front"
    stages[other].wait_for("back at step 35")
    assert trainer.ended() == 0
    lines = [json.loads(line) for line in (chain.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["model_version"] for line in lines] == [25, 60, LAST_STEP]
    halves = trained(chain.run_dir, 1, lambda: [front, back], adam, plain_loss)
    assert lines[-1]["digest"] == "+".join(map(digest, halves))
    assert calls.stat().st_size == LAST_STEP + len(range(36, 41))


def front() -> nn.Module:
    """What active_learner.examples.torch_networks says the stages are, written again."""
    return nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(64, 128), nn.ReLU())


def back() -> nn.Module:
    return nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
