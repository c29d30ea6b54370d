"""A run of three small rounds whose parts stop where a test wants (gated.py), and what it must come to, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.integration import gated
from tests.integration.by_hand import Hand, Shell, result
from tests.reference import digest, trained

HERE = "tests.integration.gated"
ROUNDS = (
    f"evaluator.network={HERE}:network",
    "trainer.initial_labels=40",
    "trainer.query_size=10",
    "trainer.epochs=5",
    "trainer.batch_size=8",
    "trainer.resend_s=0.2",
    "evaluator.checkpoint_s=1000",
    "validation.limit=50",
    f"trainer.loss={HERE}:loss",
)
"""Rounds of 25, 35 and 40 steps: 1 to 25, 26 to 60, 61 to 100."""
LAST_STEP = 100


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    """Called with more `--set`s: a person in the folder of the test."""
    made: list[Hand] = []

    def make(*sets: str) -> Hand:
        made.append(Hand(tmp_path, "digits", *ROUNDS, *sets))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


def all_started(hand: Hand) -> dict[str, Shell]:
    shells = {"broker": hand.broker()}
    for command in ("serve", "evaluator", "source", "label"):
        shells[command] = hand.start(command, *(("--rounds", "3") if command == "serve" else ()))
    return shells


def ends_right(hand: Hand, trainer: Shell) -> None:
    """All three rounds, and the weights that the run's plans lead to without any accident."""
    assert result(trainer)["rounds"] == "3"
    assert trainer.ended() == 0
    lines = [json.loads(line) for line in (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["round"] for line in lines] == [1, 2, 3]
    assert lines[-1]["model_version"] == LAST_STEP
    (network,) = trained(hand.run_dir, 1, lambda: [gated.network], adam, plain_loss)
    assert digest(network) == lines[-1]["digest"]


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=1e-3)


def plain_loss(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    nn.CrossEntropyLoss()(predictions, targets).backward()
