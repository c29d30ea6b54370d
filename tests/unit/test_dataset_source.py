"""The data set's rows: all once, in a seeded order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from active_learner.config.schema import DatasetSource
from active_learner.core.records import SampleSpec
from active_learner.errors import BadSample, ConfigError
from active_learner.sources.dataset import DatasetProposer

SPEC = SampleSpec((1,), "float32", 2)


def source(folder: Path, rows: np.ndarray, spec: SampleSpec = SPEC, seed: int = 0, **keys: object) -> DatasetProposer:
    np.savez(folder / "rows.npz", X_train=rows, y_train=np.zeros(len(rows), int))
    section = DatasetSource.model_validate({"path": str(folder / "rows.npz"), "batch": 4, **keys})
    return DatasetProposer(section, spec, seed)


def order(source: DatasetProposer) -> list[float]:
    found: list[float] = []
    while (batch := source.propose()) is not None:
        found += batch.ravel().tolist()
    return found


ROWS = np.arange(10, dtype=np.float32)[:, None]


def test_every_row_is_proposed_once_and_the_seed_gives_the_order(tmp_path: Path) -> None:
    one, same, other = (order(source(tmp_path, ROWS, seed=seed)) for seed in (1, 1, 2))
    assert sorted(one) == list(range(10))
    assert one == same != other


def test_without_shuffle_rows_keep_the_files_order(tmp_path: Path) -> None:
    assert order(source(tmp_path, ROWS, shuffle=False)) == list(range(10))


def test_a_limit_proposes_only_so_many(tmp_path: Path) -> None:
    assert len(order(source(tmp_path, ROWS, limit=3))) == 3


def test_a_restart_proposes_all_again_in_the_same_order(tmp_path: Path) -> None:
    made = source(tmp_path, ROWS)
    first = order(made)
    made.restart()
    assert order(made) == first


def test_rows_become_the_experiments_dtype(tmp_path: Path) -> None:
    batch = source(tmp_path, ROWS.astype(np.int64)).propose()
    assert batch is not None
    assert batch.dtype == np.float32


def test_rows_of_another_shape_or_that_lose_their_value_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSample, match=r"shape \(2,\), the experiment's are \(1,\)"):
        source(tmp_path, np.zeros((3, 2)))
    with pytest.raises(BadSample, match="not uint8"):
        source(tmp_path, ROWS + 0.5, SampleSpec((1,), "uint8", 2))


def test_a_file_with_test_rows_only_has_nothing_to_propose(tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", X_test=ROWS, y_test=np.zeros(10, int))
    with pytest.raises(ConfigError, match="has no X_train"):
        DatasetProposer(DatasetSource(path=str(tmp_path / "test.npz")), SPEC, 0)
