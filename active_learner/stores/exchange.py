"""Labels from files and into files. Knows the store's promise and the formats; not where the store is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from active_learner.core import circumstances
from active_learner.core.records import Label, LabelEvent, SampleSpec, content_key
from active_learner.errors import BadLabel
from active_learner.stores.base import Store
from active_learner.stores.row_readers import PROVENANCE, READERS, ReadRow, RowReader, lines, safe_cell, sniff
from active_learner.stores.tuple_rows import format_row

EVENT_FIELDS = LabelEvent.__slots__
REASONS = 20
"""Bad rows that are told one by one; of a file of another kind every row is bad."""


@dataclass(slots=True)
class Reading:
    """What a file has."""

    format: str = ""
    """"" when it has no line."""
    rows: list[ReadRow] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    """Line number of each row."""
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)
    """Line number, where there is one the column, and reason of the first bad rows."""

    def keep(self, line: int, row: ReadRow) -> None:
        self.rows.append(row)
        self.places.append(line)

    def skip(self, line: int, reason: str, column: int | None = None) -> None:
        self.skipped += 1
        if self.skipped <= REASONS:
            place = f"line {line}" if column is None else f"line {line}, column {column}"
            self.reasons.append(f"{place}: {reason}")


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import went: imported + known + skipped rows."""

    format: str
    imported: int
    known: int
    skipped: int
    reasons: tuple[str, ...]


def read_labels(stream: BinaryIO, spec: SampleSpec, format_name: str | None = None, *, bits: bool = False) -> Reading:
    """Every row that can be read, and why others cannot. `format_name` None: as the first line looks. `bits`: samples are
    genomes, so that a row with a value other than 0 and 1 is bad."""
    reading = Reading(format_name or "")
    reader: RowReader | None = None
    for place, line in lines(stream):
        if line is not None and not line.strip():
            continue
        try:
            text = _text(line)
            if reader is None:
                reading.format = reading.format or sniff(text)
                reader = READERS[reading.format](spec)
            row = reader.read(text)
            if bits and row is not None:
                check_bits(row)
        except json.JSONDecodeError as error:
            reading.skip(place, error.msg, error.colno)
        except (ValueError, csv.Error, RecursionError) as error:
            reading.skip(place, str(error) or type(error).__name__, getattr(error, "colno", None))
        else:
            if row is not None:
                reading.keep(place, row)
    return reading


def check_bits(row: ReadRow) -> None:
    others = row.features[(row.features != 0) & (row.features != 1)]
    if others.size:
        raise ValueError(f"has the value {others[0]}; a genome has 0 and 1 only")


def _text(line: bytes | None) -> str:
    if line is None:
        raise ValueError("is too long")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def import_labels(store: Store, reading: Reading, annotator: str, at: float, *, strict: bool = False) -> Imported:
    """Put what was read into the store, all or none; `annotator` and `at` for rows that do not say.

    Raises: BadLabel when nothing can be imported, or `strict` and a row is bad: then the store is as it was.
    """
    if reading.skipped and not reading.rows:
        raise BadLabel(
            f"this looks like no label file: no row could be read; bad rows: {reading.skipped}\n{_told(reading)}"
        )
    _settle(reading, annotator)
    if reading.skipped and strict:
        raise BadLabel(f"nothing was imported; bad rows: {reading.skipped}\n{_told(reading)}")
    if not reading.rows:
        raise BadLabel("there are no rows")
    imported = store.add_labels(
        np.stack([row.features for row in reading.rows]),
        [row.value for row in reading.rows],
        [row.annotator or annotator for row in reading.rows],
        [at if row.at is None else row.at for row in reading.rows],
        [row.circumstances for row in reading.rows],
    )
    known = len(reading.rows) - imported
    return Imported(reading.format, imported, known, reading.skipped, (*reading.reasons, *_more(reading)))


def _settle(reading: Reading, annotator: str) -> None:
    """Of rows in which one annotator gives a sample different labels only the last stays: with both, the file imported
    again would not be known."""
    last = {_slot(row, annotator): number for number, row in enumerate(reading.rows)}
    over = {number: last[_slot(row, annotator)] for number, row in enumerate(reading.rows)}
    stays = [reading.rows[number].value == reading.rows[final].value for number, final in over.items()]
    for number, final in over.items():
        if not stays[number]:
            there = f"line {reading.places[final]} gives the same sample {reading.rows[final].value}"
            reading.skip(reading.places[number], f"label {reading.rows[number].value}, but {there}: the last counts")
    reading.rows = [row for row, stay in zip(reading.rows, stays, strict=True) if stay]
    reading.places = [place for place, stay in zip(reading.places, stays, strict=True) if stay]


def _slot(row: ReadRow, annotator: str) -> tuple[str, str]:
    return content_key(row.features), row.annotator or annotator


def _told(reading: Reading) -> str:
    return "\n".join([*reading.reasons, *_more(reading)])


def _more(reading: Reading) -> list[str]:
    left = reading.skipped - len(reading.reasons)
    return [f"and {left} more"] if left else []


# --- export


def tutorial_rows(labels: Iterable[Label], spec: SampleSpec) -> Iterator[str]:
    """`"(0, 1, 1)",3`, without provenance."""
    return (format_row(label.features, label.value) for label in labels)


def column_rows(labels: Iterable[Label], spec: SampleSpec) -> Iterator[str]:
    """A header, then features f0 f1 ... in C order, label and provenance."""
    size = int(np.prod(spec.shape, dtype=np.int64))
    yield _csv_line([*(f"f{place}" for place in range(size)), "label", *PROVENANCE])
    for label in labels:
        yield _csv_line([*label.features.ravel().tolist(), label.value, *_cells(label, PROVENANCE)])


def event_columns(events: Iterable[LabelEvent]) -> Iterator[str]:
    yield _csv_line(EVENT_FIELDS)
    for event in events:
        yield _csv_line(_cells(event, EVENT_FIELDS))


def _cells(record: Label | LabelEvent, names: Iterable[str]) -> Iterator[object]:
    """No text that a spreadsheet would run."""
    for name in names:
        value = getattr(record, name)
        value = circumstances.plain(value) if name == "circumstances" else value
        yield safe_cell(value) if isinstance(value, str) else value


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(list(cells))
    return text.getvalue()


def json_rows(labels: Iterable[Label], spec: SampleSpec) -> Iterator[str]:
    """An object a line; features nested as the sample's shape; a score that is no number is null."""
    for label in labels:
        row = {"features": label.features.tolist(), "label": label.value}
        yield _json_line({**row, **{name: getattr(label, name) for name in PROVENANCE}})


def event_objects(events: Iterable[LabelEvent]) -> Iterator[str]:
    return (_json_line({name: getattr(event, name) for name in EVENT_FIELDS}) for event in events)


def _json_line(row: dict[str, Any]) -> str:
    score = row.get("score")
    if score is not None and not math.isfinite(score):
        row["score"] = None
    row["circumstances"] = json.loads(row["circumstances"] or "null")
    return json.dumps(row, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Iterable[Label], SampleSpec], Iterator[str]]] = {
    "csv": column_rows,
    "jsonl": json_rows,
    "tutorial": tutorial_rows,
}
EVENT_WRITERS: dict[str, Callable[[Iterable[LabelEvent]], Iterator[str]]] = {
    "csv": event_columns,
    "jsonl": event_objects,
}
