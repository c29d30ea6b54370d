"""`config`: shows a configuration, its JSON Schema, its reference. Knows how to print them."""

from __future__ import annotations

import json

import click

from active_learner.commands.options import config_argument, loaded


@click.group("config")
def command() -> None:
    """Show a configuration, its schema, its reference."""


@command.command()
@config_argument
def show(config_name: str, sets: tuple[str, ...]) -> None:
    """The whole configuration as it is used: defaults, extended files, environment and --set together, as YAML."""
    from active_learner.config import loading

    click.echo(loading.to_yaml(loading.plain(loaded(config_name, sets))), nl=False)


@command.command()
def schema() -> None:
    """JSON Schema, for an editor's completion."""
    from active_learner.config.schema import Config

    click.echo(json.dumps(Config.model_json_schema(), indent=2))


@command.command()
def reference() -> None:
    """A Markdown table of all keys."""
    from active_learner.config.reference import table
    from active_learner.config.schema import Config

    click.echo(table(Config), nl=False)
