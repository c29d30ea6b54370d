"""Looking after an SQLite store: verify, backup, and upgrade by Alembic. Knows versions; what changes is in migrations/."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update

from active_learner.core.records import SampleSpec
from active_learner.durable.files import sync_folder
from active_learner.durable.lock import WriterLock
from active_learner.durable.watermark import Watermark
from active_learner.errors import StoreError, WrongStore
from active_learner.stores import forms, sql_check
from active_learner.stores.care import Care, free_name
from active_learner.stores.findings import Findings, damaged
from active_learner.stores.sql_chain import Chain
from active_learner.stores.sql_engine import Database, copy_database
from active_learner.stores.sql_schema import VERSION, Schema, schema

SCRIPTS = Path(__file__).parent / "migrations"

FIRST = "1"
"""The schema that had no chain."""


class SqlCare(Care):
    def verify(self, experiment: str, spec: SampleSpec, *, marked: bool = True) -> Findings:
        self._check_there()
        return sql_check.look(self.path, experiment, spec, Watermark(self.path) if marked else None)

    def backup(self, experiment: str, spec: SampleSpec, target: Path) -> Findings:
        self._check_there()
        unchecked = target.with_name(f"{target.name}.unchecked")
        try:
            copy_database(self.path, unchecked)
            found = SqlCare(unchecked).verify(experiment, spec, marked=False)
            if found.damage:
                raise WrongStore(f"{damaged(str(self.path), found)}; a backup of it is not made")
            unchecked.replace(target)
            sync_folder(target.parent)
        finally:
            unchecked.unlink(missing_ok=True)
        return found

    def _check_there(self) -> None:
        if not self.path.exists():
            raise StoreError(f"{self.path}: there are no labels yet")

    def upgrade(self, experiment: str, spec: SampleSpec) -> Path | None:
        self._check_there()
        lock = WriterLock(self.path)
        try:
            version = sql_check.schema_of(self.path)
            if version == VERSION:
                return None
            steps = _steps_from(version, self.path)
            copy = free_name(self.path, version or "unknown")
            copy_database(self.path, copy)
            self._migrate(steps, version, experiment, spec)
        finally:
            lock.release()
        return copy

    def _migrate(self, steps: list[str], version: str | None, experiment: str, spec: SampleSpec) -> None:
        tables, database = schema(spec.classes), Database(self.path, read_only=False)
        mark = Watermark(self.path)
        try:
            with database.transaction() as connection:
                if version != FIRST:
                    self._check_before(connection, schema(spec.classes, str(version)), spec)
                _run(connection, steps)
                _seal(connection, tables)
                found = sql_check.judge(connection, tables, self.path, experiment, spec)
                if found.damage:
                    raise WrongStore(damaged(str(self.path), found))
                mark.forget()  # of the old chain: a crash right after the commit must not look like a rollback
        finally:
            database.close()
        mark.write(found.head)
        mark.close()

    def _check_before(self, connection: Connection, tables: Schema, spec: SampleSpec) -> None:
        """A new chain vouches for whatever it is made of, so the old one has the last word on that. Raises: WrongStore."""
        found = Findings(damage=sql_check.damage(connection, tables, spec))
        if found.damage:
            raise WrongStore(damaged(str(self.path), found))
        chain, mark = Chain(tables), Watermark(self.path)
        remembered, _ = mark.remembered()
        last = chain.begin(connection).number
        lost = "" if remembered is None else mark.lost(remembered, last, partial(chain.digest_of, connection))
        if lost:
            raise WrongStore(f"{lost}; restore the newest copy of it before it is upgraded")


def _steps_from(version: str | None, path: Path) -> list[str]:
    """Versions to come, oldest first. Raises: WrongStore when nobody knows the way from there."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS))
    ways = [step.revision for step in scripts.walk_revisions()]
    if version not in ways:
        raise WrongStore(f"{path} has schema {version}; this version knows {', '.join(sorted(ways))}")
    return ways[: ways.index(version)][::-1]


def _run(connection: Connection, steps: list[str]) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS))
    with Operations.context(MigrationContext.configure(connection)):
        for step in steps:
            script = scripts.get_revision(step)
            assert script is not None
            script.module.upgrade()


def _seal(connection: Connection, tables: Schema) -> None:
    """Version, layout and a new chain: digests cover all columns, so every migration makes them anew."""
    meta = tables.meta
    connection.execute(update(meta).where(meta.c.name == "schema").values(value=VERSION))
    snapshot = connection.execute(select(tables.pool.c.snapshot)).scalar()
    if snapshot is not None:
        connection.execute(update(tables.pool).values(digest=forms.digest(snapshot)))
    tables.chain.drop(connection, checkfirst=True)
    tables.chain.create(connection)
    connection.execute(delete(meta).where(meta.c.name == "layout"))
    connection.execute(insert(meta).values(name="layout", value=sql_check.layout(connection, tables)))
    Chain(tables).extend_all(connection)
