"""Numbers as a person says them. Knows no run and no file."""

from __future__ import annotations

from datetime import UTC, datetime
from math import sqrt

Z_95 = 1.959964
"""Standard normal: 95 of 100 cases."""


def percent(share: float, digits: int = 1) -> str:
    return f"{share * 100:.{digits}f} %"


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Interval in which the true share lies in 95 of 100 cases; holds near 0 and 1 too, where the normal one fails."""
    z2 = Z_95**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = Z_95 / (1 + z2 / rows) * sqrt(share * (1 - share) / rows + z2 / (4 * rows**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", " ")


def moment(at: float) -> str:
    """UTC, so that the same run gives the same bytes on every machine."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y, %H:%M UTC")


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
