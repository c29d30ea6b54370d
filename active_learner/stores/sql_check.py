"""Is a label database what was written? Reads all of it through a connection of its own; changes nothing.

It is looked at before it is opened for writing, because the last connection that closes a database rewrites it: of a
damaged one nothing may be lost that could help to mend it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DBAPIError

from active_learner.core.records import SampleSpec, content_key
from active_learner.durable.watermark import Watermark
from active_learner.errors import WrongStore
from active_learner.stores import forms, rules
from active_learner.stores.findings import POOL_IS_DAMAGED, Findings, other_schema
from active_learner.stores.sql_chain import Chain
from active_learner.stores.sql_engine import Database
from active_learner.stores.sql_schema import VERSION, Schema, schema

SAID_OF_ALL = ("samples", "questions", "events", "plans", "terms", "quarantine")


def look(path: Path, experiment: str, spec: SampleSpec, mark: Watermark | None) -> Findings:
    """All that there is to say about the database at `path`; `mark` None: of a copy, which has none.

    Raises: WrongStore when it is no label store, another one's, or of another schema; StoreError when it cannot be read.
    """
    remembered, problem = (None, "") if mark is None else mark.remembered()
    tables, database = schema(spec.classes), Database(path, read_only=True)
    try:
        with database.transaction() as connection:
            made = bool(inspect(connection).get_table_names())  # an empty file is a store that is still to be made
            findings = judge(connection, tables, path, experiment, spec) if made else Findings()
            if mark is not None and remembered is not None and not findings.damage:
                digest_of = partial(Chain(tables).digest_of, connection)
                findings.lost = mark.lost(remembered, findings.head.number, digest_of)
            elif mark is not None and made and remembered is None:
                findings.warnings.append(f"{problem or f'{mark.path} is missing'}: an older copy would not be noticed")
    finally:
        database.close()
    return findings


def judge(connection: Connection, tables: Schema, path: Path, experiment: str, spec: SampleSpec) -> Findings:
    """What is in the database. Raises: WrongStore when it is not the experiment's."""
    findings = Findings()
    _check_owner(connection, tables, path, experiment, spec)
    findings.damage = damage(connection, tables, spec)
    if not findings.damage:
        _count(connection, tables, findings)
        findings.head = Chain(tables).begin(connection)
    return findings


def _check_owner(connection: Connection, tables: Schema, path: Path, experiment: str, spec: SampleSpec) -> None:
    kept = _kept(connection, tables, path)
    if kept.get("schema") != VERSION:
        raise WrongStore(other_schema(str(path), kept.get("schema"), int(VERSION)))
    rules.check_owner(str(path), {**kept, "spec": _json(kept.get("spec", ""))}, experiment, spec)


def _kept(connection: Connection, tables: Schema, path: Path) -> Mapping[str, str]:
    if "meta" not in inspect(connection).get_table_names():
        raise WrongStore(f"{path} is a database, but not a label store")
    try:
        rows = connection.execute(select(tables.meta.c.name, tables.meta.c.value)).all()
    except DBAPIError as error:
        raise WrongStore(f"{path} is damaged: its table meta cannot be read: {error.orig}") from error
    return {row.name: row.value for row in rows}


def schema_of(path: Path) -> str | None:
    """Of the label store at `path`. Raises: WrongStore, StoreError."""
    database = Database(path, read_only=True)
    try:
        with database.transaction() as connection:
            return _kept(connection, schema(1), path).get("schema")
    finally:
        database.close()


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return text


# --- damage


def damage(connection: Connection, tables: Schema, spec: SampleSpec) -> list[str]:
    """The pages and indexes, then what is in them: a broken tree makes its rows unreadable anyway."""
    try:
        told = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        if told != ["ok"]:
            return [str(line) for line in told]
        return [
            *_changed_layout(connection, tables),
            *_orphans(connection),
            *_samples(connection, spec),
            *Chain(tables).damage(connection),
        ]
    except DBAPIError as error:
        return [f"cannot be read: {error.orig}"]


def layout(connection: Connection, tables: Schema) -> str:
    """A digest of the tables, constraints, indexes and triggers as the database has them."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    ours = [tuple(row) for row in connection.exec_driver_sql(query) if row[2] in tables.metadata.tables]
    return forms.digest(json.dumps(ours).encode())


def _changed_layout(connection: Connection, tables: Schema) -> list[str]:
    kept = connection.execute(select(tables.meta.c.value).where(tables.meta.c.name == "layout")).scalar()
    last = connection.execute(select(func.max(tables.events.c.sequence))).scalar() or 0
    counted = connection.exec_driver_sql("SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'").scalar() or 0
    return [
        *(
            ["its tables, constraints or triggers are not as they were made"]
            if kept != layout(connection, tables)
            else []
        ),
        *([f"events end at {last}, but are counted to {counted}"] if counted != last else []),
    ]


def _orphans(connection: Connection) -> list[str]:
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [f"{row[0]} {row[1]}: its row of {row[2]} is lost" for row in rows]


def _samples(connection: Connection, spec: SampleSpec) -> list[str]:
    """Features that do not have the digest that is their key."""
    dtype, size = np.dtype(spec.dtype), int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
    found = []
    for key, blob in connection.exec_driver_sql("SELECT key, features FROM samples"):
        fits = isinstance(blob, bytes) and len(blob) == size
        if not fits or content_key(np.frombuffer(blob, dtype.newbyteorder("<")).reshape(spec.shape)) != key:
            found.append(f"samples {key}: its features are not what was written")
    return found


def _count(connection: Connection, tables: Schema, findings: Findings) -> None:
    for name in SAID_OF_ALL:
        table = tables.metadata.tables[name]
        findings.counts[name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if pool(connection) is None and connection.execute(select(tables.pool.c.one)).first() is not None:
        findings.warnings.append(POOL_IS_DAMAGED)


def pool(connection: Connection) -> bytes | None:
    """The snapshot; None: there is none, or it is not what was written. Past the column types, which trust the file."""
    row = connection.exec_driver_sql("SELECT snapshot, digest FROM pool").first()
    if row is None or not isinstance(row[0], bytes) or forms.digest(row[0]) != row[1]:
        return None
    return row[0]
