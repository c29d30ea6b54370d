"""`active-learner evaluator`: one stage of the network. Looks up what the configuration names; knows no training."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import TYPE_CHECKING, Any

import click

from active_learner.commands.options import experiment, metrics_options
from active_learner.errors import BadNetwork, ConfigError

if TYPE_CHECKING:
    from active_learner.backends.base import Backend
    from active_learner.backends.settings import NetworkSettings
    from active_learner.config.schema import Config
    from active_learner.core.evaluation_events import Place
    from active_learner.core.records import SampleSpec
    from active_learner.losses.base import Loss
    from active_learner.services.evaluator import Evaluator


@click.command("evaluator")
@experiment
@metrics_options
def command(config: Config, metrics: tuple[str, int] | None) -> int:
    """Run the evaluator of CONFIG: the network, its optimizer and its checkpoints. Of a chain of several, one stage:
    --set evaluator.role=NAME.

    It waits for the broker, goes on from its newest checkpoint, and ends only when it is stopped.
    """
    return asyncio.run(_run(config, metrics))


async def _run(config: Config, metrics: tuple[str, int] | None) -> int:
    from active_learner.bounds import bound_memory
    from active_learner.services.shell import run

    service = service_of(config)
    bound_memory("evaluator.memory_bytes", config.evaluator.memory_bytes)
    return await run(service, metrics)


def service_of(config: Config) -> Evaluator:
    """The service, not started. Raises: ConfigError, BadNetwork."""
    from active_learner.config.loading import address_of, keys_of, run_dir
    from active_learner.config.stages import as_stage
    from active_learner.core.checkpointing import CheckpointRule
    from active_learner.peer import Peer
    from active_learner.services.checkpoint_folder import CheckpointFolder
    from active_learner.services.evaluator import Evaluator, EvaluatorRooms

    config = as_stage(config, config.evaluator.role)
    place = place_of(config)
    backend = backend_of(config, place)
    warm_up(backend, config, place)
    role, section = config.evaluator.role, config.evaluator
    return Evaluator(
        Peer(
            experiment=config.name,
            role=role,
            name=role,
            exclusive=True,
            address=address_of(config),
            keys=keys_of(config, role),
            connect_timeout_s=config.broker.connect_timeout_s,
        ),
        backend,
        CheckpointFolder(run_dir(config) / "checkpoints", role, section.checkpoints_kept),
        place,
        EvaluatorRooms(config.rooms.evolution, config.rooms.traininput, config.rooms.control),
        config.seed,
        CheckpointRule(section.checkpoint_steps, section.checkpoint_s),
    )


def place_of(config: Config) -> Place:
    """Where `evaluator.role` stands in `trainer.stages`. Raises: ConfigError when rooms and stages contradict."""
    from active_learner.core.evaluation_events import TRAINER, Place

    section, rooms, stages = config.evaluator, config.rooms, config.trainer.stages
    input_room = section.input_room or rooms.traininput
    output_room = section.output_room or rooms.trainoutput
    first, last = input_room == rooms.traininput, output_room == rooms.trainoutput
    problems = []
    if section.role not in stages:
        chosen = "; --set evaluator.role=NAME takes one" if len(stages) > 1 else ""
        problems.append(f"evaluator.role {section.role!r} is not in trainer.stages: {', '.join(stages)}{chosen}")
    elif (first, last) != (section.role == stages[0], section.role == stages[-1]):
        problems.append(
            f"evaluator {section.role!r} listens to {input_room!r} and says into {output_room!r}, which is not its place "
            f"in trainer.stages ({', '.join(stages)}): only the first listens to {rooms.traininput!r}, only the last says "
            f"into {rooms.trainoutput!r}"
        )
    if input_room == output_room:
        problems.append(f"evaluator.input_room and evaluator.output_room are both {input_room!r}; they must differ")
    if problems:
        raise ConfigError(problems)
    at = stages.index(section.role)
    return Place(
        section.role,
        input_room,
        output_room,
        rooms.evolution,
        first,
        last,
        section.input_gradient,
        before=TRAINER if first else stages[at - 1],
        behind=TRAINER if last else stages[at + 1],
    )


def settings_of(config: Config, place: Place) -> NetworkSettings:
    """The evaluator section with its module:factory names looked up. Raises: BadNetwork."""
    from active_learner.backends.settings import NetworkSettings

    section = config.evaluator
    return NetworkSettings(
        network=_named(config, section.network),
        arguments=section.arguments,
        optimizer=_named(config, section.optimizer),
        learning_rate=section.learning_rate,
        optimizer_arguments=section.optimizer_arguments,
        schedule=_named(config, section.schedule),
        schedule_arguments=section.schedule_arguments,
        device=section.device,
        threads=section.threads,
        deterministic=section.deterministic,
        fitness=_named(config, section.fitness),
        output=section.output,
        input_gradient=section.input_gradient or not place.first,
        seed=config.seed,
        stage=config.trainer.stages.index(section.role),
        label=section.network,
    )


def _named(config: Config, name: str | None) -> Any:
    """What module:attribute means; any other name as it is."""
    from active_learner import imports
    from active_learner.config.loading import base_dir

    return imports.resolve(name, base_dir(config)) if name is not None and ":" in name else name


def backend_of(config: Config, place: Place) -> Backend:
    """The engine with an untrained network. Raises: BadNetwork."""
    from active_learner.backends import VARIANTS

    # Read when torch is loaded, and good for every thread; torch.set_num_threads reaches only the thread that calls it,
    # and slow steps run in another: two threads there would change the last bits.
    os.environ["OMP_NUM_THREADS"] = str(config.evaluator.threads)
    module, _, name = VARIANTS["torch"].partition(":")
    backend: Backend = getattr(importlib.import_module(module), name)(settings_of(config, place))
    return backend


def warm_up(backend: Backend, config: Config, place: Place) -> None:
    """One empty sample through the network: the first run of torch is slow, and a network that does not fit is told at the
    start and not by the first candidates. Raises: BadNetwork."""
    import numpy as np

    from active_learner.config.loading import base_dir
    from active_learner.config.sample import resolve
    from active_learner.losses import load_loss

    if not place.first:
        return
    try:
        spec = resolve(config)
    except ConfigError:
        return  # the data set need not be on this machine; the first batch will tell
    try:
        backend.infer(np.zeros((1, *spec.shape), spec.dtype))
    except ValueError as error:
        raise BadNetwork(str(error)) from error
    if place.last:
        check_width(backend.width, spec, load_loss(config.trainer.loss, base_dir(config)), config.trainer.loss)


def check_width(width: int, spec: SampleSpec, loss: Loss, name: str) -> None:
    """Raises: BadNetwork when the loss wants another width for these classes."""
    wanted = loss.width(spec.classes)
    if wanted is not None and width != wanted:
        raise BadNetwork(
            f"evaluator.network returns {width} numbers a sample; loss {name} wants {wanted}, one for each of the "
            f"{spec.classes} classes"
        )
