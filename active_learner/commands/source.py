"""`source`: propose candidates. Knows which source a configuration means; the service does the work."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment, metrics_options
from active_learner.errors import ConfigError

if TYPE_CHECKING:
    from active_learner.config.schema import Config, CustomSource
    from active_learner.core.records import SampleSpec
    from active_learner.services.candidate_source import CandidateSource
    from active_learner.sources.base import Source


@click.command("source")
@experiment
@click.option("--once", is_flag=True, help="End when a finite source has proposed all it has.")
@metrics_options
def command(config: Config, once: bool, metrics: tuple[str, int] | None) -> int:
    """Propose the candidates of CONFIG's `source`: a data set, an evolution, JSON lines, or one of your own."""
    from active_learner.config.sample import resolve

    spec = resolve(config)
    return asyncio.run(_run(config, spec, make(config, spec), once, metrics))


def make(config: Config, spec: SampleSpec) -> Source:
    """The source that the configuration means. Raises: ConfigError, BadNetwork, BadSample."""
    from active_learner.config.loading import base_dir
    from active_learner.config.schema import CustomSource
    from active_learner.core.seeds import derived_seed
    from active_learner.sources import VARIANTS

    section, base = config.source, base_dir(config)
    if isinstance(section, CustomSource):
        return _custom(section, base)
    if section.kind not in VARIANTS:
        raise ConfigError([f"source.kind: {section.kind}: nothing to run; a source is {', '.join(VARIANTS)} or custom"])
    module, _, name = VARIANTS[section.kind].partition(":")
    variant = getattr(importlib.import_module(module), name)
    made: Source = variant(section, spec, derived_seed("source", config.seed), base)
    return made


def _custom(section: CustomSource, base: Path) -> Source:
    from active_learner import imports
    from active_learner.errors import BadNetwork
    from active_learner.sources.base import Source

    factory = imports.resolve(section.factory, base)
    try:
        made = factory(**section.arguments)
    except TypeError as error:
        raise BadNetwork(f"source.factory: {section.factory}: {error}") from error
    if not isinstance(made, Source):
        raise BadNetwork(
            f"source.factory: {section.factory} returned {type(made).__name__}, must be a sources.base.Source"
        )
    return made


async def _run(config: Config, spec: SampleSpec, source: Source, once: bool, metrics: tuple[str, int] | None) -> int:
    from active_learner.bounds import bound_memory
    from active_learner.services import shell

    bound_memory("source.memory_bytes", getattr(config.source, "memory_bytes", None))
    return await shell.run(_service(config, spec, source, once), metrics)


def _service(config: Config, spec: SampleSpec, source: Source, once: bool) -> CandidateSource:
    from active_learner.config.loading import address_of, keys_of
    from active_learner.core.proposing import Proposing
    from active_learner.peer import Peer
    from active_learner.services.candidate_source import ROLE, CandidateSource
    from active_learner.services.shell import jitter

    return CandidateSource(
        Peer(
            experiment=config.name,
            role=ROLE,
            address=address_of(config),
            keys=keys_of(config, ROLE),
            connect_timeout_s=config.broker.connect_timeout_s,
        ),
        source,
        spec,
        machine=Proposing(
            wants_fitness=source.wants_fitness,
            interval_s=getattr(config.source, "interval_s", 0.0),
            autostart=getattr(config.source, "autostart", True),
            jitter=jitter,
        ),
        evolution=config.rooms.evolution,
        control=config.rooms.control,
        evaluators=config.trainer.stages,
        once=once,
    )
