"""The network of the proofs' experiment. Imported by evaluators under attack, and by the plain PyTorch that they are compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.proofs.parts import CLASSES, WIDTH


def network() -> nn.Module:
    """Dropout makes every step depend on its seed."""
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, CLASSES))


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=1e-3)


def front() -> nn.Module:
    """The same, cut in two."""
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU())


def back() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(32, CLASSES))
