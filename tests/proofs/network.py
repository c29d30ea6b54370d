"""A network that loses, repeats and reorders messages of all links: training ends with the weights of an undisturbed run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from active_learner.bench.outcome import Goal
from active_learner.config import loading
from active_learner.config.sample import resolve
from active_learner.config.schema import Config
from active_learner.faults.rules import FaultRules
from active_learner.results.metrics import METRICS_FILE
from active_learner.services.fire import Fire
from active_learner.stores import open_store
from tests.proofs import under_fire
from tests.proofs.base import Proof, Say, Tally
from tests.proofs.parts import WIDTH, truth

FIRST_LABELS = 96
QUICK = ("trainer.resend_s=0.05", "trainer.query_size=10", "trainer.batch_size=16", "trainer.initial_labels=0")


class Network(Proof):
    """Round 0 trains on imported labels, so both runs have the same plan of it; round 1 asks for labels over the bad links."""

    title: ClassVar[str] = "20 % of messages lost, 20 % twice, reordered: completes with the same weights"
    unit: ClassVar[str] = "runs"
    short: ClassVar[int] = 1
    long: ClassVar[int] = 10
    chunk: ClassVar[int] = 1
    timeout_s: ClassVar[float] = 600.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        for number in range(seed, seed + units):
            undisturbed = self._one(tally, number, FaultRules(), 1, say)
            disturbed = self._one(tally, number, FaultRules(number, 0.2, 0.2, 16), 2, say)
            tally.count("completed", len(disturbed) >= 2)
            tally.count("same", disturbed[:1] == undisturbed[:1])
            if disturbed[:1] != undisturbed[:1]:
                tally.fail(f"seed {number}: round 0 has other weights than without faults")
        return tally

    def _one(self, tally: Tally, seed: int, faults: FaultRules, rounds: int, say: Say) -> list[str]:
        """Digests of its rounds."""
        with tempfile.TemporaryDirectory(prefix="network-") as folder:
            config = under_fire.small(Path(folder), *QUICK)
            _import(config)
            fire = Fire(config, faults=faults, seed=seed, rounds=rounds, patience=under_fire.PATIENCE)
            (burning,) = under_fire.burnt(fire, say=say)
            under_fire.tally_account(tally, burning, f"seed {seed}")
            under_fire.tally_answers(tally, config, f"seed {seed}")
            if under_fire.plain_digest(config) != under_fire.last_digest(config):
                tally.fail(f"seed {seed}: the weights are others than those of plain PyTorch")
            lines = (loading.run_dir(config) / METRICS_FILE).read_text(encoding="utf-8").splitlines()
            found = [json.loads(line) for line in lines]
            say(f"{faults.told()}: {len(found)} rounds, {found[-1]['model_version']} steps")
            tally.measured("round 0 s" if faults.is_any else "undisturbed round 0 s", found[0]["seconds"])
            return [str(one["digest"]) for one in found]

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        return [
            Goal("completes", f"{counts['completed']} of {units}", counts["completed"] == units),
            Goal("the weights of an undisturbed run", f"{counts['same']} of {units}", counts["same"] == units),
        ]


def _import(config: Config) -> None:
    samples = np.random.default_rng(3).standard_normal((FIRST_LABELS, WIDTH)).astype(np.float32)
    store = open_store(config.store.url, loading.run_dir(config))
    store.open(config.name, resolve(config))
    store.add_labels(samples, [truth(one) for one in samples], "before", 1.0)
    store.close()
