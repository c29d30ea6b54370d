"""The simulated network: connections between links and one router, and what a fault does to what is under way. Knows kinds and
connections; not what messages mean.

A connection keeps the order of its messages, as TCP does, but for those that a fault picks: they are lost, doubled, late or
overtaken. PRESENCE and JOINED are never picked: they have no repeat, and a transport loses them only with the connection.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from active_learner.core.admission import FIRST_ROOM_KIND
from active_learner.core.relay import Sent
from active_learner.simulator.clock import ProcessLoop, VirtualTime
from active_learner.transport.base import Frame, Frames, Link, OnFrames, OnMessage, Router
from protocol.envelope import Envelope, peek
from protocol.messages import (
    Control,
    Join,
    Joined,
    Lease,
    Leased,
    LogLine,
    Ping,
    Pong,
    Presence,
    Probe,
    Question,
    SourceEnded,
    StatusReport,
)

ORDERED = frozenset((Presence.KIND, Joined.KIND))
IDLE_TALK = frozenset(
    kind.KIND
    for kind in (
        *(Ping, Pong, Probe, Join, Joined, LogLine, StatusReport, Control, Question, SourceEnded),
        *(Lease, Leased),
    )
)
"""What is said also when nothing happens: rooms are looked at again every 0.5 s, an open question is said every 5 s,
and a lease of it is asked for again."""

TRIP_S = (0.0002, 0.002)
RECONNECT_S = (0.05, 0.5)
"""As transport/zmq_link.py."""
HEARTBEAT_S = 1.5
"""After so long without a sign of the other side a transport gives its connection up."""
OUTBOX = 64
"""Messages that a connection whose end does not read takes before it is full."""
REORDER_S = 0.05
KEPT = 60


@dataclass(slots=True)
class Weather:
    """Chances of what happens to a message."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    delay_s: float = 5.0
    echo: float = 0.1
    """Of those that are doubled, how many come the second time as late as a delayed one."""


@dataclass(slots=True, eq=False)
class Connection:
    """`held`: nothing arrives, neither here nor there, until it is let go."""

    name: bytes
    link: SimulatedLink
    router: SimulatedRouter
    is_open: bool = True
    held: bool = False
    slow_s: float = 0.0
    """So much longer takes what the link says."""
    queue: deque[tuple[bool, list[Frame], Envelope]] = field(default_factory=deque)
    under_way: list[int] = field(default_factory=lambda: [0, 0])
    """Messages to the link and to the router that have not arrived."""
    last_at: list[float] = field(default_factory=lambda: [0.0, 0.0])


