"""Weights after kills: the bits that plain PyTorch gives from the run's plans and labels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch

from active_learner.bench.outcome import Goal
from active_learner.commands.verdict import kept_of, replayed
from active_learner.config import loading
from active_learner.config.schema import Config
from active_learner.faults.attacks import drawn
from active_learner.services.fire import Fire
from tests.proofs import under_fire
from tests.proofs.base import Proof, Say, Tally

TRAINING = ("trainer", "evaluator", "broker")
STEPS_A_KILL = 25
SPOILT = 7
"""The step at which the controls do something else."""

LONG_ROUNDS = ("trainer.query_size=20", "trainer.epochs=5", "trainer.batch_size=16")


class Weights(Proof):
    """Trainer, evaluator and broker are killed, at drawn times and inside of steps; one run a chunk."""

    title: ClassVar[str] = "SHA-256 of the weights after kills, against plain PyTorch and three negative controls"
    unit: ClassVar[str] = "kills"
    short: ClassVar[int] = 10
    long: ClassVar[int] = 200
    chunk: ClassVar[int] = 200
    timeout_s: ClassVar[float] = 400.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        points = {role: under_fire.inside(role) for role in TRAINING}
        with tempfile.TemporaryDirectory(prefix="weights-") as folder:
            config = under_fire.small(Path(folder), *LONG_ROUNDS)
            attacks = drawn(seed, units, TRAINING, points)
            (burning,) = under_fire.burnt(Fire(config, attacks, seed=seed, steps=STEPS_A_KILL * units), say=say)
            tally.count("kills", burning.account.deaths)
            under_fire.tally_account(tally, burning, f"seed {seed}")
            self._compare(tally, config, f"seed {seed}")
        return tally

    def _compare(self, tally: Tally, config: Config, what: str) -> None:
        found = under_fire.last_digest(config)
        tally.count("steps", _steps(config))
        replay = replayed(loading.run_dir(config))
        tally.count("replayed", replay.met)
        if not replay.met:
            tally.fail(f"{what}: replay: {replay.measured}")
        equal = under_fire.plain_digest(config) == found
        tally.count("equal", equal)
        if not equal:
            tally.fail(f"{what}: the weights are others than those of plain PyTorch")
        controls = {
            "gradient twice": under_fire.plain_digest(config, Spoilt(twice)),
            "batch skipped": under_fire.plain_digest(config, Spoilt(skipped)),
            "other seed": under_fire.plain_digest(config, seed=under_fire.SEED + 1),
        }
        for name, one in controls.items():
            tally.count(f"control differs: {name}", one != found)

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        runs = -(-units // self.chunk)
        steps = units * STEPS_A_KILL
        differ = {name: number for name, number in counts.items() if name.startswith("control differs")}
        return [
            Goal(f"{units} kills", f"{counts['kills']}", counts["kills"] >= units),
            Goal(f"over {steps:,} steps", f"{counts['steps']:,}", counts["steps"] >= steps),
            Goal("SHA-256 equal to replay", f"{counts['replayed']} of {runs} runs", counts["replayed"] == runs),
            Goal("SHA-256 equal to plain PyTorch", f"{counts['equal']} of {runs} runs", counts["equal"] == runs),
            Goal("three negative controls differ", f"{differ}", sorted(differ.values()) == [runs] * 3),
        ]


def _steps(config: Config) -> int:
    _, plans = kept_of(config, loading.run_dir(config))
    return max(plan.last_step for plan, result in plans if result is not None)


class Spoilt:
    """The loss of the run, but for one step."""

    def __init__(self, otherwise: Any) -> None:
        self._otherwise, self._calls = otherwise, 0

    def __call__(self, predictions: torch.Tensor, targets: torch.Tensor) -> None:
        self._calls += 1
        (self._otherwise if self._calls == SPOILT else under_fire.ours)(predictions, targets)


def twice(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    """As if the gradient of the step were applied twice: its sum is what the optimizer sees."""
    under_fire.ours(predictions, targets, again=True)
    under_fire.ours(predictions, targets)


def skipped(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    """As if nothing were learned from the batch."""
    under_fire.ours(predictions * 0.0, targets)
