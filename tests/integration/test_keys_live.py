"""A broker with keys as a process: strangers, thieves, revoked and hostile peers; honest ones go on as if nothing were."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from active_learner.errors import Unreachable
from active_learner.peer import Peer, Received
from active_learner.security.folder import KeyFolder
from active_learner.security.key_files import read_keys
from active_learner.services.pinging import ping
from active_learner.transport.zmq_curve import new_pair
from active_learner.transport.zmq_link import ZmqLink
from protocol.codec import encode
from protocol.envelope import pack
from protocol.messages import Candidates, Control, Hello, Member
from tests.broker_process import ROOT, Process, broker
from tests.ports import free_port

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    for name, role in (("anna", "operator"), ("bob", "operator"), ("mallory", "source")):
        folder.new(name, role, new_pair, ["digits"])
    return folder


@contextmanager
def guarded(folder: KeyFolder) -> Iterator[tuple[Process, str]]:
    with broker("tcp://127.0.0.1:0", "--keys", str(folder.path)) as started:
        yield started


def command(*arguments: str, cwd: Path | None = None, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "active_learner", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def memory_kib(process: Process, what: str = "VmHWM") -> int:
    return int(Path(f"/proc/{process.popen.pid}/status").read_text().split(f"{what}:")[1].split()[0])


class Pair:
    """Two honest peers with keys; `echo` is a message of one and the other's answer to it."""

    def __init__(self, address: str, folder: KeyFolder) -> None:
        self.asker, self.answerer = (
            Peer(experiment="digits", role="operator", address=address, keys=folder.file_of(name))
            for name in ("anna", "bob")
        )
        self.left: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def __aenter__(self) -> Pair:
        await self.asker.open()
        await self.answerer.open()
        self.answerer.on_message = self._answer
        self.asker.on_presence = self._seen
        await self.asker.join("control")
        await self.answerer.join("control")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.asker.close()
        await self.answerer.close()

    def _answer(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Control) and message.role == "ask":
            self.answerer.send("control", Control("told", message.command))

    def _seen(self, room: str, member: Member, here: bool, why: str) -> None:
        if not here:
            self.left.put_nowait((member.name, why))

    async def echo(self, text: str, timeout_s: float = 20.0) -> float:
        began = time.monotonic()
        await self.asker.request(
            "control", Control("ask", text), lambda heard: heard.message == Control("told", text), timeout_s
        )
        return time.monotonic() - began


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


# --- who gets in --------------------------------------------------------------------------------------------------


def test_a_public_bind_without_keys_ends_with_3_and_what_to_do(tmp_path: Path) -> None:
    done = command("broker", "--address", "tcp://0.0.0.0:0", cwd=tmp_path)
    assert done.returncode == 3
    assert "so it needs keys" in done.stderr
    assert "active-learner keys new NAME --role ROLE" in done.stderr


@pytest.mark.parametrize("sets", [["broker.keys=off"], ["broker.keys=off", "broker.address=tcp://10.1.2.3:5570"]])
def test_there_is_no_way_to_have_a_public_bind_without_keys(tmp_path: Path, sets: list[str]) -> None:
    options = [word for one in ("broker.address=tcp://0.0.0.0:5570", *sets) for word in ("--set", one)]
    for name in ("broker", "up", "serve"):
        done = command(name, "digits", *options, cwd=tmp_path)
        assert done.returncode == 3, done
        assert "off is for 127.0.0.1 and localhost" in done.stderr


def test_a_broker_with_keys_starts_and_ends_as_fast_as_one_without(folder: KeyFolder) -> None:
    began = time.monotonic()
    with guarded(folder) as (process, _):
        print(f"ready after {time.monotonic() - began:.2f} s")
        assert process.end()[0] == 0


def test_strangers_are_told_why_and_only_those_on_the_list_get_in(folder: KeyFolder) -> None:
    other = KeyFolder(folder.path.parent / "others")
    eve = other.new("eve", "operator", new_pair)

    async def story(address: str) -> None:
        for keys, words in ((None, "it wants a key"), (eve, "it has another key than the one in our key file")):
            stranger = Peer(experiment="digits", role="operator", address=address, keys=keys, connect_timeout_s=3.0)
            with pytest.raises(Unreachable, match=f"did not let us in for 3 s: {words}"):
                await stranger.open()
        async with Pair(address, folder) as pair:
            await pair.echo("hello")
            pong, _ = await ping(address, 10.0, read_keys(folder.file_of("anna")))
            counted = dict(pong.counters)
            assert counted["refused.no_key"] > 0
            assert counted["refused.wrong_broker_key"] > 0

    with guarded(folder) as (_, address):
        run(lambda: story(address))


