"""How long a person waits for the machine: a trainer that trains without pause, a pool of 10,000 samples, real processes, and a
labeler that answers as fast as it gets receipts. What a page adds is in waiting_page.py.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from active_learner.bench.outcome import Goal, Outcome
from active_learner.bench.processes import programs
from active_learner.bench.quick_labeler import QuickLabeler, Waits
from active_learner.services.plan import free_address

ANSWERS = 1000
POOL = 10_000
SPARE = ANSWERS + 500
"""Samples beyond the pool, so that it holds as many to the end."""
FEATURES, CLASSES = 64, 10
RECEIPT_P99_S = 0.050

TRAINER = {
    "pool_size": POOL,
    "pool_capacity": POOL + SPARE,
    "round_when": "labels",
    "round_labels": 1,  # a round is over: the next one is due
    "queue_size": 20,
    "epochs": 40,
    "strategy": "margin",
    "refresh_timeout_s": 60.0,  # nobody is asked before there is a model, however long torch takes to start
}


def bench(rounds: int = 1) -> Outcome:
    """`rounds` times ANSWERS answers, one after the other."""
    outcome = Outcome(
        f"waiting: {ANSWERS:,} answers, a pool of {POOL:,}, training without pause",
        ("run", "receipt p50 ms", "p99 ms", "max ms", "none held", "answers/s", "rounds", "training"),
    )
    waits = [asyncio.run(measured()) for _ in range(rounds)]
    for number, one in enumerate(waits, start=1):
        outcome.rows.append(_row(number, one))
        outcome.figures[f"run {number}"] = _figures(one)
    outcome.goals.extend(goals(waits))
    return outcome


def goals(waits: list[Waits]) -> list[Goal]:
    missing, worst = sum(one.missing for one in waits), max(one.quantile(0.99) for one in waits)
    asked = sum(len(one.receipts) for one in waits)
    busy = min(one.training for one in waits)
    return [
        Goal("the next question is always there", f"missing {missing} times in {asked:,}", missing == 0),
        Goal("receipt p99 under 50 ms", f"{1000 * worst:.1f} ms", worst < RECEIPT_P99_S),
        Goal("training without pause", f"{busy:.0%} of the time", busy > 0.8),
    ]


async def measured(answers: int = ANSWERS, pool: int = POOL) -> Waits:
    """One run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="waiting-") as place:
        folder = Path(place)
        config = prepared(folder, pool)
        with programs(config, ("broker", "serve", "evaluator", "source")):
            read = json.loads(config.read_text(encoding="utf-8"))
            waits = await QuickLabeler(read["name"], read["broker"]["address"], taught, answers).run()
        waits.rounds, waits.training = trained(folder / "run" / "metrics.jsonl", waits.begun, waits.ended)
        return waits


def prepared(folder: Path, pool: int) -> Path:
    """A configuration and its samples; JSON is YAML."""
    samples = np.random.default_rng(0).integers(0, 17, (pool + SPARE, FEATURES)).astype(np.float32)
    held_out = samples[:200]
    np.savez(folder / "samples.npz", X_train=samples, y_train=taught(samples), X_test=held_out, y_test=taught(held_out))
    config: dict[str, Any] = {
        "name": f"waiting-{uuid.uuid4().hex[:8]}",
        "run_dir": str(folder / "run"),
        "broker": {"address": free_address()},
        "sample": {"classes": CLASSES},
        "source": {"kind": "dataset", "path": str(folder / "samples.npz"), "batch": 512},
        "evaluator": {"network": "active_learner.examples.torch_networks:digits"},
        "trainer": {**TRAINER, "pool_size": pool, "pool_capacity": pool + SPARE},
    }
    file = folder / "waiting.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    return file


def taught(samples: Any) -> Any:
    """The class of each sample, by a network of one layer."""
    weights = np.random.default_rng(7).normal(size=(FEATURES, CLASSES))
    return np.argmax(np.asarray(samples).reshape(-1, FEATURES) @ weights, axis=1)


def trained(metrics: Path, begun: float, ended: float) -> tuple[int, float]:
    """Rounds that were over between the first answer and the last, and their share of the time until the last of them."""
    written = metrics.read_text(encoding="utf-8") if metrics.exists() else ""
    lines = [json.loads(line) for line in written.splitlines()]
    during = [line for line in lines if begun <= line["at"] <= ended]
    return len(during), sum(line["seconds"] for line in during) / (during[-1]["at"] - begun) if during else 0.0


def _row(number: int, one: Waits) -> tuple[str, ...]:
    times = [f"{1000 * one.quantile(share):.1f}" for share in (0.5, 0.99, 1.0)]
    rate = len(one.receipts) / (one.ended - one.begun)
    return (str(number), *times, str(one.missing), f"{rate:.0f}", str(one.rounds), f"{one.training:.0%}")


def _figures(one: Waits) -> dict[str, object]:
    return {
        "receipt_p50_s": one.quantile(0.5),
        "receipt_p99_s": one.quantile(0.99),
        "receipt_max_s": one.quantile(1.0),
        "answers": len(one.receipts),
        "missing": one.missing,
        "waited_s": one.waited_s,
        "rounds": one.rounds,
        "training_share": one.training,
    }
