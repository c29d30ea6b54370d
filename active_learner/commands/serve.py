"""`active-learner serve`: the trainer. Picks store, loss and strategy by name; knows no training."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from active_learner.commands.goals import check_goals, goal_options
from active_learner.commands.options import experiment, metrics_options, rollback_option

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.services.goals import Goals
    from active_learner.services.trainer import TrainerParts
    from active_learner.services.webhooks import Hook


@click.command()
@experiment
@goal_options
@rollback_option
@metrics_options
def command(
    config: Config,
    rounds: int | None,
    labels: int | None,
    until_accuracy: float | None,
    accept_rollback: bool,
    metrics: tuple[str, int] | None,
) -> int:
    """Run the trainer of CONFIG: pool, labels and the rounds of training.

    It waits for the broker, and for evaluator, source and labeler, in whatever order they start. With a goal it ends by
    itself, says `result: ...` and exits with 0.
    """
    from active_learner.commands.run_folders import keep_aside, memory_held, must_start_anew, why_anew
    from active_learner.config.loading import run_dir
    from active_learner.services.goals import Goals

    check_goals(config, until_accuracy)
    if must_start_anew(config):
        logging.getLogger(__name__).info(why_anew(config, keep_aside(run_dir(config))))
    with memory_held(config):
        goals = Goals(rounds, labels, until_accuracy)
        return asyncio.run(_serve(config, goals, metrics, accept_rollback))


async def _serve(config: Config, goals: Goals, metrics: tuple[str, int] | None, accept_rollback: bool) -> int:
    from active_learner.bounds import bound_memory
    from active_learner.config.loading import address_of, keys_of
    from active_learner.peer import Peer
    from active_learner.services.shell import run
    from active_learner.services.trainer import Trainer

    peer = Peer(
        experiment=config.name,
        role="trainer",
        name="trainer",
        exclusive=True,
        address=address_of(config),
        keys=keys_of(config, "trainer"),
        connect_timeout_s=config.broker.connect_timeout_s,
    )
    bound_memory("trainer.memory_bytes", config.trainer.memory_bytes)
    return await run(Trainer(parts_of(config, goals, accept_rollback=accept_rollback), peer), metrics)


def parts_of(config: Config, goals: Goals, *, accept_rollback: bool = False) -> TrainerParts:
    """Everything that the trainer is made of. Raises: ConfigError, BadNetwork, BadSample."""
    from active_learner.commands.run_folders import has_begun
    from active_learner.config import run_folder
    from active_learner.config.loading import base_dir, run_dir
    from active_learner.config.sample import check_batch, resolve
    from active_learner.config.sample import held_out as held_out_rows
    from active_learner.losses import load_loss
    from active_learner.results.report import write_report
    from active_learner.services.trainer import TrainerParts
    from active_learner.stores import open_store
    from active_learner.strategies import load_strategy

    folder = run_dir(config)
    spec = resolve(config)
    check_batch(config, spec)
    held_out = held_out_rows(config)
    loss = load_loss(config.trainer.loss, base_dir(config))
    strategies = {"": load_strategy(config.trainer.strategy, base_dir(config)), "random": load_strategy("random")}
    notes = run_folder.look(config, lambda: has_begun(config)).notes[
        1:
    ]  # the first, new or resumed, is in the ready line
    return TrainerParts(
        config=config,
        spec=spec,
        store=open_store(config.store.url, folder),
        loss=loss,
        strategies=strategies,
        held_out=held_out,
        run_dir=folder,
        goals=goals,
        write_report=lambda questions, labels: write_report(folder, questions, labels),
        settle=lambda: _settle(config, notes),
        load_loss=lambda name: load_loss(name, base_dir(config)),
        hook=hook_of(config),
        accept_rollback=accept_rollback,
    )


def hook_of(config: Config) -> Hook | None:
    """None: nobody is to be told. Raises: ConfigError."""
    from active_learner.config.loading import base_dir
    from active_learner.errors import ConfigError
    from active_learner.security.reach import is_public
    from active_learner.security.webhook_secret import read_secret
    from active_learner.services.http_post import address_of
    from active_learner.services.webhooks import Hook

    url = config.webhook.url
    if url is None:
        return None
    try:
        address = address_of(url)
    except ValueError as error:
        raise ConfigError([f"webhook.url: {error}"]) from None
    if address.tls is None and is_public(f"tcp://{address.host}:{address.port}"):
        raise ConfigError(["webhook.url: must be https: others can read what goes to another machine by http"])
    return Hook(address, read_secret(base_dir(config) / config.webhook.secret_file), config.webhook.events)


def _settle(config: Config, notes: Sequence[str]) -> None:
    """The run is this trainer's: what changed is told, and kept for the next start."""
    from active_learner.config import run_folder

    for note in notes:
        logging.getLogger(__name__).info(note)
    run_folder.keep(config)
