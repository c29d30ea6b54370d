"""Schema 2 to 3: circumstances of label events, and the action cannot_tell. Knows both, nothing later."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

COLUMNS = "sequence, id, question, key, annotator, revision, action, value, at, late"


def upgrade() -> None:
    """SQLite cannot change the constraint that names the actions, so the events get a table anew; every row is copied."""
    _create("events_3", _classes())
    op.execute(f"INSERT INTO events_3 ({COLUMNS}) SELECT {COLUMNS} FROM events ORDER BY sequence")  # nosec B608
    op.drop_table("events")
    op.rename_table("events_3", "events")
    imported = sa.text("question IS NULL")
    op.create_index("one_import", "events", ["key", "annotator", "revision"], unique=True, sqlite_where=imported)
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER no_{action.lower()} BEFORE {action} ON events "
            "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        )
    op.add_column("quarantine", _circumstances())


def _classes() -> int:
    spec = op.get_bind().execute(sa.text("SELECT value FROM meta WHERE name = 'spec'")).scalar_one()
    return int(json.loads(spec)["classes"])


def _circumstances() -> sa.Column[str]:
    return sa.Column("circumstances", sa.Text, nullable=False, server_default="")


def _create(name: str, classes: int) -> None:
    op.create_table(
        name,
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("question", sa.Text, sa.ForeignKey("questions.id")),
        sa.Column("key", sa.Text, sa.ForeignKey("samples.key"), nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("value", sa.Integer),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("late", sa.Integer, nullable=False),
        _circumstances(),
        sa.UniqueConstraint("question", "annotator", "revision"),
        sa.CheckConstraint("revision >= 0"),
        sa.CheckConstraint("late IN (0, 1)"),
        sa.CheckConstraint("action IN ('answer', 'skip', 'undo', 'revise', 'cannot_tell')"),
        sa.CheckConstraint("(value IS NOT NULL) = (action IN ('answer', 'revise'))"),
        sa.CheckConstraint(f"value >= 0 AND value < {classes}"),
        sqlite_autoincrement=True,
    )
