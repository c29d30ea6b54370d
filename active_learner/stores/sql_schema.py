"""The tables of the SQL store. Knows columns and constraints; not who reads them."""

from __future__ import annotations

from functools import cache

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from active_learner.core.records import LabelEvent

VERSION = "3"
"""In `meta`, and the newest of migrations/versions; another one is refused."""


class Schema:
    """`classes` bounds the labels: it is part of the constraints of a new database. An older `version` is only read."""

    def __init__(self, classes: int, version: str = VERSION) -> None:
        self.metadata = MetaData()
        self.meta = Table("meta", self.metadata, Column("name", Text, primary_key=True), _needed("value", Text))
        self.samples = Table(
            "samples", self.metadata, Column("key", Text, primary_key=True), _needed("features", LargeBinary)
        )
        self.questions = _questions(self.metadata)
        self.events = _events(self.metadata, classes, version)
        self.event_columns = tuple(
            self.events.c[name] for name in ("sequence", *LabelEvent.__slots__) if name in self.events.c
        )
        """The number of an event, and its fields in their order."""
        self.plans = Table(
            "plans",
            self.metadata,
            Column("round", Integer, primary_key=True),
            _needed("plan", Text),
            Column("result", Text),
        )
        self.pool = Table(
            "pool",
            self.metadata,
            Column("one", Integer, CheckConstraint("one = 1"), primary_key=True),
            _needed("snapshot", LargeBinary),
            Column("digest", Text),
        )
        self.terms = Table("terms", self.metadata, Column("term", Integer, primary_key=True), _needed("holder", Text))
        self.quarantine = _quarantine(self.metadata, version)
        self.chain = _chain(self.metadata)


@cache
def schema(classes: int, version: str = VERSION) -> Schema:
    """Made once: it takes longer than to read a small store."""
    return Schema(classes, version)


def _needed(name: str, kind: type, *more: ForeignKey) -> Column[object]:
    return Column(name, kind, *more, nullable=False)


def _questions(metadata: MetaData) -> Table:
    closed = Column("closed", Text, CheckConstraint("closed <> ''"))
    number = Column("number", Integer, primary_key=True)
    table = Table(
        "questions",
        metadata,
        number,  # the order of asking
        Column("id", Text, nullable=False, unique=True),
        _needed("key", Text, ForeignKey("samples.key")),
        _needed("round", Integer),
        _needed("strategy", Text),
        Column("score", Float),  # NULL: not a number, which SQLite cannot say
        _needed("rank", Integer),
        _needed("model_version", Integer),
        _needed("stale", Integer),
        _needed("pool", Integer),
        _needed("asked_at", Float),
        _needed("probabilities", Text),
        closed,  # why; NULL: open
    )
    Index("open_questions", number, sqlite_where=closed.is_(None))
    return table


def _events(metadata: MetaData, classes: int, version: str) -> Table:
    question = Column("question", Text, ForeignKey("questions.id"))
    key = _needed("key", Text, ForeignKey("samples.key"))
    annotator, revision = _needed("annotator", Text), _needed("revision", Integer)
    table = Table(
        "events",
        metadata,
        Column("sequence", Integer, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        question,  # NULL: nobody was asked (import)
        key,
        annotator,
        revision,
        _needed("action", Text),
        Column("value", Integer),
        _needed("at", Float),
        _needed("late", Integer),
        *_circumstances(version),
        UniqueConstraint("question", "annotator", "revision"),
        CheckConstraint("revision >= 0"),
        CheckConstraint("late IN (0, 1)"),
        CheckConstraint("action IN ('answer', 'skip', 'undo', 'revise', 'cannot_tell')"),
        CheckConstraint("(value IS NOT NULL) = (action IN ('answer', 'revise'))"),
        CheckConstraint(f"value >= 0 AND value < {int(classes)}"),
        sqlite_autoincrement=True,
    )
    Index("one_import", key, annotator, revision, unique=True, sqlite_where=question.is_(None))
    _append_only(table, "no")
    return table


def _circumstances(version: str) -> list[Column[object]]:
    return [] if version == "2" else [Column("circumstances", Text, nullable=False, server_default="")]


def _quarantine(metadata: MetaData, version: str) -> Table:
    """Answers to questions that were never asked; nobody trains on them."""
    return Table(
        "quarantine",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        _needed("question", Text),
        _needed("annotator", Text),
        _needed("revision", Integer),
        _needed("action", Text),
        Column("value", Integer),
        _needed("at", Float),
        *_circumstances(version),
    )


def _chain(metadata: MetaData) -> Table:
    """A line for every change of the other tables, in their order (sql_chain.py)."""
    table = Table(
        "chain",
        metadata,
        Column("number", Integer, primary_key=True),
        _needed("kind", Text),
        _needed("place", Text),  # of the row that was changed: its primary key
        _needed("digest", Text),
    )
    _append_only(table, "chain_no")
    return table


def _append_only(table: Table, name: str) -> None:
    """The database itself says so."""
    for action in ("UPDATE", "DELETE"):
        text = (
            f"CREATE TRIGGER {name}_{action.lower()} BEFORE {action} ON {table.name} "
            "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        )
        event.listen(table, "after_create", DDL(text).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
