"""The same steps by the real trainer and evaluator: 400 imported labels and one round of 1,000 steps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from active_learner.bench import step_peer, step_task
from active_learner.bench.arms import run_command
from active_learner.bench.processes import PROGRAM, our_broker
from active_learner.results.metrics import METRICS_FILE, read

IMPORTED_AT = 0.0


def service_loop(steps: int = step_task.STEPS, fused: bool = True) -> float:
    """Median seconds from one step's gradient to the next one's, by the trainer's own clock."""
    with our_broker() as (port,), tempfile.TemporaryDirectory(prefix="active-learner-bench-") as name:
        folder = Path(name)
        rule = f"epochs: {steps // step_task.BATCHES}, batch_size: {step_task.BATCH}, fused: {str(fused).lower()}"
        config = step_peer.write_config(folder, port, f"trainer: {{{rule}}}")
        _import_labels(config, folder / "run")
        with step_peer.evaluator(config):
            run_command([*PROGRAM, "serve", str(config), "--rounds", "1"], folder / "serve.log", timeout_s=120.0)
        [first_round] = read(folder / "run" / METRICS_FILE)
    if first_round.steps != steps:
        raise RuntimeError(f"the round had {first_round.steps} steps, expected {steps}")
    return float(first_round.more["step_p50_s"])


def _import_labels(config: Path, run: Path) -> None:
    """As `labels import` does, without a file: the round then starts by itself."""
    from active_learner.config import loading, sample
    from active_learner.stores import open_store

    loaded = loading.load(str(config))
    run.mkdir(parents=True)
    loading.write_resolved(loaded, run / loading.RESOLVED)
    store = open_store(loaded.store.url, run)
    store.open(loaded.name, sample.resolve(loaded))
    try:
        rows: Sequence[tuple[np.ndarray, np.ndarray]] = step_task.batches()
        features, labels = (np.concatenate([row[place] for row in rows]) for place in (0, 1))
        store.add_labels(features, labels.tolist(), "bench", IMPORTED_AT)
    finally:
        store.close()
