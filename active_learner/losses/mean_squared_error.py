"""Mean squared error against one-hot targets in closed form: mean over all elements, as torch.nn.MSELoss. Knows numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.losses.base import Loss
from active_learner.losses.checks import check_batch, check_result, one_hot


class MeanSquaredError(Loss):
    """Predictions have one column a class; the right one should be 1, the others 0."""

    def width(self, classes: int) -> int:
        return classes

    def gradient(self, predictions: NDArray[Any], targets: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """2 (predictions - one-hot) / (batch x width), all in float32."""
        check_batch(predictions, targets)
        with np.errstate(over="ignore"):  # a square that overflows is reported below, not warned of here
            difference = predictions.astype(np.float32, copy=False) - one_hot(targets, predictions.shape[1])
            loss = float(np.mean(np.square(difference)))
        gradient = difference * np.float32(2.0 / difference.size)
        check_result(loss, gradient)
        return loss, gradient
