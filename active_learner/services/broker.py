"""The broker's process: a router, the relay, and a timer for both. Decides nothing (core/membership.py, core/relay.py)."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets

from active_learner import __version__
from active_learner.config.schema import BrokerConfig
from active_learner.core.admission import Limits
from active_learner.core.membership import QUIET_S, Membership
from active_learner.core.relay import Relay
from active_learner.errors import ConfigError
from active_learner.services.shell import Service
from active_learner.transport.base import Frame, Router

FLUSH_S = 0.005
"""Between two attempts to empty the queues of slow members: ZeroMQ does not always tell that one reads again."""

SOFTWARE = f"active-learner {__version__}"
"""What PONG says of us."""

LOG = logging.getLogger(__name__)


class Broker(Service):
    """Relays between peers until it is stopped. `router` is bound by `start`."""

    def __init__(self, config: BrokerConfig, router: Router) -> None:
        super().__init__()
        self._address = config.address
        limits = Limits(
            max_message_bytes=config.max_message_bytes,
            queue_messages=config.queue_messages,
            queue_bytes=config.queue_bytes,
            max_sessions=config.max_sessions,
            max_rooms=config.max_rooms,
        )
        membership = Membership(limits, lambda: secrets.randbits(63), secrets.token_hex(8), SOFTWARE)
        self.relay = Relay(membership, router.send)
        self._router = router
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self) -> str:
        refuse_public(self._address)
        address = await self._router.open(self._received, self._turn)
        self._tick()
        return f"broker {address}"

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        await self._router.close()
        LOG.info("broker stopped: %s", told(self.relay.counters))

    def _received(self, connection: bytes, frames: list[Frame]) -> None:
        self.relay.received(connection, frames, self._loop.time())

    def _turn(self) -> None:
        """Queues are tried after every turn, and by a timer while there are any."""
        if self.relay.backlogs:
            self.relay.flush()
            if self.relay.backlogs and "flush" not in self._timers:
                self._timers["flush"] = self._loop.call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        del self._timers["flush"]
        self._turn()

    def _tick(self) -> None:
        self._timers["tick"] = self._loop.call_later(QUIET_S, self._tick)
        self.relay.tick(self._loop.time())
        self._turn()


def refuse_public(address: str) -> None:
    """Whoever reaches the port may say anything, so it must be this machine. Raises: ConfigError."""
    host = address.removeprefix("tcp://").rpartition(":")[0]
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if address.startswith("tcp://") and not loopback:
        raise ConfigError(
            [
                f"broker.address: {address} can be reached from other machines, and this version has no keys; "
                "allowed are 127.0.0.1 and localhost"
            ]
        )


def told(counters: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counters.items())) or "nothing happened"
