"""Rows 2 to 4 of the fault matrix: the trainer dies around a label's commit and with questions open. Nothing is lost, nothing
is there twice, and the weights are those of the plans."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from active_learner.crash_points import VARIABLE
from active_learner.faults.history import VARIABLE as HISTORY
from active_learner.faults.history import History, Kept
from tests.integration.by_hand import Hand
from tests.integration.gated_run import all_started, by_hand, ends_right

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LABELS = 60
"""Of three rounds: 40, 10 and 10."""


def dies_at(hand: Hand, point: str, history: Path) -> None:
    """The trainer dies there, is started again, and the run ends as it should."""
    hand.env |= {VARIABLE: point, HISTORY: str(history)}
    shells = all_started(hand)
    assert shells["serve"].ended() == -9
    del hand.env[VARIABLE]
    again = hand.start("serve", "--rounds", "3")
    ends_right(hand, again)


def kept(hand: Hand) -> list[Kept]:
    store = sqlite3.connect(hand.run_dir / "labels.db")
    rows = store.execute("SELECT id, question, annotator, revision, value FROM events")
    return [Kept(*row) for row in rows]


def told(history: Path) -> History:
    found = History()
    found.read(history.read_text(encoding="utf-8"))
    return found


def test_row_02_killed_before_the_commit_of_a_label_it_is_sent_again_and_stored_once(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand = by_hand()
    dies_at(hand, "trainer.answer_before_commit:15", tmp_path / "history.txt")
    assert told(tmp_path / "history.txt").violations(kept(hand)) == []
    assert len(kept(hand)) == LABELS


def test_row_03_killed_after_the_commit_and_before_the_receipt_it_is_a_duplicate_and_one_row(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand = by_hand()
    dies_at(hand, "trainer.answer_after_commit:15", tmp_path / "history.txt")
    history = told(tmp_path / "history.txt")
    assert history.violations(kept(hand)) == []
    assert history.statuses["duplicate"] >= 1
    assert len(kept(hand)) == LABELS


def test_row_04_killed_with_questions_open_the_same_questions_are_open_again(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    """The labeler takes its time, so that most of the first forty are open when the trainer dies at the tenth answer."""
    hand = by_hand("labeler.delay_s=0.02")
    dies_at(hand, "trainer.answer_after_commit:10", tmp_path / "history.txt")
    assert told(tmp_path / "history.txt").violations(kept(hand)) == []
    store = sqlite3.connect(hand.run_dir / "labels.db")
    (asked,) = store.execute("SELECT count(*) FROM questions").fetchone()
    assert asked == LABELS  # nobody was asked anew for what was open
    lines = (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["labels"] for line in lines] == [40, 50, 60]
