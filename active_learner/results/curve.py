"""The learning curve as one SVG file that stands by itself: for a README. Knows a run record; the drawing is charts.py's."""

from __future__ import annotations

from pathlib import Path

from active_learner.errors import ActiveLearnerError
from active_learner.results.record import read_run
from active_learner.results.report import CHARTS, WIDE, WIDE_HEIGHT, measured, wide_curve

MARGIN = 12
"""Pixels around it: in a page words may stand over the edge, in a file they would be cut."""
BACKGROUND = f'<rect x="-{MARGIN}" y="-{MARGIN}" width="100%" height="100%" fill="var(--surface)"/>'
"""Words stay readable on a dark page of whoever shows it."""


def write_curve(folder: Path, out: Path, goal: float) -> Path:
    """Draw the run's curve, with its control arm when there is one.

    Raises: ActiveLearnerError when no round was measured, OSError when the file cannot be written.
    """
    record = read_run(folder)
    if not measured(record, record.rounds):
        raise ActiveLearnerError(f"{folder}: no round has an accuracy, there is no curve to draw")
    rest = str(wide_curve(record, goal)).split(">", 1)[1]
    width, height = WIDE + 2 * MARGIN, WIDE_HEIGHT + 2 * MARGIN
    box = f'viewBox="-{MARGIN} -{MARGIN} {width} {height}" width="{width}" height="{height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" {box}'
    styles = "".join(file.read_text(encoding="utf-8") for file in CHARTS)
    out.write_text(f"{opening}><style>{styles}</style>{BACKGROUND}{rest}\n", encoding="utf-8")
    return out
