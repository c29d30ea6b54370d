"""The query strategy's promise. Knows the pool's arrays; not where they come from. Higher score = ask sooner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import PoolView, Selection

__all__ = ["PoolView", "QueryStrategy", "ScoreStrategy", "Selection"]


class QueryStrategy(ABC):
    """Chooses the acquisition batch."""

    name: str

    @abstractmethod
    def select(self, pool: PoolView, count: int, generator: np.random.Generator) -> Selection:
        """min(count, n) different rows. Same arguments and generator state, same selection. Samples without a score come
        last and are still asked when nothing else is there."""


class ScoreStrategy(QueryStrategy):
    """A strategy that scores each sample for itself and asks the highest; ties by rising key."""

    @abstractmethod
    def scores(self, pool: PoolView, generator: np.random.Generator) -> NDArray[Any]:
        """(n,) float64, finite or -inf (never scored)."""

    def select(self, pool: PoolView, count: int, generator: np.random.Generator) -> Selection:
        scores = self.scores(pool, generator).astype(np.float64)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        rows = np.argsort(-scores, kind="stable")[:count]  # keys rise with the row: a stable sort breaks ties by key
        return Selection(rows.astype(np.int64), scores[rows])
