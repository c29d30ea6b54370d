"""A room under load: numbered messages at a rate, members that read all, little or nothing, and a pair that measures how long
others wait meanwhile. Knows raw sockets and frames; judges nothing.

Raw DEALERs with frames made beforehand, so that the broker is what is measured: a numbered frame costs its sender 4 us.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import zmq

from active_learner.bench.processes import broker_process, context
from active_learner.services.pinging import ping
from protocol.codec import decode, encode
from protocol.envelope import CHECKSUM_OFFSET, KIND_OFFSET, PREFIX_SIZE, sender_of
from protocol.messages import (
    Candidates,
    Control,
    Hello,
    Join,
    Joined,
    LogLine,
    Message,
    Ping,
    Pong,
    Unknown,
    Welcome,
)

EXPERIMENT, ROOM = "load", "load/crowd"
FRAME_BYTES = 1000
FIRST_NUMBER = 2**16
"""From here to 2**32 msgpack writes numbers in five bytes, so that a frame is changed in place."""
TIMEOUT_MS = 10_000
"""Silence that ends a session: the broker says PROBE every quarter second to who says nothing."""
PATIENCE_S = 60.0
"""For a report, beyond the time of sending."""
HEARTBEATS = ((zmq.HEARTBEAT_IVL, 250), (zmq.HEARTBEAT_TIMEOUT, 600_000))
"""A reader whose own queue is full does not read the broker's PING, which stands behind the messages: it is alive by its own,
and must not take the broker for dead. What happens to one without (it is gone after 1.25 s) is another matter."""
OWN_QUEUE = 50
"""Messages that ZeroMQ keeps in a peer's own process: few, so that what is sent is with the broker, and what is not read too."""
PACE_S = 0.001
BURST = 500
"""Sent without a look at the clock. A sender that fell further behind leaves it at that: to make up for it would be a flood,
which the broker drops."""
SLOW_S = 0.01
"""Rest of a slow reader after each message."""
PING_S = 0.002
"""Between two round trips of the pair: 500 a second at most, a load that the others do not notice."""

LOST_CODE = 17
"""Exit code of a process whose session was lost."""

Report = dict[str, Any]


class SessionLost(RuntimeError):
    """The broker could not read from a peer for a second, and took it for dead: the machine is too busy for the load."""


class RawPeer:
    """A welcomed DEALER."""

    def __init__(self, port: int, name: str, *rooms: str) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, TIMEOUT_MS), (zmq.SNDHWM, OWN_QUEUE), (zmq.RCVHWM, OWN_QUEUE), *HEARTBEATS):
            self.socket.setsockopt(option, value)
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.session = 0
        hello = Hello(1, 1, EXPERIMENT, name, name, False, uuid.uuid4().hex, "load")
        self.session = self.asked(hello, Welcome).session
        for room in rooms:
            self.asked(Join(room), Joined)

    def asked(self, message: Message, wanted: type) -> Any:
        self.socket.send_multipart(encode(message, session=self.session))
        while True:
            answer = decode(self.receive()).message
            if isinstance(answer, wanted):
                return answer

    def receive(self) -> list[bytes]:
        """Raises: SessionLost."""
        if not self.socket.poll(TIMEOUT_MS):
            raise SessionLost(f"nothing from the broker for {TIMEOUT_MS / 1000:.0f} s")
        frames = self.socket.recv_multipart()
        if frames[0][KIND_OFFSET] == Unknown.KIND:
            raise SessionLost
        return frames

    def close(self) -> None:
        """Returns when all is sent: a process of multiprocessing ends without waiting for that."""
        self.socket.close()
        zmq.Context.instance().term()

    def say(self, message: Message, room: str) -> None:
        self.socket.send_multipart(encode(message, room=room, session=self.session))


class Numbered:
    """One LOG_LINE of FRAME_BYTES whose number is changed in place."""

    def __init__(self, session: int) -> None:
        empty = len(encode(LogLine(FIRST_NUMBER, "info", "x" * 300), room=ROOM, session=session)[0]) - 300
        line = LogLine(FIRST_NUMBER, "info", "x" * (FRAME_BYTES - empty))
        self.frame = bytearray(encode(line, room=ROOM, session=session)[0])
        self.place = self.frame.index(struct.pack(">I", FIRST_NUMBER), PREFIX_SIZE)

    def with_number(self, number: int) -> bytes:
        frame = self.frame
        struct.pack_into(">I", frame, self.place, FIRST_NUMBER + number)
        view = memoryview(frame)
        struct.pack_into("<I", frame, CHECKSUM_OFFSET, crc32(view[PREFIX_SIZE:], crc32(view[:CHECKSUM_OFFSET])))
        return bytes(frame)


