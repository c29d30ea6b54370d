"""Any torch loss, through autograd: bit for bit the gradient that loss.backward() would hand to the network's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from active_learner.errors import BadNetwork
from active_learner.losses.base import Loss
from active_learner.losses.checks import check_batch, check_result, one_hot

INDEX_LOSSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")
"""Losses of torch.nn whose targets are class numbers; all others are given one-hot rows of the predictions' shape."""


class TorchLoss(Loss):
    """Wraps a callable (predictions, targets) -> scalar tensor."""

    def __init__(self, function: Callable[..., Any], one_hot_targets: bool = False, fixed_width: bool = False) -> None:
        """`one_hot_targets`: targets are (batch, width) float32 instead of (batch,) int64. `fixed_width`: the width must
        be the number of classes."""
        torch.set_num_threads(1)  # a sum over more than 32768 numbers depends on the number of threads
        self._function = function
        self._one_hot = one_hot_targets
        self._fixed_width = fixed_width

    @classmethod
    def named(cls, name: str) -> TorchLoss:
        """The loss `name` of torch.nn with its defaults. Raises: BadNetwork."""
        found = getattr(torch.nn, name, None)
        if not (isinstance(found, type) and issubclass(found, torch.nn.modules.loss._Loss)):
            known = [n for n in dir(torch.nn) if n.endswith("Loss") and not n.startswith("_")]
            raise BadNetwork(f"torch.nn has no loss {name!r}; it has {', '.join(known)}")
        return cls(found(), one_hot_targets=name not in INDEX_LOSSES, fixed_width=True)

    def width(self, classes: int) -> int | None:
        return classes if self._fixed_width else None

    def gradient(self, predictions: NDArray[Any], targets: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        if self._fixed_width:
            check_batch(predictions, targets)
        leaf = torch.from_numpy(np.array(predictions, np.float32)).requires_grad_()
        wanted = one_hot(targets, predictions.shape[1]) if self._one_hot else np.array(targets, np.int64)
        try:
            loss = self._function(leaf, torch.from_numpy(wanted))
            (gradient,) = torch.autograd.grad(loss, leaf)
        except MemoryError:
            raise
        except Exception as error:  # a function of the user's own may raise anything
            shapes = f"predictions {predictions.shape} and targets {wanted.shape}"
            name = "" if isinstance(error, RuntimeError | IndexError | TypeError) else f"{type(error).__name__}: "
            raise ValueError(f"the loss does not take {shapes}: {name}{error}") from error
        value, slope = float(loss.detach()), gradient.numpy()
        check_result(value, slope)
        return value, slope
