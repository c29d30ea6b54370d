"""The trainer's training over real losses: what a loss or an evaluator does wrong halts training, and never the process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from active_learner.core import training_events as t
from active_learner.core.records import Plan
from active_learner.core.training import TrainingMachine
from active_learner.losses.base import Loss
from active_learner.losses.cross_entropy import CrossEntropy
from active_learner.losses.torch_loss import TorchLoss
from active_learner.services.pump import Surroundings
from active_learner.services.training_shell import LONGEST_TEXT_BYTES, TrainingSettings, TrainingShell

PLAN = Plan(1, 1, ("a", "b"), (0, 1), 7, 1, 2, "own", 0)
SETTINGS = TrainingSettings("run", 7, 1, 2, "own", "logits", "traininput", "trainoutput")
PREDICTIONS = np.zeros((2, 3), np.float32)


class Own(Loss):
    """Of the user's own, with a mistake."""

    def width(self, classes: int) -> int | None:
        return None

    def gradient(self, predictions: Any, targets: Any) -> Any:
        raise KeyError("weights")


def _asserts(predictions: Any, targets: Any) -> Any:
    assert predictions.shape == targets.shape, "x" * 100_000


def nothing(*_: object) -> Any:
    """What is said and noted is of no interest here."""


def after_a_prediction(loss: Loss, predictions: np.ndarray) -> tuple[TrainingMachine, list[BaseException]]:
    """A trainer that waits for the first prediction hears this one."""
    failures = list[BaseException]()

    async def scene() -> TrainingMachine:
        machine = TrainingMachine(
            term=1, roles=("evaluator",), width=None, fused=True, resend_s=1.0, history=[(PLAN, None)]
        )
        book: Any = SimpleNamespace(rows=lambda plan: (np.zeros((2, 4), np.float32), np.array(plan.values)))
        shell = TrainingShell(
            machine,
            SETTINGS,
            book,
            lambda _: loss,
            None,
            outside=Surroundings(nothing, nothing, nothing, failures.append),
            on_ready=nothing,
            on_result=nothing,
        )
        shell.handle(t.StageJoined("evaluator", 0.0))
        shell.handle(t.PositionHeard("evaluator", 1, 0, 0, (), True, 0, "", 0.0))
        assert machine.phase == "predicting"
        shell.handle(t.PredictionHeard(1, 1, predictions, 0.0))
        return machine

    return asyncio.run(scene()), failures


@pytest.mark.parametrize(
    ("loss", "predictions", "told"),
    [
        (CrossEntropy(), np.zeros((), np.float32), "predictions () for 2 samples"),
        (CrossEntropy(), np.zeros((3, 3), np.float32), "predictions (3, 3) for 2 samples"),
        (Own(), PREDICTIONS, "KeyError: 'weights'"),
        (TorchLoss(lambda p, y: p.sum() * dict[str, float]()["a"]), PREDICTIONS, "targets (2,): KeyError: 'a'"),
        (TorchLoss(lambda p, y: p.missing), PREDICTIONS, "AttributeError: 'Tensor' object has no attribute 'missing'"),
        (TorchLoss(_asserts), PREDICTIONS, "AssertionError: xxxx"),
    ],
)
def test_row_24_whatever_a_loss_raises_halts_training_in_words(loss: Loss, predictions: np.ndarray, told: str) -> None:
    machine, failures = after_a_prediction(loss, predictions)
    assert failures == []
    assert machine.phase == "halted"
    assert told in machine.halt_reason
    assert len(machine.halt_reason) < LONGEST_TEXT_BYTES + 100


def test_a_loss_that_finds_no_memory_ends_the_process() -> None:
    def hungry(*_: Any) -> Any:
        raise MemoryError

    _, failures = after_a_prediction(TorchLoss(hungry), PREDICTIONS)
    assert [type(one) for one in failures] == [MemoryError]
