"""The pool of unlabeled samples with what the evaluator thinks of them. Knows no labels, clock or wire.

Eviction: over `capacity` the sample of the lowest uncertainty (1 - max probability) goes, of equals the one that came
first; a sample that was never scored counts as wholly uncertain.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import Features, PoolView

UNSCORED = -1
"""Model version of a sample that nobody scored."""


@dataclass(slots=True, eq=False)
class PoolSample:
    """One unlabeled sample."""

    key: str
    features: Features
    arrival: int
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
        self._samples: dict[str, PoolSample] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._samples)

    def __contains__(self, key: str) -> bool:
        return key in self._samples

    def __getitem__(self, key: str) -> PoolSample:
        return self._samples[key]

    def add(self, key: str, features: Features) -> bool:
        """False: it is there already. May go over the capacity until `evict`."""
        if key in self._samples:
            return False
        self._samples[key] = PoolSample(key, features, self._arrivals)
        self._arrivals += 1
        return True

    def score(self, key: str, probabilities: NDArray[Any], model_version: int) -> None:
        """Take a newer score, (classes,) float32; an older one than there is, or of a sample that went, is left out."""
        sample = self._samples.get(key)
        if sample is not None and model_version >= sample.model_version:
            sample.probabilities, sample.model_version = probabilities, model_version

    def remove(self, keys: Iterable[str]) -> list[PoolSample]:
        """Take out those that are there."""
        return [self._samples.pop(key) for key in keys if key in self._samples]

    def clear(self) -> None:
        self._samples.clear()

    def evict(self) -> int:
        """Bring it back to the capacity; returns how many went."""
        excess = len(self._samples) - self.capacity
        if excess <= 0:
            return 0
        ranked = sorted(self._samples.values(), key=lambda sample: (sample.uncertainty, sample.arrival))
        for sample in ranked[:excess]:
            del self._samples[sample.key]
        return excess

    def scored(self) -> int:
        return sum(sample.probabilities is not None for sample in self._samples.values())

    def outdated(self, model_version: int) -> list[PoolSample]:
        """Samples without a score of that model, the most uncertain first."""
        old = [sample for sample in self._samples.values() if sample.model_version != model_version]
        return sorted(old, key=lambda sample: (-sample.uncertainty, sample.key))

    def view(self, without: Iterable[str] = ()) -> PoolView:
        """The arrays that a strategy sees, keys rising."""
        left_out = set(without)
        samples = [self._samples[key] for key in sorted(self._samples) if key not in left_out]
        unknown = np.full(self.classes, np.nan, np.float32)
        rows = [unknown if sample.probabilities is None else sample.probabilities for sample in samples]
        return PoolView(
            keys=tuple(sample.key for sample in samples),
            features=np.stack([sample.features for sample in samples]) if samples else np.empty((0,)),
            probabilities=np.stack(rows) if rows else np.empty((0, self.classes), np.float32),
            model_versions=np.array([sample.model_version for sample in samples], np.int64),
        )

    def histogram(self, bins: int = 10) -> list[int]:
        """Counts of the scored samples' uncertainty in equal bins from 0 to 1."""
        values = [sample.uncertainty for sample in self._samples.values() if sample.probabilities is not None]
        return [int(count) for count in np.histogram(values, bins=bins, range=(0.0, 1.0))[0]]

    def dump(self) -> bytes:
        """The whole pool as an npz, in the order of arrival."""
        samples = sorted(self._samples.values(), key=lambda sample: sample.arrival)
        unknown = np.full(self.classes, np.nan, np.float32)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            keys=np.array([sample.key for sample in samples], dtype="U32"),
            features=np.stack([sample.features for sample in samples]) if samples else np.empty((0,)),
            probabilities=np.array(
                [unknown if s.probabilities is None else s.probabilities for s in samples], np.float32
            ),
            model_versions=np.array([sample.model_version for sample in samples], np.int64),
        )
        return buffer.getvalue()

    def restore(self, snapshot: bytes, without: Sequence[str] | set[str] = ()) -> None:
        """Add what `dump` wrote, except the keys that are not unlabeled any more.

        Raises: ValueError when it cannot be read or is of other classes; then nothing is added.
        """
        left_out = set(without)
        for key, sample, row, version in _read_snapshot(snapshot, self.classes):
            if key not in left_out and self.add(key, sample) and version != UNSCORED:
                self.score(key, row, version)
        self.evict()


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