def test_row_26_a_key_cannot_speak_in_another_name(folder: KeyFolder) -> None:
    async def story(address: str) -> None:
        for name, role in (("anna", "source"), ("mallory", "trainer"), ("trainer", "trainer")):
            thief = Peer(experiment="digits", role=role, name=name, address=address, keys=folder.file_of("mallory"))
            with pytest.raises(Unreachable, match=r"refuses us \(forbidden\): the key 'mallory'"):
                await thief.open()
            if role == "source":
                async with Peer(
                    experiment="digits", role="source", address=address, keys=folder.file_of("mallory")
                ) as own:
                    assert own.name.startswith("mallory.")

    with guarded(folder) as (_, address):
        run(lambda: story(address))


# --- revoked and rotated while it runs ----------------------------------------------------------------------------


def test_a_revoked_key_is_out_at_once_and_the_others_stay(folder: KeyFolder) -> None:
    async def story(address: str) -> None:
        async with Pair(address, folder) as pair:
            await pair.echo("before")
            done = await asyncio.to_thread(command, "keys", "revoke", "bob", "--folder", str(folder.path))
            assert done.returncode == 0
            name, why = await pair.left.get()
            assert name.startswith("bob.")
            assert why == "the key was revoked, or its rights have changed"
            async with asyncio.timeout(20):
                while pair.answerer.refusal is None:  # noqa: ASYNC110 - told by no event
                    await asyncio.sleep(0.01)
            assert "forbidden" in str(pair.answerer.refusal)
            assert pair.asker.connected

    with guarded(folder) as (_, address):
        run(lambda: story(address))


def test_a_rotated_key_has_an_overlap_that_can_be_ended(folder: KeyFolder) -> None:
    async def enters(address: str, keys: object) -> bool:
        peer = Peer(experiment="digits", role="operator", address=address, keys=keys, connect_timeout_s=3.0)  # type: ignore[arg-type]
        try:
            await peer.open()
        except Unreachable:
            return False
        await peer.close()
        return True

    async def story(address: str) -> None:
        old = read_keys(folder.file_of("anna"))
        new = folder.rotate("anna", new_pair, timedelta(hours=1))
        async with asyncio.timeout(20):
            while not await enters(address, new):  # the broker looks four times a second
                pass
        assert await enters(address, old)
        folder.revoke("anna", only_old=True)
        async with asyncio.timeout(20):
            while await enters(address, old):
                pass
        assert await enters(address, new)

    with guarded(folder) as (_, address):
        run(lambda: story(address))


def test_sighup_reads_the_list_again_and_a_bad_list_changes_nothing(folder: KeyFolder) -> None:
    async def story(process: Process, address: str) -> None:
        async with Pair(address, folder) as pair:
            good = folder.list_file.read_text()
            folder.list_file.write_text("{")
            process.send(signal.SIGHUP)
            await pair.echo("still in")
            folder.list_file.write_text(good)
            process.send(signal.SIGHUP)
            await pair.echo("and in")

    with guarded(folder) as (process, address):
        run(lambda: story(process, address))
        code, errors = process.end()
    assert code == 0
    assert "is no list of keys" in errors
    assert "the list of before stays in force" in errors
    assert "read again, 3 keys are let in" in errors


# --- sockets without keys -----------------------------------------------------------------------------------------

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\0"


def greeting(mechanism: bytes) -> bytes:
    return GREETING + mechanism.ljust(20, b"\0") + bytes(32)


def endless_parts(address: str, first: bytes) -> int:
    """Bytes of one endless message that the broker took before it cut the connection."""
    host, port = address.removeprefix("tcp://").split(":")
    part = b"\x03" + (2**20).to_bytes(8, "big") + bytes(2**20)
    sent = 0
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(first)
        with contextlib.suppress(OSError):
            for _ in range(200):
                raw.sendall(part)
                sent += len(part)
    return sent


