"""`labels`: labels from files into the store, and out of it. Knows how to ask and to tell; the formats are elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from active_learner.commands.options import experiment
from active_learner.errors import ActiveLearnerError, BadLabel, ConfigError

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.core.records import SampleSpec
    from active_learner.stores.base import Store
    from active_learner.stores.exchange import Imported, Reading

FORMATS = click.Choice(["csv", "jsonl", "tutorial", "parquet"])
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@click.group("labels")
def command() -> None:
    """Import and export labels."""


@command.command("import")
@experiment
@click.argument("file", metavar="FILE")
@click.option("--strict", is_flag=True, help="One bad row, and nothing is imported.")
@click.option("--format", "format_name", type=FORMATS, help="Of FILE; else told from its name or first line.")
@click.option(
    "--annotator", default="import", show_default=True, help="Whose labels they are, where FILE does not say."
)
def import_(config: Config, file: str, strict: bool, format_name: str | None, annotator: str) -> int:
    """Put the labels of FILE (- is standard input) into the store of CONFIG.

    \b
    tutorial  "(0, 1, 1)",3
    csv       0,1,1,3 (with a header: the label is in the column named label)
    jsonl     {"features": [0, 1, 1], "label": 3, "annotator": "ann", "at": 1700000000}
    parquet   the same columns (FILE.parquet; needs the extra `parquet`)

    What an export says of who, when and how (annotator, at, circumstances) is taken, its key is compared with the features.
    An export imported again changes nothing.
    """
    import time

    from active_learner.config.sample import resolve
    from active_learner.stores.exchange import import_labels
    from active_learner.stores.row_readers import annotator_name

    try:
        annotator_name(annotator)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--annotator") from None
    spec = resolve(config)
    try:
        reading = _read(file, spec, format_name, bits=config.source.kind == "evolution")
    except BadLabel as error:
        raise BadLabel(f"{file}: {error}") from None
    store = _open(config, spec, read_only=False)
    try:
        done = import_labels(store, reading, annotator, time.time(), strict=strict)
    except BadLabel as error:
        raise BadLabel(f"{file}: {error}") from None
    finally:
        store.close()
    _tell(file, done)
    return 0


def _read(file: str, spec: SampleSpec, format_name: str | None, *, bits: bool) -> Reading:
    from active_learner.stores import parquet_file
    from active_learner.stores.exchange import read_labels

    def read(stream: BinaryIO) -> Reading:
        if (format_name or SUFFIXES.get(Path(file).suffix.lower())) == "parquet":
            return parquet_file.read_labels(stream, spec, bits=bits)
        return read_labels(stream, spec, format_name, bits=bits)

    try:
        if file == "-":
            return read(sys.stdin.buffer)
        with Path(file).open("rb") as stream:
            return read(stream)
    except OSError as error:
        raise ActiveLearnerError(f"{file}: cannot be read: {error.strerror}") from None


def _tell(file: str, done: Imported) -> None:
    for reason in done.reasons:
        click.echo(f"skipped {reason}", err=True)
    counts = f"{done.imported} imported, {done.known} already known, {done.skipped} skipped"
    click.echo(f"{file} ({done.format}): {counts}")


@command.command("export")
@experiment
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "format_name",
    type=FORMATS,
    help="Else jsonl for FILE.jsonl, parquet for FILE.parquet, csv for all others.",
)
@click.option(
    "--events", is_flag=True, help="All that annotators ever said and took back, instead of the present labels."
)
def export(config: Config, file: str, format_name: str | None, events: bool) -> int:
    """Write the labels of CONFIG's store to FILE (- is standard output); the trainer may be running.

    csv, jsonl and parquet say for each label who gave it, when and how, by how many votes of how many, to which question
    of which round, and the strategy, score and model version that it was asked by.
    """
    from active_learner.config.sample import resolve

    name = format_name or SUFFIXES.get(Path(file).suffix.lower(), "csv")
    if events and name == "tutorial":
        raise click.BadParameter("the tutorial's file has no place for events", param_hint="--events")
    spec = resolve(config)
    store = _open(config, spec, read_only=True)
    try:
        found: Sequence[Any] = store.events() if events else store.labels()
    finally:
        store.close()
    _write(file, _written(found, spec, name, events=events))
    click.echo(f"{len(found)} {'events' if events else 'labels'} written to {file} ({name})", err=True)
    return 0


def _written(found: Sequence[Any], spec: SampleSpec, name: str, *, events: bool) -> bytes:
    from active_learner.stores import exchange, parquet_file

    if name == "parquet":
        return parquet_file.write_events(found) if events else parquet_file.write_labels(found, spec)
    rows = exchange.EVENT_WRITERS[name](found) if events else exchange.WRITERS[name](found, spec)
    return "".join(rows).encode("utf-8")


def _write(file: str, content: bytes) -> None:
    from active_learner.durable.files import replace_file

    if file == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = Path(file).resolve()
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
            path.write_bytes(content)
        else:
            replace_file(path, content)
    except OSError as error:
        raise ActiveLearnerError(f"{file}: cannot be written: {error.strerror}") from None


def _open(config: Config, spec: SampleSpec, *, read_only: bool) -> Store:
    from active_learner.config.loading import run_dir
    from active_learner.stores import file_of, open_store

    if file_of(config.store.url, run_dir(config)) is None:
        raise ConfigError(
            [f"store.url: {config.store.url} ends with its process: there is nothing to import to or export"]
        )
    store = open_store(config.store.url, run_dir(config))
    store.open(config.name, spec, read_only=read_only)
    return store
