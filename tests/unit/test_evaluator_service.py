"""The evaluator's process in one event loop: real machines and engine, a broker without sockets, the test as trainer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from active_learner.backends.settings import NetworkSettings
from active_learner.backends.torch_module import TorchBackend
from active_learner.core.evaluation_events import Place
from active_learner.examples.torch_networks import digits
from active_learner.losses import load_loss
from active_learner.peer import Peer, Received
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.engine_lane import EngineLane
from active_learner.services.evaluator import CHUNK_ROWS, Evaluator, EvaluatorRooms
from active_learner.transport.memory import MemoryBroker
from protocol.messages import (
    Candidates,
    Forward,
    Gradient,
    LogLine,
    Position,
    PositionRequest,
    Promote,
    Promoted,
    Restore,
    Scores,
    Status,
    Step,
    StepRefused,
)

DEADLINE_S = 20.0
SEED = 4
ALONE = Place("evaluator", "traininput", "trainoutput", "evolution", True, True)
LOWER = Place("lower", "traininput", "middle", "evolution", True, False, behind="upper")
UPPER = Place("upper", "middle", "trainoutput", "evolution", False, True, before="lower")
ROOMS = EvaluatorRooms("evolution", "traininput", "control")
LOSS = load_loss("cross_entropy")


def batch(step: int, rows: int = 6) -> np.ndarray:
    return np.random.default_rng(step).integers(0, 17, (rows, 64)).astype(np.uint8)


def targets(step: int, rows: int = 6) -> np.ndarray:
    return np.random.default_rng(500 + step).integers(0, 10, rows)


def engine(**changes: Any) -> TorchBackend:
    given: dict[str, Any] = {"network": digits, "arguments": {"hidden": 8}, "seed": SEED}
    return TorchBackend(NetworkSettings(**{**given, **changes}))


class Trainer:
    """Says things and waits for the answers that it wants."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.peer = Peer(experiment="tried", role="trainer", exclusive=True, address=broker.address)
        self.heard: list[Any] = []
        self._arrived = asyncio.Event()
        self.peer.on_message = self._hear

    def _hear(self, received: Received) -> None:
        self.heard.append(received.message)
        self._arrived.set()

    async def open(self) -> None:
        await self.peer.open()
        for room in ("control", "evolution", "traininput", "trainoutput"):
            await self.peer.join(room)

    async def ask(self, room: str, message: Any, answer: Callable[[Any], bool]) -> Any:
        """Say it; the first message from now on for which `answer` is true."""
        self.heard.clear()
        self.peer.send(room, message)
        return await self.wait(answer)

    async def wait(self, answer: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for message in self.heard:
                    if answer(message):
                        return message
                self._arrived.clear()
                await self._arrived.wait()

    async def position(self, term: int = 1, run: str = "r") -> Any:
        return await self.ask("traininput", PositionRequest(term, run), lambda m: isinstance(m, Position | StepRefused))

    async def forward(self, step: int, term: int = 1) -> np.ndarray:
        message = Forward(term, step, Status.TRAIN, "", 0, 0, step - 1, SEED, batch(step))
        found = await self.ask("traininput", message, lambda m: isinstance(m, Forward) and m.step == step)
        data: np.ndarray = found.data
        return data

    async def step(self, step: int) -> None:
        """Two trips."""
        slope = LOSS.gradient(await self.forward(step), targets(step))[1]
        await self.ask("trainoutput", Gradient(1, step, slope), lambda m: isinstance(m, Gradient) and m.step == step)

    async def fused(self, first: int, last: int) -> None:
        predictions = await self.forward(first)
        for step in range(first, last):
            slope = LOSS.gradient(predictions, targets(step))[1]
            message = Step(1, step, slope, 0, 0, 0, SEED, batch(step + 1))
            found = await self.ask("traininput", message, lambda m, step=step: getattr(m, "step", 0) == step + 1)
            predictions = found.data
        slope = LOSS.gradient(predictions, targets(last))[1]
        await self.ask("trainoutput", Gradient(1, last, slope), lambda m: isinstance(m, Gradient))

    async def promote(self, step: int) -> Any:
        wanted = Promoted | StepRefused
        return await self.ask("traininput", Promote(1, "r", 0, step, step), lambda m: isinstance(m, wanted))


async def started(broker: MemoryBroker, folder: Path, backend: TorchBackend, place: Place = ALONE) -> Evaluator:
    peer = Peer(experiment="tried", role=place.role, exclusive=True, address=broker.address)
    service = Evaluator(peer, backend, CheckpointFolder(folder, place.role, 3), place, ROOMS, SEED)
    await service.start()
    return service


def play(scene: Callable[[MemoryBroker, Trainer], Awaitable[None]]) -> None:
    async def run() -> None:
        async with MemoryBroker() as broker:
            trainer = Trainer(broker)
            await trainer.open()
            await scene(broker, trainer)
            await trainer.peer.close()

    torch.set_num_threads(1)
    asyncio.run(run())


def reference(last: int) -> str:
    backend = engine()
    for step in range(1, last + 1):
        slope = LOSS.gradient(backend.forward(step, SEED, batch(step)), targets(step))[1]
        backend.apply(step, slope, False)
    return backend.digest()


def test_fused_and_two_trips_give_the_weights_of_the_engine_alone(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        assert (await trainer.position()).fused
        await trainer.fused(1, 6)
        for step in range(7, 10):
            await trainer.step(step)
        assert (await trainer.promote(9)).digest == reference(9)
        assert (await trainer.position()).restorable == (9,)
        await service.stop()

    play(scene)


def test_killed_between_forward_and_gradient_it_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        await trainer.fused(1, 4)
        await trainer.promote(4)
        slope = LOSS.gradient(await trainer.forward(5), targets(5))[1]
        await service.stop()
        service = await started(broker, tmp_path, engine(seed=99))
        told = await trainer.ask("trainoutput", Gradient(1, 5, slope), lambda m: isinstance(m, Position))
        assert (told.applied, told.run, told.why) == (
            4,
            "r",
            "GRADIENT of step 5 does not fit: 4 is applied, no graph is kept",
        )
        await trainer.fused(5, 8)
        assert (await trainer.promote(8)).digest == reference(8)
        await service.stop()

    play(scene)


def test_a_damaged_checkpoint_is_left_out_and_an_older_one_is_taken(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        for first in (1, 3, 5, 7):
            await trainer.fused(first, first + 1)
            await trainer.promote(first + 1)
        await service.stop()
        names = sorted(os.listdir(tmp_path))
        assert names == [f"evaluator-{step:010d}.safetensors" for step in (4, 6, 8)]
        _spoil(tmp_path / names[-1])
        service = await started(broker, tmp_path, engine())
        told = await trainer.position()
        assert (told.applied, told.model_version, told.restorable) == (6, 6, (4, 6))
        await service.stop()

    play(scene)


def _spoil(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)


def test_a_restore_leaves_later_checkpoints_behind(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        for first in (1, 3):
            await trainer.fused(first, first + 1)
            await trainer.promote(first + 1)
        told = await trainer.ask("traininput", Restore(1, "r", "evaluator", 2), lambda m: isinstance(m, Position))
        assert (told.applied, told.model_version, told.restorable) == (2, 2, (2,))
        assert (tmp_path / "evaluator-0000000004.abandoned").exists()
        told = await trainer.ask("traininput", Restore(1, "r", "evaluator", 0), lambda m: isinstance(m, Position))
        assert (told.applied, told.restorable) == (0, ())
        await trainer.fused(1, 2)
        assert (await trainer.promote(2)).digest == reference(2)
        await service.stop()

    play(scene)


def test_validation_is_by_the_present_weights_and_scores_by_the_promoted_ones(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        backend = engine()
        service = await started(broker, tmp_path, backend)
        await trainer.position()
        await trainer.fused(1, 3)
        question = Forward(1, 3, Status.VALIDATE, "v7", 0, 0, 0, SEED, batch(90))
        answer = await trainer.ask("traininput", question, lambda m: isinstance(m, Forward) and m.ticket == "v7")
        np.testing.assert_array_equal(answer.data, backend.evaluate(batch(90)))
        many = batch(91, 2 * CHUNK_ROWS + 5)
        scores = await trainer.ask("evolution", Candidates("c", "refresh", many, True), lambda m: isinstance(m, Scores))
        assert (scores.model_version, scores.probabilities.shape, scores.embeddings.shape) == (0, (517, 10), (517, 64))
        assert scores.fitness.shape == (517,)
        await service.stop()

    play(scene)


def test_a_promotion_between_two_pieces_of_candidates_starts_them_again(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        backend = engine()
        score = backend.score
        calls: list[int] = []

        def scoring(rows: np.ndarray, embeddings: bool) -> Any:
            calls.append(len(rows))
            if len(calls) == 2:
                backend._model_version = 7
            return score(rows, embeddings)

        backend.score = scoring  # type: ignore[method-assign]
        service = await started(broker, tmp_path, backend)
        many = batch(91, CHUNK_ROWS + 5)
        scores = await trainer.ask(
            "evolution", Candidates("c", "refresh", many, False), lambda m: isinstance(m, Scores)
        )
        assert calls == [CHUNK_ROWS, 5, CHUNK_ROWS, 5]
        assert (scores.model_version, len(scores.probabilities)) == (7, CHUNK_ROWS + 5)
        await service.stop()

    play(scene)


def test_what_cannot_be_done_is_refused_and_leaves_the_weights(tmp_path: Path) -> None:
    def is_refusal(message: Any) -> bool:
        return isinstance(message, StepRefused)

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        narrow = Forward(1, 1, Status.TRAIN, "", 0, 0, 0, SEED, batch(1)[:, :63])
        told = await trainer.ask("traininput", narrow, is_refusal)
        assert (told.code, told.step, told.role) == ("shape", 1, "evaluator")
        assert "Linear" in told.text
        told = await trainer.ask("evolution", Candidates("c", "propose", batch(1)[:, :63], False), is_refusal)
        assert (told.code, told.ticket, told.term) == ("shape", "c", 0)
        await trainer.forward(1)
        told = await trainer.ask("trainoutput", Gradient(1, 1, np.zeros((6, 9), np.float32)), is_refusal)
        assert (told.code, told.step) == ("shape", 1)
        slope = LOSS.gradient(await trainer.forward(1), targets(1))[1]
        await trainer.ask("trainoutput", Gradient(1, 1, slope), lambda m: isinstance(m, Gradient))
        assert (await trainer.promote(1)).digest == reference(1)
        told = await trainer.position(term=2, run="other")
        assert told.code == "wrong_run"
        await service.stop()

    play(scene)


def test_a_full_disk_refuses_the_promotion_and_the_next_try_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        await trainer.fused(1, 2)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", _full)
            told = await trainer.promote(2)
        assert (told.code, told.step) == ("failed", 2)
        assert "No space left" in (await trainer.wait(lambda m: isinstance(m, LogLine))).text
        assert os.listdir(tmp_path) == []
        assert await scored_by(trainer) == (await trainer.position()).model_version == 0
        assert (await trainer.promote(2)).digest == reference(2)
        assert await scored_by(trainer) == 2
        await service.stop()

    play(scene)


async def scored_by(trainer: Trainer) -> int:
    """Step of the snapshot that scores."""
    scores = await trainer.ask(
        "evolution", Candidates("c", "refresh", batch(1), False), lambda m: isinstance(m, Scores)
    )
    version: int = scores.model_version
    return version


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_bug_in_the_optimizer_ends_the_process_instead_of_training_on(tmp_path: Path) -> None:
    class Broken(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            raise RuntimeError("half done")

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine(optimizer=Broken))
        await trainer.position()
        slope = LOSS.gradient(await trainer.forward(1), targets(1))[1]
        trainer.peer.send("trainoutput", Gradient(1, 1, slope))
        with pytest.raises(RuntimeError, match="half done"):
            await asyncio.wait_for(service.done, DEADLINE_S)
        await service.stop()

    play(scene)


def test_a_chain_of_two_trains_as_the_joined_network(tmp_path: Path) -> None:
    def lower() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU())

    def upper() -> nn.Module:
        return nn.Sequential(nn.Linear(16, 10))

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        low = engine(network=lower, arguments={})
        high = engine(network=upper, arguments={}, stage=1, input_gradient=True)
        joined = nn.Sequential(*lower(), *upper())
        joined[0].load_state_dict(low.network[0].state_dict())
        joined[2].load_state_dict(high.network[0].state_dict())
        services = [await started(broker, tmp_path, low, LOWER), await started(broker, tmp_path, high, UPPER)]
        assert not (await trainer.position()).fused
        optimizer = torch.optim.Adam(joined.parameters(), lr=1e-3)
        for step in range(1, 9):
            await trainer.step(step)
            optimizer.zero_grad()
            output = joined(torch.from_numpy(batch(step)).float())
            output.backward(torch.from_numpy(LOSS.gradient(output.detach().numpy(), targets(step))[1]))
            optimizer.step()
        assert torch.equal(joined[0].weight, low.network[0].weight)
        assert torch.equal(joined[2].weight, high.network[0].weight)
        scores = await trainer.ask(
            "evolution", Candidates("c", "propose", batch(91), True), lambda m: isinstance(m, Scores)
        )
        assert (scores.re, scores.probabilities.shape, scores.embeddings) == ("c", (6, 10), None)
        question = Forward(1, 8, Status.VALIDATE, "v", 0, 0, 0, SEED, batch(90))
        answer = await trainer.ask("traininput", question, lambda m: isinstance(m, Forward) and m.ticket == "v")
        np.testing.assert_array_equal(answer.data, joined(torch.from_numpy(batch(90)).float()).detach().numpy())
        for service in services:
            await service.stop()

    play(scene)


# --- the lane


def test_quick_work_runs_in_the_loop_and_what_was_slow_twice_in_the_thread() -> None:
    async def scene() -> None:
        ticks = iter([0.0, 0.0001] * 3 + [0.0, 5.0] * 4)
        lane = EngineLane(lambda: next(ticks))
        where: list[bool] = []
        for _ in range(7):
            finished = asyncio.Event()
            lane.submit(
                "forward",
                lambda: where.append(threading.current_thread() is threading.main_thread()),
                lambda _r, _e, finished=finished: finished.set(),
            )
            await asyncio.wait_for(finished.wait(), DEADLINE_S)
        assert where == [False, True, True, True, True, False, False]
        lane.close()

    asyncio.run(scene())


def test_training_goes_before_candidates_and_one_piece_runs_at_a_time() -> None:
    async def scene() -> None:
        lane, order, done = EngineLane(), list[str](), asyncio.Event()
        gate = threading.Event()

        def work(name: str) -> Callable[[], None]:
            return lambda: order.append(name)

        def after(_: Any, error: Exception | None) -> None:
            assert error is None
            if len(order) == 4:
                done.set()

        lane.submit("slow", gate.wait, after)
        for name in ("score 1", "score 2"):
            lane.submit("score", work(name), after, urgent=False)
        for name in ("forward", "apply"):
            lane.submit(name, work(name), after)
        assert order == []
        gate.set()
        await asyncio.wait_for(done.wait(), DEADLINE_S)
        assert order == ["forward", "apply", "score 1", "score 2"]
        lane.close()

    asyncio.run(scene())
