"""`store verify`, `backup`, `upgrade`, and what `open` says of a damaged SQLite store."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from active_learner.commands import up
from active_learner.commands.store import command
from active_learner.core.records import AskedQuestion, LabelEvent, Plan, RoundResult, SampleSpec, content_key
from active_learner.durable.journal import read_lines
from active_learner.durable.lock import WriterLock
from active_learner.durable.watermark import Mark, Watermark
from active_learner.errors import ActiveLearnerError, StoreError, StoreLocked, WrongStore
from active_learner.stores import CARE, FORMS, care_of, open_store, sql_schema
from active_learner.stores.base import Store
from active_learner.stores.care import Care
from active_learner.stores.csv_care import CsvCare
from active_learner.stores.sql_care import SqlCare

SPEC = SampleSpec(shape=(3,), dtype="float32", classes=4)
OLD = Path(__file__).parents[1] / "data" / "store_schema_1.sql"
OLD_CSV = OLD.with_name("store_csv_schema_1.csv")
PLAN = Plan(0, 1, ("a" * 32,), (3,), 7, 10, 20, "cross_entropy", 0)
CONFIG = "name: digits\nsample: {shape: [3], dtype: float32, classes: 4}\n"


def sample(number: float) -> np.ndarray:
    return np.array([number, 0.1, -1.0], np.float32)


def filled(store: Store) -> None:
    """Something in every table."""
    features = sample(1)
    key = content_key(features)
    question = AskedQuestion("q1", key, features, 1, "margin", 0.5, 1, 20, False, 9, 1.0, (0.5, 0.5))
    store.next_term()
    store.add_labels(np.stack([sample(10), sample(11)]), [0, 3], "file", 5.0)
    store.commit_questions([question, replace(question, id="q2")])
    store.commit_event(LabelEvent("e1", "q1", key, "ann", 0, "answer", 2, 7.0))
    store.close_questions(["q1"], "answered")
    store.quarantine(LabelEvent("e9", "q9", "", "ann", 0, "answer", 2, 7.0))
    store.commit_plan(PLAN)
    store.finish_plan(RoundResult(0, 10, "ab" * 32, 3, 0.5, 1.25, None, 1.5, 0.75))
    store.save_pool(b"\x00pool")


def opened(folder: Path, variant: str = "sqlite", **how: bool) -> Store:
    store = open_store(f"{FORMS[variant]}labels.db", folder)
    store.open("digits", SPEC, **how)
    return store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    store = opened(tmp_path)
    filled(store)
    store.close()
    return tmp_path / "labels.db"


def changed(path: Path, *statements: str) -> None:
    """By somebody with a database tool."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def everything(store: Store) -> list[object]:
    questions = [(one.id, one.key, one.features.tolist(), one.score, why) for one, why in store.questions()]
    labels = [(one.key, one.value, one.sequence, one.features.tolist()) for one in store.labels()]
    return [store.run, questions, labels, store.events(), store.plans(), store.load_pool(), store.quarantined()]