# --- what runs in processes of its own: (port, ..., gates, results) ----------------------------------------------


def send(port: int, name: str, rate: float, seconds: float, gates: Any, results: Any) -> None:
    """Numbered messages, at most `rate` a second and as the broker takes them, then (at the release) the end."""
    peer = RawPeer(port, name, ROOM)
    numbered = Numbered(peer.session)
    results.put((name, "ready"))
    gates["go"].wait()
    begun, sent, missed, put = time.perf_counter(), 0, 0, peer.socket.send
    while (passed := time.perf_counter() - begun) < seconds:
        due = int(rate * passed) - missed - sent
        missed += max(due - BURST, 0)
        for _ in range(min(due, BURST)):
            put(numbered.with_number(sent))  # waits when the broker does not take it: nothing is lost here
            sent += 1
        time.sleep(PACE_S)
    _all_sent(peer, name, sent, time.perf_counter() - begun, gates, results)


def push(port: int, name: str, messages: int, gates: Any, results: Any) -> None:
    """So many candidates of 1 MB, as fast as the broker takes them."""
    peer = RawPeer(port, name, ROOM)
    large = Candidates("large", "propose", np.zeros((1, 10**6), np.uint8), False)
    frames = encode(large, room=ROOM, session=peer.session)
    results.put((name, "ready"))
    gates["go"].wait()
    begun = time.perf_counter()
    for _ in range(messages):
        peer.socket.send_multipart(frames, copy=False)
    _all_sent(peer, name, messages, time.perf_counter() - begun, gates, results)


def _all_sent(peer: RawPeer, name: str, sent: int, seconds: float, gates: Any, results: Any) -> None:
    """Tell it, and say at the release that this was all; the PONG behind it says that the broker has it."""
    results.put((name, {"sent": sent, "seconds": seconds}))
    gates["release"].wait()
    peer.say(Control("crowd", "end"), ROOM)
    peer.asked(Ping("end"), Pong)
    peer.close()


def read(port: int, name: str, manner: str, gates: Any, results: Any) -> None:
    """All, slowly (`SLOW_S` after each), or nothing (`stopped`) until the release; then all that is there, up to the end of
    every sender. Tells how many came, and how many numbers were missing before the last."""
    peer = RawPeer(port, name, ROOM)
    place = Numbered(1).place
    results.put((name, "ready"))
    if manner == "stopped":
        gates["release"].wait()
    seen: dict[int, int] = {}
    came = missing = ends = 0
    while ends < gates["senders"]:
        frame = peer.receive()[0]
        kind = frame[KIND_OFFSET]
        if kind == LogLine.KIND:
            number, sender = struct.unpack_from(">I", frame, place)[0] - FIRST_NUMBER, sender_of(frame)
            missing += number - seen.get(sender, -1) - 1
            seen[sender] = number
        came += kind in (LogLine.KIND, Candidates.KIND)
        ends += kind == Control.KIND
        if manner == "slow" and not gates["release"].is_set():
            time.sleep(SLOW_S)
    results.put((name, {"manner": manner, "came": came, "missing": missing}))
    peer.close()


def echo(port: int, name: str, gates: Any, results: Any) -> None:
    """Answer the pair's other half until it says so."""
    peer = RawPeer(port, name)
    results.put((name, "ready"))
    while True:
        message = decode(peer.receive()).message
        if isinstance(message, Control) and message.command == "end":
            break
        if isinstance(message, Control):
            peer.say(message, f"@{EXPERIMENT}/asker")
    results.put((name, {}))
    peer.close()


def ask(port: int, name: str, gates: Any, results: Any) -> None:
    """Round trips to the echo from the start until the release, and how long each took."""
    peer = RawPeer(port, name)
    results.put((name, "ready"))
    gates["go"].wait()
    times: list[float] = []
    while not gates["release"].is_set():
        begun = time.perf_counter()
        peer.say(Control("echo", "now"), f"@{EXPERIMENT}/echo")
        while decode(peer.receive()).envelope.kind != Control.KIND:
            pass
        times.append(time.perf_counter() - begun)
        time.sleep(PING_S)
    peer.say(Control("echo", "end"), f"@{EXPERIMENT}/echo")
    results.put((name, {"times": times}))
    peer.close()


