"""Two arms from the same start, as a table. Knows rounds; not who ran them."""

from __future__ import annotations

from collections.abc import Sequence

from active_learner.results.metrics import RoundMetrics, labels_to
from active_learner.results.words import percent


def table(own: Sequence[RoundMetrics], control: Sequence[RoundMetrics], goal: float) -> list[str]:
    """Lines: labels, accuracy of each arm, and the labels that each needed to the goal."""
    mine, theirs = _by_labels(own), _by_labels(control)
    lines = [f"{'labels':>8}  {'uncertainty':>12}  {'random':>12}"]
    for labels in sorted(mine.keys() | theirs.keys()):
        lines.append(f"{labels:>8}  {_told(mine.get(labels)):>12}  {_told(theirs.get(labels)):>12}")
    needed = [labels_to(list(arm), goal) for arm in (own, control)]
    words = [f"{labels} labels" if labels is not None else "not reached" for labels in needed]
    return [*lines, f"{'to ' + percent(goal, 0):>8}  {words[0]:>12}  {words[1]:>12}"]


def _by_labels(rounds: Sequence[RoundMetrics]) -> dict[int, float]:
    return {one.labels: one.accuracy for one in rounds if one.accuracy is not None}


def _told(accuracy: float | None) -> str:
    return "" if accuracy is None else percent(accuracy)
