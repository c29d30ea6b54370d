"""One blocking peer on each broker: send a prepared payload, receive one. Knows three wires; measures nothing."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import zmq

from active_learner.bench.processes import c_proxy, our_broker, silence, swergio_server
from protocol.codec import decode, encode
from protocol.envelope import inspect
from protocol.messages import Gradient, Hello, Join, Joined, Message, Welcome

EXPERIMENT = "bench"
TIMEOUT_MS = 15_000
OURS, PROXY, SWERGIO = "active-learner broker", "C zmq.proxy", "swergio"
BROKERS = {OURS: our_broker, PROXY: c_proxy, SWERGIO: swergio_server}
"""Name -> context manager that runs the broker and gives its ports."""
HEADER = b"h" * 60
"""A second frame before the payload, as long as our prefix, room and header are together."""
COPY_BELOW = 64 * 1024
"""Bytes from which a frame is passed on without a copy, as pyzmq itself has it."""


class Wire(ABC):
    """Connected, and in the room that it hears, when made."""

    @abstractmethod
    def prepare(self, size_bytes: int) -> Any:
        """A payload that carries so many bytes."""

    @abstractmethod
    def send(self, payload: Any) -> None:
        """Say it in the room that we speak in."""

    @abstractmethod
    def receive(self) -> bool:
        """Take the next message of the room that we hear. False: none came in time."""


class OurWire(Wire):
    """The frames of SPEC.md on a bare DEALER: measures the broker and not the peer's event loop."""

    def __init__(self, ports: tuple[int, ...], name: str, hears: str, speaks: str) -> None:
        self._socket = _connected(zmq.DEALER, ports[0])
        self._speaks = f"{EXPERIMENT}/{speaks}"
        self._session = 0
        hello = Hello(1, 1, EXPERIMENT, name, name, False, uuid.uuid4().hex, "bench")
        self._session = self._asked(hello, Welcome).session
        for room in (hears, speaks):
            self._asked(Join(f"{EXPERIMENT}/{room}"), Joined)
        self._heard = f"{EXPERIMENT}/{hears}"

    def prepare(self, size_bytes: int) -> Any:
        message = Gradient(1, 1, np.random.default_rng(0).random(max(1, size_bytes // 4), dtype=np.float32))
        return [bytes(frame) for frame in encode(message, room=self._speaks, session=self._session)]

    def send(self, payload: Any) -> None:
        self._socket.send_multipart(payload, copy=len(payload) == 1)

    def receive(self) -> bool:
        while self._socket.poll(TIMEOUT_MS):
            frames = self._socket.recv_multipart(copy=False)
            if inspect([frame.buffer for frame in frames]).room == self._heard:
                return True
        return False

    def _asked(self, message: Message, wanted: type) -> Any:
        self._socket.send_multipart(encode(message, session=self._session))
        while self._socket.poll(TIMEOUT_MS):
            answer = decode(self._socket.recv_multipart()).message
            if isinstance(answer, wanted):
                return answer
        raise RuntimeError(f"the broker did not answer {type(message).__name__}")


class ProxyWire(Wire):
    """PUB and SUB around libzmq's proxy, three frames: room, header, body."""

    def __init__(self, ports: tuple[int, ...], name: str, hears: str, speaks: str) -> None:
        self._out, self._in = _connected(zmq.PUB, ports[0]), _connected(zmq.SUB, ports[1])
        self._out.setsockopt(zmq.XPUB_NODROP, 1)
        self._speaks = speaks.encode()
        self._in.setsockopt(zmq.SUBSCRIBE, hears.encode())
        self._until_heard(b"echo." + name.encode())

    def prepare(self, size_bytes: int) -> Any:
        return [self._speaks, HEADER, bytes(size_bytes)]

    def send(self, payload: Any) -> None:
        self._out.send_multipart(payload, copy=len(payload[2]) < COPY_BELOW)

    def receive(self) -> bool:
        if not self._in.poll(TIMEOUT_MS):
            return False
        self._in.recv_multipart(copy=False)
        return True

    def _until_heard(self, room: bytes) -> None:
        """Publish and subscribe lose what is said before both are known to the proxy: talk to ourselves until it works."""
        self._in.setsockopt(zmq.SUBSCRIBE, room)
        for _ in range(500):
            self._out.send_multipart([room, b"", b""])
            if self._in.poll(20):
                break
        while self._in.poll(50):
            self._in.recv_multipart()
        self._in.setsockopt(zmq.UNSUBSCRIBE, room)


class SwergioWire(Wire):
    """swergio's own client; arrays travel as JSON lists, as in its tutorial."""

    def __init__(self, ports: tuple[int, ...], name: str, hears: str, speaks: str) -> None:
        from swergio import MESSAGE_TYPE, Client

        silence()
        self._client = Client(name, "127.0.0.1", ports[0])
        self._client.join_room(hears)
        self._name, self._hears, self._speaks, self._type = name, hears, speaks, MESSAGE_TYPE.DATA.FORWARD.id

    def prepare(self, size_bytes: int) -> Any:
        return np.random.default_rng(0).random(max(1, size_bytes // 4), dtype=np.float32)

    def send(self, payload: Any) -> None:
        said = {"ID": uuid.uuid4().hex, "TYPE": self._type, "TO_ROOM": self._speaks, "SENT_BY": self._name}
        self._client.send({**said, "DATA": payload.tolist()})

    def receive(self) -> bool:
        while (message := self._client.receive()) is not False:
            if message.get("TO_ROOM") == self._hears:
                np.asarray(message["DATA"], dtype=np.float32)
                return True
        return False


_WIRES: dict[str, type[Wire]] = {OURS: OurWire, PROXY: ProxyWire, SWERGIO: SwergioWire}


def connect(broker: str, ports: tuple[int, ...], name: str, hears: str, speaks: str) -> Wire:
    """A peer called `name` on a broker of BROKERS."""
    wire: Any = _WIRES[broker]
    connected: Wire = wire(ports, name, hears, speaks)
    return connected


def _connected(kind: int, port: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    for option, value in ((zmq.LINGER, 0), (zmq.SNDHWM, 20_000), (zmq.RCVHWM, 20_000)):
        socket.setsockopt(option, value)
    socket.connect(f"tcp://127.0.0.1:{port}")
    return socket
