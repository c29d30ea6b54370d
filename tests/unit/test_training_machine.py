"""The training machine as a ledger: events in, the whole list of commands out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from active_learner.core import training_events as t
from active_learner.core.promotion import Gate
from active_learner.core.records import Plan, RoundResult
from active_learner.core.schedule import place_of
from active_learner.core.stages import ASKS
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
    **more: Any,
) -> TrainingMachine:
    return TrainingMachine(term=2, roles=roles, width=3, fused=fused, resend_s=1.0, history=history, **more)


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


def test_row_16_a_prediction_that_comes_twice_is_used_once() -> None:
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
def test_row_19_what_is_stale_changes_only_a_counter(event: t.Event) -> None:
    one, _ = stepping()
    before = (one.phase, one.applied, one.place)
    assert one.handle(event) == []
    assert (one.phase, one.applied, one.place) == before
    assert one.stale == 1


def test_row_18_silence_is_answered_by_saying_it_again_with_doubling_waits() -> None:
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
    ended, note = one.handle(t.NothingToTrain(0.0))
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


# --- a store that is older than the evaluators


def test_row_15_an_evaluator_ahead_of_every_plan_ends_the_trainer() -> None:
    one = machine(history=[(plan(), result(plan()))])
    one.handle(t.StageJoined("evaluator", 0.0))
    (end,) = one.handle(position(9, restorable=(4, 5)))
    assert end == t.End("evaluator stands at step 9 of this run, the last plan in the store ends at step 4")
    for event in (t.Tick(1e9), t.StageJoined("evaluator", 0.0), t.RoundWanted(0.0), position(3), prediction(5)):
        assert one.handle(event) == []
    assert one.phase == "ended"


def test_row_15_it_goes_back_when_that_is_accepted() -> None:
    one = machine(history=[(plan(), result(plan()))], accept_rollback=True)
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(9, restorable=(4, 5))) == [t.TakeTerm()]
    assert one.handle(t.TermTaken(3, 0.0)) == [t.AskPosition(3)]
    again = position(9, restorable=(4, 5), term=3)
    assert one.handle(again) == [t.SendRestore("evaluator", 4), t.AskPosition(3)]


def untrained(**options: Any) -> TrainingMachine:
    """A store that ends at step 4, with labels that no plan has; nobody was heard yet."""
    one = machine(history=[(plan(), result(plan()))], **options)
    one.handle(t.RoundWanted(0.0))
    return one


@pytest.mark.parametrize(("then", "is_of_it"), [(4, True), (6, False)])
def test_a_step_of_a_plan_that_was_made_before_anybody_was_met_is_of_another_store(then: int, is_of_it: bool) -> None:
    one, second = untrained(), plan(2, first_step=5)
    one.handle(t.PlanCommitted(second, 0.0))
    said = one.handle(position(then, version=4, restorable=(4,)))
    end = t.End("evaluator stands at step 6 of this run, the last plan in the store ends at step 4")
    assert said == [t.SendForward(place_of(second, 5)) if is_of_it else end]


def test_behind_an_accepted_rollback_all_go_back_before_anything_is_planned() -> None:
    """The next trainer, should this one die, would take steps of a lost plan for steps of the new one."""
    one = untrained(accept_rollback=True)
    assert one.phase == "idle"
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(6, version=4, restorable=(4,))) == [t.TakeTerm()]
    one.handle(t.TermTaken(3, 0.0))
    back = [t.SendRestore("evaluator", 4), t.AskPosition(3)]
    assert one.handle(position(6, version=4, restorable=(4,), term=3)) == back
    assert one.handle(position(4, version=4, restorable=(4,), term=3)) == [t.ModelReady(4), t.MakePlan(None, 5)]


def test_behind_an_accepted_rollback_it_is_told_who_has_to_come_before_anything_is_trained() -> None:
    """An evaluator may be away for good: nothing is planned, and nobody should have to guess why."""
    one = machine(roles=("front", "back"), history=[(plan(), result(plan()))], accept_rollback=True)
    told = t.Note("warning", "front and back must come and go back before a round begins")
    assert one.handle(t.RoundWanted(0.0)) == [told]
    assert (one.phase, one.round_wanted) == ("idle", True)
    one.handle(t.StageJoined("front", 0.0))
    one.handle(position(4, role="front", version=4))
    assert one.stages.silent == ("back",)


@pytest.mark.parametrize("stands", [6, 8, 12])
def test_behind_an_accepted_rollback_an_open_plan_is_done_from_its_beginning(stands: int) -> None:
    """It may have been made after the store was put back, by a trainer that was then told to end: the checkpoint of step 8 is
    one of a plan that is lost."""
    second = plan(2, first_step=5)
    one = machine(history=[(plan(), result(plan())), (second, None)], accept_rollback=True)
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(stands, version=4, restorable=(4, 8))) == [t.TakeTerm()]
    one.handle(t.TermTaken(3, 0.0))
    back = [t.SendRestore("evaluator", 4), t.AskPosition(3)]
    assert one.handle(position(stands, version=4, restorable=(4, 8), term=3)) == back
    assert one.handle(position(4, version=4, restorable=(4, 8), term=3)) == [t.SendForward(place_of(second, 5))]


def test_row_14_an_evaluator_with_an_old_checkpoint_does_its_steps_again() -> None:
    first = plan()
    one = machine(history=[(first, result(first))])
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(2, restorable=(2,))) == [t.SendForward(place_of(first, 3))]


def replaced(term: int = 2) -> t.Replaced:
    return t.Replaced("evaluator", term, "term 2 is over: this evaluator serves term 7", 0.0)


@pytest.mark.parametrize("phase", ["predicting", "applying", "validating", "promoting", "syncing"])
def test_row_28_a_trainer_whose_term_is_over_ends(phase: str) -> None:
    one = machine()
    if phase != "syncing":
        one = in_phase(phase)
    else:
        one.handle(t.StageJoined("evaluator", 0.0))
    assert one.phase == phase
    assert one.handle(replaced(term=1)) == []
    assert one.handle(replaced()) == [t.End("evaluator: term 2 is over: this evaluator serves term 7")]
    assert one.phase == "ended"


def test_an_accepted_rollback_takes_terms_until_one_is_high_enough() -> None:
    one = machine(accept_rollback=True)
    one.handle(t.StageJoined("evaluator", 0.0))
    for term in (2, 3):
        refusal = t.Replaced("evaluator", term, "over", 0.0)
        assert one.handle(refusal) == [t.TakeTerm()]
        assert one.handle(refusal) == []
        assert one.handle(t.StageJoined("evaluator", 0.0)) == []
        assert one.handle(t.TermTaken(term + 1, 0.0)) == [t.AskPosition(term + 1)]
    assert one.handle(position(0, term=4)) == [t.TakeTerm()]
    assert one.handle(t.TermTaken(5, 0.0)) == [t.AskPosition(5)]
    assert one.handle(position(0, term=5)) == [t.ModelReady(0)]
    assert one.term == 5


def test_behind_an_accepted_rollback_the_term_is_above_that_of_every_evaluator() -> None:
    """One of the same number kept a graph, or a PROMOTED, of a plan that is there no more: as a repeat it would be said again."""
    one = machine(accept_rollback=True)
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(0)) == [t.TakeTerm()]
    one.handle(t.TermTaken(3, 0.0))
    assert one.handle(position(0, term=3)) == [t.ModelReady(0)]
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(0, term=3)) == [t.ModelReady(0)]


def test_who_has_begun_does_not_bid_for_a_higher_term() -> None:
    one = machine(accept_rollback=True)
    one.handle(t.StageJoined("evaluator", 0.0))
    one.handle(position(0))
    one.handle(t.TermTaken(3, 0.0))
    one.handle(position(0, term=3))
    one.handle(t.StageJoined("evaluator", 0.0))
    assert isinstance(one.handle(replaced(term=3))[0], t.End)


# --- promotion behind a gate


def judged(
    accuracy: float | None, *, history: Sequence[tuple[Plan, RoundResult | None]] | None = None, margin: float = 0.05
) -> tuple[TrainingMachine, list[t.Command]]:
    """Behind the validation of round 2, steps 5 to 8; round 1 came to 0.5. And what is said then."""
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=history or [(first, result(first)), (second, None)], gate=Gate(margin))
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(8, version=4, restorable=(4, 6))) == [t.Validate(2, again=False)]
    return one, one.handle(t.ValidationDone(2, accuracy, 1.0, 0.1, 1.0))


@pytest.mark.parametrize("accuracy", [0.9, 0.5, 0.46])
def test_a_round_that_is_not_worse_by_more_than_the_margin_is_promoted(accuracy: float) -> None:
    one, said = judged(accuracy)
    assert said == [t.SendPromote(2, 8, 8)]
    (commit,) = one.handle(t.PromotedHeard("evaluator", 2, 8, "new", 2.0))
    assert isinstance(commit, t.CommitResult)
    assert (commit.result.held_back, commit.result.digest) == ("", "new")


@pytest.mark.parametrize(
    ("accuracy", "why"),
    [
        (0.44, "accuracy 0.4400 is worse than the 0.5000 of round 1 by more than 0.05"),
        (None, ""),
    ],
)
def test_a_worse_round_is_held_back_and_the_weights_before_it_go_on(accuracy: float | None, why: str) -> None:
    first, second = plan(), plan(2, first_step=5)
    before = RoundResult(1, 4, "d", 3, 0.5, 0.9, None, None, 1.0)
    one, said = judged(accuracy, history=[(first, before), (second, None)])
    assert said == [t.SendPromote(2, 8, 4)]
    commit, note = one.handle(t.PromotedHeard("evaluator", 2, 8, "d", 2.0))
    assert isinstance(commit, t.CommitResult)
    why = why or "loss 1.0000 is worse than the 0.9000 of round 1 by more than 0.05"
    assert (commit.result.held_back, commit.result.digest, commit.result.model_version) == (why, "d", 8)
    assert note == t.Note("warning", f"round 2 is held back: {why}")


def test_the_first_round_is_always_promoted_and_a_round_that_nothing_is_known_of_is_not() -> None:
    gate = Gate(0.0)
    unknown = t.ValidationDone(2, None, None, None, 0.0)
    assert gate.objection(unknown, None) == ""
    assert gate.objection(unknown, result(plan())) == "it could not be validated, round 1 was"
    assert gate.objection(unknown, RoundResult(1, 4, "d", 3, None, None, None, None, 1.0)) == ""


def test_rounds_are_measured_against_the_last_one_that_was_promoted() -> None:
    first, second, third = plan(), plan(2, first_step=5), plan(3, first_step=9)
    held = RoundResult(2, 8, "d", 3, 0.1, 1.0, None, None, 1.0, {"held_back": "worse"})
    one = machine(history=[(first, result(first)), (second, held), (third, None)], gate=Gate(0.05))
    one.handle(t.StageJoined("evaluator", 0.0))
    one.handle(position(12, version=8, restorable=(8,)))
    assert one.handle(t.ValidationDone(3, 0.3, 1.0, 0.1, 1.0)) == [t.SendPromote(3, 12, 8)]


def test_a_finished_round_that_was_held_back_is_held_back_again_in_a_replay() -> None:
    first, second = plan(), plan(2, first_step=5)
    held = RoundResult(2, 8, "d", 3, 0.1, 1.0, None, None, 1.0, {"held_back": "worse"})
    one = machine(history=[(first, result(first)), (second, held)], gate=Gate(0.05))
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(4, version=0, restorable=())) == [t.SendPromote(1, 4, 4)]
    assert one.handle(t.PromotedHeard("evaluator", 2, 4, "d", 0.0)) == [t.SendForward(place_of(second, 5))]
    for step in range(5, 9):
        one.handle(prediction(step))
        one.handle(gradient(step))
    assert one.handle(t.AppliedHeard(2, 8, 0.0)) == [t.SendPromote(2, 8, 4)]
    assert one.handle(t.PromotedHeard("evaluator", 2, 8, "d", 0.0)) == [t.ModelReady(8)]


def test_weights_whose_checkpoint_is_gone_are_trained_again() -> None:
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, None)], gate=Gate(0.0))
    one.handle(t.StageJoined("evaluator", 0.0))
    one.handle(position(8, version=4, restorable=(2, 6)))
    told = one.handle(t.ValidationDone(2, 0.1, 1.0, 0.1, 1.0))
    assert told == [t.SendRestore("evaluator", 2), t.AskPosition(2)]
    assert one.handle(position(2, restorable=(2,))) == [t.SendForward(place_of(first, 3))]


def test_a_promotion_of_which_nobody_knows_the_verdict_is_judged_again_from_before_its_end() -> None:
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, None)], gate=Gate(0.0))
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(8, version=8, restorable=(4, 6, 8))) == [t.SendRestore("evaluator", 6), t.AskPosition(2)]
    assert one.handle(position(6, version=4, restorable=(4, 6))) == [t.SendForward(place_of(second, 7))]


@pytest.mark.parametrize("gate", [None, Gate(0.0)])
def test_a_stage_that_stands_there_and_does_not_fit_does_the_end_of_the_round_again(gate: Gate | None) -> None:
    """An old POSITION may have hidden that the round was held back, or the gate is new."""
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, None)], gate=gate)
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(8, version=4, restorable=(4, 6))) == [t.Validate(2, again=False)]
    assert one.handle(position(8, version=8, why="was held back")) == [t.AskPosition(2)]
    assert one.handle(position(8, version=4, restorable=(4, 6))) == [t.SendRestore("evaluator", 6), t.AskPosition(2)]
    assert one.handle(position(6, version=4, restorable=(4, 6))) == [t.SendForward(place_of(second, 7))]


def test_a_stage_whose_weights_are_not_those_of_a_finished_round_does_its_end_again() -> None:
    """Its checkpoint has weights of an earlier step: to ask for the promotion again and again would never end."""
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, result(second))])
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(8, version=4, restorable=(4, 8))) == [t.SendPromote(2, 8, 8)]
    assert one.handle(position(8, version=4, restorable=(4, 8), why="is older")) == [t.AskPosition(2)]
    assert one.handle(position(8, version=4, restorable=(4, 8))) == [t.SendRestore("evaluator", 4), t.AskPosition(2)]
    assert one.handle(position(4, version=4, restorable=(4,))) == [t.SendForward(place_of(second, 5))]


def test_without_a_gate_a_promotion_that_was_begun_is_asked_for_again() -> None:
    first, second = plan(), plan(2, first_step=5)
    one = machine(history=[(first, result(first)), (second, None)])
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(position(8, version=8)) == [t.Validate(2, again=False)]


def test_waits_are_jittered() -> None:
    factors = iter([1.2, 0.8, 1.0])
    one = machine(jitter=lambda: next(factors))
    one.handle(t.StageJoined("evaluator", 0.0))
    assert one.handle(t.Tick(1.19)) == []
    assert one.handle(t.Tick(1.2)) == [t.AskPosition(2)]
    assert one.handle(t.Tick(2.79)) == []
    assert one.handle(t.Tick(2.8)) == [t.AskPosition(2)]


def test_the_loss_of_a_step_that_was_done_again_counts_once() -> None:
    one, first = stepping(fused=False)
    for step, loss in ((1, 9.0), (2, 9.0), (3, 1.0), (3, 1.0), (4, 3.0)):
        if step == 3 and one.applied == 3:
            one.handle(t.StageJoined("evaluator", 0.0))
            one.handle(position(2))
        one.handle(prediction(step))
        one.handle(t.GradientReady(step, loss, GRADIENT, 0.0))
        one.handle(t.AppliedHeard(2, step, 0.0))
    one.handle(t.ValidationDone(1, 0.9, 0.3, 0.05, 1.0))
    (commit,) = one.handle(t.PromotedHeard("evaluator", 2, first.last_step, "abc", 3.0))
    assert isinstance(commit, t.CommitResult)
    assert commit.result.train_loss == 2.0


def in_phase(phase: str) -> TrainingMachine:
    made: dict[str, Callable[[], tuple[TrainingMachine, Any]]] = {
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
    return one


@pytest.mark.parametrize("phase", ["predicting", "applying", "validating", "promoting", "idle"])
def test_row_17_a_position_that_does_not_fit_leads_to_syncing(phase: str) -> None:
    one = in_phase(phase)
    assert one.handle(position(0, why="no graph is kept")) == [t.AskPosition(2)]


def test_positions_that_come_late_again_and_again_are_no_storm_of_questions() -> None:
    """Each that does not fit is answered by a question; where messages are doubled, each question by more than one of them."""
    one, _ = stepping()
    asked = 0
    for number in range(20):
        asked += one.handle(position(7, restorable=(0,), why="late", at=0.01 * number)).count(t.AskPosition(2))
        one.handle(position(0, at=0.01 * number))
    assert asked == ASKS - 1  # the first was before all this
    one.handle(position(7, why="late", at=0.5))
    assert t.AskPosition(2) in one.handle(t.Tick(1.6))


def test_what_is_heard_while_a_question_is_held_back_is_no_answer_to_it() -> None:
    """Late positions of both stages, again and again: who went on by them would say a batch for every few of them."""
    one, first = machine(roles=("front", "back"), fused=False), plan()
    one.handle(t.RoundWanted(0.0))
    one.handle(t.PlanCommitted(first, 0.0))
    said: list[t.Command] = []
    for number in range(100):
        at = 0.005 * number
        said += one.handle(position(0, role="front", at=at))
        said += one.handle(position(0, role="back", at=at))
        said += one.handle(position(0, role="front", why="no graph is kept", at=at))
    assert said.count(t.SendForward(place_of(first, 1))) == ASKS
    assert one.handle(t.Tick(1.6)) == [t.AskPosition(2)]
    one.handle(position(0, role="front", at=1.7))
    assert one.handle(position(0, role="back", at=1.7)) == [t.SendForward(place_of(first, 1))]


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
def test_row_24_a_refusal_of_the_evaluator_halts_training_and_is_counted(make: object) -> None:
    one, _ = make()  # type: ignore[operator]
    (note,) = one.handle(t.Refusal("evaluator", 2, one.applied + 1, "not finite", 0.0))
    assert isinstance(note, t.Note)
    assert one.refused == 1
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
