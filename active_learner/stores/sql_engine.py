"""A SQLite database by SQLAlchemy: one connection, durable transactions. Knows the database; not what is in it.

Durable: write-ahead log with synchronous=FULL, so a commit is on the disk when it returns.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from active_learner.durable.files import sync, sync_folder
from active_learner.errors import DiskFailed, StoreError, WrongStore

BUSY_TIMEOUT_S = 5.0
"""Long enough for a backup tool's look, short enough for a person that waits for the receipt."""

LOOK_S = 0.1
"""Between two looks whether a wait for another program has become pointless."""

PRIMARY = 0xFF
"""Of an error code; the rest says more exactly what."""

BROKEN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)

NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
"""Refused before anything was promised, a quota or a limit of the process included: a later try may succeed."""


class Database:
    """Raises: StoreError, WrongStore when it cannot be opened or is no database."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        self._engine = create_engine("sqlite+pysqlite://", creator=self._connector(read_only), poolclass=StaticPool)
        event.listen(self._engine, "begin", self._on_begin)
        self._failed: DiskFailed | None = None
        self.give_up_at = math.inf
        """Of the monotonic clock: after it no other program is waited for."""
        with self._told():
            self._connection = self._engine.connect()
            if not read_only:
                self._write_again()
                self._driver().execute(f"PRAGMA busy_timeout={LOOK_S * 1000:.0f}")

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
        """A writer's transaction has its lock from here on: this is where it waits for other programs."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._driver().execute(self._begin)
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & PRIMARY == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= min(deadline, self.give_up_at):
                    raise
            else:
                return

    def _driver(self) -> sqlite3.Connection:
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    def _write_again(self) -> None:
        """What a process read that ended by DiskFailed may be in memory only: a checkpoint brings it to the disk now."""
        self._driver().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Committed, durably, when the block ends well.

        Raises: StoreError, with nothing kept; DiskFailed, with nothing promised, and from then on always.
        """
        if self._failed is not None:
            raise self._failed
        with self._told(), self._connection.begin():
            yield self._connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
            raise self._in_words(error) from error

    def _in_words(self, error: Exception) -> StoreError:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorcode", None) or 0
        if code & PRIMARY in BROKEN or isinstance(error, UnicodeDecodeError):  # a damaged name of a table is no UTF-8
            return WrongStore(f"{self._path} is damaged: {cause}; restore it from a backup")
        if code & PRIMARY == sqlite3.SQLITE_IOERR and code not in NO_SPACE:
            name = getattr(cause, "sqlite_errorname", "")
            self._failed = DiskFailed(f"{self._path}: {cause} ({name}): nothing is written any more; start again")
            return self._failed
        return StoreError(f"{self._path}: {cause}")

    def close(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()


def copy_database(source: Path, target: Path) -> None:
    """A consistent, durable copy in one file, also while somebody writes. Raises: StoreError, with no target made."""
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    try:
        origin = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(origin), contextlib.closing(sqlite3.connect(draft)) as copy:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        with draft.open("rb") as file:
            sync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    except (sqlite3.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{source} could not be copied to {target}: {error}") from error
