"""Data sets: the shipped digits, what files are read, and how a bad one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from active_learner.datasets.reading import read_dataset
from active_learner.errors import ConfigError

X = np.arange(12, dtype=np.uint8).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def saved(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "set.npz", **arrays)
    return str(folder / "set.npz")


def problems(path: str, base: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_dataset(path, base)
    return str(caught.value)


def test_the_shipped_digits_are_what_their_page_says() -> None:
    digits = read_dataset("digits")
    assert digits.X_train is not None
    assert digits.y_train is not None
    assert digits.X_test is not None
    assert digits.y_test is not None
    assert (digits.X_train.shape, digits.X_test.shape) == ((1200, 64), (597, 64))
    assert (digits.y_train.shape, digits.y_test.shape) == ((1200,), (597,))
    assert (digits.dtype, digits.y_train.dtype, digits.shape, digits.classes) == ("float32", np.int64, (64,), 10)
    assert {float(one) for one in np.unique(digits.X_train)} == {step / 16 for step in range(17)}
    assert np.bincount(digits.y_train).min() > 100
    assert digits.path.stat().st_size < 200_000
    page = digits.path.with_suffix(".md").read_text()
    for word in ("CC BY 4.0", "Alpaydin", "Kaynak", "UCI", "scikit-learn"):
        assert word in page


def test_digits_can_be_learned() -> None:
    digits = read_dataset("digits")
    assert digits.X_test is not None
    assert digits.y_train is not None
    assert digits.y_test is not None
    known, asked = digits.training_rows(), digits.X_test
    distances = (known**2).sum(axis=1) - 2 * asked @ known.T
    assert (digits.y_train[distances.argmin(axis=1)] == digits.y_test).mean() > 0.95


def test_a_file_of_that_name_wins_over_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, cwd = tmp_path / "base", tmp_path / "cwd"
    for folder, rows in ((base, 2), (cwd, 3)):
        folder.mkdir()
        np.save(folder / "digits.npy", X[:rows])
        (folder / "digits.npy").rename(folder / "mine.npy")
    monkeypatch.chdir(cwd)
    assert len(read_dataset("mine.npy", base).training_rows()) == 2
    assert len(read_dataset("mine.npy").training_rows()) == 3
    assert len(read_dataset("mine.npy", tmp_path).training_rows()) == 3
    (cwd / "digits").write_text("1,2\n")
    assert "files end with .npz, .npy, .csv" in problems("digits", base)


def test_missing_parts_are_none(tmp_path: Path) -> None:
    found = read_dataset(saved(tmp_path, X_test=X, y_test=Y, note=np.array(["hello"])))
    assert found.X_train is None
    assert found.y_train is None
    assert found.shape == (3,)
    assert found.classes == 3
    with pytest.raises(ConfigError, match="no X_train"):
        found.training_rows()
    assert read_dataset(saved(tmp_path, X_train=X)).classes is None


def test_labels_become_int64_and_samples_keep_their_dtype(tmp_path: Path) -> None:
    found = read_dataset(saved(tmp_path, X_train=X.astype(">f4"), y_train=Y.astype(np.float32)))
    assert found.dtype == "float32"
    assert found.training_rows().dtype.isnative
    assert found.y_train is not None
    assert found.y_train.dtype == np.int64
    assert np.array_equal(found.training_rows(), X)


def test_csv_columns(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("\ufeffa,label,b\r\n0.5,1,2\r\n\r\n3,0,4\r\n", encoding="utf-8", newline="")
    found = read_dataset(str(file))
    assert found.training_rows().tolist() == [[0.5, 2.0], [3.0, 4.0]]
    assert found.dtype == "float32"
    assert found.y_train is not None
    assert found.y_train.tolist() == [1, 0]
    file.write_text("1,2\n3,4")
    assert read_dataset(str(file)).training_rows().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert read_dataset(str(file)).y_train is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no rows"),
        ("\n \n", "no rows"),
        ("a,b\n", "shape (0, 2)"),
        ("1,2\n3\n", "line 2 has 1 columns"),
        ("a,y\n1,x\n", "line 2: 'x' is not a number"),
        ("1,nan\n", "'nan' is not a number"),
        ("1,1e400\n", "too large"),
        ("1,1e300\n", "row 0 is not finite"),
        ("a,y\n1,-1\n", "y_train row 0 is -1.0"),
        ("a,y\n1,0.5\n", "y_train row 0 is 0.5"),
        ("y\n1\n", "shape (1, 0)"),
        ("1,2\n" + "9" * 200_000 + ",1\n", "field"),
    ],
)
def test_a_bad_csv_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    message = problems("rows.csv", tmp_path)
    assert told in message
    assert str(tmp_path / "rows.csv") in message


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"X": X, "y": Y}, "it has X, y, but neither X_train nor X_test"),
        ({"y_train": Y}, "neither X_train nor X_test"),
        ({"X_train": X[:0]}, "X_train has shape (0, 3), needs (rows, ...)"),
        ({"X_train": X.ravel()}, "X_train has shape (12,)"),
        ({"X_train": X.astype(np.complex64)}, "dtype complex64; allowed: uint8"),
        ({"X_train": X.astype(str)}, "dtype str"),
        ({"X_train": X.astype(object)}, "cannot be read"),
        ({"X_train": np.array([[1.0, 2.0], [np.nan, 1.0]])}, "X_train row 1 is not finite"),
        ({"X_train": X, "y_train": Y[:3]}, "y_train has shape (3,), but X_train has shape (4, 3)"),
        ({"X_train": X, "y_test": Y}, "y_test has shape (4,), but X_test there is none"),
        ({"X_train": X, "y_train": Y.reshape(4, 1)}, "needs (rows,) of whole numbers"),
        ({"X_train": X, "y_train": Y - 1}, "y_train row 0 is -1; labels are 0, 1, 2, ..."),
        ({"X_train": X, "y_train": Y + 0.5}, "y_train row 0 is 0.5"),
        ({"X_train": X, "y_train": np.array([0, 1, np.nan, 1])}, "y_train row 2 is nan"),
        ({"X_train": X, "y_train": np.array([0, 1, np.inf, 1])}, "y_train row 2 is inf"),
        ({"X_train": X, "y_train": Y.astype(str)}, "whole numbers"),
        ({"X_train": X, "X_test": X[:, :2]}, "train and test samples differ in shape or dtype"),
    ],
)
def test_a_bad_npz_is_told_by_file_and_key(tmp_path: Path, arrays: dict[str, np.ndarray], told: str) -> None:
    path = saved(tmp_path, **arrays)
    message = problems(path)
    assert told in message
    assert path in message


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    message = problems(saved(tmp_path, X_train=X[:0], y_train=Y - 1))
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize("name", ["set.npz", "set.npy"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY\x01\x00", b"\x80\x04K\x01."])
def test_a_file_that_is_none_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "cannot be read" in problems(name, tmp_path)


def test_a_missing_file_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    message = problems("digit.npz", tmp_path)
    assert "digit.npz: no such file" in message
    assert str(tmp_path) in message
    assert "shipped: digits" in message


@pytest.mark.parametrize("name", ["some.npz", "some.npy"])
def test_what_is_no_file_of_numpys_is_told_without_a_word_of_pickles(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("some words", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"it is no .{name[-3:]} file of numpy's") as caught:
        read_dataset(name, tmp_path)
    assert "pickle" not in str(caught.value)
