"""Numbers as people write them in files. Knows which texts are numbers; not where they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
"""18 digits always fit into int64."""
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")
PLAIN = re.compile(r"[0-9eE+\-., \t]*")
LONGEST = 400
"""Characters: `repr` of a float needs 24, written-out extremes of float64 about 330; more is not meant as a number."""


def number(text: str) -> int | float:
    """`text` as a finite number; whole ones of up to 18 digits as int. No nan, no inf, no underscores, ASCII digits only.

    Raises: ValueError.
    """
    trimmed = text.strip(" \t")
    if WHOLE.fullmatch(trimmed):
        return int(trimmed)
    if len(trimmed) > LONGEST or not DECIMAL.fullmatch(trimmed):
        raise ValueError(f"{shown(text)} is not a number")
    value = float(trimmed)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is too large")
    return value


def numbers(cells: Sequence[str]) -> list[int | float]:
    """`number` of each. Raises: ValueError."""
    if PLAIN.fullmatch(",".join(cells)):  # quick, as nearly all rows are: a sample may have thousands of cells
        try:
            values = [
                int(cell) if cell.isdigit() and len(cell) <= 18 else float(cell) for cell in map(str.strip, cells)
            ]
        except ValueError:
            return [number(cell) for cell in cells]
        if all(map(math.isfinite, values)):
            return values
    return [number(cell) for cell in cells]


def whole(value: object) -> int:
    """A class as text, int or float: 3, "3" and "3.0" are 3. Raises: ValueError (3.7, True, "", nan)."""
    said = number(value) if isinstance(value, str) else value
    if isinstance(said, bool) or not isinstance(said, int | float) or not (isinstance(said, int) or said.is_integer()):
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(said)


def shown(value: object) -> str:
    """For an error's text: short, and quoted when it is text."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"
