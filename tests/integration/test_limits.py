"""Row 48: a process that reaches a limit of the machine ends with a sentence, or goes on; nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.outbox import Outbox
from active_learner.peer import Peer
from protocol.messages import Candidates, Question
from tests.broker_process import ROOT
from tests.integration.by_hand import PATIENCE_S, Hand, Shell

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA")]

WIDE = 60_000
"""Bytes of a row on the wire, inline; in the trainer's pool, as float64, eight times that."""
OWN = (
    "source={kind: none}",
    "labeler={kind: none}",
    f"sample.shape=[{WIDE}]",
    "sample.dtype=float64",
    "sample.classes=10",
    "trainer.pool_size=4",
    "trainer.pool_capacity=100000",
    "trainer.initial_labels=4",
)


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(*sets: str) -> Hand:
        made.append(Hand(tmp_path, "digits", *OWN, *sets))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


async def answered(hand: Hand, outbox_file: Path) -> None:
    """Four labels with their receipts."""
    peer = Peer(experiment=hand.name, role="labeler", address=hand.address)
    async with asyncio.timeout(PATIENCE_S), peer, Outbox(peer, outbox_file, "ann") as outbox:
        await peer.join("user")
        done = set[str]()
        async for received in peer:
            if isinstance(received.message, Question) and outbox.wants(received.message.id):
                assert await outbox.answer(received.message.id, 1) == "stored"
                done.add(received.message.id)
                if len(done) == 4:
                    return


async def flood(hand: Hand, trainer: Shell, outbox_file: Path) -> None:
    """Candidates without end; four of the first are labeled."""
    answering = asyncio.ensure_future(answered(hand, outbox_file))
    async with asyncio.timeout(PATIENCE_S), Peer(experiment=hand.name, role="source", address=hand.address) as peer:
        await peer.join("evolution")
        number = 0
        while trainer.process.poll() is None:
            if number < 8 or answering.done():
                row = np.zeros((1, WIDE), np.uint8)
                row[0, :8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
                number += peer.send("evolution", Candidates(f"c{number}", "propose", row, False))
            await asyncio.sleep(0.001)
    await answering


def test_row_48_a_trainer_without_memory_ends_with_1_says_why_and_has_all_it_confirmed(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand = by_hand()
    hand.broker()
    trainer = hand.start("serve", "--set", "trainer.memory_bytes=100000000", ready=True)
    asyncio.run(flood(hand, trainer, tmp_path / "ann.jsonl"))
    assert trainer.ended() == 1
    trainer.wait_for("no memory left for this process: trainer.memory_bytes allows 100000000 bytes beyond the")
    with sqlite3.connect(hand.run_dir / "labels.db") as store:
        assert store.execute("SELECT count(*) FROM events WHERE annotator = 'ann'").fetchone() == (4,)
    hand.start("serve", ready=False).wait_for("resumed at 4 labels")


def data_limit(shell: Shell) -> str:
    """What the kernel lets it take: bytes, or "unlimited"."""
    lines = Path(f"/proc/{shell.process.pid}/limits").read_text(encoding="ascii").splitlines()
    return next(line.split()[3] for line in lines if line.startswith("Max data size"))


def test_row_48_every_process_of_an_experiment_has_a_bound_on_its_memory(tmp_path: Path) -> None:
    hand = Hand(tmp_path, "digits")
    try:
        shells = {"broker": hand.broker()}
        shells |= {one: hand.start(one) for one in ("serve", "evaluator", "source", "label")}
        shells["label (web)"] = hand.start("label", "--set", "labeler={kind: web, port: 0}")
        for shell in (shell for name, shell in shells.items() if name != "broker"):
            shell.wait_for("ready: ")
        limits = {name: data_limit(shell) for name, shell in shells.items()}
        assert not [name for name, limit in limits.items() if not limit.isdigit()], limits
    finally:
        hand.clear_away()


def test_row_48_a_broker_without_free_descriptors_goes_on_and_takes_new_peers_when_there_are_some(
    tmp_path: Path,
) -> None:
    limited = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))  # noqa: E731
    command = [sys.executable, "-m", "active_learner", "broker", "--address", "tcp://127.0.0.1:0"]
    broker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=limited)
    assert broker.stdout is not None
    try:
        address = broker.stdout.readline().removeprefix("ready: broker ").strip()
        host, port = address.removeprefix("tcp://").split(":")

        async def scene() -> None:
            async with Peer(experiment="e", role="first", address=address, connect_timeout_s=PATIENCE_S) as first:
                crowd = [socket.create_connection((host, int(port))) for _ in range(60)]
                await first.join("control")
                assert first.connected
                for one in crowd:
                    one.close()
                async with Peer(experiment="e", role="late", address=address, connect_timeout_s=PATIENCE_S) as late:
                    members = await late.join("control")
                    assert [member.role for member in members] == ["first"]

        asyncio.run(scene())
        assert broker.poll() is None
    finally:
        broker.kill()
        broker.communicate()


@pytest.mark.parametrize("command", ["serve", "label"])
def test_row_48_a_process_that_starts_with_too_few_descriptors_says_so(command: str, tmp_path: Path) -> None:
    limited = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-m", "active_learner", command, "digits", "--set", f"run_dir={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, preexec_fn=limited, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 3, 5), "whatever could not be opened"
    assert "Too many open files" in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
