"""`active-learner label` as a process of its own: on a pseudo-terminal, with a real broker, and beforehand without one."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from active_learner.config.schema import BrokerConfig
from active_learner.core.records import SampleSpec
from active_learner.peer import Peer, Received
from active_learner.services.broker import Broker
from active_learner.stores import open_store
from active_learner.transport import router_at
from protocol.messages import Answer, AnswerReceipt, Question

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0
PROMPT = "label> "
MELODY = """
name: tunes
seed: 3
sample: {shape: [128], dtype: uint8, classes: 6, media: melody}
source: {kind: evolution}
labeler: {kind: terminal, annotator: ann}
"""


class Terminal:
    """A child on a pseudo-terminal; its output is collected by a thread until the child is gone."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "active_learner", "label", *arguments],
            stdin=slave, stdout=slave, stderr=slave, cwd=folder, start_new_session=True,
            env={**os.environ, "TERM": "dumb", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )  # fmt: skip
        os.close(slave)
        self.seen, self._from = "", 0
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self.master, 4096)
            except OSError:  # how a pseudo-terminal ends
                return
            self._loop.call_soon_threadsafe(self._add, got.decode())

    def _add(self, text: str) -> None:
        self.seen += text
        self._changed.set()

    async def sees(self, text: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while text not in self.seen[self._from :]:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} is not in {self.seen[self._from :]!r}") from None
        self._from = self.seen.index(text, self._from) + len(text)

    async def type(self, text: str) -> None:
        await self.sees(PROMPT)
        os.write(self.master, text.encode())

    async def ends(self) -> int:
        code = await asyncio.to_thread(self.process.wait, PATIENCE_S)
        await asyncio.to_thread(self._reader.join, PATIENCE_S)
        os.close(self.master)
        return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tunes.yaml").write_text(MELODY)
    return tmp_path


def labels(folder: Path) -> list[tuple[int, str]]:
    store = open_store("sqlite:///labels.db", folder / "runs" / "tunes")
    store.open("tunes", SampleSpec((128,), "uint8", 6, "melody"))
    found = [(label.value, label.annotator) for label in store.labels()]
    store.close()
    return found


def test_prelabel_at_a_terminal_keeps_every_label_at_once(folder: Path) -> None:
    async def run() -> None:
        terminal = Terminal(folder, "tunes.yaml", "--prelabel", "9")
        await terminal.sees("ready: prelabel: 9 samples to rate")
        await terminal.type("6\n")
        await terminal.sees("'6' is not a label: allowed are 0 to 5")
        await terminal.type("4\n")
        await terminal.sees("saved: 4")
        await terminal.type("u\n")
        await terminal.sees("undone (asked again; its label stays until you give another)")
        await terminal.type("1\n")
        await terminal.sees("saved: 1")
        await terminal.type("s\n")
        await terminal.sees("skipped")
        await terminal.type("5\n")
        await terminal.sees("saved: 5")
        await terminal.type("q\n")
        await terminal.sees("2 of 9 labeled; the store has 2 labels now")
        assert await terminal.ends() == 0

    asyncio.run(run())
    assert sorted(labels(folder)) == [(1, "ann"), (5, "ann")]


def test_prelabel_by_the_simulated_listener_goes_on_where_it_was_and_respects_the_lock(folder: Path) -> None:
    arguments = ["tunes.yaml", "--kind", "simulated", "--annotator", "ear", "--prelabel", "3"]

    def label() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "active_learner", "label", *arguments],
            cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    assert label().returncode == 0
    second = label()
    assert (second.returncode, second.stdout.splitlines()[-1]) == (0, "3 of 3 labeled; the store has 6 labels now")
    assert [annotator for _, annotator in labels(folder)] == ["ear"] * 6
    store = open_store("sqlite:///labels.db", folder / "runs" / "tunes")
    store.open("tunes", SampleSpec((128,), "uint8", 6, "melody"))
    locked = label()
    store.close()
    assert locked.returncode == 5
    assert "labels.db" in locked.stderr


class TrainerScript:
    """A trainer that confirms what it hears."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="tunes", role="trainer", name="trainer", exclusive=True, address=address)
        self.peer.on_message = self._heard
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.here = asyncio.Event()

    async def start(self) -> None:
        self.peer.on_presence = lambda room, member, here, why: self.here.set() if here else None
        await self.peer.open()
        await self.peer.join("user")

    def _heard(self, received: Received) -> None:
        if isinstance(received.message, Answer):
            answer = received.message
            self.answers.put_nowait(answer)
            self.peer.reply(received, AnswerReceipt(answer.id, answer.question, "stored", ""))

    def ask(self, id: str, rank: int) -> None:
        features = np.zeros(128, dtype=np.uint8)
        question = Question(
            id=id, key=id, features=features, media="melody", classes=6, round=1, strategy="margin", score=0.5,
            rank=rank, model_version=0, stale=False, pool=200,
        )  # fmt: skip
        self.peer.send("user", question)

    async def hears(self) -> tuple[str, str, int | None, int, str]:
        answer = await asyncio.wait_for(self.answers.get(), PATIENCE_S)
        return (answer.question, answer.action.value, answer.value, answer.revision, answer.annotator)


def test_a_person_at_a_terminal_labels_over_a_real_broker_and_stops_with_control_c(folder: Path) -> None:
    async def run() -> None:
        config = BrokerConfig(address="tcp://127.0.0.1:0")
        broker = Broker(config, router_at(config.address, config.max_message_bytes))
        address = (await broker.start()).removeprefix("broker ")
        trainer = TrainerScript(address)
        await trainer.start()
        terminal = Terminal(folder, "tunes.yaml", "--set", f"broker.address={address}")
        await terminal.sees("ready: labeler ann")
        await asyncio.wait_for(trainer.here.wait(), PATIENCE_S)
        for rank, name in enumerate(("q1", "q2", "q3"), 1):
            trainer.ask(name, rank)
        await terminal.type("7\n")
        await terminal.sees("'7' is not a label")
        await terminal.type("3\n")
        assert await trainer.hears() == ("q1", "answer", 3, 0, "ann")
        await terminal.sees("saved: 3")
        await terminal.type("u\n")
        assert await trainer.hears() == ("q1", "undo", None, 1, "ann")
        await terminal.type("4\n")
        assert await trainer.hears() == ("q1", "answer", 4, 2, "ann")
        await terminal.type("s\n")
        assert await trainer.hears() == ("q2", "skip", None, 0, "ann")
        await terminal.sees(PROMPT)
        terminal.process.send_signal(signal.SIGINT)
        await terminal.sees("goodbye: 1 answered, 1 saved")
        assert await terminal.ends() == 0
        assert trainer.answers.empty()
        await trainer.peer.close()
        await broker.stop()

    asyncio.run(run())
