"""How many samples are said in one message. Knows bytes; no message."""

from __future__ import annotations

from math import prod

import numpy as np

from active_learner.core.records import Features, SampleSpec

BATCH_BYTES = 8 * 1024 * 1024
"""An eighth of the largest message: 512 samples of 16 kB, 55 images of 224 x 224 x 3. So no one piece of an evaluator's work is
long, and those of a large pool stay below what it lets wait."""


def rows_at_once(features: Features, most: int) -> int:
    """Of (n, *shape): `most`, or fewer large ones, at least one."""
    return most_at_once(max(1, features[:1].nbytes), most)


def most_at_once(size: int, most: int) -> int:
    """Of samples of `size` bytes."""
    return max(1, min(most, BATCH_BYTES // size))


def bytes_of(sample: SampleSpec) -> int:
    """One sample as it is said."""
    return prod(sample.shape) * np.dtype(sample.dtype).itemsize
