"""A peer's connection over ZeroMQ: one DEALER. Knows the socket and its options; not what the frames say."""

from __future__ import annotations

import zmq

from active_learner.transport.base import Frames, Link, OnFrames
from active_learner.transport.zmq_drain import NOBLOCK, SNDMORE, Drain, Socket, unchecked_send
from protocol.limits import MAX_MESSAGE_BYTES

LINGER_MS = 500
"""Longest wait of `close` for what is not sent yet."""

RECONNECT_MS = (50, 500)
"""First and longest wait before the next attempt to connect: a restarted broker has all its peers back within 2 s."""

HEARTBEAT_MS = (500, 1500)
"""ZeroMQ's own ping and how long it waits for an answer; its IO thread answers while Python is busy."""

OUTBOX_MESSAGES = 1000


class ZmqLink(Link):
    """`address`: tcp://host:port. Only a live connection takes messages: nothing of an old session is sent to a new broker."""

    def __init__(self, address: str) -> None:
        self._address = address
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
        socket.connect(self._address)
        self._put = unchecked_send(socket)
        self._drain = Drain(context, socket, receive, on_frames)

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
        if drain is not None:
            await drain.close()


def receive(socket: Socket) -> list[memoryview]:
    """The frames of the next message, in ZeroMQ's own memory. Raises: zmq.Again when there is none."""
    frame = socket.recv(NOBLOCK, copy=False)
    frames = [frame.buffer]
    while frame.more:
        frame = socket.recv(NOBLOCK, copy=False)
        frames.append(frame.buffer)
    return frames
