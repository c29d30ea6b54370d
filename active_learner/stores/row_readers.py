"""Labels in files, one a line: the tutorial's CSV, plain CSV, JSON lines. Knows lines and formats; not the store.

A line comes from anybody: nothing is evaluated, every length has a limit, and what is wrong is said in a ValueError.
"""

from __future__ import annotations

import csv
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, TypeVar

from active_learner.core import circumstances
from active_learner.core.numbers import number, shown
from active_learner.core.records import Features, SampleSpec, content_key
from active_learner.stores.tuple_rows import parse_row, to_class, to_sample

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A sample of 600,000 features written out: larger than any image that a person labels."""
ANNOTATOR_LENGTH = 63
"""As the configuration's names."""
PROVENANCE = (
    "annotator",
    "at",
    "round",
    "model_version",
    "score",
    "question",
    "strategy",
    "votes",
    "voters",
    "circumstances",
    "key",
)
"""Columns and keys that an export adds behind the label. An import takes annotator, time and circumstances, and compares the key;
the rest tells how the label came to be asked for in the run that it was exported from."""
EVENT = "is a label event, of `labels export --events`: import a file of labels"
LABEL_COLUMNS = ("label", "y")
Value = TypeVar("Value")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would run a text cell that begins with one of these."""


class ReadRow(NamedTuple):
    features: Features
    """(*shape), canonical."""
    value: int
    annotator: str | None
    at: float | None
    circumstances: str = ""


class BadCell(ValueError):
    """Of a line of columns, counted from 1."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(reason)
        self.colno = column


class RowReader(ABC):
    """Reads the lines of one file in their order."""

    def __init__(self, spec: SampleSpec) -> None:
        self.spec = spec

    @abstractmethod
    def read(self, line: str) -> ReadRow | None:
        """None: a header. Raises: ValueError, csv.Error, RecursionError."""


class TutorialReader(RowReader):
    """`"(0, 1, 1)",3`"""

    def read(self, line: str) -> ReadRow:
        return ReadRow(*parse_row(line, self.spec), None, None)


class JsonReader(RowReader):
    """`{"features": [0, 1, 1], "label": 3, "annotator": "ann", "at": 1700000000.5}`, the last two optional."""

    def read(self, line: str) -> ReadRow:
        return self.read_object(json.loads(line, parse_constant=_no_constant))

    def read_object(self, said: Any) -> ReadRow:
        """Raises: ValueError."""
        if not isinstance(said, dict):
            raise ValueError("is no JSON object")
        if "action" in said:
            raise ValueError(EVENT)
        missing = [key for key in ("features", "label") if key not in said]
        if missing:
            raise ValueError(f"has no {' and no '.join(missing)}")
        if isinstance(said["label"], str):
            raise ValueError(f"label {shown(said['label'])} is text, not a number")
        features = to_sample(list(self._flat(said["features"])), self.spec)
        label = to_class(said["label"], self.spec)
        return _read(features, label, said)

    def _flat(self, features: Any) -> Iterator[int | float]:
        """The numbers of a list, flat or nested as the sample's shape."""
        if not isinstance(features, list):
            raise ValueError("features are no list")
        if features and isinstance(features[0], list):
            yield from self._nested(features, self.spec.shape)
        else:
            yield from (_number(one) for one in features)

    def _nested(self, part: Any, shape: Sequence[int]) -> Iterator[int | float]:
        if not shape:
            yield _number(part)
        elif not isinstance(part, list) or len(part) != shape[0]:
            raise ValueError(f"features are neither flat nor nested as {self.spec.shape}")
        else:
            for one in part:
                yield from self._nested(one, shape[1:])


class Columns(NamedTuple):
    """Where things are in a line of columns."""

    width: int | None
    """None: no header said how many."""
    label: int
    features: slice
    """The label's column in it does not count."""
    provenance: dict[str, int]


NO_HEADER = Columns(None, -1, slice(0, -1), {})


class ColumnReader(RowReader):
    """Features in columns; the label is in the column `label` or `y`, or without such a column in the last one.

    Columns behind the label are provenance if all of them have the names that an export gives them, else features.
    """

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        self._columns: Columns | None = None

    def read(self, line: str) -> ReadRow | None:
        cells = next(csv.reader([line], strict=True), [])
        if self._columns is None:
            names = [cell.strip().lower() for cell in cells]
            if "action" in names and "value" in names:
                raise ValueError(EVENT)
            self._columns = _columns(names)
            if self._columns.width is not None:
                return None
        return self._row(cells, self._columns)

    def _row(self, cells: list[str], columns: Columns) -> ReadRow:
        if columns.width is not None and len(cells) != columns.width:
            raise ValueError(f"has {len(cells)} columns, the header has {columns.width}")
        label = range(len(cells))[columns.label]
        places = range(len(cells))[columns.features]
        values = [_at(place, number, cells[place]) for place in places if place != label]
        features = to_sample(values, self.spec)
        said = {name: cells[place] or None for name, place in columns.provenance.items()}
        value = _at(label, lambda cell: to_class(cell.strip(), self.spec), cells[label])
        try:
            return _read(features, value, said)
        except Wrong as error:
            raise BadCell(columns.provenance[error.field] + 1, str(error)) from None


