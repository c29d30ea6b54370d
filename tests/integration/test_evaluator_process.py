"""The evaluator as a process on a real broker: killed between forward and gradient, and a second one for the same role."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.backends.settings import NetworkSettings
from active_learner.backends.torch_module import TorchBackend
from active_learner.examples.torch_networks import digits
from active_learner.losses import load_loss
from active_learner.peer import Peer, Received
from protocol.messages import Forward, Gradient, Position, PositionRequest, Promote, Promoted, Status, Step

pytestmark = pytest.mark.integration
DEADLINE_S = 120.0
SEED = 3
CONFIG = """
name: tried
seed: 3
sample: {shape: [64], dtype: uint8, classes: 10}
evaluator: {network: "active_learner.examples.torch_networks:digits", arguments: {dropout: 0.2}}
"""
LOSS = load_loss("cross_entropy")


class Processes:
    """Commands of ours in a folder of their own; what is left is killed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[str]]()
        (folder / "tried.yaml").write_text(CONFIG)

    def start(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "active_learner", *arguments]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline()

    def broker(self) -> str:
        _, line = self.start("broker", "--address", "tcp://127.0.0.1:0")
        found = re.search(r"tcp://127\.0\.0\.1:\d+", line)
        assert found is not None, line
        return found.group()

    def evaluator(self, address: str) -> tuple[subprocess.Popen[str], str]:
        return self.start("evaluator", "tried.yaml", "--set", f"broker.address={address}")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def batch(step: int) -> np.ndarray:
    return np.random.default_rng(step).integers(0, 17, (8, 64)).astype(np.uint8)


def slope(step: int, predictions: np.ndarray) -> np.ndarray:
    return LOSS.gradient(predictions, np.random.default_rng(500 + step).integers(0, 10, 8))[1]


def reference(last: int) -> str:
    backend = TorchBackend(NetworkSettings(digits, {"dropout": 0.2}, seed=SEED))
    for step in range(1, last + 1):
        backend.apply(step, slope(step, backend.forward(step, SEED, batch(step))), False)
    return backend.digest()


def forward(step: int) -> Forward:
    return Forward(1, step, Status.TRAIN, "", 0, 0, step - 1, SEED, batch(step))


async def asked(peer: Peer, room: str, message: Any, kind: type[Any], step: int | None = None) -> Any:
    """As the trainer does: said again until the answer comes."""

    def answers(received: Received) -> bool:
        return isinstance(received.message, kind) and step in (None, getattr(received.message, "step", None))

    return (await peer.request(room, message, answers, DEADLINE_S)).message


async def steps(peer: Peer, first: int, last: int) -> Any:
    """Fused, then promoted; returns PROMOTED."""
    predictions = (await asked(peer, "traininput", forward(first), Forward, first)).data
    for step in range(first, last):
        message = Step(1, step, slope(step, predictions), 0, 0, 0, SEED, batch(step + 1))
        predictions = (await asked(peer, "traininput", message, Forward, step + 1)).data
    await asked(peer, "trainoutput", Gradient(1, last, slope(last, predictions)), Gradient, last)
    return await asked(peer, "traininput", Promote(1, "r", 0, last, last), Promoted, last)


async def trainer_at(address: str) -> Peer:
    peer = Peer(experiment="tried", role="trainer", exclusive=True, address=address)
    await peer.open()
    for room in ("traininput", "trainoutput"):
        await peer.join(room)
    return peer


def play(scene: Callable[[], Any]) -> None:
    asyncio.run(scene())


def test_killed_between_forward_and_gradient_the_weights_are_those_of_an_undisturbed_run(processes: Processes) -> None:
    address = processes.broker()
    process, line = processes.evaluator(address)
    assert line == "ready: evaluator at step 0, model version 0\n"

    async def scene() -> None:
        peer = await trainer_at(address)
        assert (await asked(peer, "traininput", PositionRequest(1, "r"), Position)).width == 10
        await steps(peer, 1, 20)
        predictions = (await asked(peer, "traininput", forward(21), Forward, 21)).data
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        _, again = await asyncio.to_thread(processes.evaluator, address)
        assert again == "ready: evaluator at step 20, model version 20\n"
        told = await asked(peer, "trainoutput", Gradient(1, 21, slope(21, predictions)), Position)
        assert (told.applied, told.restorable, told.run) == (20, (20,), "r")
        assert (await steps(peer, 21, 40)).digest == reference(40)
        await peer.close()

    play(scene)


def test_row_27_a_second_evaluator_for_the_role_ends_with_exit_code_5_and_sigterm_with_0(processes: Processes) -> None:
    address = processes.broker()
    first, _ = processes.evaluator(address)
    second, _ = processes.evaluator(address)
    assert second.wait(DEADLINE_S) == 5
    assert second.stderr is not None
    assert "evaluator" in second.stderr.read()
    first.send_signal(signal.SIGTERM)
    assert first.wait(DEADLINE_S) == 0
