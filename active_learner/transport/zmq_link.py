"""A peer's connection over ZeroMQ: one DEALER. Knows sockets and their wake-ups; not what the frames say.

The socket's descriptor is edge-triggered, and every call on the socket may swallow a wake-up: whoever touches the socket
looks for messages again afterwards, in the same turn or by `call_soon`.
"""

from __future__ import annotations

import asyncio

import zmq

from active_learner.transport.base import Frames, Link, OnFrames
from protocol.limits import MAX_MESSAGE_BYTES

LINGER_MS = 500
"""Longest wait of `close` for what is not sent yet."""

RECONNECT_MS = (50, 500)
"""First and longest wait before the next attempt to connect: a restarted broker has all its peers back within 2 s."""

HEARTBEAT_MS = (500, 1500)
"""ZeroMQ's own ping and how long it waits for an answer; its IO thread answers while Python is busy."""

OUTBOX_MESSAGES = 1000

TURN_MESSAGES = 500
"""Messages taken in one turn of the event loop, so that a flood leaves time for all else."""

NOBLOCK, SNDMORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)
"""As plain integers: arithmetic on pyzmq's enums costs more than a receive."""


class ZmqLink(Link):
    """`address`: tcp://host:port. Only a live connection takes messages: nothing of an old session is sent to a new broker."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._scheduled = False

    async def open(self, on_frames: OnFrames) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_frames = on_frames
        self._context = zmq.Context()
        socket = self._context.socket(zmq.DEALER)
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
        self._socket = socket
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._drain)
        self._look_again()

    def send(self, frames: Frames) -> bool:
        """Copies the frames: their arrays may change afterwards."""
        socket = self._socket
        if socket is None:
            return False
        try:
            for frame in frames[:-1]:
                socket.send(frame, NOBLOCK | SNDMORE)
            socket.send(frames[-1], NOBLOCK)
        except zmq.Again:  # only ever at the first frame: a message is taken whole or not at all
            return False
        finally:
            self._look_again()
        return True

    async def close(self) -> None:
        socket, context = self._socket, self._context
        if socket is None or context is None:
            return
        self._socket = None
        self._loop.remove_reader(self._descriptor)
        socket.close()
        await self._loop.run_in_executor(None, context.term)  # waits for what lingers

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
                    frames = receive(socket)
                except zmq.Again:
                    ended = True
                    break
                self._on_frames(frames)
        finally:
            self._scheduled = False
            if not ended:
                self._look_again()


def receive(socket: zmq.Socket[bytes]) -> list[memoryview]:
    """The frames of the next message, in ZeroMQ's own memory. Raises: zmq.Again when there is none."""
    frame = socket.recv(NOBLOCK, copy=False)
    frames = [frame.buffer]
    while frame.more:
        frame = socket.recv(NOBLOCK, copy=False)
        frames.append(frame.buffer)
    return frames
