"""Data sets from npz, npy and csv files. Knows files and arrays; not what they are used for.

Every problem is a ConfigError that names the file, the key and what is allowed: a data set is part of the configuration.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from active_learner.core.numbers import number, numbers
from active_learner.core.records import Features
from active_learner.errors import ConfigError

DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float32", "float64")
KEYS = ("X_train", "y_train", "X_test", "y_test")
LABEL_COLUMNS = ("label", "y")
SUFFIXES = (".npz", ".npy", ".csv")
NPY, ZIP = b"\x93NUM", b"PK\x03\x04"
"""How npy and npz files begin."""
UNREADABLE = (
    *(OSError, EOFError, ValueError, csv.Error),
    *(zipfile.BadZipFile, zlib.error, RuntimeError),  # broken, encrypted or oddly compressed archives
    *(MemoryError, OverflowError),  # a header that lies about the shape
)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a file has of the four; at least one X. Rows of X and y belong together; labels are 0, 1, 2, ..."""

    path: Path
    X_train: Features | None
    """(n, *shape), finite, of one of DTYPES."""
    y_train: Features | None
    """(n,) int64."""
    X_test: Features | None
    y_test: Features | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self._any().shape[1:]

    @property
    def dtype(self) -> str:
        return self._any().dtype.name

    def training_rows(self) -> Features:
        """X_train. Raises: ConfigError when there is none."""
        if self.X_train is None:
            raise ConfigError([f"data set {self.path}: has no X_train"])
        return self.X_train

    @property
    def classes(self) -> int | None:
        """Highest label + 1; None: no labels."""
        highest = [int(labels.max()) for labels in (self.y_train, self.y_test) if labels is not None]
        return max(highest) + 1 if highest else None

    def _any(self) -> Features:
        rows = self.X_train if self.X_train is not None else self.X_test
        assert rows is not None
        return rows


def shipped() -> dict[str, Path]:
    """The data sets of the package, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.npz"))}


def find_dataset(path: str, base: Path | None = None) -> Path:
    """A file relative to `base` (the config file's folder) or to the working directory, or else a shipped name.

    Raises: ConfigError.
    """
    tried = [(folder / Path(path).expanduser()).absolute() for folder in (base or Path(), Path())]
    found = next((one for one in tried if one.is_file()), None) or shipped().get(path)
    if found is not None:
        return found
    looked = " and ".join(dict.fromkeys(str(one.parent) for one in tried))
    raise ConfigError([f"data set {path}: no such file in {looked}; shipped: {', '.join(shipped())}"])


def read_dataset(path: str, base: Path | None = None) -> Dataset:
    """The data set at `path` (see find_dataset). npz: the four KEYS, some may be missing; npy: X_train; csv: X_train, and
    y_train when a column is named label or y.

    Raises: ConfigError.
    """
    file = find_dataset(path, base)
    try:
        parts = _parts(file)
    except UNREADABLE as error:
        raise ConfigError([f"data set {file}: cannot be read: {error}"]) from error
    problems = [f"data set {file}: {text}" for text in _problems(parts)]
    if problems:
        raise ConfigError(problems)
    kept = {key: _native(key, array) for key, array in parts.items()}
    return Dataset(file, *(kept.get(key) for key in KEYS))


def _parts(file: Path) -> Mapping[str, Features]:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"files end with {', '.join(SUFFIXES)}")
    if suffix == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _columns(csv.reader(lines))
    with file.open("rb") as stream:
        if stream.read(len(NPY)) not in (NPY, ZIP):  # numpy would take it for a pickle, and say how to load one
            raise ValueError(f"it is no {suffix} file of numpy's")
        stream.seek(0)
        loaded = np.load(stream, allow_pickle=False)
        return {"X_train": loaded} if isinstance(loaded, np.ndarray) else _members(loaded)


def _members(archive: Mapping[str, Features]) -> Mapping[str, Features]:
    if "X_train" not in archive and "X_test" not in archive:
        raise ValueError(f"it has {', '.join(archive) or 'nothing'}, but neither X_train nor X_test")
    return {key: archive[key] for key in KEYS if key in archive}


def _columns(rows: Any) -> Mapping[str, Features]:
    """Of a csv.reader: a header is a first row without a number, or with a label column."""
    table = [(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells)]
    if not table:
        raise ValueError("it has no rows")
    names = [cell.strip().lower() for cell in table[0][1]]
    label = next((names.index(name) for name in LABEL_COLUMNS if name in names), None)
    if label is not None or not any(_is_number(cell) for cell in names):
        table = table[1:]
    values = np.array([_numbers(line, cells, len(names)) for line, cells in table], np.float64)
    values = values.reshape(len(table), len(names))
    with np.errstate(over="ignore"):  # becomes inf, which is refused as not finite
        samples = values.astype(np.float32)
    if label is None:
        return {"X_train": samples}
    return {"X_train": np.delete(samples, label, axis=1), "y_train": values[:, label]}


def _numbers(line: int, cells: list[str], width: int) -> list[float]:
    if len(cells) != width:
        raise ValueError(f"line {line} has {len(cells)} columns, the first row has {width}")
    try:
        return [float(value) for value in numbers(cells)]
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _problems(parts: Mapping[str, Features]) -> Iterable[str]:
    for key, array in parts.items():
        yield from _label_problems(key, array) if key.startswith("y") else _sample_problems(key, array)
    for end in ("train", "test"):
        rows, labels = parts.get(f"X_{end}"), parts.get(f"y_{end}")
        if labels is not None and (rows is None or rows.shape[:1] != labels.shape[:1]):
            has = "there is none" if rows is None else f"has shape {rows.shape}"
            yield f"y_{end} has shape {labels.shape}, but X_{end} {has}: they need the same number of rows"
    shapes = {key: (array.shape[1:], array.dtype.name) for key, array in parts.items() if key.startswith("X")}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{key} {shape} {dtype}" for key, (shape, dtype) in shapes.items())
        yield f"train and test samples differ in shape or dtype: {told}"


def _sample_problems(key: str, array: Features) -> Iterable[str]:
    if array.ndim < 2 or 0 in array.shape:
        yield f"{key} has shape {array.shape}, needs (rows, ...) with at least one row and one feature"
    elif array.dtype.name not in DTYPES:
        yield f"{key} has dtype {array.dtype.name}; allowed: {', '.join(DTYPES)}"
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        yield f"{key} row {int(np.argwhere(~np.isfinite(array))[0][0])} is not finite"


def _label_problems(key: str, array: Features) -> Iterable[str]:
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        yield f"{key} has shape {array.shape} and dtype {array.dtype.name}, needs (rows,) of whole numbers"
        return
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero((array < 0) | (array != np.floor(array)) | ~(array < 2**31))
    if bad.size:
        yield f"{key} row {bad[0]} is {array[bad[0]]}; labels are 0, 1, 2, ..."


def _native(key: str, array: Features) -> Features:
    return array.astype(np.int64) if key.startswith("y") else array.astype(array.dtype.newbyteorder("="), copy=False)
