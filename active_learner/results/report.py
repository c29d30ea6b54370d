"""report.html: one file that can be mailed, made from the run folder alone. Knows the page; measures nothing.

No script, nothing loaded from elsewhere, and the same run gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from active_learner.core.assessment import as_probabilities, calibration_error, confusion_matrix, reliability
from active_learner.core.records import AskedQuestion, Label
from active_learner.results import story
from active_learner.results.charts import calibration_chart, curve_points, learning_curve, uncertainty_map
from active_learner.results.gallery import confused_pairs, gallery, ordinal
from active_learner.results.metrics import RoundMetrics
from active_learner.results.record import RunRecord, Validation, read_run
from active_learner.results.words import percent

REPORT_FILE = "report.html"
STYLE = Path(__file__).parent / "style"
STATIC = Path(__file__).parents[1] / "web" / "static"
CHARTS = STATIC / "tokens.css", STATIC / "charts.css"
"""Colours, sizes and charts: those of the pages."""
WIDE, NARROW = 820, 300
WIDE_HEIGHT = 330
"""Pixels of the two copies of a chart; CSS shows one of them."""
LARGEST_MATRIX = 26
"""Classes; beyond them a matrix cannot be read and the most confused pairs are listed."""
RELIABILITY_BINS = 10


def write_report(
    run_dir: Path | str,
    questions: Sequence[AskedQuestion] = (),
    labels: Sequence[Label] = (),
    out: Path | str | None = None,
    goal: float = story.DEFAULT_GOAL,
) -> Path:
    """Write the report of a run folder to `out` (None: report.html in the folder) and return where it is.

    `questions` in the order of asking, open ones too; `labels` as the store has them. `control.jsonl` in the folder is
    the control arm; `goal` is the accuracy at which the two are compared.
    Raises: ActiveLearnerError when the folder cannot be read, OSError when the file cannot be written.
    """
    folder = Path(run_dir)
    page = render(read_run(folder, questions, labels), goal)
    target = Path(out) if out is not None else folder / REPORT_FILE
    draft = target.with_name(f".{target.name}.draft")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, target)
    return target


def render(record: RunRecord, goal: float = story.DEFAULT_GOAL) -> str:
    """The page as text."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            style=_style(),
            title=story.title(record, goal),
            kicker=story.kicker(record),
            lede=story.lede(record, goal),
            numbers=story.large_numbers(record, goal),
            name=record.name,
            curve=_curve(record, goal),
            doubt=_uncertainty(record),
            gallery=(shown := gallery(record)),
            which=ordinal(shown.every),
            judgement=_judgement(record.validation, record),
            times=story.times(record),
            config=record.config_text,
            strategy=next((one.strategy for one in reversed(record.rounds) if one.strategy), ""),
        )
    )


def _curve(record: RunRecord, goal: float) -> dict[str, Any] | None:
    """Both widths of the learning curve, and the same as a table; None: nothing was measured."""
    run = measured(record, record.rounds)
    if not run:
        return None
    control = measured(record, record.control)
    other = {labels: accuracy for labels, accuracy, _ in control}
    rows = [
        (labels, percent(accuracy), percent(other[labels]) if labels in other else "") for labels, accuracy, _ in run
    ]
    return {
        "wide": wide_curve(record, goal),
        "narrow": _drawn_curve(record, goal, NARROW, 240),
        "rows": rows,
        "control": bool(control),
        "band": run[-1][2] is not None,
    }


def wide_curve(record: RunRecord, goal: float) -> Markup:
    """The learning curve for a page; not for a run without a measured round."""
    return _drawn_curve(record, goal, WIDE, WIDE_HEIGHT)


def _drawn_curve(record: RunRecord, goal: float, width: int, height: int) -> Markup:
    run, control = measured(record, record.rounds), measured(record, record.control)
    words = f"Accuracy by labels: {story.title(record, goal)}"
    shown = goal if control or run[-1][1] >= goal else None
    return learning_curve(width, height, curve_points(run), curve_points(control), shown, words)


def measured(record: RunRecord, rounds: Sequence[RoundMetrics]) -> list[tuple[int, float, int | None]]:
    """(labels, accuracy, held-out rows or None) of the rounds that have an accuracy."""
    return [(one.labels, one.accuracy, story.held_out_rows(record, one)) for one in rounds if one.accuracy is not None]


def _uncertainty(record: RunRecord) -> dict[str, Markup] | None:
    """Both widths of the heat map; None: no round has a histogram. Rounds with another number of bins are left out."""
    bins = next((len(one.uncertainty) for one in reversed(record.rounds) if one.uncertainty), 0)
    rounds = [one for one in record.rounds if len(one.uncertainty) == bins]
    if not bins or not rounds:
        return None
    numbers, columns = [one.round for one in rounds], [one.uncertainty for one in rounds]
    pools = [one.pool if one.pool is not None else sum(one.uncertainty) for one in rounds]
    words = f"Uncertainty of the pool over {len(rounds)} rounds; {pools[-1]} samples at the end."
    return {
        name: uncertainty_map(width, height, numbers, columns, pools, words)
        for name, width, height in (("wide", WIDE, 260), ("narrow", NARROW, 220))
    }


def _judgement(validation: Validation | None, record: RunRecord) -> dict[str, Any] | None:
    """Confusion and calibration of the last model; None: its predictions were not kept, or are single numbers."""
    if validation is None or validation.predictions.shape[1] < 2 or not len(validation.labels):
        return None
    probabilities = as_probabilities(
        validation.predictions, str(record.setting("evaluator", "output", default="logits"))
    )
    counts = confusion_matrix(probabilities, validation.labels).tolist()
    names = [record.class_name(value) for value in range(len(counts))]
    error = calibration_error(probabilities, validation.labels)
    words = f"Calibration: expected error {error * 100:.1f} points."
    bins = reliability(probabilities, validation.labels, RELIABILITY_BINS)
    return {
        "names": names if len(names) <= LARGEST_MATRIX else None,
        "rows": list(zip(names, counts, strict=True)),
        "worst": max(
            1, *(count for row, line in enumerate(counts) for column, count in enumerate(line) if row != column)
        ),
        "pairs": confused_pairs(counts, names),
        "error": f"{error * 100:.1f}",
        "calibration": calibration_chart(NARROW, 290, bins, words),
    }


@cache
def _environment() -> Environment:
    """Everything is escaped: class names and configuration are anybody's text."""
    return Environment(
        loader=PackageLoader("active_learner.results", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _style() -> Markup:
    """Our own files, as they are."""
    files = (*CHARTS, STYLE / "report.css")
    return Markup("\n".join(file.read_text(encoding="utf-8") for file in files))  # nosec B704
