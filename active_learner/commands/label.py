"""`label`: answer questions, or rate random samples before the first run. Knows which oracle a configuration means."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment, metrics_options

if TYPE_CHECKING:
    from active_learner.config.schema import Config, SimulatedLabeler, TerminalLabeler
    from active_learner.core.records import Features, SampleSpec
    from active_learner.oracles.base import Oracle

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"


@click.command("label")
@experiment
@click.option("--kind", type=click.Choice(["terminal", "simulated", "web"]), help="Instead of CONFIG's labeler.kind.")
@click.option(
    "--annotator",
    metavar="NAME",
    help="Whose answers they are; none: labeler.annotator of CONFIG, or the owner of broker.key.",
)
@click.option(
    "--prelabel",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rate N random candidates into the store before the first run; needs no broker and no trainer.",
)
@click.option(
    "--labels-goal",
    type=click.IntRange(min=1),
    metavar="N",
    help="The page shows the progress towards N labels; `up --labels N` says it.",
)
@metrics_options
def command(
    config: Config,
    kind: str | None,
    annotator: str | None,
    prelabel: int | None,
    labels_goal: int | None,
    metrics: tuple[str, int] | None,
) -> int:
    """Answer the questions of a running experiment: on a page, at this terminal, or simulated."""
    from active_learner.config.sample import resolve

    if annotator is not None and not re.fullmatch(NAME, annotator):
        raise click.BadParameter(
            f"{annotator!r}: letters, digits, '.', '_' and '-', at most 63", param_hint="--annotator"
        )
    spec = resolve(config)
    if "web" in (kind, config.labeler.kind) and kind in (None, "web") and prelabel is None:
        from active_learner.commands import page

        return asyncio.run(page.serve(config, spec, annotator, metrics, labels_goal))
    oracle = make(config, spec, kind, annotator)
    if prelabel is None:
        return asyncio.run(_label(config, oracle, metrics))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is no service: asyncio ends it in order
    return asyncio.run(_prelabel(config, spec, oracle, prelabel))


def make(config: Config, spec: SampleSpec, kind: str | None = None, annotator: str | None = None) -> Oracle:
    """The oracle that the configuration means, or one of `kind`. Raises: ConfigError, BadNetwork."""
    from active_learner.config.loading import base_dir
    from active_learner.oracles import make_oracle

    section = _section(config, spec, kind)
    settings = section.model_dump(exclude={"kind", "outbox", "memory_bytes"})
    settings["annotator"] = annotator or _owner(config, section) or settings["annotator"]
    if settings.get("answers") == "dataset" and settings["path"] is None:
        settings["path"] = getattr(config.source, "path", None)
    return make_oracle(section.kind, spec=spec, base=base_dir(config), seed=config.seed, **settings)


def _owner(config: Config, section: SimulatedLabeler | TerminalLabeler) -> str:
    """Whose key the configuration names; "": none, or it says itself whose answers these are."""
    from active_learner.config.loading import keys_of

    keys = None if config.broker.key is None or "annotator" in section.model_fields_set else keys_of(config, "labeler")
    return "" if keys is None else keys.name


def _section(config: Config, spec: SampleSpec, kind: str | None) -> SimulatedLabeler | TerminalLabeler:
    """CONFIG's own section when it is of that kind; else the defaults of the kind (a terminal, when CONFIG has none)."""
    from active_learner.config.schema import SimulatedLabeler, TerminalLabeler

    section = config.labeler
    if isinstance(section, SimulatedLabeler | TerminalLabeler) and kind in (None, section.kind):
        return section
    if kind == "simulated":
        return SimulatedLabeler(answers="melody" if spec.media == "melody" else "dataset")
    return TerminalLabeler()


async def _label(config: Config, oracle: Oracle, metrics: tuple[str, int] | None) -> int:
    from active_learner.bounds import bound_memory
    from active_learner.config.loading import address_of, keys_of, outbox_of
    from active_learner.durable.kept_answers import KeptAnswers
    from active_learner.peer import Peer
    from active_learner.services import shell
    from active_learner.services.labeler import Labeler

    peer = Peer(
        experiment=config.name,
        role="labeler",
        address=address_of(config),
        keys=keys_of(config, "labeler"),
        connect_timeout_s=config.broker.connect_timeout_s,
    )
    bound_memory("labeler.memory_bytes", getattr(config.labeler, "memory_bytes", None))
    kept = KeptAnswers(outbox_of(config, oracle.annotator))
    labeler = Labeler(peer, _witnessed(oracle), config.rooms.user, config.rooms.control, kept)
    return await shell.run(labeler, metrics)


def _witnessed(oracle: Oracle) -> Oracle:
    """Where somebody outside wants to know what is said and told, as `chaos` does."""
    from active_learner.faults.history import VARIABLE
    from active_learner.oracles.witnessed import Witnessed

    path = os.environ.get(VARIABLE)
    return Witnessed(oracle, Path(path)) if path else oracle


async def _prelabel(config: Config, spec: SampleSpec, oracle: Oracle, count: int) -> int:
    from active_learner.config.loading import run_dir
    from active_learner.services import shell
    from active_learner.services.prelabel import Prelabeling, unlabeled
    from active_learner.stores import open_store

    rows = _random_samples(config, spec)
    folder = run_dir(config)
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(config.store.url, folder)
    store.open(config.name, spec)
    known = {label.key for label in store.labels()}
    told = None if oracle.person else partial(_tell, _who(spec))
    if told is not None:
        click.echo(f"{_who(spec)} answers, as labeler.kind says; --kind terminal asks you")
    service = Prelabeling(store, oracle, spec, unlabeled(rows, known, spec), count, told=told)
    code = await shell.run(service)
    click.echo(
        f"{len(service.labeled)} of {count} labeled; the store has {len(known) + len(service.labeled)} labels now"
    )
    return code


def _who(spec: SampleSpec) -> str:
    return "the simulated listener" if spec.media == "melody" else "the simulated labeler"


def _tell(who: str, value: int) -> None:
    """A person must not think that the answers were asked of nobody."""
    click.echo(f"{who} rated {value}" if who.endswith("listener") else f"{who} said {value}")


def _random_samples(config: Config, spec: SampleSpec) -> Iterator[Features]:
    """Seeded: random genomes without end, or the training rows of the data set in random order. Raises: ConfigError."""
    import numpy as np

    from active_learner.config.loading import base_dir
    from active_learner.config.schema import DatasetSource, EvolutionSource
    from active_learner.core.seeds import derived_seed
    from active_learner.errors import ConfigError

    generator = np.random.default_rng(derived_seed("prelabel", config.seed))
    if isinstance(config.source, EvolutionSource):
        return (generator.integers(0, 2, spec.shape) for _ in itertools.repeat(None))
    if isinstance(config.source, DatasetSource):
        from active_learner.datasets.reading import read_dataset

        dataset = read_dataset(config.source.path, base_dir(config))
        rows = dataset.X_train
        if rows is None:
            raise ConfigError([f"source.path: {dataset.path} has no X_train to take samples from"])
        return (rows[row] for row in generator.permutation(len(rows)))
    raise ConfigError(
        [f"source.kind: {config.source.kind} has no random candidates; --prelabel needs evolution or dataset"]
    )
