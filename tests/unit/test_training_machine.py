"""The training machine as a ledger: events in, the whole list of commands out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from active_learner.core import training_events as t
from active_learner.core.records import Plan, RoundResult
from active_learner.core.schedule import place_of
from active_learner.core.training import HALT_RETRY_S, TrainingMachine
from active_learner.errors import InvalidTransition

GRADIENT = np.ones((2, 3), np.float32)
PREDICTIONS = np.zeros((2, 3), np.float32)


def plan(round_number: int = 1, first_step: int = 1, rows: int = 3, epochs: int = 2) -> Plan:
    keys = tuple(f"k{row}" for row in range(rows))
    return Plan(round_number, first_step, keys, (0,) * rows, 7, epochs, 2, "cross_entropy", first_step - 1)


def result(of: Plan, digest: str = "d") -> RoundResult:
    return RoundResult(of.round, of.last_step, digest, len(of.rows), 0.5, 1.0, 0.1, 1.0, 1.0)


def machine(
    *,
    roles: Sequence[str] = ("evaluator",),
    fused: bool = True,
    history: Sequence[tuple[Plan, RoundResult | None]] = (),
) -> TrainingMachine:
    return TrainingMachine(term=2, roles=roles, width=3, fused=fused, resend_s=1.0, history=history)


def position(
    applied: int,
    *,
    role: str = "evaluator",
    version: int = 0,
    restorable: tuple[int, ...] = (0,),
    width: int = 3,
    why: str = "",
    term: int = 2,
    at: float = 0.0,
) -> t.PositionHeard:
    return t.PositionHeard(role, term, applied, version, restorable, True, width, why, at)


def prediction(step: int, term: int = 2) -> t.PredictionHeard:
    return t.PredictionHeard(term, step, PREDICTIONS, 0.0)


def gradient(step: int) -> t.GradientReady:
    return t.GradientReady(step, 0.5, GRADIENT, 0.0)


def stepping(fused: bool = True) -> tuple[TrainingMachine, Plan]:
    """Waiting for the first prediction of a plan of four steps."""
    one, first = machine(fused=fused), plan()
    one.handle(t.RoundWanted(0.0))
    one.handle(t.PlanCommitted(first, 0.0))
    assert one.handle(position(0)) == [t.SendForward(place_of(first, 1))]
    return one, first


def in_validation() -> tuple[TrainingMachine, Plan]:
    one, first = stepping()
    for step in range(1, 5):
        one.handle(prediction(step))
        one.handle(gradient(step))
    assert one.handle(t.AppliedHeard(2, 4, 0.0)) == [t.Validate(1, again=False)]
    return one, first


def in_promotion() -> tuple[TrainingMachine, Plan]:
    one, first = in_validation()
    assert one.handle(t.ValidationDone(1, 0.9, 0.3, 0.05, 1.0)) == [t.SendPromote(1, 4, 4)]
    return one, first


def test_a_wanted_round_is_planned_synced_and_started() -> None:
    one, first = machine(), plan()
    assert one.handle(t.RoundWanted(0.0)) == [t.MakePlan(None, 1)]
    assert one.handle(t.PlanCommitted(first, 0.0)) == [t.AskPosition(2)]
    assert one.handle(position(0)) == [t.SendForward(place_of(first, 1))]


def test_a_fused_step_carries_the_gradient_and_the_next_batch() -> None:
    one, first = stepping()
    (compute,) = one.handle(prediction(1))
    assert isinstance(compute, t.ComputeGradient)
    assert compute.place == place_of(first, 1)
    assert compute.predictions is PREDICTIONS
    (step,) = one.handle(gradient(1))
    assert isinstance(step, t.SendStep)
    assert step.place == place_of(first, 2)


def test_the_last_gradient_goes_alone() -> None:
    one, first = stepping()
    for step in range(1, 4):
        one.handle(prediction(step))
        one.handle(gradient(step))
    one.handle(prediction(first.last_step))
    (last,) = one.handle(gradient(first.last_step))
    assert isinstance(last, t.SendGradient)
    assert last.step == first.last_step


def test_two_trips_send_each_gradient_and_wait_for_applied() -> None:
    one, first = stepping(fused=False)
    one.handle(prediction(1))
    (sent,) = one.handle(gradient(1))
    assert isinstance(sent, t.SendGradient)
    assert one.handle(t.AppliedHeard(2, 1, 0.0)) == [t.SendForward(place_of(first, 2))]


def test_a_prediction_that_comes_twice_is_used_once() -> None:
    one, _ = stepping()
    one.handle(prediction(1))
    assert one.handle(prediction(1)) == []
    assert one.stale == 1


@pytest.mark.parametrize(
    "event",
    [
        prediction(2),
        prediction(1, term=1),
        t.AppliedHeard(2, 9, 0.0),
        gradient(5),
        t.LossFailed(9, "x", 0.0),
        t.ValidationDone(9, None, None, None, 0.0),
        t.PromotedHeard("evaluator", 2, 9, "d", 0.0),
        position(0, term=1),
        position(0, role="stranger"),
        position(0),
        t.Refusal("evaluator", 1, 1, "x", 0.0),
    ],
)
def test_what_is_stale_changes_only_a_counter(event: t.Event) -> None:
    one, _ = stepping()
    before = (one.phase, one.applied, one.place)
    assert one.handle(event) == []
    assert (one.phase, one.applied, one.place) == before
    assert one.stale == 1


def test_silence_is_answered_by_saying_it_again_with_doubling_waits() -> None:
    one, first = stepping()
    assert one.handle(t.Tick(0.5)) == []
    assert one.handle(t.Tick(1.0)) == [t.SendForward(place_of(first, 1))]
    assert one.handle(t.Tick(2.9)) == []
    assert one.handle(t.Tick(3.0)) == [t.SendForward(place_of(first, 1))]
    assert one.resent == 2


def test_every_phase_says_again_what_is_unanswered() -> None:
    syncing = machine()
    syncing.handle(t.RoundWanted(0.0))
    syncing.handle(t.PlanCommitted(plan(), 0.0))
    assert syncing.handle(t.Tick(9.0)) == [t.AskPosition(2)]
    applying, _ = stepping(fused=False)
    applying.handle(prediction(1))
    sent = applying.handle(gradient(1))
    assert applying.handle(t.Tick(9.0)) == sent
    validating, _ = in_validation()
    assert validating.handle(t.Tick(9.0)) == [t.Validate(1, again=True)]
    promoting, _ = in_promotion()
    assert promoting.handle(t.Tick(9.0)) == [t.SendPromote(1, 4, 4)]


def test_ticks_without_a_deadline_do_nothing() -> None:
    idle = machine()
    assert idle.handle(t.Tick(99.0)) == []
    idle.handle(t.RoundWanted(0.0))
    assert idle.handle(t.Tick(99.0)) == []
    computing, _ = stepping()
    computing.handle(prediction(1))
    assert computing.handle(t.Tick(99.0)) == []
    syncing = machine()
    syncing.handle(t.StageJoined("evaluator", 0.0))
    assert syncing.handle(t.Tick(0.5)) == []
    applying, _ = stepping(fused=False)
    applying.handle(prediction(1))
    applying.handle(gradient(1))
    for one in (applying, stepping()[0], in_validation()[0], in_promotion()[0]):
        assert one.handle(t.Tick(0.5)) == []


def test_a_round_ends_validated_promoted_and_committed() -> None:
    one, first = in_promotion()
    (commit,) = one.handle(t.PromotedHeard("evaluator", 2, 4, "abc", 3.0))
    assert isinstance(commit, t.CommitResult)
    assert commit.result.digest == "abc"
    assert commit.result.accuracy == 0.9
    assert commit.result.model_version == first.last_step
    assert commit.result.train_loss == 0.5
    assert one.handle(t.Tick(99.0)) == []
    assert one.handle(t.ResultCommitted(1, 3.0)) == [t.RoundEnded(1, 4)]
    assert one.phase == "idle"


def test_a_round_wanted_while_another_runs_follows_it() -> None:
    one, _ = in_promotion()
    assert one.handle(t.RoundWanted(0.0)) == []
    one.handle(t.PromotedHeard("evaluator", 2, 4, "abc", 3.0))
    assert one.handle(t.ResultCommitted(1, 3.0)) == [t.RoundEnded(1, 4), t.MakePlan(None, 5)]


def test_no_label_is_no_round() -> None:
    one = machine()
    one.handle(t.RoundWanted(0.0))
    ended, note = one.handle(t.NothingToTrain())
    assert ended == t.RoundEnded(None, 0)
    assert isinstance(note, t.Note)
    assert one.phase == "idle"


def test_an_evaluator_that_comes_back_is_asked_where_it_stands() -> None:
    one, first = stepping()
    one.handle(prediction(1))
    one.handle(gradient(1))
    (note,) = one.handle(t.StageLeft("evaluator", 0.0))
    assert isinstance(note, t.Note)
    assert one.handle(t.StageJoined("evaluator", 0.0)) == [t.AskPosition(2)]
    assert one.handle(position(0)) == [t.SendForward(place_of(first, 1))]


def test_a_dead_evaluator_is_replayed_through_earlier_rounds() -> None:
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, None)])
    assert one.handle(t.StageJoined("evaluator", 0.0)) == [t.AskPosition(2)]
    assert one.handle(position(0)) == [t.SendForward(place_of(first, 1))]
    for step in range(1, 5):
        one.handle(prediction(step))
        one.handle(gradient(step))
    assert one.handle(t.AppliedHeard(2, 4, 0.0)) == [t.SendPromote(1, 4, 4)]
    assert one.handle(t.PromotedHeard("evaluator", 2, 4, "d", 0.0)) == [t.SendForward(place_of(second, 5))]


def test_a_replay_that_comes_to_other_weights_is_told() -> None:
    first = plan()
    one = machine(history=[(first, result(first, digest="before"))])
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(4, version=0)) == [t.SendPromote(1, 4, 4)]
    note, ready = one.handle(t.PromotedHeard("evaluator", 2, 4, "after", 0.0))
    assert isinstance(note, t.Note)
    assert note.level == "error"
    assert ready == t.ModelReady(4)


def test_a_restarted_trainer_with_nothing_open_only_looks() -> None:
    first = plan()
    one = machine(history=[(first, result(first))])
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(4, version=4)) == [t.ModelReady(4)]


def test_stages_that_differ_meet_at_the_highest_common_step() -> None:
    first, second = plan(), plan(2, first_step=5)
    one = machine(roles=("front", "back"), history=[(first, result(first)), (second, None)])
    one.handle(t.StageJoined("front", 0.0))
    assert one.handle(position(6, role="front", restorable=(0, 4))) == []
    assert one.handle(position(4, role="back", restorable=(0, 4))) == [t.SendRestore("front", 4), t.AskPosition(2)]
    one.handle(position(4, role="front", version=4))
    assert one.handle(position(4, role="back", version=4)) == [t.SendForward(place_of(second, 5))]


def test_a_chain_is_promoted_when_every_stage_says_so() -> None:
    first = plan()
    one = machine(roles=("front", "back"), history=[(first, result(first, "f+b"))])
    one.handle(t.StageJoined("front", 0.0))
    one.handle(position(4, role="front"))
    assert one.handle(position(4, role="back")) == [t.SendPromote(1, 4, 4)]
    assert one.handle(t.PromotedHeard("back", 2, 4, "b", 0.0)) == []
    assert one.handle(t.PromotedHeard("front", 2, 4, "f", 0.0)) == [t.ModelReady(4)]


def test_an_evaluator_ahead_of_every_plan_goes_back() -> None:
    one = machine()
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(9, restorable=(0, 5))) == [t.SendRestore("evaluator", 0), t.AskPosition(2)]


@pytest.mark.parametrize("phase", ["predicting", "applying", "validating", "promoting", "idle"])
def test_a_position_that_does_not_fit_leads_to_syncing(phase: str) -> None:
    made = {
        "predicting": stepping,
        "applying": lambda: stepping(fused=False),
        "validating": in_validation,
        "promoting": in_promotion,
        "idle": lambda: (machine(), None),
    }
    one, _ = made[phase]()
    if phase == "applying":
        one.handle(prediction(1))
        one.handle(gradient(1))
    assert one.phase == phase
    assert one.handle(position(0, why="no graph is kept")) == [t.AskPosition(2)]


def test_a_position_that_does_not_fit_waits_while_the_loss_is_computed() -> None:
    one, _ = stepping()
    one.handle(prediction(1))
    assert one.handle(position(0, why="?")) == []
    assert one.phase == "computing"


def test_an_evaluator_that_comes_while_the_plan_is_made_is_asked_after_it() -> None:
    one = machine()
    one.handle(t.RoundWanted(0.0))
    assert one.handle(t.StageJoined("evaluator", 0.0)) == []
    assert one.handle(t.PlanCommitted(plan(), 0.0)) == [t.AskPosition(2)]


def test_a_result_committed_while_an_evaluator_came_back_still_ends_the_round() -> None:
    one, _ = in_promotion()
    one.handle(t.PromotedHeard("evaluator", 2, 4, "abc", 3.0))
    assert one.handle(t.StageJoined("evaluator", 3.0)) == [t.AskPosition(2)]
    assert one.handle(t.ResultCommitted(1, 3.0)) == []
    assert one.handle(position(4, version=4)) == [t.RoundEnded(1, 4)]


def test_a_commit_that_takes_longer_than_an_evaluators_return_still_ends_the_round() -> None:
    one, _ = in_promotion()
    one.handle(t.PromotedHeard("evaluator", 2, 4, "abc", 3.0))
    one.handle(t.StageJoined("evaluator", 3.0))
    assert one.handle(position(4, version=4)) == [t.ModelReady(4)]
    assert one.handle(t.ResultCommitted(1, 3.0)) == [t.RoundEnded(1, 4)]


def test_predictions_that_the_loss_refuses_halt_training_with_words() -> None:
    one, _ = stepping()
    one.handle(prediction(1))
    (note,) = one.handle(t.LossFailed(1, "3 wide, wanted 6", 10.0))
    assert isinstance(note, t.Note)
    assert "3 wide, wanted 6" in note.text
    assert one.phase == "halted"
    assert one.handle(t.Tick(10.0 + HALT_RETRY_S - 1)) == []
    assert one.handle(t.Tick(10.0 + HALT_RETRY_S)) == [t.AskPosition(2)]


@pytest.mark.parametrize("make", [stepping, in_validation, in_promotion])
def test_a_refusal_of_the_evaluator_halts_training(make: object) -> None:
    one, _ = make()  # type: ignore[operator]
    (note,) = one.handle(t.Refusal("evaluator", 2, one.applied + 1, "not finite", 0.0))
    assert isinstance(note, t.Note)
    assert one.phase == "halted"


def test_a_refusal_while_applying_or_syncing_halts_training() -> None:
    applying, _ = stepping(fused=False)
    applying.handle(prediction(1))
    applying.handle(gradient(1))
    applying.handle(t.Refusal("evaluator", 2, 1, "gradient is not finite", 0.0))
    assert applying.phase == "halted"
    syncing = machine()
    syncing.handle(t.StageJoined("evaluator", 0.0))
    syncing.handle(t.Refusal("evaluator", 2, 0, "another run", 0.0))
    assert syncing.phase == "halted"


def test_an_output_of_the_wrong_width_is_named_before_the_first_step() -> None:
    one = machine()
    one.handle(t.RoundWanted(0.0))
    one.handle(t.PlanCommitted(plan(), 0.0))
    (note,) = one.handle(position(0, width=10))
    assert isinstance(note, t.Note)
    assert "10" in note.text
    assert "3" in note.text


def test_an_evaluator_that_comes_back_ends_a_halt() -> None:
    one, _ = stepping()
    one.handle(prediction(1))
    one.handle(t.LossFailed(1, "x", 0.0))
    assert one.handle(t.StageJoined("evaluator", 0.0)) == [t.AskPosition(2)]


def test_an_impossible_event_raises_with_the_story_and_changes_nothing() -> None:
    one, first = stepping()
    with pytest.raises(InvalidTransition, match="plan committed"):
        one.handle(t.PlanCommitted(first, 0.0))
    assert one.phase == "predicting"


def test_a_chain_that_does_not_answer_for_long_is_asked_where_it_stands() -> None:
    """Its second stage may have begun anew without the trainer's hearing of it: it does not heed a neighbour's term."""
    one, first = machine(roles=("front", "back"), fused=False), plan()
    one.handle(t.RoundWanted(0.0))
    one.handle(t.PlanCommitted(first, 0.0))
    one.handle(position(0, role="front"))
    forward = [t.SendForward(place_of(first, 1))]
    assert one.handle(position(0, role="back")) == forward
    for at in (1.0, 3.0, 7.0):
        assert one.handle(t.Tick(at)) == forward
    assert one.handle(t.Tick(15.0)) == [t.AskPosition(2)]
