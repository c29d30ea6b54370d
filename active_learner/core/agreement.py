"""Krippendorff's alpha: how far several annotators agree beyond chance. Knows numbers and label events; no storage.

K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section E: any number of annotators, missing values.
1: all agree. 0: as chance would have it. Below 0: they disagree by system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

from active_learner.core.voting import Numbered, words

Difference = Callable[[int, int], float]
"""Of two values, squared."""


def nominal(one: int, other: int) -> float:
    """Classes without an order: different is different."""
    return float(one != other)


def interval(one: int, other: int) -> float:
    """Classes on a scale: a 3 for a 4 is nearly right."""
    return float((one - other) ** 2)


class Agreement(NamedTuple):
    """What a report says; only samples that two or more speak of count."""

    samples: int
    annotators: int
    alpha: float | None
    """Nominal. None: nobody ever said anything else than the others, so that chance has no measure."""
    alpha_interval: float | None
    """The same when the classes are numbers on a scale."""


def alpha(units: Iterable[Sequence[int]], difference: Difference = nominal) -> float | None:
    """`units`: what was said of each sample, in any order; one value says nothing. None: no two values differ, or none pair."""
    pairable = [values for values in units if len(values) >= 2]
    coincidences: Counter[tuple[int, int]] = Counter()
    for values in pairable:
        counts = Counter(values)
        for one, other in product(counts, repeat=2):
            pairs = counts[one] * (counts[other] - (one == other))
            coincidences[one, other] += pairs / (len(values) - 1)  # type: ignore[assignment]
    totals = Counter(value for values in pairable for value in values)
    observed = sum(share * difference(*pair) for pair, share in coincidences.items())
    expected = sum(totals[one] * totals[other] * difference(one, other) for one, other in product(totals, repeat=2))
    return 1.0 - (totals.total() - 1) * observed / expected if expected else None


def agreement(events: Iterable[Numbered]) -> Agreement | None:
    """Of all that stands; None: no sample has the words of two annotators. `events` come by sequence."""
    shared = [votes for votes in words(events).values() if len(votes) >= 2]
    if not shared:
        return None
    units = [[value for _, event in votes.values() if (value := event.value) is not None] for votes in shared]
    annotators = {name for votes in shared for name in votes}
    return Agreement(len(shared), len(annotators), alpha(units), alpha(units, interval))
