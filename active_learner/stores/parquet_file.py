"""Labels in Parquet files, by pyarrow (extra `parquet`). Knows columns and types; a row is checked as one of JSON lines is."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from active_learner.core.records import Label, LabelEvent, SampleSpec
from active_learner.errors import ActiveLearnerError, BadLabel
from active_learner.stores.exchange import EVENT_FIELDS, Reading, check_bits
from active_learner.stores.row_readers import EVENT, PROVENANCE, JsonReader

BATCH_ROWS = 256
"""A few MB of a text that a hostile file repeats in every row."""
MAX_ROWS = 10_000_000
"""More than any person labels; a file of nothing but a repeated value is short and long at once."""
WHOLE, REAL, TEXT = "whole number", "number", "text"
KINDS = {
    **dict.fromkeys(("label", "round", "model_version", "votes", "voters", "revision", "value"), WHOLE),
    **dict.fromkeys(("at", "score"), REAL),
    **dict.fromkeys(("annotator", "question", "strategy", "circumstances", "key", "id", "action"), TEXT),
}


def write_labels(labels: Sequence[Label], spec: SampleSpec) -> bytes:
    """Features flat, in C order."""
    pa = _pyarrow()
    names = ("label", *PROVENANCE)
    columns: dict[str, Any] = {name: [] for name in names}
    for label in labels:
        for name in names:
            columns[name].append(label.value if name == "label" else _finite(getattr(label, name)))
    flat = np.stack([one.features.ravel() for one in labels]) if labels else np.empty((0, 1), spec.dtype)
    features = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    arrays = [features, *(pa.array(columns[name], _type(pa, name)) for name in names)]
    return _written(pa.table(arrays, ["features", *names]))


def write_events(events: Sequence[LabelEvent]) -> bytes:
    pa = _pyarrow()
    arrays = [pa.array([getattr(one, name) for one in events], _type(pa, name)) for name in EVENT_FIELDS]
    return _written(pa.table(arrays, list(EVENT_FIELDS)))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _type(pa: Any, name: str) -> Any:
    return {WHOLE: pa.int64(), REAL: pa.float64(), TEXT: pa.string()}[KINDS[name]]


def _written(table: Any) -> bytes:
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()


def read_labels(stream: BinaryIO, spec: SampleSpec, *, bits: bool = False) -> Reading:
    """Every row that can be read, and why others cannot; rows are counted from 1. Raises: BadLabel when it is no file of labels."""
    _pyarrow()
    reading, reader = Reading("parquet"), JsonReader(spec)
    try:
        for place, said in enumerate(_rows(stream, spec), start=1):
            try:
                row = reader.read_object(said)
                if bits:
                    check_bits(row)
            except ValueError as error:
                reading.skip(place, str(error))
            else:
                reading.keep(place, row)
    except ActiveLearnerError:
        raise
    except Exception as error:  # of damaged bytes pyarrow raises errors of its own, and Python's of every kind
        raise BadLabel(f"cannot be read as Parquet: {str(error)[:200]}") from None
    return reading


def _rows(stream: BinaryIO, spec: SampleSpec) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(io.BytesIO(stream.read())) as file:
        _check_columns(file.schema_arrow)
        _check_size(file.metadata, spec)
        names = [name for name in ("features", "label", *PROVENANCE) if name in file.schema_arrow.names]
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            yield from batch.to_pylist()


def _check_columns(schema: Any) -> None:
    """Raises: BadLabel, naming the column."""
    import pyarrow.types as types

    if "action" in schema.names:
        raise BadLabel(f"this {EVENT}")
    missing = [name for name in ("features", "label") if name not in schema.names]
    if missing:
        raise BadLabel(f"this looks like no label file: there is no column {' and no column '.join(missing)}")
    fits = {WHOLE: types.is_integer, REAL: _is_number, TEXT: _is_text}
    for field in schema:
        if field.name in KINDS and not fits[KINDS[field.name]](field.type) and not types.is_null(field.type):
            raise BadLabel(f"column {field.name} is {field.type}, not {KINDS[field.name]}")
    features = schema.field("features").type
    if not (types.is_list(features) or types.is_fixed_size_list(features)) or not _is_number(features.value_type):
        raise BadLabel(f"column features is {features}, not a list of numbers")


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _check_size(metadata: Any, spec: SampleSpec) -> None:
    """Before anything is unpacked: of a short file that repeats one value much can come. Raises: BadLabel."""
    rows, size = metadata.num_rows, math.prod(spec.shape)
    if rows > MAX_ROWS:
        raise BadLabel(f"has {rows} rows, allowed are {MAX_ROWS}")
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    columns = (group.column(place) for group in groups for place in range(group.num_columns))
    values = sum(one.num_values for one in columns if one.path_in_schema.partition(".")[0] == "features")
    if values > rows * max(size, 1):
        raise BadLabel(f"column features has {values} values in {rows} rows; the experiment's samples have {size}")


def _pyarrow() -> Any:
    """Raises: ActiveLearnerError."""
    try:
        import pyarrow
    except ImportError:
        raise ActiveLearnerError(
            "Parquet needs pyarrow, which is not installed: pip install 'active-learner[parquet]'"
        ) from None
    return pyarrow
