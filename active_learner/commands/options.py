"""What all commands share: CONFIG, --set, --log-format, -v. Knows no command."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from active_learner.config.schema import Config

Command = Callable[..., Any]


class Number(click.FloatRange):
    """A number within bounds: `nan` is none, and click lets it through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a number that can be used", param, ctx)
        return found


def config_argument(command: Command) -> Command:
    """CONFIG and --set as they were written: `config_name` and `sets`; see `loaded`."""
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one key, such as trainer.epochs=3. As often as you like.",
    )(command)
    return click.argument("config_name", metavar="CONFIG")(command)


def log_options(command: Command) -> Command:
    """--log-format and -v: logging is set up before the command runs."""

    @functools.wraps(command)
    def with_logs(*args: Any, log_format: str, verbose: bool, **options: Any) -> Any:
        from active_learner import logs

        logs.set_up(log_format, verbose)
        return command(*args, **options)

    with_logs = click.option("-v", "--verbose", is_flag=True, help="Log more.")(with_logs)
    return click.option(
        "--log-format",
        type=click.Choice(["plain", "json"]),
        default="plain",
        show_default=True,
        help="How logs are written to stderr.",
    )(with_logs)


def metrics_options(command: Command) -> Command:
    """--metrics-port and --metrics-host; the command gets `metrics`: host and port, or None."""

    @functools.wraps(command)
    def with_metrics(*args: Any, metrics_port: int | None, metrics_host: str, **options: Any) -> Any:
        return command(*args, metrics=None if metrics_port is None else (metrics_host, metrics_port), **options)

    with_metrics = click.option(
        "--metrics-host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        help="Serve them there. They have no keys: whoever reaches the port may read.",
    )(with_metrics)
    return click.option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve Prometheus metrics at http://127.0.0.1:PORT/metrics; 0: a free port, told in the ready line.",
    )(with_metrics)


def experiment(command: Command) -> Command:
    """CONFIG, --set, --log-format and -v; the command gets `config`, checked. Raises: ConfigError."""

    @functools.wraps(command)
    def with_config(*args: Any, config_name: str, sets: tuple[str, ...], **options: Any) -> Any:
        return command(*args, config=loaded(config_name, sets), **options)

    return config_argument(log_options(with_config))


def rollback_option(command: Command) -> Command:
    """--accept-rollback."""
    text = "Go on with a store that is older than what had been committed (a backup was put back): the rest is lost."
    return click.option("--accept-rollback", is_flag=True, help=text)(command)


def loaded(config_name: str, sets: tuple[str, ...]) -> Config:
    """The checked configuration. Raises: ConfigError."""
    from active_learner.config import loading

    return loading.load(config_name, sets)
