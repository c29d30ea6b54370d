"""What only the CSV store has: the tutorial's file, its journal, torn ends, files changed by hand."""

from __future__ import annotations

import ast
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, content_key
from active_learner.errors import DiskFailed, StoreError, WrongStore
from active_learner.stores import open_store
from active_learner.stores.base import Store, Stored
from active_learner.stores.label_file import LabelFile
from tests.unit.test_sql_store import full_disk

SPEC = SampleSpec(shape=(3,), dtype="uint8", classes=6)
BITS = {"a": (0, 0, 1), "b": (0, 1, 0), "c": (1, 0, 0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    made = opened(folder)
    made.commit_questions([asked(name) for name in BITS])
    yield made
    made.close()


def opened(folder: Path, spec: SampleSpec = SPEC) -> Store:
    made = open_store("csv:data.csv", folder)
    made.open("melody", spec)
    return made


def bits(name: str) -> np.ndarray:
    return np.array(BITS[name], np.uint8)


def asked(name: str) -> AskedQuestion:
    return AskedQuestion(name, content_key(bits(name)), bits(name), 1, "margin", 0.5, 1, 0, False, 10, 1.0)


def said(name: str, value: int | None, revision: int = 0, action: str = "answer") -> LabelEvent:
    return LabelEvent(f"{name}{revision}", name, content_key(bits(name)), "ann", revision, action, value, 5.0)


def tutorial(folder: Path) -> dict[tuple[int, ...], int]:
    """As the tutorial reads it."""
    with (folder / "data.csv").open() as file:
        return {ast.literal_eval(row[0]): int(row[1]) for row in csv.reader(file)}


def labels(store: Store) -> dict[tuple[int, ...], int]:
    return {tuple(label.features.tolist()): label.value for label in store.labels()}


def test_the_tutorial_can_read_the_file_after_every_event(store: Store, folder: Path) -> None:
    assert tutorial(folder) == {}
    for event in (
        said("a", 3),
        said("b", 0),
        said("b", 5, 1, "revise"),
        said("a", None, 1, "undo"),
        said("c", None, 0, "skip"),
        said("c", 2, 1, "revise"),
        said("a", 1, 2, "revise"),
    ):
        assert store.commit_event(event) is Stored.STORED
        assert tutorial(folder) == labels(store)
    assert tutorial(folder) == {BITS["a"]: 1, BITS["b"]: 5, BITS["c"]: 2}


def test_a_new_label_is_appended_as_the_tutorial_writes_it(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    store.commit_event(said("a", 4, 1, "revise"))
    assert (folder / "data.csv").read_text() == '"(0, 0, 1)",3\n"(0, 0, 1)",4\n'


def test_what_changes_no_label_writes_no_row(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    before = (folder / "data.csv").read_bytes()
    for event in (said("a", None, 1, "skip"), said("a", 3, 2, "revise"), said("b", None, 0, "undo")):
        assert store.commit_event(event) is Stored.STORED
    assert (folder / "data.csv").read_bytes() == before


def test_both_files_are_on_the_disk_before_an_event_is_acknowledged(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), real(file)))
    store.commit_event(said("a", 3))
    assert synced == [str(folder / "data.csv.events"), str(folder / "data.csv")]


@pytest.mark.parametrize("file", ["data.csv.events", "data.csv"])
def test_row_39_after_a_failed_fsync_nothing_is_acknowledged_or_tried_again(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    store.commit_event(said("a", 3))
    real = os.fsync

    def broken(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(folder / file):
            raise OSError(5, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(DiskFailed, match="Input/output error"):
            store.commit_event(said("b", 2))
    for write in (lambda: store.commit_event(said("b", 2)), store.next_term, lambda: store.save_pool(b"")):
        with pytest.raises(DiskFailed):
            write()
    store.close()
    again = opened(folder)
    assert [event.id for event in again.events()] in (["a0"], ["a0", "b0"])
    assert again.commit_event(said("b", 2)) in (Stored.STORED, Stored.DUPLICATE)
    assert tutorial(folder) == labels(again)
    again.close()


def test_what_a_failed_fsync_left_in_memory_is_written_to_the_disk_at_the_next_start(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit_event(said("a", 3))
    store.close()
    content = (folder / "data.csv.events").read_bytes()
    written: list[bytes] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, chunk, at: (written.append(bytes(chunk)), real(file, chunk, at))[1])
    opened(folder).close()
    assert content in written


def test_floats_keep_every_digit(folder: Path) -> None:
    spec = SampleSpec(shape=(1,), dtype="float32", classes=6)
    store = opened(folder, spec)
    store.add_labels(np.array([[0.1]], np.float32), [1], "ann", 1.0)
    assert tutorial(folder) == {(0.10000000149011612,): 1}
    store.close()
    again = opened(folder, spec)
    assert len(again.labels()) == 1
    assert again.labels()[0].features[0] == np.float32(0.1)
    again.close()


def test_a_file_that_was_there_is_taken_in(folder: Path) -> None:
    text = '"(0, 0, 1)",3\n"(0, 1, 0)",2.0\n"(0, 0, 1)",4'
    (folder / "data.csv").write_text(text)
    store = opened(folder)
    assert labels(store) == {BITS["a"]: 4, BITS["b"]: 2}
    assert {(label.annotator, label.round) for label in store.labels()} == {("csv", 0)}
    assert tutorial(folder) == labels(store)
    assert (folder / "data.csv.before").read_text() == text
    store.close()
    again = opened(folder)
    assert len(again.events()) == 2
    again.close()


def test_a_file_in_order_is_not_touched(folder: Path) -> None:
    (folder / "data.csv").write_text('"(0, 0, 1)",3\n')
    number = (folder / "data.csv").stat().st_ino
    opened(folder).close()
    assert (folder / "data.csv").stat().st_ino == number
    assert not (folder / "data.csv.before").exists()


@pytest.mark.parametrize("end", ["\r\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_marks_of_other_programs_are_cleaned_away(folder: Path, start: str, end: str) -> None:
    (folder / "data.csv").write_text(f'{start}"(0, 0, 1)",3{end}"(0, 1, 0)",2{end}', encoding="utf-8", newline="")
    store = opened(folder)
    assert tutorial(folder) == labels(store) == {BITS["a"]: 3, BITS["b"]: 2}
    store.close()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('"(0, 1)",3', "2 features"),
        ('"(0, 1, 2.5)",3', "not uint8"),
        ('"(0, 0, 1)",7', r"0 \.\. 5"),
        ('"(0, 0, 1)",3.5', "whole"),
        ('"(0, 0, __import__(1))",3', "tuple"),
        ("0,0,1,3", "tuple"),
    ],
)
def test_a_row_that_cannot_be_read_stops_the_start_and_changes_nothing(folder: Path, row: str, reason: str) -> None:
    text = f'"(0, 0, 1)",3\n{row}\n"(0, 1, 0)",3\n'
    (folder / "data.csv").write_text(text)
    with pytest.raises(WrongStore, match=rf"data\.csv line 2: .*{reason}"):
        opened(folder)
    assert (folder / "data.csv").read_text() == text
    assert not (folder / "data.csv.events").exists()


@pytest.mark.parametrize("torn", ['"(0, 1', '"', '"(0, 1, 0)"', '"(0, 1, 0)",'])
def test_a_torn_last_row_is_left_out(store: Store, folder: Path, torn: str) -> None:
    store.commit_event(said("a", 3))
    store.close()
    with (folder / "data.csv").open("a") as file:
        file.write(torn)
    again = opened(folder)
    assert tutorial(folder) == labels(again) == {BITS["a"]: 3}
    again.close()


@pytest.mark.parametrize("junk", [b"\0" * 700, b"W+\n\xce\x01\x1d8\n", b"\xff\xfe\n" * 3])
def test_row_37_what_a_power_cut_leaves_behind_the_rows_is_left_out_and_kept_aside(
    store: Store, folder: Path, junk: bytes
) -> None:
    store.commit_event(said("a", 3))
    store.close()
    rows = (folder / "data.csv").read_bytes()
    (folder / "data.csv").write_bytes(rows + junk + b"\n")
    again = opened(folder)
    assert tutorial(folder) == labels(again) == {BITS["a"]: 3}
    assert (folder / "data.csv.before").read_bytes() == rows + junk + b"\n"
    again.close()


def test_what_a_person_wrote_wrongly_behind_the_rows_is_refused_and_left_alone(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    store.close()
    (folder / "data.csv").write_text('"(0, 0, 1)",3\n"(0, 1 0)",2\t\n"(0, 1, 0)",2\n')
    with pytest.raises(WrongStore, match="line 2"):
        opened(folder)
    assert (folder / "data.csv").read_text().count("\n") == 3


def test_row_37_a_power_cut_within_the_last_event_leaves_all_before_it(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    events, rows = folder / "data.csv.events", folder / "data.csv"
    before, rows_before, mark = events.read_bytes(), rows.read_bytes(), folder / "data.csv.mark"
    marked = mark.read_bytes()
    store.commit_event(said("b", 2))
    store.close()
    after, rows_after = events.read_bytes(), rows.read_bytes()
    for length in (len(before), *range(len(before) + 1, len(after), 23), len(after) - 2, len(after) - 1):
        events.write_bytes(after[:length])
        rows.write_bytes(rows_before)
        mark.write_bytes(marked)
        again = opened(folder)
        assert [event.id for event in again.events()] == ["a0"]
        assert again.commit_event(said("b", 2)) is Stored.STORED
        again.close()
        assert (events.read_bytes(), rows.read_bytes()) == (after, rows_after)


@pytest.mark.parametrize("junk", [b"\0" * 700, b"\n\n\n", b'{"digest":"', b"\xff\xfe\n{}\n", b'{"a":1}\n'])
def test_junk_behind_the_last_event_is_cut_off_and_kept_aside(store: Store, folder: Path, junk: bytes) -> None:
    store.commit_event(said("a", 3))
    store.close()
    path = folder / "data.csv.events"
    good = path.read_bytes()
    path.write_bytes(good + junk)
    again = opened(folder)
    assert labels(again) == {BITS["a"]: 3}
    again.close()
    assert path.read_bytes() == good
    assert (folder / "data.csv.events.torn").read_bytes() == junk


def test_damage_before_the_last_event_is_refused_with_its_line(store: Store, folder: Path) -> None:
    for name in BITS:
        store.commit_event(said(name, 3))
    store.close()
    path = folder / "data.csv.events"
    lines = path.read_bytes().split(b"\n")
    for changed in (lines[2].replace(b'"value":3', b'"value":4'), b"", None):
        damaged = [*lines[:2], *([] if changed is None else [changed]), *lines[3:]]
        path.write_bytes(b"\n".join(damaged))
        with pytest.raises(WrongStore, match="line 3 is damaged"):
            opened(folder)
        assert path.read_bytes() == b"\n".join(damaged)


def test_an_unknown_schema_is_refused(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    monkeypatch.setattr("active_learner.stores.csv_file.SCHEMA", 1)
    with pytest.raises(WrongStore, match=r"schema 2, this version knows 1$"):
        opened(folder)


def test_what_was_written_into_the_file_by_hand_is_taken_in(store: Store, folder: Path) -> None:
    for name in ("a", "b"):
        store.commit_event(said(name, 3))
    store.commit_event(said("c", 3))
    store.close()
    (folder / "data.csv").write_text('"(0, 0, 1)",5\n"(1, 1, 1)",0\n"(1, 0, 0)",3\n')
    again = opened(folder)
    assert labels(again) == {BITS["a"]: 5, BITS["b"]: 3, BITS["c"]: 3, (1, 1, 1): 0}
    assert tutorial(folder) == labels(again)
    again.close()
    (folder / "data.csv").write_text((folder / "data.csv").read_text().replace('"(0, 0, 1)",5', '"(0, 0, 1)",4'))
    third = opened(folder)
    assert labels(third)[BITS["a"]] == 4
    third.close()


def test_a_file_that_a_crash_left_behind_its_journal_follows_at_the_next_start(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    old = (folder / "data.csv").read_bytes()
    for event in (said("a", 4, 1, "revise"), said("a", None, 2, "undo"), said("b", 1)):
        store.commit_event(event)
        new = labels(store)
        store.close()
        (folder / "data.csv").write_bytes(old)
        store = opened(folder)
        assert labels(store) == tutorial(folder) == new
        old = (folder / "data.csv").read_bytes()
    assert not any(label.annotator == "csv" for label in store.labels())
    store.close()


def test_a_lost_file_is_written_again(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    store.commit_event(said("b", 3))
    store.close()
    (folder / "data.csv").unlink()
    again = opened(folder)
    assert tutorial(folder) == labels(again) == {BITS["a"]: 3, BITS["b"]: 3}
    again.close()


def test_a_full_disk_keeps_nothing_and_all_works_when_space_returns(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    files = [folder / "data.csv", folder / "data.csv.events"]
    before = [file.read_bytes() for file in files]
    for space in (0, 20):
        with full_disk(len(before[1]) + space):
            for _ in range(2):
                with pytest.raises(StoreError):
                    store.commit_event(said("b", 2))
            with pytest.raises(StoreError):
                store.save_pool(b"x" * 100_000)
        assert [file.read_bytes() for file in files] == before
    assert store.load_pool() is None
    assert store.commit_event(said("b", 2)) is Stored.STORED
    assert tutorial(folder) == labels(store)


@pytest.mark.parametrize("event", [said("b", 2), said("a", None, 1, "undo")])
def test_when_the_file_cannot_follow_the_event_is_not_kept(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, event: LabelEvent
) -> None:
    store.commit_event(said("a", 3))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(LabelFile, "append", broken)
        patch.setattr(LabelFile, "rewrite", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            store.commit_event(event)
    assert [one.id for one in store.events()] == ["a0"]
    store.close()
    again = opened(folder)
    assert labels(again) == {BITS["a"]: 3}
    assert again.commit_event(event) is Stored.STORED
    again.close()


def test_a_reader_beside_the_writer_changes_nothing(store: Store, folder: Path) -> None:
    store.commit_event(said("a", 3))
    files = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "data.csv").write_text('"(0, 0, 1)",3\n"(1, 1')
    reader = open_store("csv:data.csv", folder)
    reader.open("melody", SPEC, read_only=True)
    assert labels(reader) == {BITS["a"]: 3}
    reader.close()
    assert {path.name for path in folder.iterdir()} == {path.name for path in files}
    assert (folder / "data.csv.mark").read_bytes() == files[folder / "data.csv.mark"]
    assert (folder / "data.csv").read_text().endswith("(1, 1")


def test_a_plain_tutorial_file_can_be_read_without_making_a_store(folder: Path) -> None:
    (folder / "data.csv").write_text('"(0, 0, 1)",3\n')
    reader = open_store("csv:data.csv", folder)
    reader.open("melody", SPEC, read_only=True)
    assert labels(reader) == {BITS["a"]: 3}
    reader.close()
    assert [path.name for path in folder.iterdir()] == ["data.csv"]
