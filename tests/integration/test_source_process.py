"""The source as a process: on a real broker, with peers of the test as trainer and evaluator."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.melody import listener
from active_learner.peer import Peer, Received
from protocol.messages import Candidates, Control, LogLine, Scores, SourceEnded, Taken

pytestmark = pytest.mark.integration
DEADLINE_S = 90.0


class Processes:
    """Starts commands of ours and waits for their ready lines; ends what is left."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[str]]()

    def start(self, *arguments: str, ready: bool = True) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "active_learner", *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self.running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline() if ready else ""
        assert line.startswith("ready: ") or not ready, line
        return process, line

    def broker(self) -> str:
        _, line = self.start("broker", "--address", "tcp://127.0.0.1:0")
        found = re.search(r"tcp://127\.0\.0\.1:\d+", line)
        assert found is not None, line
        return found.group()

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.end()


def config(folder: Path, text: str) -> str:
    path = folder / "experiment.yaml"
    path.write_text("name: tried\n" + text)
    return str(path)


EVOLUTION = """
sample: {shape: [128], dtype: uint8, classes: 6}
source: {kind: evolution, interval_s: 0}
"""
LINES = """
sample: {shape: [2], dtype: uint8, classes: 2}
source: {kind: jsonl, path: "-"}
"""


class Trainer:
    """Takes all candidates into a set, and remembers what else it heard."""

    def __init__(self, peer: Peer, deaf: int = 0) -> None:
        self.peer, self.deaf = peer, deaf
        self.pool: dict[bytes, np.ndarray] = {}
        self.ended: list[SourceEnded] = []
        self.lines: list[str] = []
        self.ids: list[str] = []
        self.changed = asyncio.Event()
        peer.on_message = self.heard

    def heard(self, received: Received) -> None:
        match received.message:
            case Candidates() as said:
                self.take(received, said)
            case SourceEnded() as ended:
                self.ended.append(ended)
            case LogLine(text=text):
                self.lines.append(text)
        self.changed.set()

    def take(self, received: Received, said: Candidates) -> None:
        self.ids.append(said.id)
        if self.deaf > 0:
            self.deaf -= 1
            return
        new = [row for row in said.features if row.tobytes() not in self.pool]
        self.pool |= {row.tobytes(): row for row in new}
        self.peer.reply(received, Taken(said.id, len(new), len(said.features) - len(new), 0, 0, ""))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():
                self.changed.clear()
                await self.changed.wait()


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


async def trainer_at(address: str, deaf: int = 0) -> Trainer:
    peer = Peer(experiment="tried", role="trainer", address=address, exclusive=True)
    trainer = Trainer(peer, deaf)
    await peer.open()
    for room in ("control", "evolution"):
        await peer.join(room)
    return trainer


async def scorer_at(address: str, best: list[float]) -> Peer:
    """An evaluator whose fitness is the listener's rating; the mean of each generation goes into `best`."""
    peer = Peer(experiment="tried", role="evaluator", address=address, exclusive=True)

    def heard(received: Received) -> None:
        if isinstance(received.message, Candidates):
            said = received.message
            fitness = listener.rate(said.features).astype(np.float32)
            best.append(float(fitness.mean()))
            probabilities = np.full((len(fitness), 6), 1 / 6, np.float32)
            peer.send("evolution", Scores(said.id, 0, probabilities, fitness, None))

    peer.on_message = heard
    await peer.open()
    await peer.join("evolution")
    return peer


def test_an_evolution_gets_better_over_the_wire_and_stops_when_told(processes: Processes) -> None:
    address = processes.broker()
    processes.start("source", config(processes.folder, EVOLUTION), "--set", f"broker.address={address}")

    async def scene() -> None:
        means: list[float] = []
        scorer = await scorer_at(address, means)
        trainer = await trainer_at(address)
        await trainer.until(lambda: len(trainer.ids) >= 30)
        trainer.peer.send("control", Control("source", "stop"))
        assert np.mean(means[-5:]) > np.mean(means[:3]) + 1.0
        assert len(trainer.pool) > 30 * 20
        await scorer.close()
        await trainer.peer.close()

    play(scene)


def test_json_lines_arrive_though_the_trainer_comes_late_and_misses_the_first_message(processes: Processes) -> None:
    address = processes.broker()
    source, _ = processes.start(
        "source", config(processes.folder, LINES), "--once", "--set", f"broker.address={address}"
    )
    assert source.stdin is not None
    rows = [[n, n] for n in range(40)]
    source.stdin.write("".join(json.dumps(row) + "\n" for row in rows[:39]) + "[1, 2, 3]\n" + json.dumps(rows[39]))
    source.stdin.close()
    source.stdin = None

    async def scene() -> None:
        trainer = await trainer_at(address, deaf=1)
        await trainer.until(lambda: bool(trainer.ended))
        assert sorted(row.tolist() for row in trainer.pool.values()) == rows
        assert (trainer.ended[0].proposed, trainer.ended[0].dropped) == (40, 0)
        await trainer.until(lambda: bool(trainer.lines))
        assert "line 40: has shape (3,), must be (2,)" in trainer.lines[0]
        await trainer.peer.close()

    play(scene)
    assert source.wait(DEADLINE_S) == 0


def test_a_data_set_begins_again_for_a_new_trainer_and_ends_gracefully(processes: Processes) -> None:
    address = processes.broker()
    rows = np.arange(300, dtype=np.int16)[:, None]
    np.savez(processes.folder / "rows.npz", X_train=rows, y_train=np.zeros(300, np.int64), y_test=[0], X_test=rows[:1])
    text = "source: {kind: dataset, path: rows.npz}\n"
    source, _ = processes.start("source", config(processes.folder, text), "--set", f"broker.address={address}")

    async def scene() -> None:
        for _ in range(2):
            trainer = await trainer_at(address)
            await trainer.until(lambda trainer=trainer: len(trainer.pool) == 300 and bool(trainer.ended))
            await trainer.peer.close()

    play(scene)
    source.send_signal(signal.SIGTERM)
    assert source.wait(DEADLINE_S) == 0


def test_an_experiment_without_a_source_says_so(processes: Processes) -> None:
    text = "sample: {shape: [2], dtype: uint8, classes: 2}\n"
    process, _ = processes.start("source", config(processes.folder, text), ready=False)
    assert process.wait(DEADLINE_S) == 3
