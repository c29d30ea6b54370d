"""Random sampling: what every strategy must beat. Knows no model, so no sample is unscored to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.strategies.base import PoolView, ScoreStrategy


class RandomChoice(ScoreStrategy):
    """A uniform score for each sample, in the order of keys: every subset is equally likely."""

    name = "random"

    def scores(self, pool: PoolView, generator: np.random.Generator) -> NDArray[Any]:
        return generator.random(len(pool.keys))
