"""The chain of the SQL store: for every change of a table a line whose digest covers the row and the line before.

Knows which columns a kind of change covers; not what they mean. So a flipped bit, a lost row and a row that nobody wrote
show, each with its place. What lies beside the chain has its own proof: a sample's key is a digest of its features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, select
from sqlalchemy.exc import DBAPIError

from active_learner.durable.journal import START
from active_learner.durable.watermark import Mark
from active_learner.stores.sql_schema import Schema


class Kind(NamedTuple):
    """The first column is the place, the primary key of the row."""

    columns: tuple[ColumnElement[Any], ...]
    exists: Sequence[ColumnElement[bool]] = ()
    """Which rows have had this change."""


def kinds(tables: Schema) -> dict[str, Kind]:
    """In the order in which a chain is made of a store that had none."""
    questions, plans = tables.questions.c, tables.plans.c
    asked = tuple(column for column in questions if column.name != "closed")
    return {
        "meta": Kind((tables.meta.c.name, tables.meta.c.value)),
        "asked": Kind(asked),
        "closed": Kind((questions.number, questions.closed), [questions.closed.is_not(None)]),
        "said": Kind(tuple(tables.events.c)),
        "planned": Kind((plans.round, plans.plan)),
        "finished": Kind((plans.round, plans.result), [plans.result.is_not(None)]),
        "began": Kind(tuple(tables.terms.c)),
        "quarantined": Kind(tuple(tables.quarantine.c)),
    }


class Chain:
    """Appended to in the transaction that changes the rows; `begin` is called in each of them first."""

    def __init__(self, tables: Schema) -> None:
        self._lines, lines = tables.chain, tables.chain.c
        self._kinds = kinds(tables)
        self._newest = select(lines.number, lines.digest).order_by(lines.number.desc()).limit(1)
        self.head = Mark(0, START)

    def begin(self, connection: Connection) -> Mark:
        """Learn the head, which another process may have brought on."""
        row = connection.execute(self._newest).first()
        self.head = Mark(0, START) if row is None else Mark(row.number, row.digest)
        return self.head

    def digest_of(self, connection: Connection, number: int) -> str | None:
        query = select(self._lines.c.digest).where(self._lines.c.number == number)
        found: str | None = connection.execute(query).scalar()
        return found

    def extend(self, connection: Connection, kind: str, *which: ColumnElement[bool]) -> None:
        """For the rows that have just been changed, by place: they are read back, as they are in the database."""
        number, digest = self.head
        lines = []
        for place, said in self._rows(connection, kind, *which):
            number += 1
            digest = _digest(digest, number, kind, said)
            lines.append({"number": number, "kind": kind, "place": place, "digest": digest})
        if lines:
            connection.execute(insert(self._lines), lines)
            self.head = Mark(number, digest)

    def extend_all(self, connection: Connection) -> None:
        """For every row that there is."""
        self.begin(connection)
        for kind in self._kinds:
            self.extend(connection, kind)

    def _rows(self, connection: Connection, kind: str, *which: ColumnElement[bool]) -> Iterator[tuple[str, str]]:
        """Place and text of all that is covered."""
        columns, exists = self._kinds[kind]
        query = select(*columns).where(*exists, *which).order_by(columns[0])
        return ((str(row[0]), _said(row)) for row in connection.execute(query).all())

    # --- looking for damage

    def damage(self, connection: Connection) -> list[str]:
        """Every place where rows and chain do not agree, in words."""
        found: list[str] = []
        rows = {kind: self._readable(connection, kind, found) for kind in self._kinds}
        if found:
            return found
        number, digest = 0, START
        for line in connection.execute(select(self._lines).order_by(self._lines.c.number)).all():
            number, digest = self._compare(line, number, digest, rows, found)
        for kind, left in rows.items():
            found += [f"{kind} {place}: the chain does not have it" for place in left]
        return found

    def _readable(self, connection: Connection, kind: str, found: list[str]) -> dict[str, str]:
        try:
            return dict(self._rows(connection, kind))
        except DBAPIError as error:  # a changed schema, text that is no UTF-8
            found.append(f"{kind} rows cannot be read: {error.orig}")
            return {}

    def _compare(
        self, line: Any, number: int, digest: str, rows: dict[str, dict[str, str]], found: list[str]
    ) -> tuple[int, str]:
        """One line, after that with `number` and `digest`. Returns its own."""
        if line.number != number + 1:
            found.append(f"changes {number + 1} to {line.number - 1} are lost")
        said = rows.get(line.kind, {}).pop(line.place, None)
        if said is None:
            found.append(f"change {line.number}: {line.kind} {line.place} is lost")
        elif _digest(digest, line.number, line.kind, said) != line.digest:
            found.append(f"change {line.number}: {line.kind} {line.place} is not what was written")
        return line.number, line.digest


def _said(row: Sequence[Any]) -> str:
    try:
        return json.dumps(tuple(row))
    except TypeError:  # bytes where a text was: never written so
        return f"damaged {row!r}"


def _digest(before: str, number: int, kind: str, said: str) -> str:
    return blake2b(f"{before} {number} {kind} {said}".encode(), digest_size=16).hexdigest()
