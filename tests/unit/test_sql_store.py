"""What only the SQL store has: durability settings, constraints, damage, a full disk."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, content_key
from active_learner.errors import ConfigError, DiskFailed, StoreError, StoreLocked, WrongStore
from active_learner.stores import file_of, open_store, sql_engine
from active_learner.stores.base import Store, Stored

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=4)
FEATURES = np.array([1, 0], np.uint8)
KEY = content_key(FEATURES)
QUESTION = AskedQuestion("q1", KEY, FEATURES, 1, "margin", 0.5, 1, 0, False, 10, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = opened(tmp_path)
    yield made
    made.close()


def opened(folder: Path, url: str = "sqlite:///labels.db", spec: SampleSpec = SPEC) -> Store:
    made = open_store(url, folder)
    made.open("digits", spec)
    return made


def answer(revision: int = 0, value: int = 3) -> LabelEvent:
    return LabelEvent(f"e{revision}", "q1", KEY, "ann", revision, "revise" if revision else "answer", value, 5.0)


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / "labels.db")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_relative_file_is_in_the_run_folder_and_an_absolute_one_is_not(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    assert (tmp_path / "run" / "labels.db").is_file()
    other = tmp_path / "elsewhere" / "l.db"
    opened(tmp_path / "run", f"sqlite:///{other}").close()
    assert other.is_file()
    assert file_of(f"sqlite:///{other}", tmp_path) == other
    assert file_of("sqlite:///labels.db", tmp_path) == tmp_path / "labels.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/labels",
        "postgresql+psycopg://localhost/labels",
        "sqlite://",
        "sqlite:///",
        "sqlite:labels.db",
        "sqlite:////tmp/",
        "csv:",
        "memory:",
        "labels.db",
        "",
        "redis:x",
    ],
)
def test_a_url_that_names_no_store_is_told_with_what_is_allowed(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"store.url: .*sqlite:///FILE, csv:FILE, memory:NAME"):
        open_store(url, tmp_path)
    with pytest.raises(ConfigError):
        file_of(url, tmp_path)


def test_the_holder_of_the_lock_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreLocked, match=rf"labels.db is being written to by process {os.getpid()} \(.*python.*\)"):
        opened(tmp_path)


def test_a_lock_whose_holder_cannot_be_read_is_still_a_lock(store: Store, tmp_path: Path) -> None:
    (tmp_path / "labels.db.lock").write_text("?")
    with pytest.raises(StoreLocked, match="another process"):
        opened(tmp_path)


def test_a_stale_lock_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "labels.db.lock").write_text("1\n")
    opened(tmp_path).close()


def test_a_commit_goes_to_the_disk_before_it_returns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store._database.transaction() as connection:  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET value = 1",
        "DELETE FROM events",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', 0, 'answer', 4, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', 0, 'answer', -1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', 0, 'answer', NULL, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', 0, 'skip', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', 0, 'praise', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'bob', -1, 'answer', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'e0', 'q1', 'KEY', 'bob', 0, 'answer', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'KEY', 'ann', 0, 'answer', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q9', 'KEY', 'bob', 0, 'answer', 1, 1.0, 0, '')",
        "INSERT INTO events VALUES (9, 'x', 'q1', 'nokey', 'bob', 0, 'answer', 1, 1.0, 0, '')",
    ],
)
def test_the_database_itself_refuses_what_must_not_be(store: Store, tmp_path: Path, statement: str) -> None:
    store.commit_questions([QUESTION])
    store.commit_event(answer())
    with database(tmp_path) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement.replace("KEY", KEY))


def test_a_late_answer_is_marked(store: Store, tmp_path: Path) -> None:
    store.commit_questions([QUESTION])
    store.close_questions(["q1"], "timed_out")
    assert store.commit_event(answer()) is Stored.LATE
    store.commit_event(answer(1))
    with database(tmp_path) as connection:
        assert connection.execute("SELECT late FROM events ORDER BY sequence").fetchall() == [(1,), (0,)]


@pytest.mark.parametrize("version", ["4", "next"])
def test_a_newer_schema_is_refused_by_name(tmp_path: Path, version: str) -> None:
    opened(tmp_path).close()
    with database(tmp_path) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", [version])
    with pytest.raises(WrongStore, match=f"schema {version}, this version knows 3"):
        opened(tmp_path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with database(tmp_path) as connection, connection:
        connection.execute("CREATE TABLE stamps (country TEXT)")
    with pytest.raises(WrongStore, match="not a label store"):
        opened(tmp_path)
    with database(tmp_path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("stamps",)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = '"(1, 0)",3\n' * 500
    (tmp_path / "labels.db").write_text(text)
    with pytest.raises(WrongStore, match=r"labels.db"):
        opened(tmp_path)
    assert (tmp_path / "labels.db").read_text() == text


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add_labels(np.array([[a, b] for a in range(256) for b in range(8)], np.uint8), [1] * 2048, "ann", 1.0)
    store.close()
    content = bytearray((tmp_path / "labels.db").read_bytes())
    content[8192:40960] = b"\x55" * 32768
    (tmp_path / "labels.db").write_bytes(content)
    with pytest.raises(WrongStore):
        opened(tmp_path)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.db").mkdir()
    with pytest.raises(StoreError, match=r"labels.db"):
        opened(tmp_path)


def test_a_full_disk_keeps_nothing_and_all_works_when_space_returns(store: Store, tmp_path: Path) -> None:
    store.commit_questions([QUESTION])
    store.commit_event(answer())
    before = (store.events(), store.run)
    with full_disk((tmp_path / "labels.db-wal").stat().st_size):
        for _ in range(2):
            with pytest.raises(StoreError, match=r"labels.db"):
                store.commit_event(answer(1, 2))
        assert [label.value for label in store.labels()] == [3]
        with pytest.raises(StoreError):
            store.save_pool(b"x" * 100_000)
    assert (store.events(), store.run) == before
    assert store.commit_event(answer(1, 2)) is Stored.STORED
    store.close()
    again = opened(tmp_path)
    assert [label.value for label in again.labels()] == [2]
    again.close()


def test_row_37_a_torn_end_of_the_log_recovers_to_the_last_commit(store: Store, tmp_path: Path) -> None:
    """Cut anywhere behind what was acknowledged, with and without junk; never one event less, never a half one."""
    store.commit_questions([QUESTION])
    store.commit_event(answer())
    acknowledged = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    store.commit_event(answer(1, 2))
    log = (tmp_path / "labels.db-wal").read_bytes()
    store.close()
    begun = len(acknowledged["labels.db-wal"])
    for number, length in enumerate(range(begun, len(log), 509)):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        for name in ("labels.db", "labels.db.mark"):
            (folder / name).write_bytes(acknowledged[name])
        (folder / "labels.db-wal").write_bytes(log[:length] + bytes([0, 0x55] * (number % 3) * 200))
        again = opened(folder)
        assert [event.id for event in again.events()] == ["e0"]
        assert again.commit_event(answer(1, 2)) is Stored.STORED
        again.close()


def test_another_programs_lock_is_an_error_and_no_harm(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr(sql_engine, "BUSY_TIMEOUT_S", 0.02)
    store = opened(tmp_path)
    with database(tmp_path) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            store.commit_questions([QUESTION])
    store.commit_questions([QUESTION])
    assert store.commit_event(answer()) is Stored.STORED
    store.close()


def test_a_reader_changes_no_byte(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit_questions([QUESTION])
    store.close()
    before = (tmp_path / "labels.db").read_bytes()
    reader = open_store("sqlite:///labels.db", tmp_path)
    reader.open("digits", SPEC, read_only=True)
    assert len(reader.questions()) == 1
    reader.close()
    assert (tmp_path / "labels.db").read_bytes() == before


def test_names_that_look_like_sql_are_only_names(store: Store) -> None:
    name = "ann'; DROP TABLE events; --"
    store.commit_questions([QUESTION])
    store.commit_event(LabelEvent("x' OR '1'='1", "q1", KEY, name, 0, "answer", 1, 1.0))
    assert store.labels()[0].annotator == name


def test_a_full_quarantine_costs_no_transaction(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("active_learner.stores.sql.QUARANTINE_LIMIT", 2)
    strays = [replace(answer(), id=f"s{number}", question="?") for number in range(4)]
    assert [store.quarantine(stray) for stray in strays[:3]] == [True, True, False]
    monkeypatch.setattr(sql_engine.Database, "transaction", None)
    assert [store.quarantine(stray) for stray in strays] == [True, True, False, False]


def test_row_39_after_a_failed_fsync_no_transaction_begins_any_more(store: Store) -> None:
    """What the kernel did with the pages is not known: a commit that succeeds later would promise too much."""
    store.commit_questions([QUESTION])
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"
    with pytest.raises(DiskFailed), store._database._told():  # type: ignore[attr-defined]
        raise error
    for use in (lambda: store.commit_event(answer()), store.next_term, store.labels, lambda: store.save_pool(b"x")):
        with pytest.raises(DiskFailed, match="nothing is written any more"):
            use()
