"""The pool of unlabeled samples with what the evaluator thinks of them. Knows no labels, clock or wire.

Eviction: over `capacity` the sample of the lowest uncertainty (1 - max probability) goes, of equals the one that came
first; a sample that was never scored counts as wholly uncertain. Samples are rows of arrays: with ten thousand of them a view
is made in milliseconds, and nobody waits for it.
"""

from __future__ import annotations

import io
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import Features, PoolView

UNSCORED = -1
"""Model version of a sample that nobody scored."""

FIRST_ROWS = 4
"""Of the arrays, which double when they are full: a row may have half a megabyte."""


@dataclass(slots=True, eq=False)
class PoolSample:
    """One unlabeled sample."""

    key: str
    features: Features
    probabilities: NDArray[Any] | None = None
    model_version: int = UNSCORED

    @property
    def uncertainty(self) -> float:
        """1 - max probability: 0 is certain; 1 when never scored."""
        return 1.0 if self.probabilities is None else 1.0 - float(self.probabilities.max())


class Pool:
    """Samples by content key, at most `capacity`."""

    def __init__(self, capacity: int, classes: int) -> None:
        self.capacity = capacity
        self.classes = classes
        self._rows: dict[str, int] = {}
        """In the order of arrival."""
        self._sorted: list[str] = []
        """The keys, rising."""
        self._order: NDArray[Any] | None = None
        """Their rows; None: to be made anew."""
        self._free: list[int] = []
        self._features: Features | None = None
        self._probabilities = np.empty((0, classes), np.float32)
        self._versions = np.empty(0, np.int64)
        self._uncertainty = np.empty(0, np.float64)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> PoolSample:
        row = self._rows[key]
        assert self._features is not None
        version = int(self._versions[row])
        probabilities = None if version == UNSCORED else self._probabilities[row].copy()
        return PoolSample(key, self._features[row].copy(), probabilities, version)

    def get(self, key: str) -> PoolSample | None:
        return self[key] if key in self._rows else None

    def keys(self) -> set[str]:
        return set(self._rows)

    def add(self, key: str, features: Features) -> bool:
        """False: it is there already. May go over the capacity until `evict`.

        Raises: ValueError when it has not the shape and dtype of the others.
        """
        if key in self._rows:
            return False
        self._check(features)
        row = self._free.pop() if self._free else self._grow()
        assert self._features is not None
        self._features[row] = features
        self._probabilities[row], self._versions[row], self._uncertainty[row] = np.nan, UNSCORED, 1.0
        self._rows[key] = row
        insort(self._sorted, key)
        self._order = None
        return True

    def _check(self, features: Features) -> None:
        """The first sample says what all look like."""
        if self._features is None:
            self._features = np.zeros((len(self._versions), *features.shape), features.dtype)
        if features.shape != self._features.shape[1:] or features.dtype != self._features.dtype:
            expected = f"{self._features.dtype} {self._features.shape[1:]}"
            raise ValueError(f"a sample is {features.dtype} {features.shape}, those of the pool are {expected}")

    def _grow(self) -> int:
        """Double the arrays; one of the new rows."""
        before = len(self._versions)
        after = max(FIRST_ROWS, 2 * before)
        assert self._features is not None
        self._features = _longer(self._features, after)
        self._probabilities = _longer(self._probabilities, after)
        self._versions = _longer(self._versions, after)
        self._uncertainty = _longer(self._uncertainty, after)
        self._free.extend(range(after - 1, before - 1, -1))
        return self._free.pop()

    def score(self, key: str, probabilities: NDArray[Any], model_version: int) -> None:
        """Take a newer score, (classes,) float32; an older one than there is, or of a sample that went, is left out."""
        row = self._rows.get(key)
        if row is not None and model_version >= self._versions[row]:
            self._probabilities[row] = probabilities
            self._versions[row] = model_version
            self._uncertainty[row] = 1.0 - float(probabilities.max())

    def score_all(self, keys: Sequence[str], probabilities: NDArray[Any], model_version: int) -> None:
        """As `score` for each key and row."""
        found = [(place, self._rows[key]) for place, key in enumerate(keys) if key in self._rows]
        if not found:
            return
        places, rows = np.array(found).T
        newer = self._versions[rows] <= model_version
        places, rows = places[newer], rows[newer]
        self._probabilities[rows] = probabilities[places]
        self._versions[rows] = model_version
        self._uncertainty[rows] = 1.0 - probabilities[places].max(axis=1).astype(np.float64)

    def remove(self, keys: Iterable[str]) -> list[PoolSample]:
        """Take out those that are there."""
        found = [self[key] for key in keys if key in self._rows]
        for sample in found:
            self._drop(sample.key)
        return found

    def _drop(self, key: str) -> None:
        self._free.append(self._rows.pop(key))
        place = bisect_left(self._sorted, key)
        del self._sorted[place]
        if self._order is not None:
            self._order = np.delete(self._order, place)

    def clear(self) -> None:
        self._free.extend(self._rows.values())
        self._rows.clear()
        self._sorted.clear()
        self._order = None

    def evict(self) -> int:
        """Bring it back to the capacity; returns how many went."""
        excess = len(self._rows) - self.capacity
        if excess <= 0:
            return 0
        keys = list(self._rows)
        ranked = np.argsort(self._uncertainty[self._in_order(keys)], kind="stable")
        for place in ranked[:excess]:
            self._drop(keys[place])
        return excess

    def _in_order(self, keys: Iterable[str]) -> NDArray[Any]:
        """Rows of these keys."""
        rows = self._rows
        return np.fromiter((rows[key] for key in keys), np.int64)

    def scored(self) -> int:
        return int(np.count_nonzero(self._versions[self._in_order(self._rows)] != UNSCORED))

    def outdated(self, model_version: int) -> tuple[list[str], Features]:
        """Samples without a score of that model, the most uncertain first: keys and features."""
        rows = self._sorted_rows()
        old = np.flatnonzero(self._versions[rows] != model_version)
        order = old[np.argsort(-self._uncertainty[rows[old]], kind="stable")]
        return [self._sorted[place] for place in order], self._features_of(rows[order])

    def _features_of(self, rows: NDArray[Any]) -> Features:
        return np.empty((0,)) if self._features is None else self._features[rows]

    def view(self, without: Iterable[str] = (), beside: Pool | None = None) -> PoolView:
        """The arrays that a strategy sees, keys rising; those of `beside`, a pool of other samples, among them."""
        left_out = set(without)
        keys = [key for key in self._sorted if key not in left_out] if left_out else self._sorted
        own = self._view_of(keys, self._in_order(keys) if left_out else self._sorted_rows())
        other = None if beside is None else beside.view(without=left_out)
        if other is None or not other.keys:
            return own
        return own.merged(other) if keys else other

    def _sorted_rows(self) -> NDArray[Any]:
        if self._order is None:
            self._order = self._in_order(self._sorted)
        return self._order

    def _view_of(self, keys: Sequence[str], rows: NDArray[Any]) -> PoolView:
        return PoolView(
            keys=tuple(keys),
            features=self._features_of(rows),
            probabilities=self._probabilities[rows],
            model_versions=self._versions[rows],
        )

    def histogram(self, bins: int = 10) -> list[int]:
        """Counts of the scored samples' uncertainty in equal bins from 0 to 1."""
        rows = self._in_order(self._rows)
        values = self._uncertainty[rows[self._versions[rows] != UNSCORED]]
        return [int(count) for count in np.histogram(values, bins=bins, range=(0.0, 1.0))[0]]

    def snapshot(self) -> PoolView:
        """A copy of the whole pool in the order of arrival, for `packed`."""
        return self._view_of(list(self._rows), self._in_order(self._rows))

    def dump(self) -> bytes:
        """The whole pool as an npz, in the order of arrival."""
        return packed(self.snapshot())

    def restore(self, snapshot: bytes, without: Sequence[str] | set[str] = ()) -> None:
        """Add what `dump` wrote, except the keys that are not unlabeled any more.

        Raises: ValueError when it cannot be read or is of other classes; then nothing is added.
        """
        left_out = set(without)
        for key, sample, row, version in _read_snapshot(snapshot, self.classes):
            if key not in left_out and self.add(key, sample) and version != UNSCORED:
                self.score(key, row, version)
        self.evict()