@pytest.mark.parametrize("mechanism", [b"NULL", b"CURVE", b"PLAIN"])
def test_row_21_a_stranger_s_endless_message_takes_no_memory(folder: KeyFolder, mechanism: bytes) -> None:
    async def story(process: Process, address: str) -> None:
        async with Pair(address, folder) as pair:
            await pair.echo("before")
            before = memory_kib(process)
            sent = await asyncio.to_thread(endless_parts, address, greeting(mechanism))
            grown = memory_kib(process) - before
            print(f"{mechanism.decode()}: {sent / 2**20:.0f} MiB were taken, the broker grew by {grown} KiB")
            assert grown < 32 * 1024
            await pair.echo("after")

    with guarded(folder) as (process, address):
        run(lambda: story(process, address))


def test_junk_and_half_handshakes_do_not_stop_a_peer(folder: KeyFolder) -> None:
    async def story(process: Process, address: str) -> None:
        host, port = address.removeprefix("tcp://").split(":")
        async with Pair(address, folder) as pair:
            await pair.echo("before")
            before = memory_kib(process)
            with contextlib.ExitStack() as stack:
                for number in range(300):
                    idle = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
                    idle.sendall(greeting(b"CURVE")[: number % 65])
                for number in range(500):
                    with socket.create_connection((host, int(port)), timeout=10) as junk, contextlib.suppress(OSError):
                        junk.sendall(os.urandom(number))
                times = [await pair.echo(f"while {number}") for number in range(50)]
                async with Peer(experiment="digits", role="source", address=address, keys=folder.file_of("mallory")):
                    pass
            grown = memory_kib(process) - before
            print(f"slowest of 50 echoes {max(times) * 1000:.0f} ms, the broker grew by {grown} KiB")
            assert grown < 32 * 1024

    with guarded(folder) as (process, address):
        run(lambda: story(process, address))


# --- a hostile peer with a key ------------------------------------------------------------------------------------


def bomb(number: int, session: int) -> list[bytes]:
    """What it has: a megabyte of empty lists, a right it has not, a room it is not in, junk."""
    lists = b"\x81\xa8counters\xdc\x03\xe8" + (b"\xdc\x04\x00" + b"\x90" * 1024) * 900
    return [
        [pack(35, lists, room="digits/control", session=session, sequence=number)],
        [bytes(frame) for frame in encode(Control("all", "stop"), room="digits/control", session=session)],
        [bytes(frame) for frame in encode(Control("all", "stop"), room="melody/control", session=session)],
        [b"AL" + os.urandom(100)] * 20,
    ][number % 4]


def test_row_47_a_malicious_peer_with_a_key_is_silenced_and_named(folder: KeyFolder) -> None:
    async def story(process: Process, address: str) -> None:
        async with Pair(address, folder) as pair:
            await pair.echo("before")
            before = memory_kib(process)
            heard: list[Received] = []
            answer, pair.answerer.on_message = pair.answerer.on_message, None
            assert answer is not None
            pair.answerer.on_message = lambda received: (heard.append(received), answer(received))[1]
            link = ZmqLink(address, read_keys(folder.file_of("mallory")))
            await link.open(lambda frames: None)
            hello = [bytes(one) for one in encode(Hello(1, 1, "digits", "mallory", "source", False, "i", "s"))]
            for number in range(2000):
                frames = hello if number % 100 == 0 else bomb(number, number)
                while not link.send(frames):  # noqa: ASYNC110 - a link tells nobody that it takes more
                    await asyncio.sleep(0.001)
            await pair.echo("while")
            await link.close()
            thief = Peer(
                experiment="digits",
                role="source",
                address=address,
                keys=folder.file_of("mallory"),
                connect_timeout_s=1.0,
            )
            with pytest.raises(Unreachable):  # suspended: whatever it says is not heard
                await thief.open()
            await pair.echo("after")
            assert {one.sender.name.split(".")[0] for one in heard if one.sender} <= {"anna"}
            assert memory_kib(process) - before < 64 * 1024

    with guarded(folder) as (process, address):
        run(lambda: story(process, address))
        _, errors = process.end()
    public = read_keys(folder.file_of("mallory")).pair.public
    assert re.search(rf"\(key {re.escape(public)}\) is not heard for 60 s: the third offence", errors)


