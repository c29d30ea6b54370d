"""Evaluators with one fault each, for the negative controls: what a restore, a step or a seed does wrong must show in the weights.

Factories as a user's own: the evaluator of the run is the real one, and nothing in the product knows of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.proofs.parts import CLASSES, WIDTH

SPOILT_STEP = 7


class Forgetful(torch.optim.Adam):
    """What a checkpoint holds of the optimizer is dropped at a restore."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "state": {}})


class Twice(torch.optim.Adam):
    """One gradient is applied twice."""

    _steps = 0

    def step(self, closure: Any = None) -> Any:
        self._steps += 1
        if self._steps == SPOILT_STEP:
            super().step(closure)
        return super().step(closure)


class OwnDice(nn.Dropout):
    """Draws from a generator that no step's seed reaches."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self._generator = torch.Generator()
        self._generator.seed()

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return input
        return input * (torch.rand(input.shape, generator=self._generator) >= self.p) / (1 - self.p)


def unseeded() -> nn.Module:
    """The proofs' network (torch_parts.py) with that dropout."""
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), OwnDice(0.2), nn.Linear(32, CLASSES))


FORGETFUL = "optimizer's state dropped at a restore"
CONTROLS = {
    FORGETFUL: "evaluator.optimizer=tests.proofs.spoilt:Forgetful",
    "a gradient applied twice": "evaluator.optimizer=tests.proofs.spoilt:Twice",
    "a step's seed dropped": "evaluator.network=tests.proofs.spoilt:unseeded",
}
"""What is wrong, and the setting that makes it so."""
