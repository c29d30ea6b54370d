"""The broker's side over ZeroMQ: one ROUTER on one port. Knows the socket and its options; not what the frames say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import partial

import zmq

from active_learner.core.relay import Sent
from active_learner.crash_points import reach
from active_learner.errors import AddressInUse, Unreachable
from active_learner.transport.base import Doorman, Frame, Frames, OnMessage, Router
from active_learner.transport.ports import holder_of
from active_learner.transport.zmq_curve import Zap, as_server, check_library, prove
from active_learner.transport.zmq_drain import NOBLOCK, SNDMORE, Drain, Socket, unchecked_send
from active_learner.transport.zmq_handshakes import Handshake, Handshakes
from protocol.codec import encode
from protocol.errors import RefusalCode
from protocol.limits import MAX_FRAMES, MAX_MESSAGE_BYTES, RAW_FRAME_BYTES
from protocol.messages import Refused

HEARTBEAT_MS = (250, 1000)
"""A stopped peer is found after at most 250 + 1000 ms, and announced by the next PROBE: within 2 s, on a loaded machine too."""

OUTBOX_MESSAGES = 1000
"""What ZeroMQ itself keeps for a connection: it tells that some went only once a millisecond, so enough for that long."""

LARGE_BYTES = RAW_FRAME_BYTES
"""Frames from this size on are followed until ZeroMQ has sent them, so that a connection's outbox is bounded in bytes."""

IN_FLIGHT_BYTES = 8 * 1024 * 1024
"""Large frames that ZeroMQ holds for one connection; beyond it the connection is full. One message always goes."""


OWN_ID = encode(
    Refused(
        RefusalCode.MALFORMED,
        "the socket has a routing id of its own (ZMQ_ROUTING_ID, ZMQ_IDENTITY); of two with the same, ZeroMQ hears only one: "
        "leave it unset",
    )
)
"""What such a peer is told to whatever it says."""


Message = tuple[bytes, list[Frame], str]
"""Connection, frames, key."""


class Flight:
    """The large frames that ZeroMQ still holds for one connection, oldest first."""

    __slots__ = ("frames", "size_bytes")

    def __init__(self) -> None:
        self.frames: deque[tuple[zmq.MessageTracker, int]] = deque()
        self.size_bytes = 0

    def add(self, tracker: zmq.MessageTracker, size_bytes: int) -> None:
        self.frames.append((tracker, size_bytes))
        self.size_bytes += size_bytes

    def land(self) -> None:
        """Forget those that are sent."""
        while self.frames and self.frames[0][0].done:
            self.size_bytes -= self.frames.popleft()[1]


