"""`active-learner check`: is this configuration right, and does its network fit? Tries it; leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from active_learner.commands.evaluator import backend_of, check_width, place_of
from active_learner.commands.options import experiment
from active_learner.errors import ActiveLearnerError, BadNetwork, ConfigError

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
    from active_learner.config.stages import as_stage, roles_here
    from active_learner.losses import load_loss

    if problems := list(dict.fromkeys(_problems(config))):
        raise ConfigError(problems)
    stages = [_made(as_stage(config, role)) for role in roles_here(config) or (config.evaluator.role,)]
    loss = load_loss(config.trainer.loss, base_dir(config))
    print(f"{config.name}: the configuration is valid")
    try:
        for line in _lines(stages, loss):
            print(line)
    except ValueError as error:
        raise BadNetwork(str(error)) from error
    return 0


def _problems(config: Config) -> Iterator[str]:
    """What the other commands would refuse, each by the function that refuses it there."""
    for part in (_trainer, _store, _broker, _source, _labeler):
        try:
            part(config)
        except ActiveLearnerError as error:
            yield str(error)
        except Exception as error:  # a factory of the user's own may raise anything
            yield f"{part.__name__.strip('_')}: {type(error).__name__}: {error}"


def _trainer(config: Config) -> None:
    from active_learner.commands.goals import check_goals
    from active_learner.config.loading import base_dir
    from active_learner.config.sample import check_batch, held_out, resolve
    from active_learner.losses import load_loss
    from active_learner.strategies import load_strategy

    check_batch(config, resolve(config))
    load_strategy(config.trainer.strategy, base_dir(config))
    load_loss(config.trainer.loss, base_dir(config))
    held_out(config)
    check_goals(config, None)


def _store(config: Config) -> None:
    from active_learner.config.loading import run_dir
    from active_learner.stores import open_store

    open_store(config.store.url, run_dir(config))  # made, not opened: no file yet


def _broker(config: Config) -> None:
    from active_learner.config.loading import key_folder
    from active_learner.services.doors import doors_of

    doors_of(config.broker.address, config.broker.keys, key_folder(config))


def _source(config: Config) -> None:
    from active_learner.commands.source import make
    from active_learner.config.sample import resolve

    if config.source.kind != "none" and getattr(config.source, "path", "") != "-":
        make(config, resolve(config)).close()


def _labeler(config: Config) -> None:
    from active_learner.commands.label import make
    from active_learner.commands.page import check_words, renderer_of
    from active_learner.config.sample import resolve

    if config.labeler.kind == "simulated":
        make(config, resolve(config))
    if config.labeler.kind == "web":
        check_words(config.labeler, resolve(config), renderer_of(config, config.labeler))


class _Stage(NamedTuple):
    config: Config
    place: Place
    backend: TorchBackend


def _made(config: Config) -> _Stage:
    place = place_of(config)
    backend: Any = backend_of(config, place)
    return _Stage(config, place, backend)


def _lines(stages: list[_Stage], loss: Loss) -> Iterator[str]:
    """Raises: ValueError or BadNetwork, saying what does not fit."""
    from active_learner.config.sample import resolve

    room, batch = "", None
    for stage in stages:
        if stage.place.first:
            batch = _made_up(resolve(stage.config), stage.config.trainer.batch_size)
        elif stage.place.input_room != room:
            batch = None
        if batch is None:
            _save_and_load(stage.backend)
            yield f"{stage.place.role} gets its input from the stage before it: only made, saved and loaded"
        else:
            yield from _tried(stage, loss, batch)
            room, batch = stage.place.output_room, stage.backend.infer(batch)


def _tried(stage: _Stage, loss: Loss, batch: Any) -> list[str]:
    """Raises: ValueError or BadNetwork, saying what does not fit."""
    from active_learner.config.sample import resolve

    config, place, backend = stage
    spec = resolve(config)
    width = int(backend.infer(batch).shape[1])
    layers = backend.layers(batch)
    if place.last:
        check_width(width, spec, loss, config.trainer.loss)
    took = _steps(backend, loss if place.last else None, batch, spec.classes)
    _save_and_load(backend)
    rows = [(one.name, one.kind, "x".join(map(str, one.output[1:])), f"{one.parameters:,}") for one in layers]
    total = sum(one.parameters for one in layers)
    samples = f"samples {spec.shape} {spec.dtype}, {spec.classes} classes, batches of {len(batch)}"
    return [
        samples if place.first else f"{place.role} gets batches of {batch.shape} from the stage before it",
        *_table([("layer", "kind", "output", "parameters"), *rows]),
        f"{total:,} parameters, output width {width}, {took * 1e3:.2f} ms a step on {backend.device}",
        f"loss {config.trainer.loss}, optimizer {config.evaluator.optimizer}: a step, a save and a load went well",
    ]


def _made_up(spec: SampleSpec, rows: int) -> Any:
    """Samples of zeros and ones: only whether they fit is of interest."""
    import numpy as np

    random = np.random.default_rng(0)
    return random.integers(0, 2, (rows, *spec.shape)).astype(spec.dtype)


def _steps(backend: TorchBackend, loss: Loss | None, batch: Any, classes: int) -> float:
    """Median seconds of forward, loss and apply; labels take turns."""
    import numpy as np

    targets = np.arange(len(batch), dtype=np.int64) % classes
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
