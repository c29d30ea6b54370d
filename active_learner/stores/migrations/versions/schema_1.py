"""Schema 1, the first one: it is made by creating a store, there is nothing to migrate from."""

from __future__ import annotations

revision = "1"
down_revision = None


def upgrade() -> None:
    """Nothing."""