class ZmqRouter(Router):
    """`address`: tcp://host:port, port 0 chooses a free one. With a `doorman` only keys that he admits get in."""

    def __init__(
        self, address: str, max_message_bytes: int = MAX_MESSAGE_BYTES, doorman: Doorman | None = None
    ) -> None:
        self._address, self._max_message_bytes, self._doorman = address, max_message_bytes, doorman
        self._drain: Drain[Message | None] | None = None
        self._zap: Zap | None = None
        self._handshakes: Handshakes | None = None
        self._flights: dict[bytes, Flight] = {}

    async def open(self, on_message: OnMessage, on_turn: Callable[[], None]) -> str:
        context: zmq.Context[Socket] = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.MAXMSGSIZE, self._max_message_bytes),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0]),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1]),
            (zmq.SNDHWM, OUTBOX_MESSAGES),
        ):
            socket.setsockopt(option, value)
        try:
            if self._doorman is not None:
                check_library()
                self._zap = Zap(context, self._doorman)
                as_server(socket, self._doorman.pair)
            self._bind(socket)
            endpoint = str(socket.getsockopt_string(zmq.LAST_ENDPOINT))
            if self._doorman is not None:
                await self._guard(context, socket, endpoint, self._doorman)
        except BaseException:
            self._end_guard()
            socket.close()
            context.term()
            raise
        self._put = unchecked_send(socket)
        take = receive if self._doorman is None else receive_with_key
        self._drain = Drain(context, socket, partial(take, refuse=self._refuse), partial(_deliver, on_message), on_turn)
        return endpoint

    def _refuse(self, connection: bytes) -> None:
        """It has a routing id of its own."""
        self.send(connection, OWN_ID)

    async def _guard(self, context: zmq.Context[Socket], socket: Socket, endpoint: str, doorman: Doorman) -> None:
        """Nobody is heard before this is over. Raises: Unguarded."""
        own = re.sub(r"//(0\.0\.0\.0|\[::\]):", "//127.0.0.1:", endpoint)
        await prove(context, own, doorman.pair.public)
        self._handshakes = Handshakes(socket, lambda how: _tell(doorman, how), successes=False)

    def _end_guard(self) -> None:
        for one in (self._handshakes, self._zap):
            if one is not None:
                one.close()
        self._handshakes = self._zap = None

    def _bind(self, socket: Socket) -> None:
        try:
            socket.bind(self._address)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise Unreachable(f"cannot bind to {self._address}: {error}") from None
            holder = holder_of(int(self._address.rpartition(":")[2]))
            by = "another process" if holder is None else holder
            raise AddressInUse(
                f"{self._address} is in use by {by}; stop it, or choose another broker.address (port 0: a free one)"
            ) from None

    def send(self, connection: bytes, frames: Frames) -> Sent:
        drain = self._drain
        if drain is None:
            return Sent.GONE
        reach("broker.before_send")
        large = sum(len(frame) for frame in frames if len(frame) >= LARGE_BYTES)
        if large and self._too_much(connection, large):
            return Sent.FULL
        put = self._put
        try:
            put(connection, NOBLOCK | SNDMORE)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError:  # EHOSTUNREACH, by ROUTER_MANDATORY
            self._flights.pop(connection, None)
            return Sent.GONE
        finally:
            drain.look_again()
        # once the connection is taken, ZeroMQ takes all frames
        for frame in frames[:-1]:
            self._put_frame(connection, frame, NOBLOCK | SNDMORE)
            reach("broker.between_frames")
        self._put_frame(connection, frames[-1], NOBLOCK)
        reach("broker.after_send")
        return Sent.TAKEN

    def _put_frame(self, connection: bytes, frame: Frame, flags: int) -> None:
        put = self._put
        if len(frame) < LARGE_BYTES:
            put(frame, flags)
        else:  # one zmq.Frame for each connection: a stopped one must not count against the others
            tracker = put(zmq.Frame(frame, track=True, copy=False), flags, False, True)
            self._flights.setdefault(connection, Flight()).add(tracker, len(frame))

    def _too_much(self, connection: bytes, large: int) -> bool:
        """True when ZeroMQ holds so much for the connection that `large` bytes more must wait."""
        flight = self._flights.get(connection)
        if flight is None:
            return False
        flight.land()
        if not flight.frames:
            del self._flights[connection]
            return False
        return flight.size_bytes + large > IN_FLIGHT_BYTES

    async def close(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None:
            self._end_guard()
            await drain.close()


def _tell(doorman: Doorman, how: Handshake) -> None:
    if how is not Handshake.NOT_ALLOWED:  # he has refused that one himself
        doorman.failed(how)


def _deliver(on_message: OnMessage, message: Message | None) -> None:
    if message is not None:
        on_message(*message)


def receive(socket: Socket, refuse: Callable[[bytes], None]) -> Message | None:
    """The connection, the frames of the next message, and no key; of too many frames, one more than allowed is kept.

    The first frame is copied, it will be read and is small. The others stay in ZeroMQ's own memory. `refuse` is told of a
    connection that has named itself; None instead of its message. Raises: zmq.Again when there is none.
    """
    connection = socket.recv(NOBLOCK)
    frame = socket.recv(NOBLOCK, copy=False)
    frames: list[Frame] = [frame.bytes]
    if frame.more:
        _rest(socket, frames)
    if connection[0]:  # those that ZeroMQ makes begin with a zero byte
        refuse(connection)
        return None
    return connection, frames, ""


def receive_with_key(socket: Socket, refuse: Callable[[bytes], None]) -> Message | None:
    """As `receive`, with the key that the handshake has proven: ZeroMQ keeps it with each frame of the connection."""
    connection = socket.recv(NOBLOCK)
    frame = socket.recv(NOBLOCK, copy=False)
    frames: list[Frame] = [frame.bytes]
    if frame.more:
        _rest(socket, frames)
    if connection[0]:
        refuse(connection)
        return None
    return connection, frames, str(frame.get("User-Id"))


def _rest(socket: Socket, frames: list[Frame]) -> None:
    more = True
    while more:
        frame = socket.recv(NOBLOCK, copy=False)
        more = frame.more
        if len(frames) <= MAX_FRAMES:
            frames.append(frame.buffer)
