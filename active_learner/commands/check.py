"""`active-learner check`: is this configuration right, and does its network fit? Tries it; leaves nothing behind."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from active_learner.commands.evaluator import backend_of, check_width, place_of
from active_learner.commands.options import experiment
from active_learner.errors import BadNetwork

if TYPE_CHECKING:
    from active_learner.backends.torch_module import TorchBackend
    from active_learner.config.schema import Config
    from active_learner.core.evaluation_events import Place
    from active_learner.core.records import SampleSpec
    from active_learner.losses.base import Loss

TIMED_STEPS = 20
"""Enough for a median that a cold start does not move."""


@click.command("check")
@experiment
def command(config: Config) -> int:
    """Validate CONFIG and try its network: a batch, steps, a save and a load. Exit code 3 when something does not fit."""
    from active_learner.config.loading import base_dir
    from active_learner.losses import load_loss

    place = place_of(config)
    loss = load_loss(config.trainer.loss, base_dir(config))
    backend: Any = backend_of(config, place)
    print(f"{config.name}: the configuration is valid")
    try:
        for line in _tried(config, place, loss, backend):
            print(line)
    except ValueError as error:
        raise BadNetwork(str(error)) from error
    return 0


def _tried(config: Config, place: Place, loss: Loss, backend: TorchBackend) -> list[str]:
    """Raises: ValueError or BadNetwork, saying what does not fit."""
    if not place.first:
        _save_and_load(backend)
        return [f"{place.role} gets its input from the stage before it: only made, saved and loaded"]
    from active_learner.config.sample import resolve

    spec = resolve(config)
    batch, targets = _made_up(spec, config.trainer.batch_size)
    width = int(backend.infer(batch).shape[1])
    layers = backend.layers(batch)
    if place.last:
        check_width(width, spec, loss, config.trainer.loss)
    took = _steps(backend, loss if place.last else None, batch, targets)
    _save_and_load(backend)
    rows = [(one.name, one.kind, "x".join(map(str, one.output[1:])), f"{one.parameters:,}") for one in layers]
    total = sum(one.parameters for one in layers)
    return [
        f"samples {spec.shape} {spec.dtype}, {spec.classes} classes, batches of {config.trainer.batch_size}",
        *_table([("layer", "kind", "output", "parameters"), *rows]),
        f"{total:,} parameters, output width {width}, {took * 1e3:.2f} ms a step on {backend.device}",
        f"loss {config.trainer.loss}, optimizer {config.evaluator.optimizer}: a step, a save and a load went well",
    ]


def _made_up(spec: SampleSpec, rows: int) -> tuple[Any, Any]:
    """Samples of zeros and ones and labels that take turns: only whether they fit is of interest."""
    import numpy as np

    random = np.random.default_rng(0)
    batch = random.integers(0, 2, (rows, *spec.shape)).astype(spec.dtype)
    return batch, np.arange(rows, dtype=np.int64) % spec.classes


def _steps(backend: TorchBackend, loss: Loss | None, batch: Any, targets: Any) -> float:
    """Median seconds of forward, loss and apply."""
    import numpy as np

    times = []
    for step in range(1, TIMED_STEPS + 1):
        began = time.perf_counter()
        predictions = backend.forward(step, 0, batch)
        gradient = loss.gradient(predictions, targets)[1] if loss else np.zeros_like(predictions)
        backend.apply(step, gradient, False)
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


def _save_and_load(backend: TorchBackend) -> None:
    before = backend.digest()
    with TemporaryDirectory(prefix="active-learner-check-") as folder:
        path = Path(folder) / "check.safetensors"
        backend.save(path, "check", 0)
        backend.load(path, "check")
    if backend.digest() != before:
        raise BadNetwork("a checkpoint does not bring back the same weights: some state is not in state_dict()")


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
