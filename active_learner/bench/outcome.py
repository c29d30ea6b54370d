"""What a benchmark found: rows, goals, notes; as a table and as JSON. Knows no benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

NO_SWERGIO = "swergio: not installed, run make bench"


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached, and whether it was; what could not be measured was not reached."""

    words: str
    measured: str
    met: bool

    def told(self) -> str:
        return f"{'met   ' if self.met else 'MISSED'}  {self.words}: {self.measured}"


@dataclass(slots=True)
class Outcome:
    """Filled by the benchmark as it goes."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """Everything measured, unrounded, for the JSON."""

    def table(self) -> str:
        """Columns as wide as needed, numbers to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        rule = "  ".join("-" * width for width in widths)
        said = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        return "\n".join(
            [f"== {self.name}", said[0], rule, *said[1:], *self.notes, *(goal.told() for goal in self.goals)]
        )

    def as_json(self) -> dict[str, Any]:
        goals = [{"goal": goal.words, "measured": goal.measured, "met": goal.met} for goal in self.goals]
        return {"name": self.name, "figures": self.figures, "goals": goals, "notes": self.notes}


def times(share: float) -> str:
    """A ratio, short: 0.003x, 0.73x, 12x."""
    digits = 3 if share < 0.1 else 2 if share < 10 else 0
    return f"{share:.{digits}f}x"


def middle(values: Sequence[float]) -> float:
    return float(median(values))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
