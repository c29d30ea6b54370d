"""`broker`: runs the broker until it is stopped. Knows options; the work is in services/broker.py."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from active_learner.commands.options import log_options, metrics_options

if TYPE_CHECKING:
    from active_learner.config.schema import BrokerConfig
    from active_learner.services.broker import BrokerDefaults
    from active_learner.services.doors import Doors

ADDRESS = re.compile(r"tcp://[^:/]+:\d{1,5}")


@click.command("broker")
@click.argument("config_name", metavar="[CONFIG]", required=False)
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key, as broker.queue_messages=100."
)
@click.option("--address", metavar="ADDRESS", help="Bind here, as tcp://127.0.0.1:5570; port 0 chooses a free one.")
@click.option("--keys", "key_folder", metavar="FOLDER", help="Let in only those whose keys are in FOLDER.")
@metrics_options
@log_options
def command(
    config_name: str | None,
    sets: tuple[str, ...],
    address: str | None,
    key_folder: str | None,
    metrics: tuple[str, int] | None,
) -> int:
    """Relay messages between the peers of any number of experiments. Without CONFIG all is default."""
    settings = _settings(config_name, sets, address, key_folder)
    return asyncio.run(_run(settings, _doors(settings), metrics))


def _doors(settings: BrokerConfig | BrokerDefaults) -> Doors | None:
    """Raises: ConfigError when the broker must have keys and there are none."""
    from active_learner.security.folder import FOLDER
    from active_learner.services.doors import doors_of

    return doors_of(settings.address, settings.keys, Path(settings.key_folder or FOLDER).expanduser().absolute())


async def _run(settings: BrokerConfig | BrokerDefaults, doors: Doors | None, metrics: tuple[str, int] | None) -> int:
    from active_learner.services.broker import Broker, bound_broker
    from active_learner.services.shell import run
    from active_learner.transport import router_at

    bound_broker(settings)
    router = router_at(settings.address, settings.max_message_bytes, doors)
    return await run(Broker(settings, router, doors), metrics)


def _settings(
    config_name: str | None, sets: tuple[str, ...], address: str | None, key_folder: str | None = None
) -> BrokerConfig | BrokerDefaults:
    """The broker's section, with what the options say instead. Raises: ConfigError."""
    given: dict[str, Any] = {} if address is None else {"address": _checked(address)}
    if key_folder is not None:
        given |= {"keys": "on", "key_folder": key_folder}
    if config_name is None:
        if sets:
            raise click.UsageError("--set needs a CONFIG whose keys it overrides")
        from active_learner.services.broker import BrokerDefaults

        return replace(BrokerDefaults(), **given)
    from active_learner.config.loading import load

    return load(config_name, sets).broker.model_copy(update=given)


def _checked(address: str) -> str:
    """Unlike in a CONFIG, whose address peers connect to, the port may be 0 here."""
    from active_learner.errors import ConfigError

    if not ADDRESS.fullmatch(address):
        raise ConfigError([f"--address: {address!r} must be tcp://HOST:PORT, as tcp://127.0.0.1:5570"])
    return address
