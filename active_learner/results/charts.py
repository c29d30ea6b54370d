"""The report's charts: data and a width in, SVG out. Knows pixels and words; no files.

Drawn at the real width, never scaled, so that words keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from active_learner.core.assessment import ReliabilityBin
from active_learner.results.svg import chart, element, line, path, text
from active_learner.results.words import percent, wilson

SMALL = 520
"""Pixels below which a chart has fewer ticks and narrower margins."""
WORD_GAP = 16.0
"""Pixels between the baselines of two words that must not touch."""
PIXELS_A_COLUMN = 6.0
"""Narrower columns of the heat map could not be told apart: neighbouring rounds are added up."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after a round, with the interval in which the true one lies in 95 of 100 cases."""

    labels: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the data is: pixels, and the values at the edges."""

    left: float
    right: float
    top: float
    bottom: float
    x_max: float
    y_min: float = 0.0
    y_max: float = 1.0

    def x(self, value: float) -> float:
        return self.left + value / self.x_max * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (self.y_max - max(value, self.y_min)) / (self.y_max - self.y_min)
        return self.top + share * (self.bottom - self.top)


def curve_points(rounds: Sequence[tuple[int, float, int | None]]) -> tuple[CurvePoint, ...]:
    """(labels, accuracy, held-out rows or None) -> points with Wilson's interval, without one when the rows are unknown."""
    return tuple(
        CurvePoint(labels, accuracy, *(wilson(accuracy, rows) if rows else (accuracy, accuracy)))
        for labels, accuracy, rows in rounds
    )


