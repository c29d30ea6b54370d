"""Parts of an experiment that stop, or go wrong, where a test wants it; imported by the processes under test.

A gate is a FIFO in the folder $GATES: who comes to one writes a word, and waits until the test has opened it. `nan-...` are
plain files: as long as such a file is there, the numbers of that place are no numbers. Each call adds a byte to
`count-...`, if that is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from active_learner.config.schema import DatasetSource
from active_learner.core.records import Features, SampleSpec
from active_learner.oracles.simulated import load_rule
from active_learner.sources.base import Source
from active_learner.sources.dataset import DatasetProposer

DIGITS = SampleSpec((64,), "float32", 10, "image")


def gate(name: str) -> None:
    path = _place(name)
    if path is not None and path.is_fifo():
        path.write_text("here\n")
        path.read_text()


def is_spoilt(name: str) -> bool:
    path = _place(f"nan-{name}")
    return path is not None and path.exists()


def _place(name: str) -> Path | None:
    folder = os.environ.get("GATES")
    return Path(folder) / name if folder else None


class Count:
    """loss-1, loss-2, ...: each call of this process has a gate of its own."""

    def __init__(self, name: str) -> None:
        self._name, self._calls = name, 0

    def __call__(self) -> str:
        self._calls += 1
        name = f"{self._name}-{self._calls}"
        tally = _place(f"count-{self._name}")
        if tally is not None and tally.exists():
            with tally.open("ab") as file:
                file.write(b".")
        gate(name)
        return name


def loss() -> Callable[[Any, Any], Any]:
    """torch's cross-entropy; the trainer stands at loss-N between the N-th prediction and its gradient."""
    count, function = Count("loss"), nn.CrossEntropyLoss()

    def gated(predictions: Any, targets: Any) -> Any:
        value = function(predictions, targets)
        return value * float("nan") if is_spoilt(count()) else value

    return gated


def network(dropout: float = 0.3, outputs: int = 10) -> nn.Module:
    """The evaluator stands at forward-N in its N-th forward for training."""
    count = Count("forward")

    def come_through(module: nn.Module, _: Any, predictions: torch.Tensor) -> torch.Tensor:
        return predictions * float("nan") if module.training and is_spoilt(count()) else predictions

    made = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, outputs))
    made.register_forward_hook(come_through)
    return made


class Digits(Source):
    """The shipped data set; the source stands at propose-N before its N-th batch."""

    def __init__(self) -> None:
        self._count = Count("propose")
        self._rows = DatasetProposer(DatasetSource(path="digits"), DIGITS, seed=1)

    @property
    def ended(self) -> bool:
        return self._rows.ended

    def propose(self) -> Features | None:
        self._count()
        return self._rows.propose()

    def restart(self) -> None:
        self._rows.restart()


_answers = Count("answer")
_truth = load_rule("dataset", "digits", Path(), DIGITS)


def truth(sample: Features) -> int | None:
    """The labeler stands at answer-N before its N-th answer."""
    _answers()
    return _truth(sample)
