"""`ping`: is the broker there? Knows options and how to say it; the work is in services/pinging.py."""

from __future__ import annotations

import asyncio

import click


@click.command("ping")
@click.argument("config_name", metavar="[CONFIG]", required=False)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key, as broker.address=...")
@click.option("--address", metavar="ADDRESS", help="Ask this broker, as tcp://127.0.0.1:5570.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.01), default=2.0, show_default=True, help="Seconds."
)
@click.option("-v", "--verbose", is_flag=True, help="Also what the broker relayed, refused, shed and gave up.")
def command(
    config_name: str | None, sets: tuple[str, ...], address: str | None, timeout_s: float, verbose: bool
) -> None:
    """Ask the broker for a sign of life. Exit code 4 when there is none."""
    from active_learner.services.pinging import ping

    asked = address or _address(config_name, sets)
    pong, seconds = asyncio.run(ping(asked, timeout_s))
    click.echo(f"{pong.software} at {asked}: {pong.sessions} peers, answered in {seconds * 1000:.1f} ms")
    if verbose:
        for name, number in pong.counters:
            click.echo(f"{name}  {number}")


def _address(config_name: str | None, sets: tuple[str, ...]) -> str:
    """Where the broker of CONFIG is, or by default. Raises: ConfigError."""
    if config_name is not None:
        from active_learner.config.loading import address_of, load

        return address_of(load(config_name, sets))
    if sets:
        raise click.UsageError("--set needs a CONFIG whose keys it overrides")
    from active_learner.config.schema import BrokerConfig

    return BrokerConfig().address