def test_row_46_a_source_that_floods_is_held_and_the_others_are_answered(folder: KeyFolder) -> None:
    folder_option = ["--keys", str(folder.path)]
    config = folder.path.parent / "small.yaml"
    config.write_text("name: digits\nbroker: {rate_messages: 500}\n")

    async def story(address: str) -> None:
        async with (
            Pair(address, folder) as pair,
            Peer(experiment="digits", role="source", address=address, keys=folder.file_of("mallory")) as source,
        ):
            await source.join("control")
            told = []
            stop = asyncio.Event()

            async def flood() -> None:
                message = Candidates("c", "propose", np.zeros((1, 8), np.uint8), False)
                while not stop.is_set():
                    source.send("control", message)
                    await asyncio.sleep(0)

            flooding = asyncio.create_task(flood())
            times = [await pair.echo(f"while {number}") for number in range(200)]
            stop.set()
            await flooding
            told = source.counters.get("refused.flood", 0)
            pong, _ = await ping(address, 10.0, read_keys(folder.file_of("anna")))
            dropped = dict(pong.counters)["flooded"]
            print(f"{dropped} dropped, told {told} times; slowest of 200 echoes {max(times) * 1000:.0f} ms")
            assert dropped > 0
            assert told > 0

    with broker("tcp://127.0.0.1:0", str(config), *folder_option) as (_, address):
        run(lambda: story(address))


# --- secrets ------------------------------------------------------------------------------------------------------


def watch_command_lines(found: set[str], stop: threading.Event) -> None:
    while not stop.wait(0.05):
        for number in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # gone meanwhile
                found.add(Path("/proc", number, "cmdline").read_bytes().decode(errors="replace"))


def test_no_secret_shows_in_any_output_of_a_run(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "extends: digits\nbroker: {keys: on, address: 'tcp://127.0.0.1:0'}\n".replace(":0'", f":{free_port()}'")
        + "source: {kind: dataset, path: digits, limit: 300}\n"
    )
    seen: set[str] = set()
    stop = threading.Event()
    watching = threading.Thread(target=watch_command_lines, args=(seen, stop))
    watching.start()
    try:
        said = [command("up", "c.yaml", "--rounds", "1", "--verbose", cwd=tmp_path, timeout_s=100.0)]
    finally:
        stop.set()
        watching.join()
    assert said[0].returncode == 0, said[0].stderr
    folder = KeyFolder(tmp_path / "keys")
    said.append(command("config", "show", "c.yaml", cwd=tmp_path))
    said.append(command("keys", "list", cwd=tmp_path))
    said.append(command("report", "c.yaml", cwd=tmp_path))
    said.append(command("status", "c.yaml", cwd=tmp_path))  # nobody there any more: an error in words
    folder.file_of("trainer").chmod(0o644)
    said.append(command("serve", "c.yaml", cwd=tmp_path))
    assert said[-1].returncode == 3
    assert "mode 0644" in said[-1].stderr
    folder.file_of("trainer").chmod(0o600)
    names = [path.stem for path in folder.path.glob("*.key") if path.stem != "broker"]
    assert sorted(names) == ["evaluator", "labeler", "monitor", "source", "trainer"]
    secrets = [folder.broker_pair().secret, *(read_keys(folder.file_of(name)).pair.secret for name in names)]
    outputs = [one.stdout + one.stderr for one in said] + sorted(seen)
    outputs += [
        path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".key"
    ]
    assert any("resolved" in str(path) for path in tmp_path.rglob("*"))
    leaks = [text[:200] for text in outputs for secret in secrets if secret in text]
    assert not leaks


def test_a_rotated_key_is_taken_up_by_who_runs_before_the_old_one_ends(folder: KeyFolder) -> None:
    """Nobody is put out at the end of the overlap, and nothing is to be started again."""

    async def story() -> None:
        with guarded(folder) as (_, address):
            async with Pair(address, folder) as pair:
                await pair.echo("before")
                before = folder.allowed().current("anna", datetime.now(UTC))
                folder.rotate("anna", new_pair, timedelta(hours=1))
                again = asyncio.Event()
                pair.asker.on_session = lambda here: again.set() if here else None
                await asyncio.wait_for(again.wait(), 20)
                await pair.echo("by the new key")
                assert pair.asker.counters["sessions_lost"] == 1
                folder.revoke("anna", only_old=True)
                pair.left = asyncio.Queue()
                await pair.echo("the old one is gone")
                assert before is not None
                assert read_keys(folder.file_of("anna")).pair.public != before.public

    run(story)
