"""The trainer's process and its store: a trainer that hangs, a disk that fails, a backup that was put back."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.by_hand import Hand, Shell, result
from tests.integration.up_process import call
from tests.proofs.store_scene import syncs_can_break

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

QUICK = ("trainer.epochs=1", "validation.limit=50", "trainer.source_timeout_s=1.0", "trainer.initial_labels=0")


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(*sets: str) -> Hand:
        made.append(Hand(tmp_path, "digits", *QUICK, *sets))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


def changes(hand: Hand) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{hand.run_dir / 'labels.db'}?mode=ro", uri=True)) as store:
        return store.execute("SELECT number, kind, place, digest FROM chain ORDER BY number").fetchall()


def verified(hand: Hand) -> str:
    told = call("store", "verify", "digits", *hand.sets, cwd=hand.folder)
    assert told.returncode == 0, told.stderr
    return told.stdout


def others(hand: Hand) -> None:
    for command in ("evaluator", "source", "label"):
        hand.start(command)


def test_row_28_a_stopped_trainer_is_replaced_ends_with_5_and_has_written_nothing(
    by_hand: Callable[..., Hand],
) -> None:
    hand = by_hand()
    hand.broker()
    first = hand.start("serve", ready=True)
    first.signal(signal.SIGSTOP)
    second = hand.start("serve", "--rounds", "1", ready=True)
    before = changes(hand)
    assert [change[1] for change in before].count("began") == 2
    first.signal(signal.SIGCONT)
    assert first.ended() == 5
    assert "taken over" in first.text or "trainer" in first.text
    assert changes(hand) == before
    others(hand)
    assert int(result(second)["labels"]) >= 5
    assert second.ended() == 0
    assert "2 terms" in verified(hand)
    assert "every row is what was written" in verified(hand)


def test_row_28_a_second_trainer_is_refused_and_told_by_whom_while_the_first_works(
    by_hand: Callable[..., Hand],
) -> None:
    hand = by_hand()
    hand.broker()
    first = hand.start("serve", ready=True)
    before = changes(hand)
    second = hand.start("serve")
    assert second.ended() == 5
    assert f"being written to by process {first.process.pid} (" in second.text
    assert " serve " in second.text
    assert changes(hand) == before
    first.kill()
    hand.start("serve", ready=True)


@pytest.mark.skipif(not syncs_can_break(), reason="this kernel cannot refuse a system call")
def test_row_39_a_trainer_whose_fsync_fails_ends_with_5_and_its_successor_reads_the_disk(
    by_hand: Callable[..., Hand],
) -> None:
    """Real: the kernel refuses the fsync that SQLite makes of the first questions."""
    hand = by_hand("trainer.strategy=tests.integration.failing_disk:Breaking")
    hand.broker()
    trainer = hand.start("serve")
    others(hand)
    assert trainer.ended() == 5
    assert "SQLITE_IOERR_FSYNC" in trainer.text
    assert _said(hand) == 0
    again = Hand(hand.folder, "digits", *QUICK, address=hand.address)
    hand.shells.append(mended := again.start("serve", "--rounds", "1"))
    assert int(result(mended)["labels"]) >= 5
    assert mended.ended() == 0
    assert "every row is what was written" in verified(hand)


def _said(hand: Hand) -> int:
    return [change[1] for change in changes(hand)].count("said")


def test_row_15_a_backup_that_was_put_back_is_refused_until_a_person_accepts_it(
    by_hand: Callable[..., Hand],
) -> None:
    hand = by_hand()
    hand.broker()
    first = hand.start("serve", "--rounds", "1")
    others(hand)
    assert first.ended() == 0
    copy = hand.folder / "monday.db"
    told = call("store", "backup", "digits", *hand.sets, str(copy), cwd=hand.folder)
    assert "every row is what was written" in told.stdout
    second = hand.start("serve", "--rounds", "2")
    assert int(result(second)["labels"]) >= 10
    assert second.ended() == 0
    shutil.copy(copy, hand.run_dir / "labels.db")
    refused = hand.start("serve", "--rounds", "2")
    assert refused.ended() == 5
    assert "was rolled back: it ends at change" in refused.text
    assert "--accept-rollback" in refused.text
    assert call("store", "verify", "digits", *hand.sets, cwd=hand.folder).returncode == 5
    accepted: Shell = hand.start("serve", "--rounds", "1", "--accept-rollback")
    accepted.wait_for("it is gone on with")
    assert accepted.ended() == 0
    assert "every row is what was written" in verified(hand)
