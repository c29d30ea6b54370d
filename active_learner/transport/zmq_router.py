"""The broker's side over ZeroMQ: one ROUTER on one port. Knows sockets and their wake-ups; not what the frames say.

As in zmq_link.py, the descriptor is edge-triggered: whoever touches the socket looks for messages again afterwards.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from active_learner.core.relay import Sent
from active_learner.errors import AddressInUse, Unreachable
from active_learner.transport.base import Frame, Frames, OnMessage, Router
from active_learner.transport.ports import holder_of
from protocol.limits import MAX_FRAMES, MAX_MESSAGE_BYTES, RAW_FRAME_BYTES

HEARTBEAT_MS = (250, 1000)
"""A stopped peer is found after at most 250 + 1000 ms, and announced by the next PROBE: within 2 s, on a loaded machine too."""

OUTBOX_MESSAGES = 1000
"""What ZeroMQ itself keeps for a connection: it tells that some went only once a millisecond, so enough for that long."""

LARGE_BYTES = RAW_FRAME_BYTES
"""Frames from this size on are followed until ZeroMQ has sent them, so that a connection's outbox is bounded in bytes."""

IN_FLIGHT_BYTES = 8 * 1024 * 1024
"""Large frames that ZeroMQ holds for one connection; beyond it the connection is full. One message always goes."""

TURN_MESSAGES = 500
"""Messages taken in one turn of the event loop, so that signals and timers have theirs."""

NOBLOCK, SNDMORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)
"""As plain integers: arithmetic on pyzmq's enums costs more than a receive."""


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
    """`address`: tcp://host:port, port 0 chooses a free one."""

    def __init__(self, address: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._address, self._max_message_bytes = address, max_message_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._scheduled = False
        self._flights: dict[bytes, Flight] = {}

    async def open(self, on_message: OnMessage, on_turn: Callable[[], None]) -> str:
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_turn = on_message, on_turn
        self._context = zmq.Context()
        socket = self._context.socket(zmq.ROUTER)
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
            self._bind(socket)
        except BaseException:
            socket.close()
            self._context.term()
            raise
        self._socket = socket
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._drain)
        self._look_again()
        return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def _bind(self, socket: zmq.Socket[bytes]) -> None:
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
        socket = self._socket
        if socket is None:
            return Sent.GONE
        large = sum(len(frame) for frame in frames if len(frame) >= LARGE_BYTES)
        if large and self._too_much(connection, large):
            return Sent.FULL
        # pyzmq's own send adds as much time as ZeroMQ takes, for options that are not used here
        put = super(zmq.Socket, socket).send
        try:
            put(connection, NOBLOCK | SNDMORE)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError:  # EHOSTUNREACH, by ROUTER_MANDATORY
            self._flights.pop(connection, None)
            return Sent.GONE
        finally:
            self._look_again()
        # once the connection is taken, ZeroMQ takes all frames
        for frame in frames[:-1]:
            self._put(put, connection, frame, NOBLOCK | SNDMORE)
        self._put(put, connection, frames[-1], NOBLOCK)
        return Sent.TAKEN

    def _put(self, put: Callable[..., Any], connection: bytes, frame: Frame, flags: int) -> None:
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
        socket, context = self._socket, self._context
        if socket is None or context is None:
            return
        self._socket = None
        self._loop.remove_reader(self._descriptor)
        socket.close()
        await self._loop.run_in_executor(None, context.term)

    def _look_again(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Hand over what has come, at most `TURN_MESSAGES`."""
        self._scheduled = True  # sends from within need no call of their own
        ended = False
        try:
            for _ in range(TURN_MESSAGES):
                socket = self._socket
                if socket is None:
                    ended = True
                    break
                try:
                    connection = socket.recv(NOBLOCK)
                except zmq.Again:
                    ended = True
                    break
                self._on_message(connection, receive(socket))
            self._on_turn()
        finally:
            self._scheduled = False
            if not ended:
                self._look_again()


def receive(socket: zmq.Socket[bytes]) -> list[Frame]:
    """The frames behind the connection that was just read; of too many, one more than allowed is kept.

    The first is copied, it will be read and is small. The others stay in ZeroMQ's own memory.
    """
    frame = socket.recv(NOBLOCK, copy=False)
    frames: list[Frame] = [frame.bytes]
    while frame.more:
        frame = socket.recv(NOBLOCK, copy=False)
        if len(frames) <= MAX_FRAMES:
            frames.append(frame.buffer)
    return frames
