"""The loss's promise. Knows predictions and targets; not the network, not the wire."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray


class Loss(ABC):
    """A scalar loss of a batch and its Jacobian with respect to the predictions."""

    @abstractmethod
    def width(self, classes: int) -> int | None:
        """Width that the predictions must have for that many classes; None: any."""

    @abstractmethod
    def gradient(self, predictions: NDArray[Any], targets: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """(batch, width) float32 and (batch,) int64 -> the loss and its gradient (batch, width) float32.

        Raises: ValueError when the width does not fit, or predictions or gradient are not finite.
        """
