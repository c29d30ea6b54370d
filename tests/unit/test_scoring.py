"""The scoring machine as a ledger: candidates in, scores or the next stage's forward out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from active_learner.core.evaluation_events import Heard, Inferred, Place, RunInfer, RunScore, Scored, ScoringFailed
from active_learner.core.machine import Machine
from active_learner.core.scoring import SCORING_LIMIT, ScoringMachine
from protocol.messages import Candidates, Forward, LogLine, Message, Scores, Status, StepRefused
from tests.unit.test_evaluation import ALONE, LOWER, UPPER, array, said, say

MIDDLE = Place(
    "between", "middle", "upper-middle", "evolution", first=False, last=False, before="lower", behind="upper"
)
ROWS = np.zeros((2, 3), np.uint8)
SCENARIOS: list[Callable[[], None]] = []


def scenario(function: Callable[[], None]) -> Callable[[], None]:
    SCENARIOS.append(function)
    return function


def candidates(ticket: str = "c1", embeddings: bool = False) -> Heard:
    return Heard(Candidates(ticket, "propose", ROWS, embeddings), "evolution", "source-1", "source")


def passing(ticket: str = "c1") -> Heard:
    return Heard(Forward(0, 6, Status.SCORE, ticket, 0, 0, 0, 0, array(0.5)), "middle", "lower", "lower")


def scored(ticket: str = "c1") -> Scored:
    return Scored(ticket, 6, array(0.5), np.array([0.5], np.float32), None)


@scenario
def candidates_are_scored_and_told_to_all() -> None:
    machine = ScoringMachine(ALONE)
    assert said(machine.handle(candidates(embeddings=True))) == said([RunScore("c1", ROWS, True)])
    scores = Scores("c1", 6, array(0.5), np.array([0.5], np.float32), None)
    assert said(machine.handle(scored())) == [say("evolution", scores)]
    assert machine.under_way == {}


@scenario
def a_repeat_under_way_is_absorbed_and_one_of_answered_candidates_is_scored_again() -> None:
    machine = ScoringMachine(ALONE)
    machine.handle(candidates())
    assert machine.handle(candidates()) == []
    machine.handle(scored())
    assert said(machine.handle(candidates())) == said([RunScore("c1", ROWS, False)])
    assert machine.repeats == 1


@scenario
def too_many_under_way_are_dropped_and_counted() -> None:
    machine = ScoringMachine(ALONE)
    for number in range(SCORING_LIMIT + 2):
        machine.handle(candidates(str(number)))
    assert (len(machine.under_way), machine.dropped) == (SCORING_LIMIT, 2)


@scenario
def candidates_that_do_not_fit_are_refused_to_their_sender_and_the_trainer_without_touching_training() -> None:
    machine = ScoringMachine(ALONE)
    machine.handle(candidates())
    told = said(machine.handle(ScoringFailed("c1", "shape", "63 columns")))
    refused = StepRefused(0, 0, "c1", "evaluator", "shape", "63 columns")
    assert told[:2] == [say("@source-1", refused), say("@trainer", refused)]
    assert machine.under_way == {}


@scenario
def in_a_chain_the_first_stage_sends_them_on_their_way() -> None:
    machine = ScoringMachine(LOWER)
    assert said(machine.handle(candidates())) == said([RunInfer("c1", ROWS)])
    passed = Forward(0, 6, Status.SCORE, "c1", 0, 0, 0, 0, array(0.5))
    assert said(machine.handle(Inferred("c1", 6, array(0.5)))) == [say("middle", passed)]


@scenario
def the_stages_between_pass_them_on_and_the_last_says_scores() -> None:
    assert said(ScoringMachine(MIDDLE).handle(passing())) == said([RunInfer("c1", array(0.5))])
    last = ScoringMachine(UPPER)
    assert said(last.handle(passing())) == said([RunScore("c1", array(0.5), False)])
    told = said(last.handle(ScoringFailed("c1", "failed", "x")))
    assert told[0] == say("@trainer", StepRefused(0, 0, "c1", "upper", "failed", "x"))


@scenario
def what_is_meant_for_others_is_ignored() -> None:
    others: list[tuple[ScoringMachine, Message, str]] = [
        (ScoringMachine(UPPER), candidates().message, "evolution"),
        (ScoringMachine(ALONE), passing().message, "traininput"),
        (ScoringMachine(UPPER), passing().message, "trainoutput"),
        (ScoringMachine(UPPER), passing().message, "middle"),
        (ScoringMachine(ALONE), LogLine(1, "info", ""), "control"),
    ]
    for machine, message, room in others:
        assert machine.handle(Heard(message, room, "x", "x")) == []


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda one: one.__name__)
def test_scenario(run: Callable[[], None]) -> None:
    run()


def test_every_row_of_the_table_is_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    hit: Counter[tuple[str, str]] = Counter()
    monkeypatch.setattr(Machine, "observe", lambda _, phase, trigger: hit.update([(phase, trigger)]))
    for run in SCENARIOS:
        run()
    print(f"ScoringMachine: {len(hit)} of {len(ScoringMachine.TABLE)} rows, {hit.total()} transitions")
    assert set(hit) == set(ScoringMachine.TABLE)
