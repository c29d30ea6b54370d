"""`labels`: labels from files into the store, and out of it. Knows how to ask and to tell; the formats are elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment
from active_learner.errors import ActiveLearnerError, BadLabel, ConfigError

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.core.records import SampleSpec
    from active_learner.stores.base import Store
    from active_learner.stores.exchange import Imported, Reading

FORMATS = click.Choice(["csv", "jsonl", "tutorial"])


@click.group("labels")
def command() -> None:
    """Import and export labels."""


@command.command("import")
@experiment
@click.argument("file", metavar="FILE")
@click.option("--strict", is_flag=True, help="One bad row, and nothing is imported.")
@click.option("--format", "format_name", type=FORMATS, help="Of FILE; else told from its first line.")
@click.option(
    "--annotator", default="import", show_default=True, help="Whose labels they are, where FILE does not say."
)
def import_(config: Config, file: str, strict: bool, format_name: str | None, annotator: str) -> int:
    """Put the labels of FILE (- is standard input) into the store of CONFIG.

    \b
    tutorial  "(0, 1, 1)",3
    csv       0,1,1,3 (with a header: the label is in the column named label)
    jsonl     {"features": [0, 1, 1], "label": 3, "annotator": "ann", "at": 1700000000}
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
    reading = _read(file, spec, format_name, bits=config.source.kind == "evolution")
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
    from active_learner.stores.exchange import read_labels

    try:
        if file == "-":
            return read_labels(sys.stdin.buffer, spec, format_name, bits=bits)
        with Path(file).open("rb") as stream:
            return read_labels(stream, spec, format_name, bits=bits)
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
@click.option("--format", "format_name", type=FORMATS, help="Else jsonl for FILE.jsonl, csv for all others.")
def export(config: Config, file: str, format_name: str | None) -> int:
    """Write the labels of CONFIG's store to FILE (- is standard output); the trainer may be running.

    csv and jsonl say for each label who gave it, when, in which round, and the model version and score that it was asked by.
    """
    from active_learner.config.sample import resolve
    from active_learner.stores.exchange import WRITERS

    spec = resolve(config)
    store = _open(config, spec, read_only=True)
    try:
        labels = store.labels()
    finally:
        store.close()
    name = format_name or ("jsonl" if Path(file).suffix.lower() in (".jsonl", ".ndjson") else "csv")
    _write(file, "".join(WRITERS[name](labels, spec)))
    click.echo(f"{len(labels)} labels written to {file} ({name})", err=True)
    return 0


def _write(file: str, text: str) -> None:
    from active_learner.durable.files import replace_file

    if file == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(file).resolve()
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
            path.write_text(text, encoding="utf-8")
        else:
            replace_file(path, text.encode("utf-8"))
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