def packed(view: PoolView) -> bytes:
    """As an npz. Takes tens of milliseconds for ten thousand samples: it may be done on another thread."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        keys=np.array(view.keys, dtype="U32"),
        features=view.features,
        probabilities=view.probabilities,
        model_versions=view.model_versions,
    )
    return buffer.getvalue()


def _longer(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Zeros in the new rows: the same events make the same state, also where nobody looks."""
    longer = np.zeros((rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def _read_snapshot(snapshot: bytes, classes: int) -> list[tuple[str, Features, NDArray[Any], int]]:
    """Key, features, probabilities and model version of each sample. Raises: ValueError."""
    try:
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as arrays:
            keys = [str(key) for key in arrays["keys"]]
            features, rows = arrays["features"], arrays["probabilities"]
            versions = [int(version) for version in arrays["model_versions"]]
    except Exception as error:  # numpy, zipfile, zlib and tokenize each raise their own
        raise ValueError(f"pool snapshot cannot be read: {type(error).__name__}: {error}") from error
    if not keys:
        return []
    if rows.ndim != 2 or rows.shape[1] != classes:
        raise ValueError(f"pool snapshot of {rows.shape[-1] if rows.ndim else 0} classes, expected {classes}")
    if not len(keys) == len(rows) == len(versions) == (len(features) if features.ndim else 0):
        raise ValueError("pool snapshot whose arrays are of different lengths")
    scored = np.array(versions) != UNSCORED
    if rows.dtype != np.float32 or not np.isfinite(rows[scored]).all():
        raise ValueError("pool snapshot with scores that are no numbers")
    return list(zip(keys, features, rows, versions, strict=True))
