"""`ping`: is the broker there? Knows options and how to say it; the work is in services/pinging.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import Number

if TYPE_CHECKING:
    from active_learner.core.keys import Keys


@click.command("ping")
@click.argument("config_name", metavar="[CONFIG]", required=False)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key, as broker.address=...")
@click.option("--address", metavar="ADDRESS", help="Ask this broker, as tcp://127.0.0.1:5570.")
@click.option("--key", "key_file", metavar="FILE", help="The key to come in with, when the broker has keys.")
@click.option("--timeout", "timeout_s", type=Number(min=0.01), default=2.0, show_default=True, help="Seconds.")
@click.option("-v", "--verbose", is_flag=True, help="Also what the broker relayed, refused, shed and gave up.")
def command(
    config_name: str | None,
    sets: tuple[str, ...],
    address: str | None,
    key_file: str | None,
    timeout_s: float,
    verbose: bool,
) -> None:
    """Ask the broker for a sign of life. Exit code 4 when there is none."""
    from active_learner.services.pinging import ping

    asked, keys = _broker(config_name, sets)
    if key_file is not None:
        from active_learner.security.key_files import read_keys

        keys = read_keys(Path(key_file))
    asked = address or asked
    pong, seconds = asyncio.run(ping(asked, timeout_s, keys))
    click.echo(f"{pong.software} at {asked}: {pong.sessions} peers, answered in {seconds * 1000:.1f} ms")
    if verbose:
        for name, number in pong.counters:
            click.echo(f"{name}  {number}")


def _broker(config_name: str | None, sets: tuple[str, ...]) -> tuple[str, Keys | None]:
    """Where the broker of CONFIG is, or by default, and the key for it. Raises: ConfigError."""
    if config_name is not None:
        from active_learner.config.loading import address_of, keys_of, load

        config = load(config_name, sets)
        return address_of(config), keys_of(config, "monitor")
    if sets:
        raise click.UsageError("--set needs a CONFIG whose keys it overrides")
    from active_learner.config.schema import BrokerConfig

    return BrokerConfig().address, None
