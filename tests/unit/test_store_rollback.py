"""A store that is older than it was, for every variant in files: noticed at start by its watermark."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, content_key
from active_learner.durable.watermark import RECORD_BYTES, Mark, Watermark
from active_learner.errors import WrongStore
from active_learner.stores import CARE, FORMS, open_store
from active_learner.stores.base import Store

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=4)
FILE = "labels"


@pytest.fixture(params=sorted(CARE))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Store]:
    def opener(**how: bool) -> Store:
        store = open_store(f"{FORMS[request.param]}{FILE}", tmp_path / "run")
        store.open("digits", SPEC, **how)
        return store

    return opener


def answered(store: Store, *numbers: int) -> None:
    for number in numbers:
        features = np.array([number, 1], np.uint8)
        key = content_key(features)
        store.commit_questions([AskedQuestion(f"q{number}", key, features, 1, "margin", 0.5, 1, 0, False, 9, 1.0)])
        store.commit_event(LabelEvent(f"e{number}", f"q{number}", key, "ann", 0, "answer", number % 4, 5.0))


def ids(store: Store) -> list[str]:
    return [event.id for event in store.events()]


def with_an_older_copy(opened: Callable[..., Store], folder: Path) -> None:
    """Two answers, a copy, a third answer, and the copy back; the mark stays."""
    store = opened()
    answered(store, 1, 2)
    store.close()
    shutil.copytree(folder, folder.with_name("copy"))
    store = opened()
    answered(store, 3)
    store.close()
    for path in folder.with_name("copy").iterdir():
        if not path.name.endswith(".mark"):
            shutil.copy(path, folder / path.name)


@pytest.mark.parametrize("reader", [False, True])
def test_row_15_a_backup_that_was_put_back_is_refused_with_what_is_lost(
    opened: Callable[..., Store], tmp_path: Path, reader: bool
) -> None:
    with_an_older_copy(opened, tmp_path / "run")
    with pytest.raises(
        WrongStore, match=r"rolled back: it ends at change \d+, and change \d+ had been .*--accept-rollback"
    ):
        opened(read_only=reader)


def test_who_knows_that_it_is_older_goes_on_with_it(opened: Callable[..., Store], tmp_path: Path) -> None:
    with_an_older_copy(opened, tmp_path / "run")
    store = opened(accept_rollback=True)
    assert "gone on with" in store.warnings[0]
    assert ids(store) == ["e1", "e2"]
    answered(store, 4)
    store.close()
    again = opened()
    assert not again.warnings
    assert ids(again) == ["e1", "e2", "e4"]
    again.close()


def test_a_copy_that_was_gone_on_with_elsewhere_is_noticed(opened: Callable[..., Store], tmp_path: Path) -> None:
    """It has as many changes, but others."""
    with_an_older_copy(opened, tmp_path / "run")
    mark = (tmp_path / "run" / f"{FILE}.mark").read_bytes()
    store = opened(accept_rollback=True)
    answered(store, 4, 5)
    store.close()
    (tmp_path / "run" / f"{FILE}.mark").write_bytes(mark)
    with pytest.raises(WrongStore, match="rolled back and gone on with"):
        opened()


def test_a_store_that_is_gone_is_not_begun_anew(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    answered(store, 1)
    store.close()
    for path in (tmp_path / "run").iterdir():
        if not path.name.endswith(".mark"):
            path.unlink()
    with pytest.raises(WrongStore, match="ends at change 0"):
        opened()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"{FILE}.lock", f"{FILE}.mark"]


@pytest.mark.parametrize("content", [None, b"", b"x" * RECORD_BYTES, b"mark 1 2 3\n"])
def test_a_mark_that_is_missing_or_damaged_is_told_and_written_anew(
    opened: Callable[..., Store], tmp_path: Path, content: bytes | None
) -> None:
    opened().close()
    mark = tmp_path / "run" / f"{FILE}.mark"
    good = mark.read_bytes()
    mark.unlink() if content is None else mark.write_bytes(content)
    reader = opened(read_only=True)
    assert "older copy would not be noticed" in reader.warnings[0]
    reader.close()
    store = opened()
    assert "older copy would not be noticed" in store.warnings[0]
    store.close()
    assert mark.read_bytes() == good
    again = opened()
    assert not again.warnings
    again.close()


def test_a_mark_that_lags_is_fine_and_is_brought_on(opened: Callable[..., Store], tmp_path: Path) -> None:
    """As after a power cut: it is not synced."""
    store = opened()
    mark = tmp_path / "run" / f"{FILE}.mark"
    old = mark.read_bytes()
    answered(store, 1, 2, 3)
    store.close()
    new = mark.read_bytes()
    mark.write_bytes(old)
    again = opened()
    assert not again.warnings
    again.close()
    assert mark.read_bytes() == new


def test_every_bit_of_a_mark_counts(tmp_path: Path) -> None:
    mark = Watermark(tmp_path / "labels")
    mark.write(Mark(17, "ab" * 16))
    mark.close()
    good = mark.path.read_bytes()
    assert len(good) == RECORD_BYTES
    assert mark.read() == Mark(17, "ab" * 16)
    for bit in range(RECORD_BYTES * 8):
        content = bytearray(good)
        content[bit // 8] ^= 1 << bit % 8
        mark.path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            mark.read()


def test_a_mark_that_cannot_be_written_costs_no_label(opened: Callable[..., Store], tmp_path: Path) -> None:
    (tmp_path / "run" / f"{FILE}.mark").mkdir(parents=True)
    store = opened()
    answered(store, 1)
    assert ids(store) == ["e1"]
    store.close()
