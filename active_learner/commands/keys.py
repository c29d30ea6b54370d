"""`keys`: makes, lists, revokes and rotates the keys of a broker's peers. Knows options; the work is in security/folder.py."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import Number
from active_learner.core.rights import TABLE

if TYPE_CHECKING:
    from active_learner.config.schema import Config, RoomsConfig
    from active_learner.security.folder import KeyFolder

ROLES = ", ".join(TABLE)
MAX_OVERLAP_HOURS = 24 * 365

folder_option = click.option(
    "--folder",
    metavar="FOLDER",
    default="keys",
    show_default=True,
    help="Where the keys are: broker.key_folder of the CONFIG that you mean.",
)


@click.group("keys")
def command() -> None:
    """Who may come in to a broker from other machines.

    A running broker sees every change within a second.
    """


@command.command()
@click.argument("name")
@click.option("--role", required=True, metavar="ROLE", help=f"{ROLES}.")
@click.option(
    "--stage", is_flag=True, help="ROLE is a stage of a chain, named by trainer.stages: what an evaluator may."
)
@click.option(
    "--experiment", "experiments", multiple=True, metavar="NAME", help="For this experiment only; repeatable."
)
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="ROOM",
    help="May join only this room (or EXPERIMENT/ROOM); repeatable. Without it: the rooms of its role, by their usual names.",
)
@click.option("--any-room", is_flag=True, help="May join, and hear, every room. A trainer and a stage always may.")
@folder_option
def new(
    name: str,
    role: str,
    stage: bool,
    experiments: tuple[str, ...],
    rooms: tuple[str, ...],
    any_room: bool,
    folder: str,
) -> None:
    """Make a key for NAME: a file that whoever starts NAME must have."""
    from active_learner.config.schema import RoomsConfig
    from active_learner.transport.zmq_curve import new_pair

    if any_room and rooms:
        raise click.UsageError("--any-room and --room exclude each other")
    for text in (role, *experiments, *(part for room in rooms for part in room.split("/", 1))):
        _check(text)
    if role not in TABLE and not stage:
        near = "".join(f"; did you mean {one}?" for one in difflib.get_close_matches(role, TABLE, 1))
        raise click.UsageError(f"{role!r} is no role: there are {ROLES}{near} A stage of a chain is named with --stage")
    keys = _folder(folder)
    narrowed = () if any_room or stage else rooms or role_rooms(RoomsConfig())[role]
    keys.new(name, role, new_pair, experiments, narrowed)
    click.echo(f"{keys.file_of(name)}: the key of {name}, {role}; a secret, so copy it only where {name} is started")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="The list as it is in the file.")
@folder_option
def list_keys(as_json: bool, folder: str) -> None:
    """Who may come in, and who may not any more. Nothing of it is secret."""
    from datetime import UTC, datetime

    allowed, now = _folder(folder).allowed(), datetime.now(UTC)
    if as_json:
        click.echo(json.dumps(json.loads(allowed.to_text())["keys"]))
        return
    for one in allowed.entries:
        state = one.refusal(now) or (f"until {one.until}" if one.until else "allowed")
        where = " ".join([*(one.experiments or ("any experiment",)), *one.rooms])
        click.echo(f"{one.name:<16} {one.role:<10} since {one.since}  {state}  {where}  {one.public}")


@command.command()
@click.argument("name")
@click.option("--old", is_flag=True, help="Only the key that `rotate` has replaced.")
@folder_option
def revoke(name: str, old: bool, folder: str) -> None:
    """Let NAME in no more; its live sessions are ended."""
    _folder(folder).revoke(name, only_old=old)
    click.echo(f"{name}: {'the older key is' if old else 'all its keys are'} revoked")


@command.command()
@click.argument("name")
@click.option(
    "--overlap",
    type=Number(0, MAX_OVERLAP_HOURS),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="How long the old key is let in too (or until `revoke --old`).",
)
@folder_option
def rotate(name: str, overlap: float, folder: str) -> None:
    """Make another key for NAME, in the same file."""
    from datetime import timedelta

    from active_learner.transport.zmq_curve import new_pair

    keys = _folder(folder)
    keys.rotate(name, new_pair, timedelta(hours=overlap))
    click.echo(f"{keys.file_of(name)}: another key of {name}; the one before is let in for {overlap:g} hours more")


def role_rooms(rooms: RoomsConfig) -> dict[str, tuple[str, ...]]:
    """Role -> the rooms in which it has something to hear or to say; of a trainer (): all."""
    return {
        "trainer": (),
        "evaluator": (rooms.evolution, rooms.traininput, rooms.trainoutput, rooms.control),
        "source": (rooms.evolution, rooms.control),
        "labeler": (rooms.user, rooms.control),
        "monitor": (rooms.control,),
        "operator": (rooms.control,),
    }


def make_own(config: Config, observed: bool = False) -> None:
    """Keys for all that `up` starts of this configuration, where the broker needs some, and (`observed`) for one that may
    listen in all rooms. Raises: ConfigError."""
    from active_learner.config.loading import key_folder
    from active_learner.config.stages import roles_here
    from active_learner.security.folder import KeyFolder
    from active_learner.security.reach import needs_keys
    from active_learner.transport.zmq_curve import new_pair

    if not needs_keys(config.broker.address, config.broker.keys):
        return
    folder, rooms = KeyFolder(key_folder(config)), config.rooms
    of_role = role_rooms(rooms)
    stages = dict.fromkeys(roles_here(config), ())  # the rooms of a stage are its own
    for role in ("trainer", *stages, "source", "labeler", "monitor"):
        qualified = [f"{config.name}/{room}" for room in {**of_role, **stages}[role]]
        folder.ensure(role, role, new_pair, config.name, qualified)
    if observed:
        from active_learner.services.observer import OBSERVER

        folder.ensure(OBSERVER, "monitor", new_pair, config.name, ())


def _folder(folder: str) -> KeyFolder:
    from active_learner.security.folder import KeyFolder

    return KeyFolder(Path(folder).expanduser().absolute())


def _check(text: str) -> None:
    from protocol.rooms import is_name

    if not is_name(text):
        raise click.UsageError(f"{text!r} is no name: letters, digits, '.', '_' and '-', at most 63")
