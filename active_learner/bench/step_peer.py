"""A bare trainer on the public Peer against the real evaluator: what a step costs without the trainer's own machines."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from active_learner.bench import step_task
from active_learner.bench.processes import PROGRAM, our_broker
from active_learner.losses import load_loss
from active_learner.peer import Peer, Received
from protocol.messages import Forward, Gradient, Message, Position, PositionRequest, Promote, Promoted, Status, Step

TERM, RUN = 1, "be" * 16
READY_TIMEOUT_S = 30.0
CONFIG = f"""\
name: bench
seed: {step_task.SEED}
sample: {{shape: [{step_task.BITS}], dtype: uint8, classes: {step_task.CLASSES}}}
evaluator:
  network: active_learner.examples.torch_networks:melody
  optimizer: sgd
  learning_rate: {step_task.LEARNING_RATE}
  device: cpu
"""


class BareTrainer:
    """Steps one after the other as the answers come; nothing else runs in its process."""

    def __init__(self, peer: Peer, steps: int, fused: bool) -> None:
        self._peer, self._steps, self._fused = peer, steps, fused
        self._batches, self._loss = step_task.batches(), load_loss(step_task.LOSS)
        self._begun, self.taken = 0.0, list[float]()
        self.applied: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        self._begun = time.perf_counter()
        self._peer.on_message = self._received
        self._forward(1)

    def _received(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Forward):
            self._predicted(message)
        elif isinstance(message, Gradient):
            self._applied(message)

    def _predicted(self, answer: Forward) -> None:
        step = answer.step
        if self._fused and step > 1:
            self._tick()  # the forward of a step says that the one before it is applied
        _, gradient = self._loss.gradient(answer.data, self._batch(step)[1])
        if self._fused and step < self._steps:
            batch = self._batch(step + 1)[0]
            self._say("traininput", Step(TERM, step, gradient, 0, 0, step, step_task.SEED, batch))
        else:
            self._say("trainoutput", Gradient(TERM, step, gradient))

    def _applied(self, answer: Gradient) -> None:
        self._tick()
        if answer.step == self._steps:
            self.applied.set_result(None)
        else:
            self._forward(answer.step + 1)

    def _forward(self, step: int) -> None:
        batch = self._batch(step)[0]
        self._say("traininput", Forward(TERM, step, Status.TRAIN, "", 0, 0, step, step_task.SEED, batch))

    def _batch(self, step: int) -> tuple[Any, Any]:
        return self._batches[(step - 1) % len(self._batches)]

    def _tick(self) -> None:
        now = time.perf_counter()
        self.taken.append(now - self._begun)
        self._begun = now

    def _say(self, room: str, message: Message) -> None:
        if not self._peer.send(room, message):
            self.applied.set_exception(RuntimeError(f"{type(message).__name__} could not be sent"))


def remote_loop(fused: bool, steps: int = step_task.STEPS) -> step_task.Steps:
    """`steps` steps through a broker and an evaluator of their own."""
    with our_broker() as (port,), tempfile.TemporaryDirectory(prefix="active-learner-bench-") as folder:
        config = write_config(Path(folder), port)
        with evaluator(config):
            return asyncio.run(_measured(f"tcp://127.0.0.1:{port}", steps, fused))


def write_config(folder: Path, port: int, *lines: str) -> Path:
    """An experiment in `folder` on the broker at that port, with more top-level keys as given."""
    file = folder / "bench.yaml"
    here = (f"run_dir: {folder / 'run'}", f"broker: {{address: 'tcp://127.0.0.1:{port}'}}")
    file.write_text("\n".join([CONFIG, *here, *lines, ""]), encoding="utf-8")
    return file


async def _measured(address: str, steps: int, fused: bool) -> step_task.Steps:
    async with Peer(experiment="bench", role="trainer", name="trainer", exclusive=True, address=address) as peer:
        for room in ("traininput", "trainoutput", "control"):
            await peer.join(room)
        await peer.request(
            "traininput", PositionRequest(TERM, RUN), lambda one: isinstance(one.message, Position), READY_TIMEOUT_S
        )
        trainer = BareTrainer(peer, steps, fused)
        trainer.start()
        await asyncio.wait_for(trainer.applied, READY_TIMEOUT_S)
        promote = Promote(TERM, RUN, 0, steps, steps)
        said = await peer.request("traininput", promote, lambda one: isinstance(one.message, Promoted), READY_TIMEOUT_S)
        assert isinstance(said.message, Promoted)
        return step_task.Steps.of(trainer.taken, said.message.digest)


@contextlib.contextmanager
def evaluator(config: Path) -> Iterator[None]:
    """The service as a user starts it, ready, until the end of the block."""
    log = config.with_name("evaluator.log")
    with log.open("wb") as said:
        process = subprocess.Popen([*PROGRAM, "evaluator", str(config)], stdout=subprocess.PIPE, stderr=said)
    try:
        assert process.stdout is not None
        if not process.stdout.readline().startswith(b"ready:"):
            raise RuntimeError(f"the evaluator did not start: {log.read_text(encoding='utf-8', errors='replace')}")
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(4.0)
        process.kill()
        process.communicate()
