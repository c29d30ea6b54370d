"""A SQLite database by SQLAlchemy: one connection, durable transactions. Knows the database; not what is in it.

Durable: write-ahead log with synchronous=FULL, so a commit is on the disk when it returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from active_learner.errors import StoreError, WrongStore

BUSY_TIMEOUT_S = 5.0
"""Long enough for a backup tool's look, short enough for a person that waits for the receipt."""

BROKEN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class Database:
    """Raises: StoreError, WrongStore when it cannot be opened or is no database."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        self._engine = create_engine("sqlite+pysqlite://", creator=self._connector(read_only), poolclass=StaticPool)
        event.listen(self._engine, "begin", self._on_begin)
        with self._told():
            self._connection = self._engine.connect()
            broken = self._connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            self._connection.rollback()
        if broken != "ok":
            self.close()
            raise WrongStore(f"{path} is damaged: {broken}")

    def _connector(self, read_only: bool) -> Callable[[], sqlite3.Connection]:
        uri = f"{self._path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"

        def connect() -> sqlite3.Connection:
            # One thread at a time, but not always the same: the trainer commits on an executor.
            made = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA foreign_keys=ON")
            if not read_only:
                made.execute("PRAGMA journal_mode=WAL")
                made.execute("PRAGMA synchronous=FULL")
            return made

        return connect

    def _on_begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(self._begin)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Committed, durably, when the block ends well. Raises: StoreError, with nothing kept."""
        with self._told(), self._connection.begin():
            yield self._connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            kind = WrongStore if getattr(cause, "sqlite_errorcode", None) in BROKEN else StoreError
            raise kind(f"{self._path}: {cause}") from error

    def close(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()
