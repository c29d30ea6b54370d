"""What every loss refuses alike: shapes, targets and numbers that do not fit. Knows no loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_batch(predictions: NDArray[Any], targets: NDArray[Any]) -> None:
    """(batch, width) finite and (batch,) integers in 0 .. width - 1, batch > 0. Raises: ValueError."""
    if predictions.ndim != 2 or not predictions.size:
        raise ValueError(f"predictions are {predictions.shape}, expected (batch, width)")
    if targets.shape != predictions.shape[:1]:
        raise ValueError(f"targets are {targets.shape}, expected {predictions.shape[:1]} for the predictions")
    check_targets(targets, predictions.shape[1])
    if not np.isfinite(predictions).all():
        rows = np.flatnonzero(~np.isfinite(predictions).all(axis=1))
        raise ValueError(
            f"predictions are not finite in {len(rows)} of {len(predictions)} rows, first in row {rows[0]}"
        )


def check_targets(targets: NDArray[Any], width: int) -> None:
    """Raises: ValueError when a target has no column."""
    if int(targets.max()) >= width or int(targets.min()) < 0:
        low, high = int(targets.min()), int(targets.max())
        raise ValueError(
            f"targets {low} to {high} do not fit predictions of width {width}: the network's output is wrong"
        )


def check_result(loss: float, gradient: NDArray[Any]) -> None:
    """Raises: ValueError when the loss or its gradient is not finite."""
    if not np.isfinite(loss) or not np.isfinite(gradient).all():
        raise ValueError(f"the loss ({loss}) or its gradient is not finite")


def one_hot(targets: NDArray[Any], width: int) -> NDArray[Any]:
    """(batch,) integers -> (batch, width) float32."""
    rows = np.zeros((len(targets), width), np.float32)
    rows[np.arange(len(targets)), targets] = 1.0
    return rows
