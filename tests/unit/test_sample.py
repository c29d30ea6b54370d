"""What a sample is, from the configuration, the data set or the genome; and the rows held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.config.sample import held_out, resolve
from active_learner.config.schema import Config
from active_learner.core.records import SampleSpec
from active_learner.errors import ConfigError

DIGITS = {"kind": "dataset", "path": "digits"}
GENOMES = {"kind": "evolution", "bits": 128}
X = np.arange(12, dtype=np.uint8).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def configured(source: dict[str, Any] | None = None, **sections: Any) -> Config:
    return Config.model_validate({"name": "test", "source": source or {"kind": "none"}, **sections})


def saved(folder: Path, **arrays: np.ndarray) -> dict[str, str]:
    np.savez(folder / "set.npz", **arrays)
    return {"kind": "dataset", "path": "set.npz"}


def test_a_data_set_tells_shape_dtype_and_classes() -> None:
    assert resolve(configured(DIGITS)) == SampleSpec((64,), "float32", 10)


def test_the_highest_label_of_both_parts_counts(tmp_path: Path) -> None:
    source = saved(tmp_path, X_train=X, y_train=Y, X_test=X, y_test=Y + 4)
    assert resolve(configured(source), tmp_path) == SampleSpec((3,), "uint8", 7)


def test_a_genome_is_bits() -> None:
    spec = resolve(configured(GENOMES, sample={"classes": 6, "media": "melody"}))
    assert spec == SampleSpec((128,), "uint8", 6, "melody")


def test_what_is_said_wins() -> None:
    names = tuple("abcdefghijkl")
    sample = {"shape": (8, 8), "dtype": "float64", "classes": 12, "media": "image", "class_names": names}
    assert resolve(configured(DIGITS, sample=sample)) == SampleSpec((8, 8), "float64", 12, "image", names)
    assert resolve(configured(DIGITS, sample={"classes": 12})) == SampleSpec((64,), "float32", 12)


def test_a_data_set_that_has_nothing_to_tell_is_not_read() -> None:
    sample = {"shape": (2,), "dtype": "uint8", "classes": 2}
    assert resolve(configured({"kind": "dataset", "path": "missing.npz"}, sample=sample)).shape == (2,)


@pytest.mark.parametrize(
    ("source", "sample", "missing"),
    [
        ({"kind": "none"}, {}, ["sample.shape", "sample.dtype", "sample.classes"]),
        ({"kind": "jsonl"}, {"classes": 3}, ["sample.shape", "sample.dtype"]),
        ({"kind": "custom", "factory": "a:b"}, {"shape": (2,), "classes": 3}, ["sample.dtype"]),
        (GENOMES, {}, ["sample.classes"]),
    ],
)
def test_each_missing_key_is_named(source: dict[str, Any], sample: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(configured(source, sample=sample))
    assert [line.split()[0] for line in caught.value.problems] == missing
    assert source["kind"] in str(caught.value)


def test_a_data_set_without_labels_leaves_the_classes_to_say(tmp_path: Path) -> None:
    source = saved(tmp_path, X_train=X)
    with pytest.raises(ConfigError, match=r"sample\.classes is missing: the data set set\.npz does not tell it"):
        resolve(configured(source), tmp_path)
    assert resolve(configured(source, sample={"classes": 3}), tmp_path).classes == 3


def test_there_is_a_name_for_each_class_or_for_none() -> None:
    with pytest.raises(ConfigError, match="2 names, there are 10 classes"):
        resolve(configured(DIGITS, sample={"class_names": ("a", "b")}))


def test_the_sources_test_rows_are_held_out() -> None:
    rows = held_out(configured(DIGITS, validation={"limit": 100}))
    assert rows is not None
    assert (rows[0].shape, rows[0].dtype, rows[1].shape, rows[1].dtype) == ((100, 64), np.float32, (100,), np.int64)
    everything = held_out(configured(DIGITS))
    assert everything is not None
    assert len(everything[0]) == 597


def test_another_file_may_be_held_out(tmp_path: Path) -> None:
    saved(tmp_path, X_test=X[:, :2] % 2, y_test=Y)
    config = configured({"kind": "evolution", "bits": 2}, sample={"classes": 3}, validation={"path": "set.npz"})
    rows = held_out(config, tmp_path)
    assert rows is not None
    assert rows[0].tolist() == (X[:, :2] % 2).tolist()


def test_held_out_rows_take_the_dtype_of_the_experiment(tmp_path: Path) -> None:
    source = saved(tmp_path, X_train=X, y_train=Y, X_test=X, y_test=Y)
    rows = held_out(configured(source, sample={"dtype": "float32"}), tmp_path)
    assert rows is not None
    assert rows[0].dtype == np.float32


def test_there_may_be_nothing_to_hold_out(tmp_path: Path) -> None:
    assert held_out(configured(GENOMES, sample={"classes": 6})) is None
    assert held_out(configured(saved(tmp_path, X_train=X, y_train=Y)), tmp_path) is None


@pytest.mark.parametrize(
    ("arrays", "sample", "told"),
    [
        ({"X_train": X, "y_train": Y}, {}, "validation.path: .* has no X_test and y_test"),
        ({"X_test": X, "y_test": Y}, {"shape": (4,)}, r"samples of \(3,\), not \(4,\)"),
        ({"X_test": X, "y_test": Y}, {"classes": 2}, r"y_test has label 2, sample.classes allows 0 \.\. 1"),
        ({"X_test": X + 0.5, "y_test": Y}, {}, "X_test has values that are not uint8"),
    ],
)
def test_rows_that_do_not_fit_are_told(
    tmp_path: Path, arrays: dict[str, np.ndarray], sample: dict[str, Any], told: str
) -> None:
    saved(tmp_path, **arrays)
    full = {"shape": (3,), "dtype": "uint8", "classes": 3, **sample}
    with pytest.raises(ConfigError, match=told):
        held_out(configured(sample=full, validation={"path": "set.npz"}), tmp_path)
