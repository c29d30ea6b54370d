"""A simulated listener: rates melodies 0 (bad) to 5 (good) by musical rules. Knows genomes; not the wire or the labeler.

Five qualities give points, each in proportion to how much of it there is, between "none" and "full":

    quality   points  none .. full
    sound       1.6   10 .. 22 of the 32 beats sound
    pulse       1.2   1 .. 7 of the eight strong beats (the first of each bar) sound
    breath      1.2   0 .. 3 of the inner phrases' last beats (of bars 2, 4 and 6) are pauses
    home        1.2   0 .. 2 of the last two beats are C4 or D4
    arch        1.4   the degrees (0..7, a pause counts 0) of bars 3..6 sum to 14 less .. 26 more than those of the others

The rating is the sum less 0.9 (this ear is not easily pleased), rounded to a whole number within 0..5; with fewer than
six beats that sound it is 0 (silence has breath, but is no melody). The points are graded because a count of kept rules
has a sharp edge at each rule: a network learns that worse (DESIGN.md, 3.19).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.melody.genome import BEATS_PER_BAR, PAUSE, beat_values

RATINGS = 6
"""0..5."""
POINTS = (1.6, 1.2, 1.2, 1.2, 1.4)
"""Of sound, pulse, breath, home, arch."""
DEMAND = 0.9
FEWEST_BEATS = 6
BREATHS = (7, 15, 23)
HOME_BEATS = 2
HOME_HIGHEST = 1
"""Degree of D4."""
MIDDLE = slice(8, 24)


def rate(genomes: NDArray[Any]) -> NDArray[np.int64]:
    """(n, 128) zeros and ones -> (n,) int64, each 0..5. The same genome always gets the same rating.

    Raises: BadSample when they are no genomes.
    """
    points = qualities(genomes) @ np.array(POINTS) - DEMAND
    points[(beat_values(genomes) < PAUSE).sum(axis=1) < FEWEST_BEATS] = 0
    rating: NDArray[np.int64] = np.rint(np.clip(points, 0, RATINGS - 1)).astype(np.int64)
    return rating


def qualities(genomes: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 128) -> (n, 5): how much there is of sound, pulse, breath, home and arch, each 0..1.

    Raises: BadSample when they are no genomes.
    """
    values = beat_values(genomes)
    sounds = values < PAUSE
    degrees = np.where(sounds, values, 0)
    middle = degrees[:, MIDDLE].sum(axis=1)
    columns = (
        _between(sounds.sum(axis=1), 10, 22),
        _between(sounds[:, ::BEATS_PER_BAR].sum(axis=1), 1, 7),
        (~sounds[:, BREATHS]).mean(axis=1),
        (values[:, -HOME_BEATS:] <= HOME_HIGHEST).mean(axis=1),
        _between(2 * middle - degrees.sum(axis=1), -14, 26),
    )
    return np.stack(columns, axis=1)


def _between(amount: NDArray[Any], none: int, full: int) -> NDArray[np.float64]:
    return np.clip((amount - none) / (full - none), 0.0, 1.0)
