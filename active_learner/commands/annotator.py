"""`annotator`: who may label over HTTP. Knows the file of annotators; no page."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment
from active_learner.errors import ActiveLearnerError

if TYPE_CHECKING:
    from active_learner.config.schema import Config, WebLabeler
    from active_learner.web.accounts import Accounts

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"


@click.group("annotator")
def command() -> None:
    """Who may label over HTTP, beside the person at this machine."""


@command.command("add")
@experiment
@click.argument("name", metavar="NAME")
@click.option("--script", is_flag=True, help="A token for a program instead: Authorization: Bearer TOKEN.")
def add(config: Config, name: str, script: bool) -> int:
    """Print a link that lets NAME in once, on one browser, within seven days. It is shown this once."""
    if not re.fullmatch(NAME, name):
        raise click.BadParameter(f"{name!r}: letters, digits, '.', '_' and '-', at most 63", param_hint="NAME")
    people = _people(config)
    print(people.add_script(name) if script else f"{_place(config)}/enter?token={people.add(name)}")
    return 0


@command.command("list")
@experiment
def list_(config: Config) -> int:
    """Who is let in, and since when."""
    names = _people(config).names()
    for name, since in names:
        print(f"{name}  since {time.strftime('%Y-%m-%d', time.localtime(since))}")
    if not names:
        print("nobody; `active-learner annotator add CONFIG NAME`")
    return 0


@command.command("remove")
@experiment
@click.argument("name", metavar="NAME")
def remove(config: Config, name: str) -> int:
    """End NAME's links, tokens and sessions, at once. The labels stay."""
    people = _people(config)
    if not people.remove(name):
        known = ", ".join(found for found, _ in people.names()) or "nobody"
        raise ActiveLearnerError(f"there is no annotator {name!r}; there is {known}")
    print(f"{name} is not let in any more; the labels stay")
    return 0


def _people(config: Config) -> Accounts:
    from active_learner.config.loading import annotators_of
    from active_learner.web.accounts import Accounts

    return Accounts(annotators_of(config), time.time)


def _of_the_run(config: Config) -> WebLabeler | None:
    """What `up` has started last, which may be elsewhere than usual."""
    from active_learner.config.loading import RESOLVED, load, run_dir
    from active_learner.config.schema import WebLabeler
    from active_learner.errors import ConfigError

    try:
        section = load(str(run_dir(config) / RESOLVED), environment={}).labeler
    except (ConfigError, OSError):
        return None
    return section if isinstance(section, WebLabeler) else None


def _place(config: Config) -> str:
    """Where the page is, as far as the configuration and that of the run tell."""
    from active_learner.commands.page import named
    from active_learner.config.schema import WebLabeler

    section = config.labeler if isinstance(config.labeler, WebLabeler) else WebLabeler()
    if "port" not in section.model_fields_set:
        section = _of_the_run(config) or section
    return f"http://{named(section.host)}:{section.port or 'PORT'}"
