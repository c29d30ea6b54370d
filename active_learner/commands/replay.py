"""`replay`: is what a run came to what its plans, labels and seeds lead to? Knows where runs are; services/replay.py trains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.report import run_folder
from active_learner.errors import BadNetwork, ConfigError, WrongStore

if TYPE_CHECKING:
    from active_learner.backends.base import Backend
    from active_learner.config.schema import Config
    from active_learner.core.records import Features, Plan, RoundResult
    from active_learner.services.replay import Replay

    Plans = list[tuple[Plan, RoundResult | None]]

SHOWN = 12
"""Hex digits of a digest."""


@click.command("replay")
@click.argument("run", metavar="RUN")
def command(run: str) -> int:
    """Train RUN again, in this process, from its plans, labels and seeds, and compare the weights after each round with what
    the store says. RUN: a run folder, or the name of one in runs/; it may be running.

    Kills, restarts and rounds that were held back make no difference. Exit code 0: all are equal; 1: one is not; 3 or 5:
    it cannot be read.
    """
    began = time.perf_counter()
    folder = run_folder(run)
    config = _config(folder)
    plans, samples = _kept(folder, config)
    replay = _replay(config, folder, samples)
    steps = 0
    for plan, result in plans:
        if result is None:
            click.echo(f"round {plan.round}: not finished, left out")
            continue
        found = _again(replay, plan, result)
        steps += 0 if result.held_back else plan.steps
        if found != result.digest:
            click.echo(
                f"replay: round {plan.round} is the first that differs: {found} here, {result.digest} in the store"
            )
            return 1
    click.echo(_summary(plans, steps, time.perf_counter() - began))
    return 0


def _again(replay: Replay, plan: Plan, result: RoundResult) -> str:
    """The digest after that round, told beside the one in the store. Raises: WrongStore, BadNetwork."""
    if missing := replay.missing(plan):
        raise WrongStore(f"round {plan.round}: {missing} of its {len(plan.rows)} samples are not in the store")
    try:
        if not result.held_back:
            replay.round(plan)
    except ValueError as error:
        raise BadNetwork(f"round {plan.round}: {error}") from error
    found = replay.digest()
    verdict = "equal" if found == result.digest else f"DIFFERENT from {result.digest[:SHOWN]}"
    did = f"held back ({result.held_back})" if result.held_back else f"{plan.steps} steps"
    click.echo(f"round {plan.round}: {len(plan.rows)} labels, {did}, {found[:SHOWN]} {verdict}")
    return found


def _summary(plans: Plans, steps: int, seconds: float) -> str:
    ended = [result for _, result in plans if result is not None]
    if not ended:
        return "replay: no round has ended yet"
    return f"replay: {len(ended)} rounds, {steps} steps, digest {ended[-1].digest}: equal ({seconds:.1f} s)"


def _config(folder: Path) -> Config:
    """Raises: WrongStore, ConfigError."""
    from active_learner.config import loading

    resolved = folder / loading.RESOLVED
    if not resolved.is_file():
        raise WrongStore(f"{folder}: no {loading.RESOLVED}, so no run that could be replayed")
    return loading.load(str(resolved))


def _kept(folder: Path, config: Config) -> tuple[Plans, dict[str, Features]]:
    """Plans by round, and every sample by its key. Raises: WrongStore, StoreError."""
    from active_learner.config import sample
    from active_learner.stores import file_of, open_store

    file = file_of(config.store.url, folder)
    if file is None or not file.exists():
        raise WrongStore(f"{folder}: its labels ({config.store.url}) are not there any more")
    store = open_store(config.store.url, folder)
    store.open(config.name, sample.resolve(config), read_only=True)
    try:
        samples = {question.key: question.features for question, _ in store.questions()}
        samples |= {label.key: label.features for label in store.labels()}
        return store.plans(), samples
    finally:
        store.close()


def _replay(config: Config, folder: Path, samples: dict[str, Features]) -> Replay:
    from active_learner.config.loading import base_dir
    from active_learner.losses import load_loss
    from active_learner.services.replay import Replay

    stages = {role: _stage(config, role) for role in config.trainer.stages}
    for role, stage in stages.items():
        for words in _differences(folder, role, stage):
            click.echo(f"warning: {words}; the last bits may differ", err=True)
    return Replay(list(stages.values()), lambda name: load_loss(name, base_dir(config)), samples)


def _stage(config: Config, role: str) -> Backend:
    """The untrained engine of a stage. Raises: ConfigError, BadNetwork."""
    from active_learner.commands.evaluator import backend_of, place_of
    from active_learner.config.stages import as_stage, roles_here

    if role not in roles_here(config):
        raise ConfigError(
            [f"the stage {role!r} is described in another configuration: it cannot be replayed from this one"]
        )
    own = as_stage(config, role)
    return backend_of(own, place_of(own))


def _differences(folder: Path, role: str, stage: Backend) -> Iterator[str]:
    """What made the newest checkpoint of a stage and is otherwise here."""
    from active_learner.backends.base import EngineState
    from active_learner.commands.run_folders import CHECKPOINTS
    from active_learner.services.checkpoint_folder import CheckpointFolder

    checkpoints = CheckpointFolder(folder / CHECKPOINTS, role, 1)
    here = stage.capture().facts
    for step in checkpoints.steps()[-1:]:
        try:
            there = EngineState.read(checkpoints.path(step), "").facts
        except ValueError:
            return  # its evaluator takes an older one; here only what made it is wanted
        for name in ("torch", "threads", "device"):
            if there.get(name) != here.get(name):
                yield f"{role} was trained with {name} {there.get(name)}, here it is {here.get(name)}"
