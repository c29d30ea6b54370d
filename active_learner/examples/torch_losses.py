"""A loss of one's own, for ratings: 4 is nearly right when 5 was given. `trainer.loss` names it as module:ordinal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from active_learner.losses.torch_loss import TorchLoss

PHI = 1.5
"""How fast a class's share falls with its distance from the rating: by exp(-1.5), to 22 %, a step."""


def ordinal() -> TorchLoss:
    """The factory. A bare function (predictions, targets) -> scalar may be returned too; this also has the width checked."""
    return TorchLoss(_soft_cross_entropy, fixed_width=True)


def soft_targets(targets: Tensor, classes: int) -> Tensor:
    """(batch,) int64 -> (batch, classes) float32: shares that fall with the distance from the target, rows sum to 1."""
    distances = (torch.arange(classes) - targets[:, None]).abs()
    return torch.softmax(-PHI * distances, dim=1)


def _soft_cross_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(predictions, soft_targets(targets, predictions.shape[1]))