def learning_curve(
    width: int,
    height: int,
    run: Sequence[CurvePoint],
    control: Sequence[CurvePoint] = (),
    goal: float | None = None,
    title: str = "Accuracy by labels",
    run_name: str = "this run",
) -> Markup:
    """Accuracy against labels: the run with its band, the control arm dashed, the goal dotted. Not for an empty run."""
    everything = [*run, *control]
    step = _tick_step(max(point.labels for point in everything), 4 if width < SMALL else 8)
    x_max = step * max(1, -(-max(point.labels for point in everything) // step))
    y_min = min(int(min(point.accuracy for point in everything) * 10), 8) / 10
    frame = Frame(46.0, width - 74.0, 14.0, height - 34.0, float(x_max), y_min)
    arms = [_arm(frame, control, "muted")] if control else []
    words = _end_words(frame, run, control, run_name)
    inside = [*arms, _arm(frame, run, "one"), _dot(frame, run[-1])]
    marks = [
        *_accuracy_grid(frame, 0.2 if width < SMALL else 0.1),
        *_goal(frame, goal),
        *_label_ticks(frame, step, height),
    ]
    return chart(width, height, title, [*marks, *inside, *words])


def uncertainty_map(
    width: int, height: int, numbers: Sequence[int], rounds: Sequence[Sequence[int]], pools: Sequence[int], title: str
) -> Markup:
    """Heat map: one column a round, one row a bin of uncertainty, dark is many; the size of the pool above.

    `numbers` names the rounds; `rounds` has as many bins in each, most certain first; `pools` one size a round.
    """
    left, right, top, bottom = 38.0, width - 12.0, 46.0, height - 34.0
    columns, sizes, starts = _condensed(rounds, pools, max(1, int((right - left) / PIXELS_A_COLUMN)))
    frame = Frame(left, right, top, bottom, float(len(columns)))
    most = max(1, *(count for column in columns for count in column))
    cells = [
        _cell(frame, number, bin_number, len(column), count / most)
        for number, column in enumerate(columns)
        for bin_number, count in enumerate(column)
        if count
    ]
    ticks = [
        text(left - 8, frame.y(value) + nudge, "tick", word, "end")
        for value, nudge, word in ((0, 0, "0"), (0.5, 4, "0.5"), (1, 10, "1"))
    ]
    every = -(-len(columns) // (5 if width < SMALL else 12))
    below = [
        text(frame.x(place + 0.5), height - 14.0, "tick", str(numbers[start]), "middle")
        for place, start in enumerate(starts)
        if place % every == 0
    ]
    words = [text(right, height - 1.0, "axis", "round", "end"), text(left, 7.0, "axis", "in the pool")]
    return chart(width, height, title, [*_pool_steps(frame, sizes), *cells, *ticks, *below, *words])


def calibration_chart(width: int, height: int, bins: Sequence[ReliabilityBin], title: str) -> Markup:
    """How often right against how sure; on the diagonal a model knows what it knows."""
    frame = Frame(38.0, width - 8.0, 8.0, height - 34.0, 1.0)
    grid: list[Markup] = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        word = str(round(value * 100))
        grid += [line(frame.left, frame.y(value), frame.right, frame.y(value), "grid")]
        grid += [text(frame.left - 8, frame.y(value) + 4, "tick", word, "end")]
        grid += [text(frame.x(value), height - 14.0, "tick", word, "middle")]
    places = [(frame.x(group.confidence), frame.y(group.accuracy)) for group in bins]
    intervals = [wilson(group.accuracy, group.rows) for group in bins]
    whiskers = [
        line(x, frame.y(low), x, frame.y(high), "whisker")
        for (x, _), (low, high) in zip(places, intervals, strict=True)
    ]
    dots = [element("circle", cx=x, cy=y, r=3.5, class_="dot one") for x, y in places]
    diagonal = line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "goal")
    words = [
        text(frame.right, height - 1.0, "axis", "how sure, %", "end"),
        text(frame.left + 8, 20.0, "axis", "how often right, %"),
    ]
    return chart(
        width,
        height,
        title,
        [*grid, diagonal, *whiskers, element("path", d=path(places), class_="line one"), *dots, *words],
    )


# --- parts of the learning curve


def _arm(frame: Frame, points: Sequence[CurvePoint], class_: str) -> Markup:
    above = [(frame.x(point.labels), frame.y(point.high)) for point in points]
    below = [(frame.x(point.labels), frame.y(point.low)) for point in reversed(points)]
    middle = [(frame.x(point.labels), frame.y(point.accuracy)) for point in points]
    band = element("path", d=path([*above, *below]) + "Z", class_=f"band {class_}")
    return element("g", [band, element("path", d=path(middle), class_=f"line {class_}")])


def _dot(frame: Frame, point: CurvePoint) -> Markup:
    return element("circle", cx=frame.x(point.labels), cy=frame.y(point.accuracy), r=4.5, class_="dot one")


def _end_words(frame: Frame, run: Sequence[CurvePoint], control: Sequence[CurvePoint], run_name: str) -> list[Markup]:
    """Words at the ends of the lines instead of a legend, pushed apart when the lines end near to each other."""
    own = frame.y(run[-1].accuracy) + 4
    if not control:
        return [text(frame.x(run[-1].labels) + 8, own, "word one", run_name)]
    other = frame.y(control[-1].accuracy) + 4
    if abs(own - other) < WORD_GAP:
        middle, sign = (own + other) / 2, -1 if own <= other else 1
        own, other = middle + sign * WORD_GAP / 2, middle - sign * WORD_GAP / 2
    return [
        text(frame.x(run[-1].labels) + 8, own, "word one", run_name),
        text(frame.x(control[-1].labels) + 8, other, "word muted", "random"),
    ]


def _accuracy_grid(frame: Frame, step: float) -> list[Markup]:
    grid: list[Markup] = []
    for tenth in range(10, round(frame.y_min * 10) - 1, -round(step * 10)):
        y = frame.y(tenth / 10)
        grid += [line(frame.left, y, frame.right, y, "grid")]
        grid += [text(frame.left - 8, y + 4, "tick", f"{tenth * 10}{' %' if tenth == 10 else ''}", "end")]
    return grid


def _goal(frame: Frame, goal: float | None) -> list[Markup]:
    if goal is None:
        return []
    y = frame.y(goal)
    return [
        line(frame.left, y, frame.right, y, "goal"),
        text(frame.left + 4, y - 5, "goal-word", f"goal {percent(goal, 0)}"),
    ]


def _label_ticks(frame: Frame, step: int, height: int) -> list[Markup]:
    values = range(0, int(frame.x_max) + 1, step)
    ticks = [text(frame.x(value), height - 14.0, "tick", str(value), "middle") for value in values]
    return [*ticks, text(frame.right, height - 1.0, "axis", "labels", "end")]


def _tick_step(largest: int, at_most: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... with which `at_most` ticks are enough."""
    sizes = (factor * int(10**power) for power in range(12) for factor in (1, 2, 5))
    return next(size for size in sizes if size * at_most >= largest)


# --- parts of the heat map


def _cell(frame: Frame, column: int, bin_number: int, bins: int, share: float) -> Markup:
    left, right = frame.x(column), frame.x(column + 1)
    top, bottom = frame.y((bin_number + 1) / bins), frame.y(bin_number / bins)
    gap = 0.75 if right - left > PIXELS_A_COLUMN else 0.25
    opacity = f"{0.08 + 0.92 * share**0.5:.2f}"
    return element(
        "rect",
        x=left + gap,
        y=top + 0.5,
        width=right - left - 2 * gap,
        height=bottom - top - 1,
        rx=1.5,
        class_="cell",
        fill_opacity=opacity,
    )


def _pool_steps(frame: Frame, sizes: Sequence[float]) -> list[Markup]:
    largest = max(1.0, *sizes)
    corners: list[tuple[float, float]] = []
    for (start, end), size in zip(pairwise(range(len(sizes) + 1)), sizes, strict=True):
        height = 34 - size / largest * 22
        corners += [(frame.x(start), height), (frame.x(end), height)]
    floor = [(frame.right, 36.0), (frame.left, 36.0)]
    top = text(frame.left - 8, 17.0, "tick", str(round(largest)), "end")
    return [
        element("path", d=path([*corners, *floor]) + "Z", class_="band one"),
        element("path", d=path(corners), class_="line one thin"),
        top,
    ]


def _condensed(
    rounds: Sequence[Sequence[int]], pools: Sequence[int], columns: int
) -> tuple[list[list[int]], list[float], list[int]]:
    """At most `columns` columns: counts added up, pools averaged, and the place of the first round of each."""
    group = -(-len(rounds) // columns)
    starts = range(0, len(rounds), group)
    counts = [[sum(bins) for bins in zip(*rounds[start : start + group], strict=True)] for start in starts]
    sizes = [sum(pools[start : start + group]) / len(pools[start : start + group]) for start in starts]
    return counts, sizes, list(starts)
