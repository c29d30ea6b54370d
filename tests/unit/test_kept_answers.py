"""The labeler's outbox on the disk: what is in it after any end of its process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from active_learner.durable import kept_answers
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.errors import StoreError, StoreLocked, WrongStore
from protocol.messages import Action, Answer


def answer(name: str, revision: int = 0, action: Action = Action.ANSWER, value: int | None = 3) -> Answer:
    return Answer(name, f"q-{name}", "ann", revision, action, value, 1e9 + 0.25)


FIRST, SECOND = answer("a"), answer("b", 1, Action.UNDO, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox" / "ann.jsonl"


def kept(path: Path) -> list[tuple[Answer, str]]:
    """What the next process finds."""
    file = KeptAnswers(path)
    try:
        return file.all()
    finally:
        file.close()


def filled(path: Path, *answers: Answer) -> KeptAnswers:
    file = KeptAnswers(path)
    for one in answers:
        file.keep(one)
    return file


def test_what_was_kept_is_there_for_the_next_process_in_its_order(path: Path) -> None:
    filled(path, FIRST, SECOND).close()
    assert kept(path) == [(FIRST, ""), (SECOND, "")]


def test_a_receipt_is_remembered_with_its_status(path: Path) -> None:
    file = filled(path, FIRST, SECOND)
    file.settle("a", "stored")
    file.settle("nobody's", "stored")
    file.settle("a", "duplicate")
    file.close()
    assert kept(path) == [(FIRST, "stored"), (SECOND, "")]


def test_the_same_answer_again_is_one_line(path: Path) -> None:
    file = filled(path, FIRST)
    size = path.stat().st_size
    file.keep(FIRST)
    file.close()
    assert path.stat().st_size == size


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_costs_only_itself_and_is_put_aside(path: Path, cut: int) -> None:
    filled(path, FIRST, SECOND).close()
    path.write_bytes(path.read_bytes()[:-cut])
    file = KeptAnswers(path)
    assert file.all() == [(FIRST, "")]
    assert file.note.endswith("cannot be read and are kept in ann.jsonl.torn")
    file.keep(SECOND)
    file.close()
    assert kept(path) == [(FIRST, ""), (SECOND, "")]
    assert path.with_name("ann.jsonl.torn").exists()


def test_a_flipped_bit_is_never_silent(path: Path) -> None:
    """Before good lines it is damage; in the last ones it looks like a torn end, which is put aside and told."""
    filled(path, FIRST, SECOND, answer("c")).close()
    good = path.read_bytes()
    refused = 0
    for place in range(len(good)):
        damaged = path.with_name(f"damaged-{place}.jsonl")
        damaged.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        try:
            file = KeptAnswers(damaged)
        except WrongStore:
            refused += 1
            continue
        assert "cannot be read and are kept in damaged" in file.note
        file.close()
    assert refused > len(good.split(b"\n")[0])


def test_a_good_file_has_nothing_to_note(path: Path) -> None:
    filled(path, FIRST).close()
    file = KeptAnswers(path)
    assert file.note == ""
    file.close()


def test_a_disk_that_failed_is_not_believed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux marks pages as clean when their fsync has failed: the next one succeeds and has written nothing."""
    file = filled(path, FIRST)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            file.keep(SECOND)
    with pytest.raises(OSError, match="Input/output error"):
        file.keep(SECOND)
    file.close()
    assert kept(path) == [(FIRST, ""), (SECOND, "")], "nothing was promised; the next process reads what is there"


def test_lines_of_another_program_are_told(path: Path) -> None:
    from active_learner.durable.journal import Journal

    path.parent.mkdir()
    journal = Journal(path, 0, "0" * 32)
    journal.append({"id": "x", "colour": "red"})
    journal.close()
    with pytest.raises(WrongStore, match="lines that are no answers"):
        KeptAnswers(path)
    KeptAnswers(path.with_name("other.jsonl")).close()


def test_two_processes_of_one_annotator_are_told(path: Path) -> None:
    file = KeptAnswers(path)
    code = f"from active_learner.durable.kept_answers import *; KeptAnswers(Path({str(path)!r}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StoreLocked" in ended.stderr
    assert f"is being written to by process {os.getpid()}" in ended.stderr
    with pytest.raises(StoreLocked):
        KeptAnswers(path)
    file.close()
    KeptAnswers(path).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(StoreError, match="outbox"):
        KeptAnswers(tmp_path / "outbox" / "ann.jsonl")


def test_a_full_disk_keeps_nothing_of_the_answer_and_takes_it_when_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled(path, FIRST)
    real = os.pwrite

    def half(descriptor: int, chunk: bytes, at: int) -> int:
        real(descriptor, chunk[: len(chunk) // 2], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", half)
        with pytest.raises(OSError, match="No space left"):
            file.keep(SECOND)
        file.settle("a", "stored")
    assert file.all() == [(FIRST, "stored")]
    file.keep(SECOND)
    file.close()
    assert kept(path) == [(FIRST, ""), (SECOND, "")], "the receipt found no room: the answer is sent once more"


class TestCompaction:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kept_answers, "REMEMBERED", 2)
        monkeypatch.setattr(kept_answers, "FULL", 6)

    def test_old_settled_answers_go_and_unsettled_ones_never_do(self, path: Path) -> None:
        file = KeptAnswers(path)
        for number in range(20):
            file.keep(answer(f"a{number}"))
            if number != 3:
                file.settle(f"a{number}", "stored")
        assert len(path.read_bytes().splitlines()) < 12
        file.keep(answer("last"))
        file.close()
        names = {one.id: status for one, status in kept(path)}
        assert names["a3"] == names["last"] == ""
        assert {"a18", "a19"} <= names.keys()
        assert len(names) <= 6

    def test_what_is_kept_after_it_is_in_the_new_file(self, path: Path) -> None:
        file = filled(path, *(answer(f"a{number}") for number in range(6)))
        before = path.stat().st_ino
        file.settle("a0", "stored")
        assert path.stat().st_ino != before
        file.keep(SECOND)
        file.close()
        assert kept(path)[-1] == (SECOND, "")

    def test_when_it_fails_all_is_as_before(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = filled(path, *(answer(f"a{number}") for number in range(6)))

        def refuse(self: Path, target: Path) -> Path:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(Path, "replace", refuse)
            file.settle("a0", "stored")
        file.keep(SECOND)
        file.close()
        assert [one.id for one, _ in kept(path)] == [*(f"a{number}" for number in range(6)), "b"]
        assert [one.name for one in path.parent.iterdir() if one.name.endswith(".new")] == []

    def test_when_its_folder_cannot_be_synced_nothing_is_promised_any_more(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file has its name, perhaps not for long: an answer that is told as kept would be lost by a kill or a power cut."""
        file = filled(path, *(answer(f"a{number}") for number in range(6)))
        replace, is_replaced = Path.replace, False
        fsync = os.fsync

        def note(self: Path, target: Path) -> Path:
            nonlocal is_replaced
            is_replaced = True
            return replace(self, target)

        def fail(descriptor: int) -> None:
            if is_replaced:
                raise OSError(errno.EIO, "Input/output error")
            fsync(descriptor)

        with monkeypatch.context() as broken:
            broken.setattr(Path, "replace", note)
            broken.setattr(os, "fsync", fail)
            file.settle("a0", "stored")
        assert is_replaced
        with pytest.raises(OSError, match="Input/output error"):
            file.keep(SECOND)
        file.settle("a1", "stored")
        file.close()
        assert kept(path)[:2] == [(answer("a0"), "stored"), (answer("a1"), "stored")], "it is gone on in the new file"
