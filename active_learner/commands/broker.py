"""`broker`: runs the broker until it is stopped. Knows options; the work is in services/broker.py."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import log_options, metrics_options

if TYPE_CHECKING:
    from active_learner.config.schema import BrokerConfig
    from active_learner.services.broker import BrokerDefaults

ADDRESS = re.compile(r"tcp://[^:/]+:\d{1,5}")


@click.command("broker")
@click.argument("config_name", metavar="[CONFIG]", required=False)
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key, as broker.queue_messages=100."
)
@click.option("--address", metavar="ADDRESS", help="Bind here, as tcp://127.0.0.1:5570; port 0 chooses a free one.")
@metrics_options
@log_options
def command(
    config_name: str | None, sets: tuple[str, ...], address: str | None, metrics: tuple[str, int] | None
) -> int:
    """Relay messages between the peers of any number of experiments. Without CONFIG all is default."""
    return asyncio.run(_run(_settings(config_name, sets, address), metrics))


async def _run(settings: BrokerConfig | BrokerDefaults, metrics: tuple[str, int] | None) -> int:
    from active_learner.services.broker import Broker, bound_broker
    from active_learner.services.shell import run
    from active_learner.transport import router_at

    bound_broker(settings)
    return await run(Broker(settings, router_at(settings.address, settings.max_message_bytes)), metrics)


def _settings(config_name: str | None, sets: tuple[str, ...], address: str | None) -> BrokerConfig | BrokerDefaults:
    """The broker's section. Raises: ConfigError."""
    if config_name is None:
        if sets:
            raise click.UsageError("--set needs a CONFIG whose keys it overrides")
        from active_learner.services.broker import BrokerDefaults

        defaults = BrokerDefaults()
        return defaults if address is None else replace(defaults, address=_checked(address))
    from active_learner.config.loading import load

    section = load(config_name, sets).broker
    return section if address is None else section.model_copy(update={"address": _checked(address)})


def _checked(address: str) -> str:
    """Unlike in a CONFIG, whose address peers connect to, the port may be 0 here."""
    from active_learner.errors import ConfigError

    if not ADDRESS.fullmatch(address):
        raise ConfigError([f"--address: {address!r} must be tcp://HOST:PORT, as tcp://127.0.0.1:5570"])
    return address
