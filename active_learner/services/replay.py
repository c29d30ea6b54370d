"""A run's weights, made again in one process from its plans. Knows engines, losses and samples; no wire, store or clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.backends.base import Backend
from active_learner.core.records import Features, Plan
from active_learner.core.schedule import BatchPlace, place_of
from active_learner.losses.base import Loss

Array = NDArray[Any]


class Replay:
    """Does what trainer and evaluators do between themselves, without anything that lies between them."""

    def __init__(
        self, stages: Sequence[Backend], load_loss: Callable[[str], Loss], samples: Mapping[str, Features]
    ) -> None:
        """`stages`: untrained, input first. `samples`: by key, in the experiment's dtype."""
        self._stages, self._load_loss, self._samples = stages, load_loss, samples

    def missing(self, plan: Plan) -> int:
        """Rows of the plan of which there is no sample."""
        return sum(key not in self._samples for key in plan.rows)

    def round(self, plan: Plan) -> None:
        """All its steps. Raises: ValueError when a step is refused; BadNetwork when there is no such loss."""
        loss = self._load_loss(plan.loss)
        features = np.stack([self._samples[key] for key in plan.rows])
        targets = np.array(plan.values, np.int64)
        for step in range(plan.first_step, plan.last_step + 1):
            self._step(place_of(plan, step), features, targets, loss)

    def digest(self) -> str:
        """As a round's result has it: of all stages, joined by "+"."""
        return "+".join(stage.digest() for stage in self._stages)

    def _step(self, place: BatchPlace, features: Array, targets: Array, loss: Loss) -> None:
        rows = list(place.rows)
        flowing = features[rows]
        for stage in self._stages:
            flowing = stage.forward(place.step, place.plan.seed, flowing)
        slope: Array | None = loss.gradient(flowing, targets[rows])[1]
        for number in reversed(range(len(self._stages))):
            assert slope is not None
            slope = self._stages[number].apply(place.step, slope, number > 0)
