"""A small experiment without end, for the proofs: random samples, a rule that labels them, and (torch_parts.py) a tiny network.

Imported by the processes under attack. Knows no attack.
"""

from __future__ import annotations

import itertools

import numpy as np

from active_learner.core.records import Features
from active_learner.sources.base import Source

WIDTH, CLASSES = 16, 4
BATCH = 1100
"""Samples in a message of the source: 70 kB, so that the broker relays large frames too."""

_DIRECTIONS = np.random.default_rng(1).standard_normal((WIDTH, CLASSES)).astype(np.float32)


class Endless(Source):
    """Random samples that never end; another process proposes others."""

    def __init__(self) -> None:
        self._random = np.random.default_rng()

    @property
    def ended(self) -> bool:
        return False

    def propose(self) -> Features:
        return self._random.standard_normal((BATCH, WIDTH)).astype(np.float32)


def truth(sample: Features) -> int:
    """The direction in which it lies farthest."""
    return int(np.argmax(np.asarray(sample, np.float32) @ _DIRECTIONS))


def held_out(rows: int = 64) -> tuple[Features, Features]:
    samples = np.random.default_rng(2).standard_normal((rows, WIDTH)).astype(np.float32)
    return samples, np.array([truth(row) for row in itertools.islice(samples, rows)])
