"""Schema 1 to 2: terms with their holders, answers in quarantine, a digest of the pool, the chain. Knows both, nothing later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """The digests are made for all rows when the last migration is done."""
    op.create_table(
        "terms", sa.Column("term", sa.Integer, primary_key=True), sa.Column("holder", sa.Text, nullable=False)
    )
    op.execute(
        "INSERT INTO terms SELECT CAST(value AS INTEGER), 'a trainer before schema 2' FROM meta "
        "WHERE name = 'term' AND value <> '0'"
    )
    op.execute("DELETE FROM meta WHERE name = 'term'")
    op.create_table(
        "quarantine",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("value", sa.Integer),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.add_column("pool", sa.Column("digest", sa.Text))
