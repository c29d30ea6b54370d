"""Rows of a data set as candidates, in a seeded order, once. Knows rows; not their labels (an oracle has its own copy)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from active_learner.core.records import Features, SampleSpec, canonical
from active_learner.datasets.reading import read_dataset
from active_learner.errors import BadSample, ConfigError
from active_learner.sources.base import Source

if TYPE_CHECKING:
    from active_learner.config.schema import DatasetSource


class DatasetProposer(Source):
    """X_train in batches, then ended; `restart` proposes all of it again in the same order."""

    def __init__(self, section: DatasetSource, spec: SampleSpec, seed: int, base: Path | None = None) -> None:
        """A relative path is looked up in `base` too.

        Raises: ConfigError when it cannot be read or has no rows; BadSample when they are not the experiment's samples."""
        rows = read_dataset(section.path, base).X_train
        if rows is None:
            raise ConfigError([f"source.path: {section.path} has no X_train: there is nothing to propose"])
        self._rows = _checked(rows, spec, section.path)
        order = np.random.default_rng(seed).permutation(len(rows)) if section.shuffle else np.arange(len(rows))
        self._order = order[: section.limit]
        self._batch = section.batch
        self._next = 0

    @property
    def ended(self) -> bool:
        return self._next >= len(self._order)

    def propose(self) -> Features | None:
        """Up to `batch` rows, the last batch fewer."""
        if self.ended:
            return None
        chosen = self._order[self._next : self._next + self._batch]
        self._next += len(chosen)
        return self._rows[chosen]

    def restart(self) -> None:
        self._next = 0


def _checked(rows: Features, spec: SampleSpec, path: str) -> Features:
    if rows.shape[1:] != spec.shape:
        raise BadSample(f"{path}: X_train has samples of shape {rows.shape[1:]}, the experiment's are {spec.shape}")
    try:
        return canonical(rows, spec)
    except ValueError as error:
        raise BadSample(f"{path}: X_train {error}, the experiment's samples are {spec.dtype}") from None
