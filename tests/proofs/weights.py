"""Weights after kills: the bits that plain PyTorch gives from the run's plans and labels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from active_learner.bench.outcome import Goal
from active_learner.commands.verdict import kept_of, replayed
from active_learner.config import loading
from active_learner.config.schema import Config
from active_learner.faults.attacks import KILL, Attack, drawn
from active_learner.services.fire import Fire
from tests.proofs import under_fire
from tests.proofs.base import Proof, Say, Tally
from tests.proofs.spoilt import CONTROLS, FORGETFUL

TRAINING = ("trainer", "evaluator", "broker")
STEPS_A_KILL = 25

CONTROL_STEPS = 40
"""Two rounds or so."""
CONTROL_DEATHS = {
    FORGETFUL: (
        Attack("evaluator", KILL, 0.05),
        Attack("evaluator", "evaluator.checkpoint_before_rename", hit=3),
    )
}
"""A restore needs a death, behind two checkpoints of an optimizer that remembers something; a life is armed for it at its start,
so an earlier one ends."""

LONG_ROUNDS = ("trainer.query_size=20", "trainer.epochs=5", "trainer.batch_size=16")


class Weights(Proof):
    """Trainer, evaluator and broker are killed, at drawn times and inside of steps; one run a chunk."""

    title: ClassVar[str] = "SHA-256 of the weights after kills, against plain PyTorch; three spoilt evaluators differ"
    unit: ClassVar[str] = "kills"
    short: ClassVar[int] = 10
    long: ClassVar[int] = 200
    chunk: ClassVar[int] = 200
    timeout_s: ClassVar[float] = 1200.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        points = {role: under_fire.inside(role) for role in TRAINING}
        with tempfile.TemporaryDirectory(prefix="weights-") as folder:
            config = under_fire.small(Path(folder), *LONG_ROUNDS)
            attacks = drawn(seed, units, TRAINING, points)
            fire = Fire(config, attacks, seed=seed, steps=STEPS_A_KILL * units, patience=under_fire.PATIENCE)
            (burning,) = under_fire.burnt(fire, say=say)
            tally.count("kills", burning.account.deaths)
            under_fire.tally_account(tally, burning, f"seed {seed}")
            self._compare(tally, config, f"seed {seed}")
            self._controls(tally, Path(folder), seed, say)
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

    def _controls(self, tally: Tally, folder: Path, seed: int, say: Say) -> None:
        """Small runs side by side, each with an evaluator that has one fault: what this proof looks for must be seen when
        it is there."""
        configs = {
            name: under_fire.small(folder / f"control-{number}", *LONG_ROUNDS, setting)
            for number, (name, setting) in enumerate(CONTROLS.items())
        }
        fires = [
            Fire(config, CONTROL_DEATHS.get(name, ()), seed=seed, steps=CONTROL_STEPS, patience=under_fire.PATIENCE)
            for name, config in configs.items()
        ]
        for (name, config), burning in zip(configs.items(), under_fire.burnt(*fires, say=say), strict=True):
            if burning.stalled:
                tally.fail(f"control, {name}: {burning.stalled}")
            differs = under_fire.plain_digest(config) != under_fire.last_digest(config)
            tally.count(f"control differs: {name}", differs)

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
            Goal("three spoilt evaluators differ", f"{differ}", sorted(differ.values()) == [runs] * 3),
        ]


def _steps(config: Config) -> int:
    _, plans = kept_of(config, loading.run_dir(config))
    return max(plan.last_step for plan, result in plans if result is not None)
