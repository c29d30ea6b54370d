"""What an evaluator does with arrays that fit nowhere, networks that fail, and peers that say what is not theirs to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.backends.base import DoesNotFit, NotFinite
from active_learner.peer import Peer
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Candidates, Forward, Gradient, LogLine, PositionRequest, Status, Step, StepRefused
from tests.unit.test_evaluator_service import (
    LOSS,
    SEED,
    Trainer,
    batch,
    engine,
    play,
    reference,
    scored_by,
    started,
    targets,
)


@pytest.mark.parametrize("shape", [(), (5,), (5, 63), (1,) * 8, (100_000, 1)], ids=str)
def test_row_23_arrays_of_any_shape_from_anybody_are_refused_and_the_process_lives(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    odd = np.ones(shape, np.uint8)

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        await trainer.forward(1)
        said = [
            ("evolution", Candidates("c", "propose", odd, True)),
            ("evolution", Candidates("d", "refresh", odd, False)),
            ("traininput", Forward(1, 0, Status.VALIDATE, "v", 0, 0, 0, SEED, odd)),
            ("trainoutput", Gradient(1, 1, odd)),
            ("traininput", Step(1, 1, odd, 0, 0, 0, SEED, odd)),
        ]
        for room, message in said:
            told = await trainer.ask(room, message, lambda m: isinstance(m, StepRefused))
            assert told.code == "shape", told.text
        told = await trainer.position(term=2)
        bad = Forward(2, 1, Status.TRAIN, "", 0, 0, 0, SEED, odd)
        told = await trainer.ask("traininput", bad, lambda m: isinstance(m, StepRefused))
        assert (told.code, told.step) == ("shape", 1)
        assert await scored_by(trainer) == 0
        assert not service.done.done()
        await service.stop()

    play(scene)


def test_an_error_of_any_length_while_scoring_is_refused_and_the_process_lives(tmp_path: Path) -> None:
    def score(rows: np.ndarray, embeddings: bool) -> Any:
        raise KeyError("x" * 100_000)

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        backend = engine()
        backend.score = score  # type: ignore[method-assign]
        service = await started(broker, tmp_path, backend)
        question = Candidates("c", "propose", batch(1), False)
        told = await trainer.ask("evolution", question, lambda m: isinstance(m, StepRefused))
        assert (told.code, told.text[:10]) == ("failed", "KeyError: ")
        assert not service.done.done()
        await service.stop()

    play(scene)


def test_refusals_are_counted_by_what_for_and_one_that_is_said_to_two_is_one(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        odd = Candidates("c", "propose", np.ones((5, 63), np.uint8), False)
        await trainer.ask("evolution", odd, lambda m: isinstance(m, StepRefused))
        await trainer.ask("traininput", PositionRequest(0, "r"), lambda m: isinstance(m, StepRefused))
        told = {one.labels[0]: one.value for one in service.readings() if one.measure == "refused" and one.value}
        assert told == {"shape": 1, "stale_term": 1}
        await service.stop()

    play(scene)


def test_who_is_not_the_trainer_cannot_train(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await started(broker, tmp_path, engine())
        await trainer.position()
        slope = LOSS.gradient(await trainer.forward(1), targets(1))[1]
        async with Peer(experiment="tried", role="stranger", name="mallory", address=broker.address) as mallory:
            for room in ("traininput", "trainoutput"):
                await mallory.join(room)
            trainer.heard.clear()
            mallory.send("trainoutput", Gradient(1, 1, slope * 0 + 1))
            mallory.send("traininput", PositionRequest(2**63 - 1, "r"))
            told = await trainer.wait(lambda m: isinstance(m, LogLine))
            assert "GRADIENT of mallory (role stranger)" in told.text
            assert mallory.counters == {"refused.forbidden": 1}  # the broker lets only a trainer say POSITION_REQUEST
        await trainer.ask("trainoutput", Gradient(1, 1, slope), lambda m: isinstance(m, Gradient) and m.data is None)
        assert service.machine.unheeded == 1
        assert (await trainer.promote(1)).digest == reference(1)
        await service.stop()

    play(scene)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("expected something that does not take, not finite"), "failed"),
        (NotFinite("weights gone astray"), "not_finite"),
        (DoesNotFit("too wide"), "shape"),
    ],
    ids=["words do not count", "not finite", "does not fit"],
)
def test_the_code_of_a_refusal_is_told_by_its_kind_and_not_by_its_words(
    tmp_path: Path, error: ValueError, code: str
) -> None:
    def forward(step: int, seed: int, rows: np.ndarray) -> Any:
        raise error

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        backend = engine()
        backend.forward = forward  # type: ignore[method-assign]
        service = await started(broker, tmp_path, backend)
        await trainer.position()
        bad = Forward(1, 1, Status.TRAIN, "", 0, 0, 0, SEED, batch(1))
        told = await trainer.ask("traininput", bad, lambda m: isinstance(m, StepRefused))
        assert (told.code, told.text) == (code, str(error))
        await service.stop()

    play(scene)
