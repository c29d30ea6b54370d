"""Rounds that come to nothing better are held back, also when somebody dies in the middle of that: the same verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from active_learner.crash_points import VARIABLE
from tests.integration import gated
from tests.integration.by_hand import Hand, Shell, result
from tests.integration.gated_run import by_hand, plain_loss
from tests.reference import digest, trained

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RATE = 0.1
"""So high that round 2 is worse than round 1."""
GATED = ("trainer.promotion=gated", f"evaluator.learning_rate={RATE}", "evaluator.checkpoint_steps=10")


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=RATE)


def started(hand: Hand, dies: str = "") -> dict[str, Shell]:
    """`dies`: ROLE.POINT:N, the crash point at which one of them ends."""
    shells = {"broker": hand.broker()}
    for command in ("serve", "evaluator", "source", "label"):
        role = {"serve": "trainer"}.get(command, command)
        if dies.startswith(f"{role}."):
            hand.env[VARIABLE] = dies
        shells[command] = hand.start(command, *(("--rounds", "3") if command == "serve" else ()))
        hand.env.pop(VARIABLE, None)
    return shells


def ends_held_back(hand: Hand, trainer: Shell) -> None:
    """Round 2 left no trace but its line, and plain PyTorch that leaves it out comes to the same weights."""
    assert result(trainer)["rounds"] == "3"
    assert trainer.ended() == 0
    lines = [json.loads(line) for line in (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["model_version"] for line in lines] == [25, 60, 100]
    assert [bool(line.get("held_back")) for line in lines] == [False, True, False]
    assert lines[1]["held_back"].startswith(f"accuracy {lines[1]['accuracy']:.4f} is worse than the ")
    assert lines[1]["digest"] == lines[0]["digest"]
    (network,) = trained(hand.run_dir, 1, lambda: [gated.network], adam, plain_loss)
    assert lines[2]["digest"] == digest(network) != lines[1]["digest"]


def test_a_worse_round_is_held_back_and_the_next_one_goes_on_from_the_one_before(by_hand: Callable[..., Hand]) -> None:
    hand = by_hand(*GATED)
    shells = started(hand)
    shells["serve"].wait_for("round 2 is held back: accuracy ")
    ends_held_back(hand, shells["serve"])
    report = (hand.run_dir / "report.html").read_text(encoding="utf-8")
    assert "1 round came to a worse model and went back to the one before." in report


@pytest.mark.parametrize("dies", ["evaluator.promoted:2", "evaluator.checkpoint_before_rename:6"])
def test_an_evaluator_that_dies_while_a_round_is_held_back(by_hand: Callable[..., Hand], dies: str) -> None:
    hand = by_hand(*GATED)
    shells = started(hand, dies)
    shells["serve"].wait_for("evaluator is away")
    assert shells["evaluator"].ended() == -9
    hand.start("evaluator")
    ends_held_back(hand, shells["serve"])


@pytest.mark.parametrize("dies", ["trainer.validated:2", "trainer.promote_sent:2", "trainer.result_committed:2"])
def test_a_trainer_that_dies_while_a_round_is_held_back(by_hand: Callable[..., Hand], dies: str) -> None:
    hand = by_hand(*GATED)
    shells = started(hand, dies)
    assert shells["serve"].ended() == -9
    ends_held_back(hand, hand.start("serve", "--rounds", "3"))
