"""The broker's side over ZeroMQ: one ROUTER on one port. Knows sockets and their wake-ups; not what the frames say.

As in zmq_link.py, the descriptor is edge-triggered: whoever touches the socket looks for messages again afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import zmq

from active_learner.core.relay import Sent
from active_learner.errors import AddressInUse, Unreachable
from active_learner.transport.base import Frame, Frames, OnMessage, Router
from active_learner.transport.ports import holder_of
from protocol.limits import MAX_FRAMES, MAX_MESSAGE_BYTES

HEARTBEAT_MS = (250, 1250)
"""A stopped peer is found after at most 250 + 1250 ms, and announced by the next PROBE: within 2 s in all."""

OUTBOX_MESSAGES = 32
"""What ZeroMQ itself keeps for a connection is not bounded in bytes, so few: the rest waits in core/relay.py's queues."""

TURN_MESSAGES = 500
"""Messages taken in one turn of the event loop, so that signals and timers have theirs."""


class ZmqRouter(Router):
    """`address`: tcp://host:port, port 0 chooses a free one."""

    def __init__(self, address: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._address, self._max_message_bytes = address, max_message_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._scheduled = False

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
        try:
            socket.send(connection, zmq.NOBLOCK | zmq.SNDMORE)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError:  # EHOSTUNREACH, by ROUTER_MANDATORY
            return Sent.GONE
        else:
            self._send_parts(socket, frames)
            return Sent.TAKEN
        finally:
            self._look_again()

    @staticmethod
    def _send_parts(socket: zmq.Socket[bytes], frames: Frames) -> None:
        """Once the connection is taken, ZeroMQ takes the parts too. Raw frames are still ZeroMQ's own memory: not copied."""
        if len(frames) == 1:
            socket.send(frames[0], zmq.NOBLOCK)
            return
        socket.send(frames[0], zmq.NOBLOCK | zmq.SNDMORE)
        for frame in frames[1:-1]:
            socket.send(frame, zmq.NOBLOCK | zmq.SNDMORE, copy=False)
        socket.send(frames[-1], zmq.NOBLOCK, copy=False)

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
                if socket is None or not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                    ended = True
                    break
                self._on_message(socket.recv(zmq.NOBLOCK), _receive(socket))
            self._on_turn()
        finally:
            self._scheduled = False
            if not ended:
                self._look_again()


def _receive(socket: zmq.Socket[bytes]) -> list[Frame]:
    """The frames of the message whose connection was just read; at most one more than is allowed is kept."""
    frames: list[Any] = []  # a zmq.Frame is a buffer with a length: all that the relay asks of a frame
    while socket.getsockopt(zmq.RCVMORE):
        frame = socket.recv(zmq.NOBLOCK, copy=not frames)
        if len(frames) <= MAX_FRAMES:
            frames.append(frame)
    return frames