def _at(place: int, parse: Callable[[str], Value], cell: str) -> Value:
    """Raises: BadCell."""
    try:
        return parse(cell)
    except ValueError as error:
        raise BadCell(place + 1, str(error)) from None


def _columns(names: list[str]) -> Columns:
    """By the first line: it is a header when it has no number at all, or names the label's column."""
    named = [place for place, name in enumerate(names) if name in LABEL_COLUMNS]
    if not named and any(_is_number(name) for name in names):
        return NO_HEADER
    label = named[0] if named else len(names) - 1
    behind = names[label + 1 :]
    if not all(name in PROVENANCE for name in behind):
        return Columns(len(names), label, slice(0, None), {})
    return Columns(len(names), label, slice(0, label), {name: label + 1 + place for place, name in enumerate(behind)})


READERS: dict[str, type[RowReader]] = {"tutorial": TutorialReader, "csv": ColumnReader, "jsonl": JsonReader}


def sniff(line: str) -> str:
    """The format whose line this looks like."""
    if line.lstrip().startswith("{"):
        return "jsonl"
    return "tutorial" if re.match(r'\s*"?\s*\(', line) else "csv"


def lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Number and bytes of each line without its end; None: longer than MAX_LINE_BYTES. A byte order mark is dropped."""
    number_of = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number_of += 1
        whole = line if line.endswith(b"\n") or len(line) <= MAX_LINE_BYTES else None
        while whole is None and line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        if whole is not None and number_of == 1:
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        yield number_of, None if whole is None else whole.rstrip(b"\r\n")


def safe_cell(text: str) -> str:
    """For a spreadsheet: on one line, and no formula. `annotator` reads it back."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return f"'{printable}" if printable.startswith((*FORMULA, "'")) else printable


class Wrong(ValueError):
    """With something that stands behind the label."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def _read(features: Features, value: int, said: Mapping[str, object]) -> ReadRow:
    _check_key(features, said.get("key"))
    name = _told(said, "annotator", annotator_name)
    return ReadRow(features, value, name, _told(said, "at", _time), _told(said, "circumstances", _circumstances) or "")


def _told(said: Mapping[str, object], field: str, parse: Callable[[object], Value]) -> Value | None:
    """None: it does not say. Raises: Wrong."""
    try:
        return None if said.get(field) is None else parse(said[field])
    except ValueError as error:
        raise Wrong(field, str(error)) from None


def _check_key(features: Features, key: object) -> None:
    """What changed on its way, or is another experiment's, has another key. Raises: Wrong."""
    if key is not None and key != content_key(features):
        raise Wrong("key", f"key {shown(key)} is not that of the features, which is {content_key(features)}")


def _circumstances(given: object) -> str:
    """Text, or what a JSON object was read to. Raises: ValueError."""
    text = given if isinstance(given, str) else json.dumps(given)
    problem = circumstances.objection(text)
    if problem:
        raise ValueError(problem)
    return text


def annotator_name(given: object) -> str:
    """Raises: ValueError."""
    if not isinstance(given, str):
        raise ValueError(f"annotator {shown(given)} is not text")
    name = given[1:] if given.startswith("'") and given[1:].startswith((*FORMULA, "'")) else given
    if not 1 <= len(name) <= ANNOTATOR_LENGTH or not name.isprintable():
        raise ValueError(f"annotator {shown(given)} is not 1 to {ANNOTATOR_LENGTH} printable characters")
    return name


def _time(given: object) -> float:
    at = number(given) if isinstance(given, str) else given
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 1e12:
        raise ValueError(f"at {shown(given)} is no time in seconds since 1970")
    return float(at)


def _number(given: object) -> int | float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"feature {shown(given)} is not a number")
    if abs(given) < 2**63:
        return given
    try:
        real = float(given)
    except OverflowError:  # a whole number of hundreds of digits
        real = math.inf
    if not math.isfinite(real):
        raise ValueError("a feature is too large")
    return real


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
