"""The book on a real store: what cannot be written is never acknowledged, and says whether a second try may help."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion, Label, Plan, RoundResult, SampleSpec, content_key
from active_learner.core.words import ONE_ANSWER, Enough
from active_learner.durable import lock
from active_learner.errors import DiskFailed, LeaseHeld
from active_learner.services import label_book
from active_learner.services.label_book import LabelBook, Outcome
from active_learner.services.run_files import RunFiles
from active_learner.stores import open_store, sql_engine
from active_learner.stores.sql import SqlStore
from protocol.messages import Action, Answer
from tests.unit.test_sql_store import full_disk

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=4)
FEATURES = np.array([1, 0], np.uint8)
QUESTION = AskedQuestion("q1", content_key(FEATURES), FEATURES, 1, "margin", 0.5, 1, 0, False, 10, 1.0)
ANSWER = Answer("e1", "q1", "ann", 0, Action.ANSWER, 3, 5.0)
Work = Callable[["Desk"], Awaitable[None]]

BEATS = 20
"""Of the loop, while a commit waits for the lock: a loop that stands still has one."""


class Desk:
    """A book, its store, and what it noted."""

    def __init__(self, folder: Path, url: str, enough: Enough = ONE_ANSWER) -> None:
        self.notes: list[str] = []
        self.lost: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.store, self.folder = open_store(url, folder), folder
        self.book = LabelBook(self.store, "digits", SPEC, self._note, enough=enough, on_lost=self.lost.set_result)
        self.noted = asyncio.Event()

    def _note(self, level: str, text: str) -> None:
        self.notes.append(f"{level}: {text}")
        self.noted.set()


@contextlib.asynccontextmanager
async def desk(folder: Path, url: str = "sqlite:///labels.db", enough: Enough = ONE_ANSWER) -> AsyncIterator[Desk]:
    made = Desk(folder, url, enough)
    await made.book.open()
    try:
        await made.book.commit_questions([QUESTION])
        yield made
    finally:
        await made.book.close()


def at_desk(folder: Path, work: Work, url: str = "sqlite:///labels.db", enough: Enough = ONE_ANSWER) -> None:
    async def main() -> None:
        async with desk(folder, url, enough) as made:
            await work(made)

    asyncio.run(main())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[sqlite3.Connection]:
    """Another program's exclusive lock."""
    with contextlib.closing(sqlite3.connect(folder / "labels.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


async def beats_while(work: Awaitable[object], then: Callable[[], object] = lambda: None) -> tuple[object, int]:
    """The result, and how often the loop came round every 5 ms meanwhile: what heartbeats need. `then`: done at the BEATS-th."""
    task, beats = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.wait({task}, timeout=0.005)
        beats += 1
        if beats == BEATS:
            then()
    return task.result(), beats


def test_row_34_an_answer_to_a_question_of_nobody_is_kept_aside(tmp_path: Path) -> None:
    async def work(at: Desk) -> None:
        stray = replace(ANSWER, question="never asked")
        for _ in range(2):
            outcome = await at.book.record(stray)
            assert (outcome.status, outcome.event, outcome.kept_aside) == ("unknown_question", None, True)
            assert "kept aside" in outcome.text
        assert [(one.id, one.question, one.value) for one in at.store.quarantined()] == [("e1", "never asked", 3)]
        assert at.store.labels() == at.store.events() == []

    at_desk(tmp_path, work)


def test_who_cannot_tell_gives_no_label_and_may_take_that_back(tmp_path: Path) -> None:
    async def work(at: Desk) -> None:
        told = replace(ANSWER, action=Action.CANNOT_TELL, value=None, circumstances='{"plays":2}')
        assert [(await at.book.record(one)).status for one in (told, told)] == ["stored", "duplicate"]
        assert "takes no value" in (await at.book.record(replace(told, id="e2", revision=1, value=3))).text
        assert at.store.labels() == []
        said = replace(ANSWER, id="e3", revision=1, circumstances="no JSON")
        assert (await at.book.record(said)).status == "stored"
        assert [label.value for label in at.store.labels()] == [3]
        assert [(one.action, one.circumstances) for one in at.store.events()] == [
            ("cannot_tell", '{"plays":2}'),
            ("answer", ""),
        ]

    at_desk(tmp_path, work)


def test_row_31_of_two_words_in_one_place_the_second_is_kept_aside_and_a_revision_counts(tmp_path: Path) -> None:
    async def work(at: Desk) -> None:
        assert (await at.book.record(ANSWER)).status == "stored"
        other = await at.book.record(replace(ANSWER, id="e2", value=1))
        assert (other.status, other.kept_aside) == ("conflict", True)
        assert [label.value for label in at.store.labels()] == [3]
        assert [(one.id, one.value) for one in at.store.quarantined()] == [("e2", 1)]
        revised = await at.book.record(replace(ANSWER, id="e3", revision=1, action=Action.REVISE, value=1))
        assert revised.status == "stored"
        assert [label.value for label in at.store.labels()] == [1]

    at_desk(tmp_path, work)


def test_row_38_on_a_full_disk_answers_wait_and_no_question_is_asked_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_book, "RETRY_S", 0.02)
    later = replace(QUESTION, id="q2")

    async def work(at: Desk) -> None:
        with full_disk((at.folder / "labels.db-wal").stat().st_size):
            assert (await at.book.record(ANSWER)).status == "storage_full"
            at.noted.clear()
            asking = asyncio.ensure_future(at.book.commit_questions([later]))
            await at.noted.wait()
            assert "cannot write" in at.notes[-1]
            assert not asking.done()
            assert [one.id for one in at.store.open_questions()] == ["q1"]
            assert (await at.book.record(ANSWER)).status == "storage_full"
        await asking
        assert (await at.book.record(ANSWER)).status == "stored"
        assert [one.id for one in at.store.open_questions()] == ["q1", "q2"]

    at_desk(tmp_path, work)


def test_row_38_a_database_without_a_free_page_recovers_by_itself(tmp_path: Path) -> None:
    """SQLITE_FULL, as a disk without space gives it."""

    async def work(at: Desk) -> None:
        def pages(number: int) -> None:
            with at.store._database.transaction() as connection:  # type: ignore[attr-defined]
                connection.exec_driver_sql(f"PRAGMA max_page_count={number}")

        await at.book.run(lambda: pages(1))
        await at.book.save_pool(b"x" * 100_000)
        assert "the pool is not kept" in at.notes[-1]
        assert "full" in at.notes[-1]
        long = replace(ANSWER, annotator="a" * 20_000)
        assert (await at.book.record(long)).status == "storage_full"
        assert at.store.events() == []
        await at.book.run(lambda: pages(100_000))
        assert (await at.book.record(long)).status == "stored"

    at_desk(tmp_path, work)


@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_row_39_a_failed_fsync_is_no_receipt_and_no_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """SQLite's own fsync cannot be reached from here: tests/proofs/torn.py lets the kernel refuse it."""

    async def work(at: Desk) -> None:
        if url.startswith("csv"):
            monkeypatch.setattr(os, "fsync", _broken)
        else:
            monkeypatch.setattr(sql_engine.Database, "transaction", _broken_transaction)
        for work in (
            lambda: at.book.record(ANSWER),
            lambda: at.book.commit_questions([replace(QUESTION, id="q2")]),
            lambda: at.book.close_questions(["q1"], "answered"),
            lambda: at.book.save_pool(b"x"),
        ):
            with pytest.raises(DiskFailed):
                await work()

    at_desk(tmp_path, work, url)


def _broken(_: int) -> None:
    raise OSError(5, "Input/output error")


def _broken_transaction(database: sql_engine.Database) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"
    raise database._in_words(error)


@pytest.mark.parametrize("in_time", [True, False], ids=["released in time", "held for longer"])
def test_row_40_another_programs_lock_stops_neither_the_loop_nor_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    """A commit waits for it, a minute here or a third of a second, and the loop comes round all the while."""
    monkeypatch.setattr(sql_engine, "BUSY_TIMEOUT_S", 60.0 if in_time else 0.3)

    async def work(at: Desk) -> None:
        with locked(tmp_path) as other:
            record = at.book.record(ANSWER)
            outcome, beats = await (beats_while(record, other.rollback) if in_time else beats_while(record))
            assert beats >= (BEATS if in_time else 3)
            assert isinstance(outcome, Outcome)
            first = outcome.status
            assert first == ("stored" if in_time else "storage_full")
            other.rollback()
            while (again := await at.book.record(ANSWER)).status == "storage_full":
                assert "locked" in again.text
        assert again.status == ("duplicate" if first == "stored" else "stored")
        assert [event.id for event in at.store.events()] == ["e1"]

    at_desk(tmp_path, work)


def test_a_stop_does_not_wait_for_another_programs_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit would wait for it for an hour, and a new one no time at all once the stop is over."""
    monkeypatch.setattr(sql_engine, "BUSY_TIMEOUT_S", 3600.0)

    async def work(at: Desk) -> None:
        with locked(tmp_path):
            recording = asyncio.ensure_future(at.book.record(ANSWER))
            at.book.hurry(0.2)
            async with asyncio.timeout(30):
                assert (await recording).status == "storage_full"
                assert (await at.book.record(ANSWER)).status == "storage_full"
        assert at.store.events() == []

    at_desk(tmp_path, work)


def test_row_28_a_book_whose_store_was_taken_over_says_so_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 0.05)
    monkeypatch.setattr(lock, "LOOK_S", 0.005)

    async def work(at: Desk) -> None:
        successor = open_store("sqlite:///labels.db", tmp_path)
        successor.open("digits", SPEC, takes_over=True)  # the loop stands still meanwhile: nobody renews
        monkeypatch.setattr(label_book, "RENEW_S", 0.01)
        at.book._renew()
        assert isinstance(await at.lost, LeaseHeld)
        with pytest.raises(LeaseHeld):
            await at.book.record(ANSWER)
        assert successor.events() == []
        successor.close()

    at_desk(tmp_path, work)


def test_what_open_warns_of_is_noted(tmp_path: Path) -> None:
    async def twice() -> list[str]:
        async with desk(tmp_path):
            pass
        (tmp_path / "labels.db.mark").unlink()
        async with desk(tmp_path) as again:
            return again.notes

    (note,) = asyncio.run(twice())
    assert note.startswith("warning: ")
    assert "labels.db.mark is missing" in note


def test_a_store_that_takes_long_to_read_is_renewed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_book, "RENEW_S", 0.005)
    often = threading.Event()
    renewals = 0
    renew, labels = SqlStore.renew, SqlStore.labels

    def counted(store: SqlStore) -> None:
        nonlocal renewals
        renew(store)
        renewals += 1
        if renewals == 10:
            often.set()

    def slow(store: SqlStore) -> list[Label]:
        assert often.wait(30.0)
        return labels(store)

    monkeypatch.setattr(SqlStore, "renew", counted)
    monkeypatch.setattr(SqlStore, "labels", slow)

    async def work(at: Desk) -> None:
        assert renewals >= 10

    at_desk(tmp_path, work)


def test_a_round_says_how_far_the_annotators_of_the_same_samples_agree(tmp_path: Path) -> None:
    async def work(at: Desk) -> None:
        files = RunFiles(tmp_path, at.book, "margin", None, lambda *_: None)
        await at.book.record(ANSWER)
        result = RoundResult(1, 10, "ab", 1, None, None, None, None, 0.5)
        await at.book.make_plan(lambda keys, values, _: Plan(1, 1, keys, values, 7, 1, 1, "x", 0))
        await files.keep(replace(result), None, Pool(10, 4))
        await at.book.record(replace(ANSWER, id="e2", annotator="bob", value=2))
        await files.keep(replace(result, extra={}), None, Pool(10, 4))

    at_desk(tmp_path, work, enough=Enough(2))
    first, second = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert "agreement" not in first
    assert second["agreement"] == {"samples": 1, "annotators": 2, "alpha": 0.0, "alpha_interval": 0.0}


BY_BOB = replace(ANSWER, id="e2", annotator="bob", value=2)
STORES = ("sqlite:///labels.db", "csv:labels.csv")


@pytest.mark.parametrize("url", STORES)
def test_of_two_answers_that_come_together_one_is_taken_and_the_other_kept_aside(tmp_path: Path, url: str) -> None:
    async def work(at: Desk) -> None:
        first, second = await asyncio.gather(at.book.record(ANSWER), at.book.record(BY_BOB))
        assert (first.status, second.status, second.kept_aside) == ("stored", "surplus", True)
        again, twice = await at.book.record(BY_BOB), await at.book.record(replace(ANSWER, id="pressed twice"))
        assert (again.status, twice.status) == ("surplus", "duplicate")
        assert [event.annotator for event in at.store.events()] == ["ann"]
        assert [event.id for event in at.store.quarantined()] == ["e2"]
        assert (
            await at.book.record(replace(ANSWER, id="e3", action=Action.REVISE, revision=1, value=1))
        ).status == "stored"
        undo = replace(ANSWER, id="e4", action=Action.UNDO, revision=2, value=None)
        assert (await at.book.record(undo)).status == "stored"
        assert (await at.book.record(BY_BOB)).status == "stored"
        late = replace(ANSWER, id="e5", action=Action.REVISE, revision=3)
        assert (await at.book.record(late)).status == "surplus"

    at_desk(tmp_path, work, url)


@pytest.mark.parametrize("url", STORES)
def test_a_third_answer_is_taken_only_where_the_two_disagree(tmp_path: Path, url: str) -> None:
    other = np.array([0, 1], np.uint8)
    second = replace(QUESTION, id="q2", key=content_key(other), features=other)

    async def work(at: Desk) -> None:
        await at.book.commit_questions([second])
        for question, value, expected in (("q1", 2, "stored"), ("q2", 3, "surplus")):
            for who, said in (("ann", 3), ("bob", value)):
                word = replace(ANSWER, id=f"{question}{who}", question=question, annotator=who, value=said)
                assert (await at.book.record(word)).status == "stored"
            third = replace(ANSWER, id=f"{question}eve", question=question, annotator="eve", value=2)
            assert (await at.book.record(third)).status == expected
        assert {label.key: (label.value, label.voters) for label in at.store.labels()} == {
            QUESTION.key: (2, 3),
            second.key: (3, 2),
        }

    at_desk(tmp_path, work, url, Enough(2, adjudicate=True))


@pytest.mark.parametrize("url", STORES)
def test_a_trainer_that_starts_closes_what_has_its_answers_and_knows_who_said_what(tmp_path: Path, url: str) -> None:
    """Also what is surplus from then on; with another number of answers the same question is open."""

    async def leave(at: Desk) -> None:
        await at.book.record(ANSWER)

    at_desk(tmp_path, leave, url, Enough(2))

    async def main(enough: Enough, expected: tuple[str, ...], status: str) -> None:
        made = Desk(tmp_path, url, enough)
        history = await made.book.open()
        try:
            assert tuple(question.id for question in history.open_questions) == expected
            assert [(event.annotator, event.value) for event in history.said] == [("ann", 3)]
            if status:
                assert (await made.book.record(BY_BOB)).status == status
        finally:
            await made.book.close()

    asyncio.run(main(Enough(2), ("q1",), ""))
    asyncio.run(main(ONE_ANSWER, (), "surplus"))
