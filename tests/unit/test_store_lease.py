"""Two writers of one store, for every variant in files: a lock while it works, its successor when it hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.durable import lease, lock
from active_learner.durable.lock import WriterLock
from active_learner.errors import LeaseHeld, StoreError, StoreLocked
from active_learner.stores import CARE, FORMS, open_store
from active_learner.stores.base import Store

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=4)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that says nothing hangs already."""
    monkeypatch.setattr(lock, "LEASE_S", 0.05)
    monkeypatch.setattr(lock, "LOOK_S", 0.01)


@pytest.fixture(params=sorted(CARE))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    opened: list[Store] = []

    def opener(**how: bool) -> Store:
        store = open_store(f"{FORMS[request.param]}labels", tmp_path)
        opened.append(store)
        store.open("digits", SPEC, **how)
        return store

    yield opener
    for store in opened:
        store.close()


def say(store: Store, number: int) -> int:
    return store.add_labels(np.array([[number, 1]], np.uint8), [1], "ann", 1.0)


def test_row_28_a_trainer_that_hangs_is_replaced_and_writes_nothing_any_more(make: Callable[..., Store]) -> None:
    hung = make(takes_over=True)
    assert hung.next_term() == 1
    say(hung, 1)
    successor = make(takes_over=True)
    assert "did not answer and was replaced" in successor.warnings[0]
    with pytest.raises(LeaseHeld, match=rf"process {os.getpid()} \(.*python"):
        say(hung, 2)
    assert successor.next_term() == 2
    for write in (lambda: say(hung, 2), hung.next_term, hung.renew, lambda: hung.save_pool(b"old")):
        with pytest.raises(LeaseHeld):
            write()
    assert say(successor, 3) == 1
    hung.close()
    assert [len(successor.events()), successor.load_pool()] == [2, None]
    assert say(successor, 4) == 1


def test_row_28_a_trainer_that_works_is_not_replaced(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(takes_over=True)
    first.next_term()
    monkeypatch.setattr(lock, "LEASE_S", 60.0)
    renewing = lambda _: first.renew()  # noqa: E731
    monkeypatch.setattr(lock.time, "sleep", renewing)
    with pytest.raises(StoreLocked, match=rf"being written to by process {os.getpid()} \(.*python"):
        make(takes_over=True)
    assert say(first, 1) == 1


def test_who_does_not_take_over_is_refused_at_once(make: Callable[..., Store]) -> None:
    hung = make(takes_over=True)
    hung.next_term()
    with pytest.raises(StoreLocked):
        make()
    assert say(hung, 1) == 1


def test_a_writer_that_never_renews_is_never_replaced(make: Callable[..., Store]) -> None:
    """An import of a large file says nothing, and works."""
    importing = make()
    with pytest.raises(StoreLocked):
        make(takes_over=True)
    assert say(importing, 1) == 1


def test_a_successor_is_as_safe_as_its_predecessor_was(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not got the lock while the hung one keeps it, and none right after that one has ended."""
    hung = make(takes_over=True)
    hung.next_term()
    successor = make(takes_over=True)
    successor.next_term()
    hung.close()
    monkeypatch.setattr(lock, "LEASE_S", 60.0)
    with pytest.raises(StoreLocked):
        make()
    successor.renew()
    successor.close()
    third = make(takes_over=True)
    assert third.next_term() == 3
    assert not third.warnings


def test_a_lock_file_that_was_removed_lets_nobody_write_twice(make: Callable[..., Store], tmp_path: Path) -> None:
    first = make()
    (tmp_path / "labels.lock").unlink()
    with pytest.raises(LeaseHeld, match="was removed"):
        say(first, 1)
    second = make()
    assert say(second, 1) == 1
    with pytest.raises(LeaseHeld, match="taken over"):
        say(first, 2)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    """Whatever it had said of its lease."""
    code = f"""
import sys
from pathlib import Path
from active_learner.durable import lock
lock.LEASE_S = 60.0
held = lock.WriterLock(Path({str(tmp_path / "labels")!r}))
held.renew()
print("held", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=rf"process {process.pid} \(.*python"):
            WriterLock(tmp_path / "labels")
        process.kill()
        process.wait()
        taken = WriterLock(tmp_path / "labels")
        assert taken.replaced == ""
        taken.release()


def test_of_two_that_take_over_at_once_one_writes(tmp_path: Path) -> None:
    hung = WriterLock(tmp_path / "labels")
    hung.renew()
    first = WriterLock(tmp_path / "labels", takes_over=True)
    first.renew()
    second = WriterLock(tmp_path / "labels", takes_over=True)
    second.check()
    for replaced in (hung, first):
        with pytest.raises(LeaseHeld):
            replaced.renew()
    for one in (hung, first, second):
        one.release()


def test_a_renewal_that_comes_late_does_not_count_for_the_successor(tmp_path: Path) -> None:
    """A process stopped within `renew` goes on with its write: the holder stays who it is."""
    store = tmp_path / "labels"
    hung = WriterLock(store)
    hung.renew()
    successor = WriterLock(store, takes_over=True)
    lease.write_renewal(hung._descriptor, hung._holder)
    seen = lease.read(tmp_path / "labels.lock")
    assert seen is not None
    assert (seen.holder, seen.renewed) == (successor._holder, None)
    successor.check()
    hung.release()
    successor.release()


def test_a_holder_of_another_boot_is_not_judged_by_our_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared disk: its lock is held, and its times mean nothing here."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(lease, "boot", lambda: "another machine")
        far = WriterLock(tmp_path / "labels")
        far.renew()
    with pytest.raises(StoreLocked):
        WriterLock(tmp_path / "labels", takes_over=True)
    far.release()


def test_a_full_disk_does_not_cost_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        held = WriterLock(tmp_path / "labels")
        held.check()
        held.renew()
        with pytest.raises(StoreLocked, match="another process"):
            WriterLock(tmp_path / "labels", takes_over=True)
    held.check()
    held.release()


def test_a_lock_where_no_file_can_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "labels.lock").mkdir()
    with pytest.raises(StoreError):
        WriterLock(tmp_path / "labels")


def test_row_28_the_term_in_the_database_refuses_the_older_trainer_where_its_lock_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a network's disk may be gone without a word: what the transaction itself reads is the last fence."""
    stores = [open_store("sqlite:///labels.db", tmp_path) for _ in range(2)]
    for store in stores:
        store.open("digits", SPEC, takes_over=True)
        store.next_term()
    hung, successor = stores
    monkeypatch.setattr(WriterLock, "check", lambda lock: None)
    for write in (lambda: say(hung, 1), hung.next_term, lambda: hung.save_pool(b"old")):
        with pytest.raises(LeaseHeld, match="has a newer trainer, term 2"):
            write()
    assert say(successor, 1) == 1
    for store in stores:
        store.close()
