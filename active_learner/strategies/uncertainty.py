"""Uncertainty sampling: scores from class probabilities alone. Knows no features and no labels.

All three are 0 for a certain prediction and highest for the uniform one. A sample whose row holds a NaN was never
scored and gets -inf: last, and still asked when nothing else is there.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.strategies.base import PoolView, ScoreStrategy


class UncertaintyStrategy(ScoreStrategy):
    """A score that is a function of one sample's class probabilities."""

    @abstractmethod
    def uncertainty(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """(n, classes) float64 without NaN -> (n,) float64, higher is less certain."""

    def scores(self, pool: PoolView, generator: np.random.Generator) -> NDArray[Any]:
        probabilities = np.asarray(pool.probabilities, dtype=np.float64)
        if probabilities.ndim != 2 or len(probabilities) != len(pool.keys):
            raise ValueError(f"probabilities are {probabilities.shape}, expected ({len(pool.keys)}, classes)")
        scores = np.full(len(pool.keys), -np.inf)
        scored = np.isfinite(probabilities).all(axis=1)
        scores[scored] = self.uncertainty(probabilities[scored])
        return scores


class LeastConfidence(UncertaintyStrategy):
    """1 - p1: how far the most likely class is from certain (Lewis and Gale 1994)."""

    name = "least_confidence"

    def uncertainty(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        confidence: NDArray[Any] = probabilities.max(axis=1)
        return 1.0 - confidence


class Margin(UncertaintyStrategy):
    """1 - (p1 - p2): how near the two most likely classes are to each other (Scheffer, Decomain and Wrobel 2001)."""

    name = "margin"

    def uncertainty(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        if probabilities.shape[1] < 2:
            return np.zeros(len(probabilities))  # one class has no rival: certain
        two = np.partition(probabilities, -2, axis=1)[:, -2:]
        margin: NDArray[Any] = two[:, 1] - two[:, 0]
        return 1.0 - margin


class Entropy(UncertaintyStrategy):
    """-sum p ln p in nats: the spread over all classes (Shannon 1948; as a query strategy Settles 2009, 3.1)."""

    name = "entropy"

    def uncertainty(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)  # 0 ln 0 is 0
        entropy: NDArray[Any] = -(probabilities * logarithms).sum(axis=1)
        return entropy
