"""The query strategy's promise. Knows the pool's arrays; not where they come from. Higher score = ask sooner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """The pool at the moment of asking; row i of every array is the sample `keys[i]`, keys in rising order."""

    keys: tuple[str, ...]
    features: NDArray[Any]
    """(n, *shape), dtype of the experiment."""
    probabilities: NDArray[Any]
    """(n, classes) float32; a row of NaN: never scored."""
    model_versions: NDArray[Any]
    """(n,) int64: which model made the row; -1: none."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Rows of the view, the one to ask first first, and their scores."""

    rows: NDArray[Any]
    """(k,) int64."""
    scores: NDArray[Any]
    """(k,) float64."""


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
        scores = np.nan_to_num(self.scores(pool, generator).astype(np.float64), nan=-np.inf)
        rows = np.argsort(-scores, kind="stable")[:count]  # keys rise with the row: a stable sort breaks ties by key
        return Selection(rows.astype(np.int64), scores[rows])
