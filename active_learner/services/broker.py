"""The broker's process: a router, the relay, and a timer for both. Decides nothing (core/membership.py, core/relay.py)."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from active_learner import __version__
from active_learner.bounds import bound_memory
from active_learner.core.admission import Limits
from active_learner.core.measures import Reading, counted, gauge
from active_learner.core.membership import QUIET_S, Membership
from active_learner.core.relay import NAMES, TOTAL_FACTOR, Relay
from active_learner.crash_points import reach
from active_learner.errors import ConfigError
from active_learner.security.reach import is_public
from active_learner.services.doors import Doors
from active_learner.services.shell import Service
from active_learner.transport.base import Frame, Router
from protocol.messages import Hello

if TYPE_CHECKING:
    from active_learner.config.schema import BrokerConfig

FLUSH_S = 0.005
"""Between two attempts to empty the queues of slow members: ZeroMQ does not always tell that one reads again."""

SOFTWARE = f"active-learner {__version__}"
"""What PONG says of us."""

NOTES, NOTES_S = 10, 10.0
"""Lines about evicted and cut-off peers in that time: who is evicted again and again must not fill the log."""

MEMORY_BYTES = 768 * 1024 * 1024
"""Beside the queues: a dozen messages of 64 MiB that are coming in or going out. Why there is a bound at all: ZeroMQ collects
a message of many parts before we see it, and bounds their number by nothing."""

HELLO = bytes([Hello.KIND])

LOSSES = (
    "lost",
    "undelivered",
    "evicted",
    "cut_off",
    "flooded",
    "ignored",
    *(f"shed.{name}" for name in NAMES.values()),
)
REFUSES = (
    "malformed",
    "limit",
    "version",
    "bad_room",
    "not_member",
    "forbidden",
    "flood",
    "name_taken",
    "role_taken",
    "key",
)
"""Of a REFUSED, its code; and who has no right key gets no word at all."""
COUNTERS = ("relayed", "unknown", *LOSSES, *(f"refused.{reason}" for reason in REFUSES))

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerDefaults(Limits):
    """What `broker` in a configuration says by default. A broker without CONFIG does not load the schema, which takes longer
    than all else that it needs."""

    address: str = "tcp://127.0.0.1:5570"
    memory_bytes: int | None = MEMORY_BYTES
    keys: str = "auto"
    key_folder: str | None = None


class Broker(Service):
    """Relays between peers until it is stopped. `router` is bound by `start`. `doors`: of the router; None: without keys."""

    def __init__(self, config: BrokerConfig | BrokerDefaults, router: Router, doors: Doors | None = None) -> None:
        super().__init__()
        self._address = config.address
        limits = Limits(
            max_message_bytes=config.max_message_bytes,
            queue_messages=config.queue_messages,
            queue_bytes=config.queue_bytes,
            max_sessions=config.max_sessions,
            max_rooms=config.max_rooms,
            rate_messages=config.rate_messages,
            rate_bytes=config.rate_bytes,
        )
        grants = None if doors is None else doors.grants()
        membership = Membership(limits, lambda: secrets.randbits(63), secrets.token_hex(8), SOFTWARE, grants)
        self.relay = Relay(membership, router.send)
        self._router = router
        self._loop = asyncio.get_running_loop()
        membership.note = Notes(self._loop).say
        self._doors = doors
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self) -> str:
        if self._doors is None:
            refuse_public(self._address)
        address = await self._router.open(self._received, self._turn)
        reach("broker.bound")
        if self._doors is not None:
            self._doors.tell(self.relay.membership.counters, self.relay.membership.note)
            self._loop.add_signal_handler(signal.SIGHUP, self._look_at_keys, True)
        self._tick()
        return f"broker {address}"

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self.relay.close()
        await self._router.close()
        if not self._timers:  # it never came up; why, is said by whoever started it
            return
        LOG.info("broker stopped: %s", told(self.relay.counters))

    def readings(self) -> Iterator[Reading]:
        membership = self.relay.membership
        sessions = membership.sessions.values()
        yield from counted(self.relay.counters, *COUNTERS)
        yield from gauge("peers", len(sessions))
        yield from gauge("rooms", len({room for session in sessions for room in session.rooms}))
        messages, size_bytes = self.relay.waiting
        yield from gauge("queue_messages", messages, "members")
        yield from gauge("queue_bytes", size_bytes)
        for connection, backlog in self.relay.backlogs.items():
            yield from gauge("backlog_messages", len(backlog.messages), membership.who(connection))
            yield from gauge("backlog_bytes", backlog.size_bytes, membership.who(connection))
        for session in sessions:
            yield from gauge("member_shed", session.shed or None, membership.who(session.connection))

    def _received(self, connection: bytes, frames: list[Frame], key: str) -> None:
        reach("broker.message_taken")
        self.relay.received(connection, frames, self._loop.time(), key)
        reach("broker.message_relayed")
        if frames[0][3:4] == HELLO:
            reach("broker.hello_answered")

    def _turn(self) -> None:
        """Queues are tried after every turn, and by a timer while there are any."""
        if self.relay.backlogs:
            self.relay.flush()
            if self.relay.backlogs and "flush" not in self._timers:
                self._timers["flush"] = self._loop.call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        del self._timers["flush"]
        self._turn()

    def _look_at_keys(self, surely: bool = False) -> None:
        """Who was revoked is put out, who is new is let in."""
        if self._doors is not None and self._doors.look(surely):
            self.relay.grant(self._doors.grants())

    def _tick(self) -> None:
        self._timers["tick"] = self._loop.call_later(QUIET_S, self._tick)
        reach("broker.before_tick")
        self._look_at_keys()
        self.relay.tick(self._loop.time())
        self._turn()


class Notes:
    """Warnings as they happen, at most `NOTES` in `NOTES_S`; how many were left out is said with the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began = -NOTES_S
        self._said = self._left_out = 0

    def say(self, text: str) -> None:
        at = self._loop.time()
        if at - self._began >= NOTES_S:
            self._began, self._said = at, 0
        if self._said >= NOTES:
            self._left_out += 1
            return
        more = f" (and {self._left_out} more before)" if self._left_out else ""
        self._said, self._left_out = self._said + 1, 0
        LOG.warning("%s%s", text, more)


def bound_broker(config: BrokerConfig | BrokerDefaults) -> None:
    """Its memory (bounds.py), for what comes in and its queues; call it in the process's event loop.

    Large parts over the bound cost their sender the connection (ZeroMQ); for small ones ZeroMQ aborts, and where Python
    is the one that gets none, the process ends with 1.
    """
    beside = config.memory_bytes
    bound_memory("broker.memory_bytes", None if beside is None else beside + TOTAL_FACTOR * config.queue_bytes)


def refuse_public(address: str) -> None:
    """Whoever reaches the port may say anything, so it must be this machine. Raises: ConfigError."""
    if is_public(address):
        raise ConfigError([f"broker.address: {address} can be reached from other machines, so it needs keys"])


def told(counters: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counters.items())) or "nothing happened"
