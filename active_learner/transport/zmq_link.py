"""A peer's connection over ZeroMQ: one DEALER. Knows the socket and its options; not what the frames say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import zmq

from active_learner.core.keys import Keys
from active_learner.transport.base import Frames, Link, OnFrames
from active_learner.transport.zmq_curve import as_client
from active_learner.transport.zmq_drain import NOBLOCK, SNDMORE, Drain, Socket, unchecked_send
from active_learner.transport.zmq_handshakes import Handshake, Handshakes
from protocol.limits import MAX_MESSAGE_BYTES

LINGER_MS = 500
"""Longest wait of `close` for what is not sent yet."""

RECONNECT_MS = (50, 100)
"""First and longest wait before the next attempt to connect, of the half second in which all are back at a new broker."""

HEARTBEAT_MS = (500, 1500)
"""ZeroMQ's own ping and how long it waits for an answer; its IO thread answers while Python is busy."""

OUTBOX_MESSAGES = 1000

KEYS_S = 1.0
"""Between two looks at the file of our key."""

DENIED_S = 1.0
"""To the next attempt after a handshake that failed: the key may be put on the list, the broker get other keys."""

_BROKE = "the connection broke before it was made: is that a broker?"

WITHOUT_KEYS = {
    Handshake.NOT_ALLOWED: "it does not allow us",
    Handshake.ONE_SIDE_ONLY: "it wants a key, and we have none (broker.keys: on, and broker.key)",
    Handshake.WRONG_KEY: _BROKE,
    Handshake.GARBLED: _BROKE,
    Handshake.BROKEN: "it wants a key, and we have none, or it is no broker (broker.keys: on, and broker.key)",
}
WITH_KEYS = {
    Handshake.NOT_ALLOWED: "it does not allow our key (`active-learner keys list` there: is it on the list, and not revoked?)",
    Handshake.ONE_SIDE_ONLY: "it has no keys, and we have (broker.keys: on there, or off here)",
    Handshake.WRONG_KEY: _BROKE,
    Handshake.GARBLED: _BROKE,
    Handshake.BROKEN: "it has another key than the one in our key file, or none, or it is no broker",
}
"""What a failed handshake means to a peer, in words for a person. Of two sides of which only one has keys either may hang up
first, and the other is then only told that the connection broke."""


class ZmqLink(Link):
    """`address`: tcp://host:port. Only a live connection takes messages: nothing of an old session is sent to a new broker.

    With `keys` the connection is encrypted, and only to the broker whose key they name. `renewed`: as of `link_to`.
    """

    def __init__(
        self, address: str, keys: Keys | None = None, renewed: Callable[[], Keys | None] | None = None
    ) -> None:
        self._address, self._keys, self._renewed = address, keys, renewed
        self._looking: asyncio.TimerHandle | None = None
        self._drain: Drain[list[memoryview]] | None = None

    async def open(self, on_frames: OnFrames) -> None:
        context: zmq.Context[Socket] = zmq.Context()
        socket = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, LINGER_MS),
            (zmq.IMMEDIATE, 1),
            (zmq.RECONNECT_IVL, RECONNECT_MS[0]),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1]),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0]),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1]),
            (zmq.SNDHWM, OUTBOX_MESSAGES),
            (zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES),
        ):
            socket.setsockopt(option, value)
        if self._keys is not None:
            as_client(socket, self._keys.pair, self._keys.broker)
        self._handshakes = Handshakes(socket, self._ended)
        socket.connect(self._address)
        self._socket = socket
        if self._renewed is not None:
            self._look_for_keys(self._renewed)
        self._put = unchecked_send(socket)
        self._drain = Drain(context, socket, receive, on_frames)

    def _ended(self, how: Handshake) -> None:
        """A handshake is over. ZeroMQ tries one that broke again by itself; one that it has understood and that failed, never."""
        if how is Handshake.DONE:
            self.trouble = ""
            if self.on_live is not None:
                self.on_live()
        elif how is not Handshake.BROKEN or not self.trouble:  # of two sides that differ, who hangs up first tells less
            self.trouble = (WITH_KEYS if self._keys else WITHOUT_KEYS)[how]
        if how not in (Handshake.DONE, Handshake.BROKEN):
            asyncio.get_running_loop().call_later(DENIED_S, self._connect_again)

    def _connect_again(self) -> None:
        if self._drain is not None:
            with suppress(zmq.ZMQError):  # ENOENT: ZeroMQ has given the connection up altogether
                self._socket.disconnect(self._address)
            self._socket.connect(self._address)
            self._drain.look_again()

    def _look_for_keys(self, renewed: Callable[[], Keys | None]) -> None:
        self._looking = asyncio.get_running_loop().call_later(KEYS_S, self._look_for_keys, renewed)
        found = renewed()
        if found is not None:
            self._keys = found
            as_client(self._socket, found.pair, found.broker)
            self._connect_again()

    def send(self, frames: Frames) -> bool:
        """Copies the frames: their arrays may change afterwards."""
        drain = self._drain
        if drain is None:
            return False
        put = self._put
        try:
            for frame in frames[:-1]:
                put(frame, NOBLOCK | SNDMORE)
            put(frames[-1], NOBLOCK)
        except zmq.Again:  # only ever at the first frame: a message is taken whole or not at all
            return False
        finally:
            drain.look_again()
        return True

    async def close(self) -> None:
        drain, self._drain = self._drain, None
        if self._looking is not None:
            self._looking.cancel()
        if drain is not None:
            self._handshakes.close()
            await drain.close()


def receive(socket: Socket) -> list[memoryview]:
    """The frames of the next message, in ZeroMQ's own memory. Raises: zmq.Again when there is none."""
    frame = socket.recv(NOBLOCK, copy=False)
    frames = [frame.buffer]
    while frame.more:
        frame = socket.recv(NOBLOCK, copy=False)
        frames.append(frame.buffer)
    return frames
