"""`store`: is the label store what was written, a copy of it, another schema. Knows how to ask and to tell; no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment
from active_learner.errors import ActiveLearnerError, ConfigError, WrongStore

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.stores.care import Care
    from active_learner.stores.findings import Findings


@click.group("store")
def command() -> None:
    """Verify, back up and upgrade the label store.

    Every change of the store (a question, an answer, a plan, a result, a term) has a line in a chain, whose digest covers the
    change and the line before. A flipped bit or a lost row breaks the chain. A small file beside the store (STORE.mark) says
    how far it had come, so an older copy that was put back shows too. A damaged or rolled back store is not opened: exit 5.
    """


@command.command()
@experiment
@click.argument("file", required=False, metavar="[FILE]")
def verify(config: Config, file: str | None) -> int:
    """Read all of CONFIG's label store, or of its copy FILE, and say what is in it; the trainer may be running.

    Prints the number of rows by what they are, and the head of the chain: two copies with the same head have the same
    labels. With damage it says where, and exits with 5.

    \b
    active-learner store verify digits
    active-learner store verify digits labels-monday.db
    """
    from active_learner.config.sample import resolve

    care = _care(config, None if file is None else Path(file))
    found = care.verify(config.name, resolve(config), marked=file is None)
    _tell(care.path, found)
    return 0


@command.command()
@experiment
@click.argument("file", metavar="FILE")
def backup(config: Config, file: str) -> int:
    """Copy CONFIG's label store to FILE, and verify the copy; the trainer may be running.

    The copy is of one moment, complete, and on the disk when the command ends. To go back to it: stop the trainer, put the
    copy in the store's place, and start with --accept-rollback, for what was answered since is lost. Of a damaged store
    there is no backup: it is told where it is damaged, exit 5, and FILE is not made.

    \b
    active-learner store backup digits labels-monday.db
    """
    from active_learner.config.sample import resolve

    care, target = _care(config), Path(file).absolute()
    if target.exists():
        raise ActiveLearnerError(f"{file} is there already: a backup replaces nothing")
    if not target.parent.is_dir():
        raise ActiveLearnerError(f"{file}: there is no folder {target.parent}")
    _tell(target, care.backup(config.name, resolve(config), target))
    return 0


@command.command()
@experiment
def upgrade(config: Config) -> int:
    """Bring CONFIG's label store to the schema of this version; no trainer may be running.

    A copy is made beside it first (STORE.schema-OLD). All rows stay as they are; their digests are made. Done in one
    transaction: whatever goes wrong, the store is as it was.
    """
    from active_learner.config.sample import resolve

    care = _care(config)
    copy = care.upgrade(config.name, resolve(config))
    click.echo(f"{care.path}: up to date" + ("" if copy is None else f"; as it was before: {copy}"))
    return 0


def _care(config: Config, file: Path | None = None) -> Care:
    """`file`: a copy instead of the store itself. Raises: ConfigError."""
    from active_learner.config.loading import run_dir
    from active_learner.stores import care_of

    care = care_of(config.store.url, run_dir(config))
    if care is None:
        raise ConfigError([f"store.url: {config.store.url} ends with its process: there is nothing to look after"])
    return care if file is None else type(care)(file)


def _tell(path: Path, found: Findings) -> None:
    """Raises: WrongStore when it is not what was written."""
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if found.damage:
        raise WrongStore("\n".join([f"{path} is damaged: restore it from a backup", *found.told()]))
    counts = ", ".join(f"{number} {name}" for name, number in found.counts.items())
    click.echo(f"{path}: {counts}; {found.head.number} changes, head {found.head.digest}")
    if found.lost:
        raise WrongStore(f"{found.lost}; restore the newest copy, or start with --accept-rollback")
    click.echo("every row is what was written")