# --- damage


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE events SET value = 3 WHERE id = 'e1'", "change 11: said 3 is not what was written"),
        ("UPDATE events SET at = 7.5 WHERE id = 'e1'", "said 3"),
        ("UPDATE events SET late = 1 WHERE id = 'e1'", "said 3"),
        ("DELETE FROM events WHERE sequence = 1", "said 1 is lost"),
        ("DELETE FROM events WHERE sequence = 3", "events end at 2, but are counted to 3"),
        ("UPDATE questions SET score = 0.25 WHERE id = 'q2'", "asked 2"),
        ("UPDATE questions SET closed = 'timed_out' WHERE id = 'q1'", "closed 1"),
        ("UPDATE questions SET closed = NULL WHERE id = 'q1'", "closed 1 is lost"),
        ("UPDATE questions SET closed = 'known' WHERE id = 'q2'", "closed 2: the chain does not have it"),
        ("DELETE FROM questions WHERE id = 'q2'", "asked 2 is lost"),
        ("UPDATE samples SET features = zeroblob(12)", "its features are not what was written"),
        ("UPDATE samples SET features = 'text'", "its features are not what was written"),
        ("DELETE FROM samples", "its row of samples is lost"),
        ("UPDATE plans SET plan = replace(plan, '20', '21')", "planned 0"),
        ("UPDATE plans SET result = replace(result, '1.25', '1.26')", "finished 0"),
        ("UPDATE meta SET value = 'x' WHERE name = 'run'", "meta run"),
        ("DELETE FROM meta WHERE name = 'layout'", "tables, constraints or triggers"),
        ("UPDATE terms SET term = 2", "began 1 is lost"),
        ("INSERT INTO terms VALUES (2, 'somebody')", "began 2: the chain does not have it"),
        ("DELETE FROM quarantine", "quarantined 1 is lost"),
        ("UPDATE chain SET digest = 'x' WHERE number = 7", "change 7"),
        ("DELETE FROM chain WHERE number = 7", "changes 7 to 7 are lost"),
        ("DELETE FROM chain WHERE number = 9", "changes 9 to 9 are lost"),
        ("DROP INDEX open_questions", "tables, constraints or triggers"),
        ("DROP TABLE quarantine", "cannot be read"),
        ("UPDATE questions SET strategy = CAST(x'ff41' AS TEXT) WHERE id = 'q2'", "cannot be read"),
    ],
)
@pytest.mark.parametrize("reader", [False, True])
def test_row_41_what_was_changed_behind_our_back_is_refused_with_its_place(
    database: Path, statement: str, place: str, reader: bool
) -> None:
    triggers = [f"DROP TRIGGER {table}no_{action}" for table in ("", "chain_") for action in ("update", "delete")]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        made = [row[0] for row in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]
    changed(database, *triggers, statement, *made)
    before = database.read_bytes()
    found = SqlCare(database).verify("digits", SPEC)
    assert any(place in line for line in found.damage), found.damage
    with pytest.raises(WrongStore, match=r"is damaged: .*restore it from a backup; .active-learner store verify"):
        opened(database.parent, read_only=reader, accept_rollback=True)
    assert database.read_bytes() == before


def test_row_41_a_damaged_pool_is_told_and_left(database: Path) -> None:
    changed(database, "UPDATE pool SET snapshot = x'00'")
    store = opened(database.parent)
    assert ["pool's snapshot is damaged" in warning for warning in store.warnings] == [True]
    assert store.load_pool() is None
    assert len(store.labels()) == 3
    store.save_pool(b"new")
    store.close()
    again = opened(database.parent)
    assert (again.load_pool(), again.warnings) == (b"new", [])
    again.close()


def test_row_41_a_damaged_pool_of_a_csv_store_is_told_and_left(tmp_path: Path) -> None:
    store = opened(tmp_path, "csv")
    filled(store)
    path = tmp_path / "labels.db.pool"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert store.load_pool() is None
    store.close()
    again = opened(tmp_path, "csv")
    assert ["pool's snapshot is damaged" in warning for warning in again.warnings] == [True]
    again.close()
    (warning,) = CsvCare(tmp_path / "labels.db").verify("digits", SPEC).warnings
    assert "pool's snapshot is damaged" in warning


def test_a_lost_end_shows_by_the_mark(database: Path) -> None:
    """Rows and their lines in the chain gone alike, as in an older database."""
    changed(
        database,
        "DROP TRIGGER chain_no_delete",
        "DELETE FROM chain WHERE number = (SELECT max(number) FROM chain)",
        "UPDATE plans SET result = NULL",
        "CREATE TRIGGER chain_no_delete BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    )
    with pytest.raises(WrongStore, match="rolled back"):
        opened(database.parent)


# --- verify and backup


@pytest.fixture(params=sorted(CARE))
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Care]]:
    store = opened(tmp_path, request.param)
    filled(store)
    care = care_of(f"{FORMS[request.param]}labels.db", tmp_path)
    assert care is not None
    yield store, care
    store.close()


def test_a_store_is_verified_beside_its_writer(running: tuple[Store, Care]) -> None:
    store, care = running
    found = care.verify("digits", SPEC)
    assert (found.damage, found.lost, found.warnings) == ([], "", [])
    assert found.counts == {"samples": 3, "questions": 2, "events": 3, "plans": 1, "terms": 1, "quarantine": 1}
    store.next_term()
    later = care.verify("digits", SPEC)
    assert later.head.number == found.head.number + 1
    assert later.head.digest != found.head.digest
    with pytest.raises(WrongStore):
        care.verify("melody", SPEC)


