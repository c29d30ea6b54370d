"""What every source of the family's table promises. A new variant needs one line in MAKE."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from active_learner.config.schema import DatasetSource, EvolutionSource, JsonlSource
from active_learner.core.records import Features, SampleSpec
from active_learner.sources import VARIANTS
from active_learner.sources.base import Outcome, Source

SPEC = SampleSpec((8,), "uint8", 2)
ROWS = np.unpackbits(np.arange(100, dtype=np.uint8)[:, None], axis=1)


def write_dataset(folder: Path) -> DatasetSource:
    np.savez(folder / "rows.npz", X_train=ROWS, y_train=np.arange(100) % 2, X_test=ROWS[:5], y_test=np.zeros(5, int))
    return DatasetSource(path=str(folder / "rows.npz"), batch=30)


def write_lines(folder: Path) -> JsonlSource:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS.tolist()))
    return JsonlSource(path=str(folder / "rows.jsonl"), batch=30)


MAKE: dict[str, Callable[[Path], object]] = {
    "dataset": write_dataset,
    "evolution": lambda _: EvolutionSource(bits=8, population=20, generations=4),
    "jsonl": write_lines,
}


@pytest.fixture(params=sorted(VARIANTS))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Source]:
    section = MAKE[request.param](tmp_path)

    def made(seed: int = 1) -> Source:
        source: Source = resolve_name(VARIANTS[request.param])(section, SPEC, seed, tmp_path)
        request.addfinalizer(source.close)
        return source

    return made


def drained(source: Source, fitness: bool = True) -> list[Features]:
    """All batches, each with its outcome reported before the next."""
    batches: list[Features] = []
    while (batch := source.propose()) is not None:
        batches.append(batch)
        source.report(Outcome(batch, np.ones(len(batch), np.float32) if fitness else None, len(batch)))
        assert len(batches) < 100
    return batches


def test_batches_are_rows_of_the_experiments_shape_and_dtype(make: Callable[[], Source]) -> None:
    for batch in drained(make()):
        assert batch.shape[0] >= 1
        assert batch.shape[1:] == SPEC.shape
        assert batch.dtype == SPEC.dtype


def test_a_finite_source_ends_and_stays_ended(make: Callable[[], Source]) -> None:
    source = make()
    assert not source.ended
    assert drained(source)
    assert source.ended
    assert source.propose() is None


def test_the_same_seed_proposes_the_same(make: Callable[[], Source]) -> None:
    one, two = drained(make()), drained(make())
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in two]


def test_it_goes_on_without_fitness_and_after_diversify(make: Callable[[], Source]) -> None:
    source = make()
    source.diversify()
    assert drained(source, fitness=False)


def test_what_it_proposed_may_be_written_to_without_harm(make: Callable[[], Source]) -> None:
    source, untouched = make(), make()
    while (batch := source.propose()) is not None:
        assert np.array_equal(batch, untouched.propose())
        batch[:] = 1


def test_a_restart_does_no_harm(make: Callable[[], Source]) -> None:
    source = make()
    assert source.propose() is not None
    source.restart()
    assert drained(source)
    assert source.ended


def test_closing_twice_is_closing_once(make: Callable[[], Source]) -> None:
    source = make()
    source.close()
    source.close()


def test_problems_are_told_once(make: Callable[[], Source]) -> None:
    source = make()
    drained(source)
    assert source.problems() == []
