"""round_when: labels and time with real processes: people label on while a round trains, and nothing is lost or left untrained."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from active_learner.bench import waiting
from active_learner.config import loading
from active_learner.config.sample import resolve
from active_learner.stores import open_store
from active_learner.stores.base import Store
from tests.integration.by_hand import Gate, Hand, Shell, result
from tests.integration.gated_run import HERE, by_hand
from tests.integration.up_process import call

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BY_LABELS = ("trainer.round_when=labels", "trainer.initial_labels=10", "labeler.delay_s=0.01")


@contextmanager
def kept(hand: Hand) -> Iterator[Store]:
    """What a run left, when its trainer has ended."""
    config = loading.load(hand.config, hand.sets[1::2])
    store = open_store(config.store.url, hand.run_dir)
    store.open(config.name, resolve(config), read_only=True)
    try:
        yield store
    finally:
        store.close()


def at_least(wanted: int, trainer: Shell) -> int:
    """Answers that were under way when their question was closed may come above the goal."""
    labels = int(result(trainer)["labels"])
    assert wanted <= labels < wanted + 10
    return labels


def all_labels_are_trained(hand: Hand, labels: int) -> None:
    with kept(hand) as store:
        found = store.labels()
        answers = [event.key for event in store.events() if event.action == "answer"]
        plan, _ = store.plans()[-1]
        assert {*answers} == {label.key for label in found}, "a label is lost"
        assert len(found) == labels
        assert {*plan.rows} == {*answers}


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (("--labels", "23"), "labels=23 "),
        (("--rounds", "3"), "rounds=3 "),
        (("--until-accuracy", "0.3"), "reached 0.3"),
    ],
)
def test_every_goal_ends_a_run_that_asks_all_the_time(goal: tuple[str, str], reached: str, tmp_path: Path) -> None:
    done = call("up", "digits", "--set", "trainer.round_when=labels", *goal, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert reached in done.stdout


def test_people_label_on_while_a_round_trains_and_the_queue_is_chosen_anew_by_its_model(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    """The labeler stands before its 61st answer until the second round is over, so that neither is too fast for the other."""
    hand = by_hand(*BY_LABELS, f"labeler.answers={HERE}:truth")
    training, labeling = Gate(tmp_path, "forward-3"), Gate(tmp_path, "answer-61")
    hand.broker()
    trainer = hand.start("serve", "--labels", "150")
    for command in ("evaluator", "source", "label"):
        hand.start(command)
    training.reached()
    labeling.reached()
    held_up = hand.until(lambda report: report.labels == 60)
    assert held_up.training == "predicting"
    assert held_up.open_questions > 0
    training.open()
    hand.until(lambda report: report.round >= 2 and report.training == "idle")
    labeling.open()
    labels = at_least(150, trainer)
    assert trainer.ended() == 0
    for shell in hand.shells:
        shell.clear_away()
    all_labels_are_trained(hand, labels)
    with kept(hand) as store:
        first, second, *_ = [plan for plan, _ in store.plans()]
        questions = store.questions()
    assert len(first.rows) < 60 <= len(second.rows)
    assert "re-ranked" in {why for _, why in questions}
    versions = {question.model_version for question, _ in questions}
    assert first.last_step in versions
    assert min(versions) <= 0, "the first were asked before there was a model"


def test_the_trainer_is_killed_again_and_again_and_no_answer_is_lost(
    by_hand: Callable[..., Hand],
) -> None:
    """The last trainer alone has a goal: however fast they label, all the others are killed at work."""
    hand = by_hand(*BY_LABELS)
    hand.broker()
    trainer = hand.start("serve")
    for command in ("evaluator", "source", "label"):
        hand.start(command)
    for labels in (3, 30, 60, 90, 120):
        hand.until(lambda report, enough=labels: report.labels >= enough)  # type: ignore[misc]
        trainer.kill()
        with kept(hand) as store:
            goal = len(store.labels()) + 30
        trainer = hand.start("serve", *(("--labels", str(goal)) if labels == 120 else ()))
    labels = at_least(goal, trainer)
    for shell in hand.shells:
        shell.clear_away()
    all_labels_are_trained(hand, labels)


def test_by_time_rounds_begin_no_sooner_than_configured(by_hand: Callable[..., Hand]) -> None:
    """A round begins when the evaluator is there and its plan is on the disk, so some time after it was due."""
    hand = by_hand("trainer.round_when=time", "trainer.round_s=2.0", "labeler.delay_s=0.05")
    hand.broker()
    hand.start("evaluator", ready=True)
    trainer = hand.start("serve", "--rounds", "4")
    for command in ("source", "label"):
        hand.start(command)
    assert re.match(r"\d+", result(trainer)["labels"])
    lines = [json.loads(line) for line in (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    began = [line["at"] - line["seconds"] for line in lines]
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(began)), began


def test_the_benchmark_of_waiting_finds_every_next_question_there() -> None:
    waits = asyncio.run(waiting.measured(answers=120, pool=300))
    assert (len(waits.receipts), waits.missing) == (120, 0)
    assert waits.rounds > 0