def test_a_backup_beside_the_writer_is_the_store_of_that_moment(running: tuple[Store, Care], tmp_path: Path) -> None:
    store, care = running
    before = everything(store)
    found = care.backup("digits", SPEC, tmp_path / "elsewhere.db")
    assert (found.head, found.damage) == (care.verify("digits", SPEC).head, [])
    store.next_term()
    copy = open_store(f"{FORMS[_variant(care)]}elsewhere.db", tmp_path)
    copy.open("digits", SPEC)
    kept = everything(copy)
    copy.close()
    pool = 5  # a CSV store's is a file of its own, which a restart does without
    assert kept[:pool] == before[:pool]
    assert kept[pool + 1 :] == before[pool + 1 :]


def _variant(care: Care) -> str:
    return next(name for name, place in CARE.items() if place.endswith(type(care).__name__))


def test_there_is_nothing_to_look_after_before_the_first_writer(tmp_path: Path) -> None:
    for name, form in FORMS.items():
        care = care_of(f"{form}labels.db", tmp_path)
        if care is None:
            assert name == "memory"
            continue
        for work in (
            lambda care=care: care.verify("digits", SPEC),
            lambda care=care: care.backup("digits", SPEC, tmp_path / "x"),
            lambda care=care: care.upgrade("digits", SPEC),
        ):
            with pytest.raises(StoreError, match="no labels yet"):
                work()


