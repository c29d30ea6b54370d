"""The tutorial's rows: `"(0, 1, 1)",3`. Knows one line of text; nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from active_learner.core.numbers import numbers, shown, whole
from active_learner.core.records import Features, SampleSpec, canonical

ROW = re.compile(r'\s*(?:"\s*\(([^()"]*)\)\s*"|\(([^()"]*)\))\s*,([^,]*)')
"""The tuple is quoted as the csv module does; unquoted tuples are read too, and can be told from plain columns."""


def format_row(features: Features, value: int) -> str:
    """One line with its end. Multi-dimensional samples are flattened in C order; floats as `repr`."""
    return f'"{tuple(features.ravel().tolist())}",{value}\n'


def parse_row(line: str, spec: SampleSpec) -> tuple[Features, int]:
    """(*shape) canonical features and the class; `3` and `3.0` are 3. Raises: ValueError."""
    match = ROW.fullmatch(line.rstrip("\r\n"))
    if match is None:
        raise ValueError('is not a quoted tuple and a label, as in "(0, 1)",3')
    quoted, bare, label = match.groups()
    cells = (bare if quoted is None else quoted).split(",")
    if cells[-1].strip() == "":
        cells.pop()  # (1,) and an empty tuple
    return to_sample(numbers(cells), spec), to_class(label.strip(' \t"'), spec)


def to_sample(values: Sequence[int | float], spec: SampleSpec) -> Features:
    """(*shape) in the experiment's dtype from all its numbers in C order. Raises: ValueError."""
    size = int(np.prod(spec.shape, dtype=np.int64))
    if len(values) != size:
        raise ValueError(f"has {len(values)} features, the experiment's samples have {size}")
    return canonical(np.array(values).reshape(spec.shape), spec)


def to_class(value: object, spec: SampleSpec) -> int:
    """Raises: ValueError."""
    try:
        label = whole(value)
    except ValueError as error:
        raise ValueError(f"label {error}") from None
    if not 0 <= label < spec.classes:
        raise ValueError(f"label {shown(value)} is not one of 0 .. {spec.classes - 1}")
    return label