class Network:
    """One router's place, and the links that want to reach it."""

    def __init__(self, time: VirtualTime, random: Random, nature: ProcessLoop) -> None:
        """`nature`: the loop for what no process does."""
        self.time, self.random, self._nature = time, random, nature
        self.weather = Weather()
        self.counts: Counter[str] = Counter()
        self.heard: Callable[[str, Frames, Envelope], None] = lambda name, frames, envelope: None
        """Told of every message that arrives, and at whom."""
        self.router: SimulatedRouter | None = None
        self._links: dict[str, SimulatedLink] = {}
        self._names = count(1)

    # --- who is there

    def bind(self, router: SimulatedRouter) -> None:
        self.router = router
        for link in self._links.values():
            self._connect_soon(link)

    def unbind(self, router: SimulatedRouter) -> None:
        if self.router is router:
            self.router = None
            for connection in list(router.connections.values()):
                self.close(connection)

    def attach(self, link: SimulatedLink) -> None:
        self._links[link.loop.name] = link
        self._connect_soon(link)

    def detach(self, link: SimulatedLink) -> None:
        if self._links.get(link.loop.name) is link:
            del self._links[link.loop.name]
        if link.connection is not None:
            self.close(link.connection)

    def _connect_soon(self, link: SimulatedLink) -> None:
        self._nature.after(self.random.uniform(*RECONNECT_S), lambda: self._connect(link))

    def _connect(self, link: SimulatedLink) -> None:
        router = self.router
        if router is None or link.connection is not None or self._links.get(link.loop.name) is not link:
            return
        if link.cut_until > self.time.now:
            self._nature.after(link.cut_until - self.time.now, lambda: self._connect(link))
            return
        link.connection = Connection(b"%d" % next(self._names), link, router)
        router.connections[link.connection.name] = link.connection
        link.loop.wake()
        link.loop.after(0.0, link.live)

    # --- what faults do

    def link_of(self, name: str) -> SimulatedLink | None:
        return self._links.get(name)

    def close(self, connection: Connection) -> None:
        """Both ends lose it, with all that is under way. The link tries again."""
        if not connection.is_open:
            return
        connection.is_open = False
        connection.queue.clear()
        connection.router.connections.pop(connection.name, None)
        connection.link.connection = None
        self._connect_soon(connection.link)

    def hold(self, name: str) -> Connection | None:
        """Nothing gets through any more, and nobody is told."""
        link = self._links.get(name)
        if link is None or link.connection is None:
            return None
        link.connection.held = True
        return link.connection

    def let_go(self, connection: Connection) -> None:
        """What was held arrives, in its order."""
        connection.held = False
        queue, connection.queue = connection.queue, deque()
        for up, frames, envelope in queue:
            self._arrive_in(TRIP_S[0], connection, up, frames, envelope)
        if connection.is_open:
            connection.router.loop.after(TRIP_S[1], connection.router.turn)

    # --- messages

    def carry(self, connection: Connection, up: bool, frames: Frames) -> None:
        """`up`: from the link to the router."""
        envelope = peek(frames[0])
        kind = envelope.kind
        receiver = connection.router.loop if up else connection.link.loop
        if kind not in IDLE_TALK:
            connection.link.loop.wake()
            receiver.wake()
        copies: list[Frame] = [bytes(frame) for frame in frames]
        delay = self.random.uniform(*TRIP_S) + (connection.slow_s if up else 0.0)
        if kind not in ORDERED and (fates := self._fates(kind)) is not None:
            for extra in fates:
                self._arrive_in(delay + extra, connection, up, copies, envelope)
            return
        at = max(self.time.now + delay, connection.last_at[up])
        connection.last_at[up] = at
        self._arrive_in(at - self.time.now, connection, up, copies, envelope)

    def _fates(self, kind: int) -> list[float] | None:
        """When the copies come, counted from when they should; None: as they should."""
        weather, of_rooms = self.weather, kind >= FIRST_ROOM_KIND
        chances = (weather.drop, weather.duplicate, weather.reorder, weather.delay if of_rooms else 0.0)
        chance = sum(chances)
        if not chance or self.random.random() >= chance:
            return None
        name = self.random.choices(("drop", "duplicate", "reorder", "delay"), chances)[0]
        self.counts[name] += 1
        if name == "drop":
            return []
        if name == "duplicate":
            is_echo = of_rooms and self.random.random() < weather.echo
            return [0.0, self.random.uniform(0.0, weather.delay_s if is_echo else REORDER_S)]
        return [self.random.uniform(0.0, REORDER_S if name == "reorder" else weather.delay_s)]

    def _arrive_in(
        self, delay: float, connection: Connection, up: bool, frames: list[Frame], envelope: Envelope
    ) -> None:
        receiver = connection.router.loop if up else connection.link.loop
        connection.under_way[up] += 1
        receiver.after(delay, lambda: self._arrive(connection, up, frames, envelope))

    def _arrive(self, connection: Connection, up: bool, frames: list[Frame], envelope: Envelope) -> None:
        connection.under_way[up] -= 1
        if not connection.is_open:
            self.counts["lost with the connection"] += 1
        elif connection.held:
            connection.queue.append((up, frames, envelope))
        elif up:
            self.heard(connection.router.loop.name, frames, envelope)
            connection.router.take(connection.name, frames)
        else:
            self.heard(connection.link.loop.name, frames, envelope)
            connection.link.take(frames)

    def is_full(self, connection: Connection, up: bool) -> bool:
        held = sum(way is up for way, _, _ in connection.queue) if connection.held else 0
        return connection.under_way[up] + held >= OUTBOX


class SimulatedLink(Link):
    """A peer's end. Made in the loop of its process."""

    def __init__(self, network: Network, loop: ProcessLoop) -> None:
        self._network, self.loop = network, loop
        self.connection: Connection | None = None
        self.cut_until = 0.0
        self._on_frames: OnFrames | None = None
        self._unanswered = 0

    async def open(self, on_frames: OnFrames) -> None:
        self._on_frames = on_frames
        self._network.attach(self)

    def send(self, frames: Frames) -> bool:
        if self.connection is None or self._on_frames is None or self._network.is_full(self.connection, True):
            return False
        self._unanswered += 1
        if self._unanswered > 1:
            self.loop.alert = True
        self._network.carry(self.connection, True, frames)
        return True

    def live(self) -> None:
        """Nobody is told after `close`: the real link then hears no more of its socket."""
        if self._on_frames is not None and self.on_live is not None:
            self.on_live()

    def take(self, frames: Sequence[Frame]) -> None:
        self._unanswered, self.loop.alert = 0, False
        if self._on_frames is not None:
            self._on_frames([memoryview(frame) for frame in frames])

    async def close(self) -> None:
        """What was said just before is still carried."""
        self._on_frames = None
        self.loop.after(TRIP_S[1], lambda: self._network.detach(self))


class SimulatedRouter(Router):
    """The broker's end."""

    def __init__(self, network: Network, loop: ProcessLoop) -> None:
        self._network, self.loop = network, loop
        self.connections: dict[bytes, Connection] = {}
        self._on_message: OnMessage | None = None
        self.turn: Callable[[], None] = lambda: None

    async def open(self, on_message: OnMessage, on_turn: Callable[[], None]) -> str:
        self._on_message, self.turn = on_message, on_turn
        self._network.bind(self)
        return "simulated://broker"

    def send(self, connection: bytes, frames: Frames) -> Sent:
        found = self.connections.get(connection)
        if found is None:
            return Sent.GONE
        if self._network.is_full(found, False):
            return Sent.FULL
        self._network.carry(found, False, frames)
        return Sent.TAKEN

    def take(self, connection: bytes, frames: Any) -> None:
        if self._on_message is not None:
            self._on_message(connection, frames, "")
            self.turn()

    async def close(self) -> None:
        self._on_message = None
        self._network.unbind(self)
