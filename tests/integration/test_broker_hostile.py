"""Peers that are dead, stopped, busy, slow or hostile: the others go on as if nothing were."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
import zmq.asyncio

from active_learner.errors import LeaseHeld, Unreachable
from active_learner.peer import Peer, Received
from protocol.codec import decode, encode
from protocol.envelope import KIND_OFFSET
from protocol.errors import MessageTooLarge
from protocol.messages import Candidates, Control, Hello, Join, Joined, Member, Message, Probe, Refused, Welcome
from tests.broker_process import Process, broker, peer
from tests.ports import free_address

pytestmark = pytest.mark.integration


def run(story: Callable[[str], Awaitable[None]], *options: str) -> str:
    """What the broker said of it."""

    async def bounded(address: str) -> None:
        async with asyncio.timeout(150):
            await story(address)

    with broker("tcp://127.0.0.1:0", *options) as (started, address):
        asyncio.run(bounded(address))
        return started.end()[1]


@asynccontextmanager
async def member(address: str, role: str, **fields: object) -> AsyncIterator[Peer]:
    async with Peer(experiment="digits", role=role, address=address, **fields) as opened:  # type: ignore[arg-type]
        await opened.join("control")
        yield opened


class Watch:
    """Who left, why, and when."""

    def __init__(self, peer: Peer) -> None:
        self.left: asyncio.Queue[tuple[str, str, float]] = asyncio.Queue()
        peer.on_presence = self.seen

    def seen(self, room: str, member: Member, here: bool, why: str) -> None:
        if not here:
            self.left.put_nowait((member.name, why, asyncio.get_running_loop().time()))


PATIENCE_S = 30.0
"""For what takes milliseconds when the machine has nothing else to do."""


def troubles(peer: Peer) -> dict[str, int]:
    """What it counted; that it asked again is no trouble: a busy machine may take half a second to answer."""
    return {name: number for name, number in peer.counters.items() if name != "re-sent"}


async def echo(asker: Peer, name: str, text: str, timeout_s: float = PATIENCE_S) -> None:
    def is_echo(received: Received) -> bool:
        return isinstance(received.message, Control) and received.message.command == text

    await asker.request("@" + name, Control("any", text), is_echo, timeout_s)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_peer_that_is_stopped_or_killed_is_announced_within_two_seconds(number: signal.Signals) -> None:
    async def story(address: str) -> None:
        async with member(address, "watcher") as watcher:
            watch = Watch(watcher)
            with peer(address, "victim") as victim:
                await echo(watcher, "victim", "here")
                began = asyncio.get_running_loop().time()
                victim.send(number)
                name, why, at = await watch.left.get()
                print(f"{number.name}: {name} left ({why}) after {at - began:.2f} s")
                assert (name, why) == ("victim", "gone")
                assert at - began < 12.0  # two promised; the rest is for a busy machine

    run(story)


def test_a_stopped_peer_that_goes_on_is_back_in_its_room() -> None:
    async def story(address: str) -> None:
        async with member(address, "watcher") as watcher:
            watch = Watch(watcher)
            with peer(address, "victim") as victim:
                victim.send(signal.SIGSTOP)
                await watch.left.get()
                victim.send(signal.SIGCONT)
                await echo(watcher, "victim", "back")
                assert [one.name for one in watcher.present("control", "other")] == ["victim"]

    run(story)


def test_a_peer_that_is_busy_for_three_seconds_is_not_declared_dead() -> None:
    async def story(address: str) -> None:
        async with member(address, "watcher") as watcher:
            watch = Watch(watcher)
            with peer(address, "busy"):
                watcher.send("@busy", Control("any", "sleep 3"))
                await echo(watcher, "busy", "awake")
                assert watch.left.empty()

    run(story)


def test_a_role_held_by_a_live_peer_is_refused_naming_it_even_when_that_is_busy() -> None:
    async def story(address: str) -> None:
        with peer(address, "first", "trainer", exclusive=True):
            async with member(address, "watcher") as watcher:
                watcher.send("@first", Control("any", "sleep 1.5"))
                with pytest.raises(LeaseHeld, match=r"role 'trainer' of experiment 'digits' is held by 'first'"):
                    async with member(address, "trainer", exclusive=True):
                        pass

    run(story)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_role_is_not_blocked_by_the_ghost_of_its_holder(number: signal.Signals) -> None:
    async def story(address: str) -> None:
        with peer(address, "first", "trainer", exclusive=True) as first:
            first.send(number)
            began = asyncio.get_running_loop().time()
            async with member(address, "trainer", exclusive=True):
                print(f"{number.name}: replaced after {asyncio.get_running_loop().time() - began:.2f} s")

    run(story)


def test_no_broker_is_told_with_what_to_do() -> None:
    async def story() -> None:
        with pytest.raises(Unreachable, match=r"no broker at tcp://127.0.0.1:1 for 0.2 s: start one with"):
            async with Peer(experiment="digits", role="x", address="tcp://127.0.0.1:1", connect_timeout_s=0.2):
                pass

    asyncio.run(story())


def test_row_22_a_peer_of_another_version_is_told_both_ranges() -> None:
    async def story(address: str) -> None:
        stranger = Peer(experiment="digits", role="x", address=address)
        stranger._session.hello = Hello(7, 9, "digits", "x", "x", False, "i", "s")
        with pytest.raises(Unreachable, match="peer speaks protocol 7 to 9, broker speaks 1 to 1"):
            await stranger.open()

    run(story)


# --- flood --------------------------------------------------------------------------------------------------------


def test_a_flood_at_a_stopped_consumer_delays_nobody_and_memory_stays_bounded(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text("name: digits\nbroker: {queue_bytes: 20000000, max_message_bytes: 4000000}\n")

    async def story(address: str) -> None:
        async with member(address, "flooder") as flooder, member(address, "reader") as reader:
            watch = Watch(flooder)
            window = asyncio.Semaphore(4)
            got: list[str] = []

            def heard(received: Received) -> None:
                assert isinstance(received.message, Candidates)
                got.append(received.message.id)
                window.release()

            reader.on_message = heard
            features = np.zeros((1, 1_000_000), np.uint8)
            with peer(address, "stopped") as stopped:
                stopped.send(signal.SIGSTOP)
                for number in range(150):
                    await window.acquire()  # the reader sets the pace: only the stopped one falls behind
                    assert flooder.send("control", Candidates(str(number), "propose", features, False))
                for _ in range(4):
                    await window.acquire()
                name, why, _ = await watch.left.get()
                assert name == "stopped"
                assert why in ("slow", "gone")
            assert got == [str(number) for number in range(150)]

    with broker("tcp://127.0.0.1:0", str(config)) as (started, address):
        asyncio.run(asyncio.wait_for(story(address), 150))
        status = Path(f"/proc/{started.popen.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print("broker after 150 MB at a stopped member:", peak)
    assert int(peak.split()[1]) < 160_000


# --- hostile frames -----------------------------------------------------------------------------------------------

GOOD = encode(Hello(1, 1, "digits", "raw", "raw", False, "i", "s"))[0]


async def talk_through(address: str, attack: Callable[[zmq.asyncio.Socket], Awaitable[None]]) -> None:
    """Two peers exchange messages before, while and after a raw socket does its worst."""
    context = zmq.asyncio.Context()
    raw = context.socket(zmq.DEALER)
    raw.linger = 0
    raw.connect(address)
    try:
        with peer(address, "honest"):
            async with member(address, "asker") as asker:
                watch = Watch(asker)
                await echo(asker, "honest", "before")
                task = asyncio.ensure_future(attack(raw))
                for number in range(100):
                    await echo(asker, "honest", str(number))
                await task
                await echo(asker, "honest", "after")
                assert troubles(asker) == {}
                assert watch.left.empty()
    finally:
        raw.close()
        context.term()


async def answer(raw: zmq.asyncio.Socket) -> Message:
    """The next word of the broker that is not a PROBE, which comes when the machine is slow."""
    async with asyncio.timeout(PATIENCE_S):
        while isinstance(message := decode(await raw.recv_multipart()).message, Probe):
            pass
    return message


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"junk"], "malformed"),
        ([GOOD[:-1] + b"?"], "malformed"),
        ([b"AL\x07" + GOOD[3:]], "version"),
        ([b"x"] * 2000, "limit"),
    ],
    ids=["junk", "checksum", "version", "parts"],
)
def test_row_20_malformed_frames_are_refused_cut_off_and_disturb_nobody(frames: list[bytes], code: str) -> None:
    async def attack(raw: zmq.asyncio.Socket) -> None:
        for _ in range(3):
            await raw.send_multipart(frames)
            refused = await answer(raw)
            assert isinstance(refused, Refused)
            assert refused.code == code
        assert "not heard for" in refused.text
        await raw.send_multipart([GOOD])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await raw.recv_multipart()

    run(lambda address: talk_through(address, attack))


def test_row_21_oversized_frames_cost_the_sender_its_connection_only() -> None:
    async def attack(raw: zmq.asyncio.Socket, watcher: Peer) -> None:
        await raw.send(GOOD)
        welcome = await answer(raw)
        assert isinstance(welcome, Welcome)
        await raw.send_multipart(encode(Join("digits/elsewhere"), session=welcome.session))
        assert isinstance(await answer(raw), Joined)
        watch = Watch(watcher)
        await raw.send(bytes(65 * 1024 * 1024))
        async with asyncio.timeout(PATIENCE_S):
            name, why, _ = await watch.left.get()  # who says HELLO before that replaces its session, and is not gone
        assert (name, why) == ("raw", "gone")
        await raw.send(GOOD)
        assert isinstance(await answer(raw), Welcome)

    async def story(address: str) -> None:
        async with Peer(experiment="digits", role="watcher", address=address) as watcher:
            await watcher.join("elsewhere")
            await talk_through(address, lambda raw: attack(raw, watcher))

    told = run(story)
    assert re.search(r"raw of digits is gone without a BYE: .* or a frame of more than 67108864 bytes", told)


def test_row_25_an_unknown_room_or_kind_is_refused_and_the_sender_stays_connected() -> None:
    async def attack(raw: zmq.asyncio.Socket) -> None:
        await raw.send(GOOD)
        welcome = await answer(raw)
        assert isinstance(welcome, Welcome)
        said = encode(Control("any", "x"), room="digits/nowhere", session=welcome.session)[0]
        unknown_kind = bytearray(said)
        unknown_kind[KIND_OFFSET] = 200
        foreign = encode(Control("any", "x"), room="other/control", session=welcome.session)[0]
        for frame, code in ((said, "not_member"), (foreign, "bad_room"), (bytes(unknown_kind), "malformed")):
            await raw.send(frame)
            refused = await answer(raw)
            assert isinstance(refused, Refused)
            assert refused.code == code
        await raw.send_multipart(encode(Join("digits/elsewhere"), session=welcome.session))
        assert isinstance(await answer(raw), Joined)

    run(lambda address: talk_through(address, attack))


def test_row_26_a_peer_cannot_speak_as_another() -> None:
    async def attack(raw: zmq.asyncio.Socket) -> None:
        await raw.send(GOOD)
        welcome = await answer(raw)
        assert isinstance(welcome, Welcome)
        forged = encode(Control("any", "x"), room="@digits/honest", session=welcome.session ^ 1)
        await raw.send_multipart(forged)
        refused = await answer(raw)
        assert isinstance(refused, Refused)
        assert "is not the one of this connection" in refused.text

    run(lambda address: talk_through(address, attack))


# --- memory -------------------------------------------------------------------------------------------------------

BOUND_KB = 1_000_000
"""768 MiB, four queues of 1 MiB, and what the process has at start, with room to spare."""


def endless_parts(address: str, part_bytes: int, broker: Process) -> int:
    """Speak ZMTP, and send parts of one message until the connection is cut; returns the broker's largest size in kB."""
    host, port = address.removeprefix("tcp://").split(":")
    peak_kb = 0
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\0" + b"NULL".ljust(20, b"\0") + bytes(32))
        body = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"
        greeting = b""
        while len(greeting) < 64:
            greeting += raw.recv(64 - len(greeting))
        raw.sendall(b"\x04" + bytes([len(body)]) + body)
        part = b"\x03" + part_bytes.to_bytes(8, "big") + bytes(part_bytes)
        parts = part * max(1, 2**20 // part_bytes)
        with contextlib.suppress(ConnectionError):
            for _ in range(4000):  # MiB
                raw.sendall(parts)
                with contextlib.suppress(OSError, IndexError):  # it may have ended
                    status = Path(f"/proc/{broker.popen.pid}/status").read_text()
                    peak_kb = max(peak_kb, int(status.split("VmHWM:")[1].split()[0]))
    return peak_kb


@pytest.mark.parametrize(("part_bytes", "ends"), [(1000, True), (2**20, False)])
def test_row_21_endless_parts_take_bounded_memory_and_the_peers_go_on(
    part_bytes: int, ends: bool, tmp_path: Path
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text("name: digits\nbroker: {queue_bytes: 1048576}\n")

    async def story(address: str, started: Process) -> None:
        with peer(address, "honest"):
            async with member(address, "asker") as asker:
                await echo(asker, "honest", "before")
                peak_kb = await asyncio.to_thread(endless_parts, address, part_bytes, started)
                print(f"parts of {part_bytes} bytes: broker took {peak_kb} kB")
                assert 100_000 < peak_kb < BOUND_KB
                if ends:
                    assert await asyncio.to_thread(started.popen.wait, PATIENCE_S) in (1, -signal.SIGABRT)
                with contextlib.ExitStack() as stack:
                    if started.popen.poll() is not None:
                        stack.enter_context(broker(address, str(config)))
                    await echo(asker, "honest", "after")

    with broker(free_address(), str(config)) as (started, address):
        asyncio.run(asyncio.wait_for(story(address, started), 150))


def test_a_limit_of_the_broker_is_kept_by_the_sender_and_no_connection_is_cut(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text("name: digits\nbroker: {max_message_bytes: 1048576}\n")

    async def story(address: str) -> None:
        with peer(address, "honest"):
            async with member(address, "asker") as asker:
                for _ in range(4):
                    with pytest.raises(MessageTooLarge):
                        asker.send("control", Candidates("1", "propose", np.zeros((1, 2**20), np.uint8), False))
                fits = Candidates("1", "propose", np.zeros((1, 2**20 - 500), np.uint8), False)
                assert asker.send("control", fits)
                await echo(asker, "honest", "after")
                assert troubles(asker) == {}

    with broker("tcp://127.0.0.1:0", str(config)) as (_, address):
        asyncio.run(asyncio.wait_for(story(address), 150))
