"""How a socket is emptied in an event loop. Knows the socket's descriptor and its wake-ups; not what the messages are.

The descriptor is edge-triggered, and every call on the socket may swallow a wake-up: whoever touches the socket looks for
messages again afterwards, in the same turn or by `call_soon`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import zmq

TURN_MESSAGES = 500
"""Messages taken in one turn of the event loop, so that signals and timers have theirs."""

NOBLOCK, SNDMORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)
"""As plain integers: arithmetic on pyzmq's enums costs more than a receive."""

Socket = zmq.Socket[bytes]

T = TypeVar("T")


class Drain(Generic[T]):
    """Calls `deliver(receive(socket))` for every message, in order, in the thread of the running loop.

    `receive` raises zmq.Again when there is none. `on_turn` is called when a turn of messages is over.
    `close` ends socket and context.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        socket: Socket,
        receive: Callable[[Socket], T],
        deliver: Callable[[T], None],
        on_turn: Callable[[], None] | None = None,
    ) -> None:
        self._context, self._socket, self._closed = context, socket, False
        self._receive, self._deliver, self._on_turn = receive, deliver, on_turn
        self._scheduled = False
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._run)
        self.look_again()

    def look_again(self) -> None:
        """After every call on the socket from outside."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    async def close(self) -> None:
        """Returns when the context has ended: what lingers is sent, or given up."""
        self._closed = True
        self._loop.remove_reader(self._descriptor)
        self._socket.close()
        await self._loop.run_in_executor(None, self._context.term)

    def _run(self) -> None:
        """Hand over what has come, at most `TURN_MESSAGES`."""
        self._scheduled = True  # sends from within need no call of their own
        socket, receive, deliver = self._socket, self._receive, self._deliver
        ended = False
        try:
            for _ in range(TURN_MESSAGES):
                if self._closed:
                    ended = True
                    break
                try:
                    message = receive(socket)
                except zmq.Again:
                    ended = True
                    break
                deliver(message)
            if self._on_turn is not None:
                self._on_turn()
        finally:
            self._scheduled = False
            if not ended:
                self.look_again()


def unchecked_send(socket: Socket) -> Callable[..., Any]:
    """ZeroMQ's own send: pyzmq's adds as much time as ZeroMQ takes, for options that are not used here."""
    put: Callable[..., Any] = super(zmq.Socket, socket).send
    return put


class Watch:
    """Calls `take(socket)` for whatever comes, until it raises zmq.Again; for sockets on which little is said."""

    def __init__(self, socket: Socket, take: Callable[[Socket], None]) -> None:
        self._socket, self._take = socket, take
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._run)
        self._loop.call_soon(self._run)

    def close(self) -> None:
        """Ends the socket."""
        self._loop.remove_reader(self._descriptor)
        self._socket.close(0)

    def _run(self) -> None:
        for _ in range(TURN_MESSAGES):
            if self._socket.closed:
                return
            try:
                self._take(self._socket)
            except zmq.Again:
                return
        self._loop.call_soon(self._run)
