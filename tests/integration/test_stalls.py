"""Where a run could wait for ever, with real processes: it trains on what came, or asks by what it knows, and says so."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.by_hand import Hand, result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

QUICK = ("trainer.epochs=1", "validation.limit=50", "trainer.source_timeout_s=1.0")


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(*sets: str) -> Hand:
        made.append(Hand(tmp_path, "digits", *QUICK, *sets))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


def labels_of_rounds(hand: Hand) -> list[int]:
    lines = (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["labels"] for line in lines]


def asked(hand: Hand, columns: str) -> list[tuple[Any, ...]]:
    """Of each question, in the order of asking."""
    with sqlite3.connect(hand.run_dir / "labels.db") as store:
        return store.execute(f"SELECT {columns} FROM questions ORDER BY number").fetchall()


def test_a_labeler_that_goes_home_leaves_a_round_of_what_came_and_no_empty_ones(by_hand: Callable[..., Hand]) -> None:
    """The labeler is there before anything is asked. The second one may come when time is nearly up: what it says then is a round."""
    hand = by_hand("trainer.label_timeout_s=3.0")
    hand.broker()
    trainer = hand.start("serve", "--rounds", "4")
    labeler = hand.start("label", "--set", "labeler.away_after=27", ready=True)
    for command in ("evaluator", "source"):
        hand.start(command)
    trainer.wait_for("round 3: 27 labels")
    assert labeler.ended() == 0
    for _ in range(2):
        trainer.wait_for("nobody answered in time: asking elsewhere")
    assert labels_of_rounds(hand) == [20, 25, 27]
    hand.start("label", "--annotator", "second")
    assert result(trainer)["rounds"] == "4"
    *before, last = labels_of_rounds(hand)
    assert before == [20, 25, 27]
    assert 27 < last <= 32
    assert {row[0] for row in asked(hand, "closed")} == {"answered", "timed_out"}


def test_without_the_evaluator_questions_are_asked_by_what_is_known_and_marked_stale(
    by_hand: Callable[..., Hand],
) -> None:
    hand = by_hand("trainer.initial_labels=0", "trainer.refresh_timeout_s=0.5")
    hand.broker()
    for command in ("source", "label"):
        hand.start(command)

    first = hand.start("serve", "--rounds", "1")
    report = hand.until(lambda report: report.labels == 5 and report.training == "syncing")
    assert (report.text, report.step) == ("waits for the evaluator", 0)
    assert asked(hand, "stale, model_version") == [(1, -1)] * 5
    evaluator = hand.start("evaluator")
    assert result(first)["labels"] == "5"
    assert first.ended() == 0

    evaluator.signal(signal.SIGTERM)
    assert evaluator.ended() == 0
    second = hand.start("serve", "--rounds", "2")
    hand.until(lambda report: report.labels == 10)
    assert [row[0] for row in asked(hand, "stale")] == [1] * 10
    hand.start("evaluator")
    assert result(second)["labels"] == "10"
