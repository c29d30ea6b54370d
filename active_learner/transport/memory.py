"""Broker and links without sockets, in one event loop. Knows the same promises as the real ones; nothing of ZeroMQ.

`MemoryBroker` runs the real membership and relay. What it cannot do is lose a message; it can be stopped and restarted,
and a link can be paused, which is a peer that does not read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from itertools import count

from active_learner.core.admission import Limits
from active_learner.core.keys import Keys
from active_learner.core.membership import QUIET_S, Membership
from active_learner.core.relay import Relay, Sent
from active_learner.errors import AddressInUse
from active_learner.transport.base import Doorman, Frame, Frames, Link, OnFrames, OnMessage, Router
from protocol.limits import MAX_MESSAGE_BYTES

OUTBOX_MESSAGES = 32
"""As transport/zmq_router.py: what a paused link takes before it is full."""

_bound: dict[str, MemoryRouter] = {}
_numbers = count(1)


class MemoryRouter(Router):
    """`address`: memory://NAME; an empty name chooses a free one. A key is believed without proof: all are of one process."""

    def __init__(
        self,
        address: str = "memory://",
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        doorman: Doorman | None = None,
    ) -> None:
        name = address.removeprefix("memory://") or f"broker-{next(_numbers)}"
        self.address = f"memory://{name}"
        self._max_message_bytes, self._doorman = max_message_bytes, doorman
        self._links: dict[bytes, MemoryLink] = {}
        self._connections = count(1)

    async def open(self, on_message: OnMessage, on_turn: Callable[[], None]) -> str:
        if self.address in _bound:
            raise AddressInUse(f"{self.address} is in use by another broker of this process")
        self._on_message, self._on_turn = on_message, on_turn
        _bound[self.address] = self
        return self.address

    def connect(self, link: MemoryLink) -> bytes:
        """A new connection."""
        connection = b"%d" % next(self._connections)
        self._links[connection] = link
        return connection

    def disconnect(self, connection: bytes) -> None:
        self._links.pop(connection, None)

    def take(self, connection: bytes, frames: list[Frame]) -> None:
        """A message from a link. One that is too large costs its connection, as with ZeroMQ's MAXMSGSIZE."""
        if any(len(frame) > self._max_message_bytes for frame in frames):
            self.disconnect(connection)
        elif connection in self._links and self._admits(self._links[connection]):
            self._on_message(connection, frames, self._links[connection].key)
            self._on_turn()

    def _admits(self, link: MemoryLink) -> bool:
        if self._doorman is None or self._doorman.admits(link.key, "memory"):
            return True
        link.trouble = "the broker does not allow our key" if link.key else "the broker wants a key"
        return False

    def send(self, connection: bytes, frames: Frames) -> Sent:
        link = self._links.get(connection)
        if link is None:
            return Sent.GONE
        return Sent.TAKEN if link.deliver(list(frames)) else Sent.FULL

    def turn(self) -> None:
        """A link takes messages again."""
        self._on_turn()

    def is_connected(self, connection: bytes) -> bool:
        return connection in self._links

    async def close(self) -> None:
        if _bound.get(self.address) is self:
            del _bound[self.address]
        self._links.clear()


class MemoryLink(Link):
    """`address`: memory://NAME of a broker in this process, which need not be there yet."""

    def __init__(self, address: str, keys: Keys | None = None, renewed: object = None) -> None:
        self._address = address
        self.key = keys.pair.public if keys is not None else ""
        self._inbox: deque[list[Frame]] = deque()
        self._on_frames: OnFrames | None = None
        self._router: MemoryRouter | None = None
        self._connection = b""
        self._paused = False

    async def open(self, on_frames: OnFrames) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_frames = on_frames

    def send(self, frames: Frames) -> bool:
        router = self._connected()
        if router is None:
            return False
        copies: list[Frame] = [bytes(frame) for frame in frames]
        self._loop.call_soon(router.take, self._connection, copies)
        return True

    def _connected(self) -> MemoryRouter | None:
        """The router that is bound now, connected to when that has not been done yet."""
        router = _bound.get(self._address)
        if router is None or self._on_frames is None:
            return None
        if self._router is not router or not router.is_connected(self._connection):
            self._router, self._connection = router, router.connect(self)
            if self.on_live is not None:
                self._loop.call_soon(self.on_live)
        return router

    def deliver(self, frames: list[Frame]) -> bool:
        """From the router. False: full."""
        if self._paused and len(self._inbox) >= OUTBOX_MESSAGES:
            return False
        self._inbox.append(frames)
        if not self._paused:
            self._loop.call_soon(self._hand_over)
        return True

    def _hand_over(self) -> None:
        if self._inbox and not self._paused and self._on_frames is not None:
            self._on_frames([memoryview(frame) for frame in self._inbox.popleft()])

    def pause(self) -> None:
        """Read nothing more, as a stopped process."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        for _ in self._inbox:
            self._loop.call_soon(self._hand_over)
        if self._router is not None:
            self._loop.call_soon(self._router.turn)

    async def close(self) -> None:
        if self._router is not None:
            # behind what was said just before
            self._loop.call_soon(self._router.disconnect, self._connection)
            self._router = None
            await asyncio.sleep(0)
        self._on_frames = None


class MemoryBroker:
    """A whole broker: `async with MemoryBroker() as broker: link = broker.link()`, or Peer(address=broker.address)."""

    def __init__(self, limits: Limits | None = None, address: str = "memory://") -> None:
        self.limits = limits or Limits()
        self._router = MemoryRouter(address, self.limits.max_message_bytes)
        self.address = self._router.address
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counters(self) -> dict[str, int]:
        return self.relay.counters

    async def start(self) -> None:
        """Begin without sessions; also after `stop`."""
        self._loop = asyncio.get_running_loop()
        membership = Membership(self.limits, lambda: secrets.randbits(63), secrets.token_hex(8), "memory")
        self.relay = Relay(membership, self._router.send)
        await self._router.open(self._received, self.relay.flush)
        self._tick()

    async def stop(self) -> None:
        """All connections are lost; links connect to the next broker of the same address."""
        if self._timer is not None:
            self._timer.cancel()
        await self._router.close()

    def link(self) -> MemoryLink:
        return MemoryLink(self.address)

    def _received(self, connection: bytes, frames: list[Frame], key: str) -> None:
        self.relay.received(connection, frames, self._loop.time(), key)

    def _tick(self) -> None:
        self.relay.tick(self._loop.time())
        self._timer = self._loop.call_later(QUIET_S, self._tick)

    async def __aenter__(self) -> MemoryBroker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
