"""The undisturbed run: the weights that the committed plans lead to, computed straight. Knows plans, the loss and the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from active_learner.core.schedule import place_of
from active_learner.losses.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from active_learner.simulator.watch import Watch


def replayed(watch: Watch) -> dict[int, str]:
    """Round -> digest of all stages, as a result has it."""
    loss, ledger = CrossEntropy(), watch.durable
    engines = [watch.experiment.backend(number) for number in range(len(watch.roles))]
    digests: dict[int, str] = {}
    for number in sorted(ledger.plans):
        plan = ledger.plans[number]
        features = np.stack([ledger.samples[key] for key in plan.rows])
        targets = np.array(plan.values, np.int64)
        for step in range(plan.first_step, plan.last_step + 1):
            rows = list(place_of(plan, step).rows)
            _step(engines, step, plan.seed, features[rows], targets[rows], loss)
        digests[number] = "+".join(engine.digest() for engine in engines)
    return digests


def _step(engines: list[Any], step: int, seed: int, batch: Any, targets: Any, loss: CrossEntropy) -> None:
    for engine in engines:
        batch = engine.forward(step, seed, batch)
    _, gradient = loss.gradient(batch, targets)
    for number, engine in reversed(list(enumerate(engines))):
        gradient = engine.apply(step, gradient, number > 0)