# --- upgrade


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as the first released schema left it."""
    return restored(tmp_path, OLD)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return restored(tmp_path, OLD.with_name("store_schema_2.sql"))


def restored(folder: Path, dump: Path) -> Path:
    path = folder / "labels.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        connection.execute("PRAGMA journal_mode=WAL")
    return path


def rows(path: Path, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()


@pytest.mark.parametrize("reader", [False, True])
def test_row_51_an_older_schema_is_refused_with_the_command_that_helps(old: Path, reader: bool) -> None:
    with pytest.raises(WrongStore, match="has schema 1, this version knows 3: `active-learner store upgrade CONFIG`"):
        opened(old.parent, read_only=reader)
    assert ("schema", "1") in rows(old, "meta")


def test_row_51_an_upgrade_keeps_every_row_and_makes_the_digests(old: Path) -> None:
    before = kept_rows(old)
    copy = SqlCare(old).upgrade("digits", SPEC)
    assert copy == old.with_name("labels.db.schema-1")
    assert kept_rows(old) == kept_rows(copy) == before
    assert set(rows(old, "events", "circumstances")) == {("",)}
    found = SqlCare(old).verify("digits", SPEC)
    assert (found.damage, found.lost, found.warnings) == ([], "", [])
    assert found.counts == {"samples": 5, "questions": 3, "events": 6, "plans": 2, "terms": 1, "quarantine": 0}
    store = opened(old.parent)
    assert [label.value for label in store.labels()] == [0, 3, 3, 1]
    assert store.load_pool() == b"\x00pool"
    assert store.run == "5eed" * 8
    assert store.next_term() == 3
    store.close()


EVENTS = "sequence, id, question, key, annotator, revision, action, value, at, late"


def kept_rows(path: Path) -> list[list[tuple[object, ...]]]:
    return [rows(path, "events", EVENTS), *(rows(path, table) for table in ("samples", "questions", "plans"))]


def test_row_51_an_upgrade_from_schema_2_keeps_every_row(second: Path) -> None:
    with pytest.raises(WrongStore, match="has schema 2, this version knows 3: `active-learner store upgrade CONFIG`"):
        opened(second.parent)
    before, terms = kept_rows(second), rows(second, "terms")
    copy = SqlCare(second).upgrade("digits", SPEC)
    assert copy == second.with_name("labels.db.schema-2")
    assert kept_rows(second) == kept_rows(copy) == before
    assert rows(second, "terms") == terms
    store = opened(second.parent)
    assert store.warnings == []
    assert [(label.value, label.annotator) for label in store.labels()] == [
        (0, "file"),
        (3, "Zoë"),
        (3, "ann"),
        (1, "bob"),
    ]
    assert [event.id for event in store.quarantined()] == ["stray"]
    assert store.commit_event(
        LabelEvent("e7", "q3", content_key(sample(3)), "bob", 0, "cannot_tell", None, 7.0, '{"a":1}')
    )
    assert store.events()[-1].circumstances == '{"a":1}'
    store.close()


@pytest.mark.parametrize("schema", ["old", "second"])
def test_an_upgraded_store_has_the_layout_of_a_new_one(
    schema: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    old: Path = request.getfixturevalue(schema)
    SqlCare(old).upgrade("digits", SPEC)
    new = tmp_path / "new"
    opened(new).close()
    query = "type, name, tbl_name, sql", "sqlite_schema"
    plain = [
        [(*row[:3], _words(row[3])) for row in rows(path, query[1], query[0])] for path in (old, new / "labels.db")
    ]
    assert sorted(plain[0]) == sorted(plain[1])


def _words(sql: object) -> list[str]:
    """Without what `ALTER TABLE` writes otherwise than `CREATE TABLE`."""
    text = re.sub(r"\bPRIMARY KEY \((\w+)\)", r"PRIMARY KEY (\1)", str(sql))
    return sorted(re.findall(r"[\w']+", text))


def test_an_upgrade_vouches_for_no_damage(second: Path) -> None:
    changed(second, "UPDATE questions SET score = 0.75 WHERE id = 'q1'")
    with pytest.raises(WrongStore, match="asked 1 is not what was written"):
        SqlCare(second).upgrade("digits", SPEC)
    assert ("schema", "2") in rows(second, "meta")


def test_an_older_copy_is_not_upgraded(second: Path) -> None:
    mark = Watermark(second)
    mark.write(Mark(1000, "a" * 32))
    mark.close()
    with pytest.raises(WrongStore, match=r"rolled back.*restore the newest copy of it before it is upgraded"):
        SqlCare(second).upgrade("digits", SPEC)
    assert Watermark(second).read() == Mark(1000, "a" * 32)


@pytest.fixture
def old_csv(tmp_path: Path) -> Path:
    """A CSV store as schema 1 left it."""
    for name in ("labels.db", "labels.db.events"):
        shutil.copy(OLD_CSV.with_name(name.replace("labels.db", OLD_CSV.name)), tmp_path / name)
    return tmp_path / "labels.db"


def test_row_51_a_csv_store_of_schema_1_is_upgraded_with_every_entry(old_csv: Path) -> None:
    with pytest.raises(WrongStore, match="has schema 1, this version knows 2: `active-learner store upgrade CONFIG`"):
        opened(old_csv.parent, "csv")
    journal = old_csv.with_name("labels.db.events")
    before, table = read_lines(journal).forms, old_csv.read_bytes()
    copy = CsvCare(old_csv).upgrade("digits", SPEC)
    assert copy == old_csv.with_name("labels.db.schema-1")
    assert read_lines(copy.with_name(f"{copy.name}.events")).forms == before
    assert read_lines(journal).forms == [{**before[0], "schema": 2}, *before[1:]]
    assert old_csv.read_bytes() == copy.read_bytes() == table
    found = CsvCare(old_csv).verify("digits", SPEC)
    assert (found.damage, found.lost, found.warnings, found.counts["events"]) == ([], "", [], 8)
    store = opened(old_csv.parent, "csv")
    assert [(label.value, label.annotator) for label in store.labels()] == [
        (0, "file"),
        (3, "Zoë"),
        (3, "ann"),
        (1, "bob"),
    ]
    assert {event.circumstances for event in store.events()} == {""}
    store.close()
    assert CsvCare(old_csv).upgrade("digits", SPEC) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b'"value":3', b'"value":2', 1)), "is damaged"),
        (lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1])), "rolled back"),
    ],
)
def test_a_csv_store_that_is_not_what_was_written_is_not_upgraded(
    old_csv: Path, change: Callable[[Path], object], words: str
) -> None:
    journal = old_csv.with_name("labels.db.events")
    lines, mark = read_lines(journal), Watermark(old_csv)
    mark.write(Mark(len(lines.digests), lines.digest))
    mark.close()
    change(journal)
    before = journal.read_bytes()
    with pytest.raises(WrongStore, match=words):
        CsvCare(old_csv).upgrade("digits", SPEC)
    assert journal.read_bytes() == before
    assert not list(old_csv.parent.glob("*.schema-1"))


def test_no_csv_store_is_upgraded_under_its_writer(old_csv: Path) -> None:
    lock = WriterLock(old_csv)
    with pytest.raises(StoreLocked):
        CsvCare(old_csv).upgrade("digits", SPEC)
    lock.release()


def test_an_upgrade_that_fails_leaves_all_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old, "meta"), rows(old, "sqlite_schema", "name")
    changed(old, "UPDATE samples SET features = zeroblob(12)")
    with pytest.raises(WrongStore, match="its features are not what was written"):
        SqlCare(old).upgrade("digits", SPEC)
    assert (rows(old, "meta"), rows(old, "sqlite_schema", "name")) == before
    assert not old.with_name("labels.db.mark").exists()


def test_a_second_upgrade_changes_nothing_and_copies_nothing(old: Path) -> None:
    SqlCare(old).upgrade("digits", SPEC)
    before = old.read_bytes()
    assert SqlCare(old).upgrade("digits", SPEC) is None
    assert old.read_bytes() == before


def test_a_copy_never_replaces_another(old: Path) -> None:
    old.with_name("labels.db.schema-1").write_text("precious")
    assert SqlCare(old).upgrade("digits", SPEC) == old.with_name("labels.db.schema-1.1")
    assert old.with_name("labels.db.schema-1").read_text() == "precious"


def test_no_store_is_upgraded_under_its_trainer(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(StoreLocked):
        SqlCare(tmp_path / "labels.db").upgrade("digits", SPEC)
    store.close()


def test_the_newest_migration_is_the_version_of_the_tables() -> None:
    from alembic.script import ScriptDirectory

    from active_learner.stores.sql_care import SCRIPTS

    scripts = ScriptDirectory(str(SCRIPTS))
    assert scripts.get_current_head() == sql_schema.VERSION
    assert scripts.get_bases() == ["1"]


# --- the commands


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment in the working directory; its run folder is runs/digits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(CONFIG)
    return tmp_path / "runs" / "digits"


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False, standalone_mode=False)
    assert result.return_value == 0
    return result


def test_verify_tells_counts_and_head(config: Path) -> None:
    store = opened(config)
    filled(store)
    store.close()
    told = run("verify", "own.yaml").output
    words = "3 samples, 2 questions, 3 events, 1 plans, 1 terms, 1 quarantine; 15 changes, head "
    assert words in told
    assert "every row is what was written" in told


def test_verify_tells_every_place_and_exits_with_5(config: Path) -> None:
    store = opened(config)
    filled(store)
    store.close()
    changed(config / "labels.db", "UPDATE questions SET round = 7")
    with pytest.raises(WrongStore, match=r"asked 1 is not what was written\n.*asked 2 is") as told:
        run("verify", "own.yaml")
    assert told.value.exit_code == 5


def test_a_backup_is_verified_and_can_be_verified_later(config: Path) -> None:
    store = opened(config)
    filled(store)
    head = run("verify", "own.yaml").output.split()[-8]
    assert head in run("backup", "own.yaml", "monday.db").output
    store.next_term()
    store.close()
    assert head in run("verify", "own.yaml", "monday.db").output
    shutil.copy("monday.db", config / "labels.db")
    with pytest.raises(WrongStore, match="rolled back"):
        run("verify", "own.yaml")
    with pytest.raises(ActiveLearnerError, match="there already"):
        run("backup", "own.yaml", "monday.db")
    with pytest.raises(ActiveLearnerError, match="no folder"):
        run("backup", "own.yaml", "nowhere/monday.db")


def test_a_backup_of_a_damaged_store_is_not_made(config: Path) -> None:
    store = opened(config)
    filled(store)
    store.close()
    with contextlib.closing(sqlite3.connect(config / "labels.db", isolation_level=None)) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE events SET at = at + 1")
    before = sorted(Path().iterdir())
    with pytest.raises(WrongStore, match=r"labels.db is damaged(.|\n)*a backup of it is not made"):
        run("backup", "own.yaml", "monday.db")
    assert sorted(Path().iterdir()) == before


def test_upgrade_names_the_copy(config: Path, old: Path) -> None:
    config.mkdir(parents=True)
    shutil.copy(old, config / "labels.db")
    assert "labels.db.schema-1" in run("upgrade", "own.yaml").output
    assert "up to date" in run("upgrade", "own.yaml").output


def test_a_store_in_memory_has_nothing_to_look_after(config: Path) -> None:
    with pytest.raises(ActiveLearnerError, match="ends with its process"):
        run("verify", "own.yaml", "--set", "store.url=memory:x")


def test_up_hands_the_accepted_rollback_to_its_trainer(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve: list[str] = []
    monkeypatch.setattr(up, "_up", lambda config, options, *_: serve.extend(options) or 0)
    CliRunner().invoke(up.command, ["own.yaml", "--accept-rollback"], catch_exceptions=False, standalone_mode=False)
    assert serve == ["--accept-rollback"]