# --- the whole ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Crowd:
    """How a run under load went."""

    sent: int
    """By all senders together."""
    rate: float
    """Messages a second that the broker took from them."""
    readers: dict[str, Report]
    times: list[float]
    """Seconds of each round trip of the pair."""
    peak_bytes: int
    """Largest size of the broker's process."""
    counters: dict[str, int]
    """Of the broker, at the end."""

    @property
    def shed(self) -> int:
        return self.counters.get("shed.log_line", 0) + self.counters.get("shed.candidates", 0)

    @property
    def unaccounted(self) -> int:
        """Copies that neither came nor were counted as shed; must be 0."""
        came: int = sum(one["came"] for one in self.readers.values())
        return len(self.readers) * self.sent - came - self.shed

    def quantile(self, share: float) -> float:
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]


def crowd(readers: dict[str, str], rate: float, seconds: float, senders: int = 1) -> Crowd:
    """`readers`: name -> how it reads ("all", "slow", "stopped"). Raises: SessionLost, RuntimeError."""
    return _run(readers, [(send, rate / senders, seconds)] * senders, seconds)


def flood(readers: dict[str, str], megabytes: int) -> Crowd:
    """As much in messages of 1 MB, as fast as they are taken. Raises: SessionLost, RuntimeError."""
    return _run(readers, [(push, megabytes)])


def _run(readers: dict[str, str], sending: Sequence[tuple[Any, ...]], seconds: float = 0.0) -> Crowd:
    with broker_process() as (port, pid):
        senders = {
            f"sender{number}": (role, port, f"sender{number}", *rest) for number, (role, *rest) in enumerate(sending)
        }
        roles: dict[str, tuple[Any, ...]] = {
            **{name: (read, port, name, manner) for name, manner in readers.items()},
            "echo": (echo, port, "echo"),
            "asker": (ask, port, "asker"),
            **senders,
        }
        gates: dict[str, Any] = {"go": context.Event(), "release": context.Event(), "senders": len(senders)}
        with _started(roles, gates, seconds + PATIENCE_S) as heard:
            heard(roles)
            gates["go"].set()
            reports = heard(senders)
            gates["release"].set()
            reports |= heard([*readers, "asker", "echo"])
            peak, counters = peak_bytes(pid), broker_counters(port)
    sent = sum(reports[name]["sent"] for name in senders)
    return Crowd(
        sent=sent,
        rate=sent / max(reports[name]["seconds"] for name in senders),
        readers={name: reports[name] for name in readers},
        times=reports["asker"]["times"],
        peak_bytes=peak,
        counters=counters,
    )


@contextmanager
def _started(
    roles: dict[str, tuple[Any, ...]], gates: dict[str, Any], patience_s: float
) -> Iterator[Callable[..., dict[str, Report]]]:
    """All in processes of their own; gives what waits for one report of each that is named."""
    results = context.Queue()
    processes = {
        name: context.Process(target=_guarded, args=(role, *arguments, gates, results), daemon=True)
        for name, (role, *arguments) in roles.items()
    }

    def heard(names: Iterable[str]) -> dict[str, Report]:
        found: dict[str, Report] = {}
        deadline = time.monotonic() + patience_s
        while lacking := set(names) - found.keys():
            if time.monotonic() > deadline:
                raise SessionLost(f"no report of {', '.join(sorted(lacking))} for {patience_s:.0f} s")
            if failed := {name: process.exitcode for name, process in processes.items() if process.exitcode}:
                what = f"of the load's processes failed: {', '.join(failed)}"
                raise SessionLost(what) if LOST_CODE in failed.values() else RuntimeError(what)
            if results.empty():
                time.sleep(0.01)
                continue
            name, report = results.get()
            found[name] = report
        return found

    for process in processes.values():
        process.start()
    try:
        yield heard
    finally:
        for process in processes.values():
            process.kill()
            process.join()


def _guarded(role: Callable[..., None], *arguments: Any) -> None:
    try:
        role(*arguments)
    except SessionLost:
        os._exit(LOST_CODE)


def peak_bytes(pid: int) -> int:
    """VmHWM: the most that the process ever had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def broker_counters(port: int) -> dict[str, int]:
    pong, _ = asyncio.run(ping(f"tcp://127.0.0.1:{port}", 20.0))
    return dict(pong.counters)
