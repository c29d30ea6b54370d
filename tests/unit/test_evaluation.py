"""The evaluation machine as a ledger: what is heard, and everything that is done because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from active_learner.core import evaluation_words as words
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.evaluation_events import (
    Applied,
    CheckpointFailed,
    CheckpointWritten,
    Evaluated,
    Forwarded,
    Heard,
    Impossible,
    Note,
    Place,
    Promotion,
    Restored,
    RunApply,
    RunCheckpoint,
    RunForward,
    RunPromote,
    RunRestore,
    Say,
)
from active_learner.core.evaluation_triggers import WAITING_LIMIT
from active_learner.core.machine import Machine
from active_learner.errors import InvalidTransition
from protocol.messages import (
    Forward,
    Gradient,
    LogLine,
    Message,
    Position,
    PositionRequest,
    Promote,
    Promoted,
    Restore,
    Status,
    Step,
    StepRefused,
)

ALONE = Place("evaluator", "traininput", "trainoutput", "evolution", first=True, last=True)
LOWER = Place("lower", "traininput", "middle", "evolution", first=True, last=False, behind="upper")
UPPER = Place("upper", "middle", "trainoutput", "evolution", first=False, last=True, before="lower")

SCENARIOS: list[Callable[[], None]] = []


def scenario(function: Callable[[], None]) -> Callable[[], None]:
    SCENARIOS.append(function)
    return function


def plain(thing: Any) -> Any:
    """Messages and commands as text: arrays have no equality of their own."""
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, list | tuple):
        return [plain(one) for one in thing]
    if is_dataclass(thing):
        shown = ", ".join(f"{field.name}={plain(getattr(thing, field.name))}" for field in fields(thing))
        return f"{type(thing).__name__}({shown})"
    return repr(thing)


def array(value: float) -> np.ndarray:
    return np.array([[value]], np.float32)


def forward(step: int, *, term: int = 1, data: float = 0.5, status: Status = Status.TRAIN, ticket: str = "") -> Forward:
    return Forward(term, step, status, ticket, 0, 0, step - 1, 7, array(data))


def predictions(step: int, *, term: int = 1, data: float = 0.25) -> Forward:
    return forward(step, term=term, data=data)


def step_message(step: int, *, term: int = 1) -> Step:
    return Step(term, step, array(-1.0), 0, 0, step, 7, array(0.5))


def gradient(step: int, *, term: int = 1) -> Gradient:
    return Gradient(term, step, array(-1.0))


def heard(message: Message, room: str = "", name: str = "trainer", role: str = "trainer", at: float = 0.0) -> Heard:
    if not room:
        room = "trainoutput" if isinstance(message, Gradient) else "traininput"
    return Heard(message, room, name, role, at)


def said(commands: list[Any]) -> list[str]:
    """The ledger of commands."""
    return [plain(command) for command in commands]


def say(room: str, message: Message) -> str:
    return f"Say(room={room!r}, message={plain(message)})"


def position(why: str = "", **changes: Any) -> Position:
    stand: dict[str, Any] = {"applied": 0, "model_version": 0, "restorable": (), "width": 1, "term": 1} | changes
    return Position(stand.pop("term"), "r", "evaluator", fused=True, why=why, **stand)


def refused(code: str, step: int, text: str, *, term: int = 1, ticket: str = "") -> StepRefused:
    return StepRefused(term, step, ticket, "evaluator", code, text)


def ready(place: Place = ALONE, **stand: Any) -> EvaluationMachine:
    """Run r, term 1, no graph."""
    machine = EvaluationMachine(place, **({"run": "r", "width": 1} | stand))
    machine.handle(heard(PositionRequest(1, "r")))
    return machine


def holding(place: Place = ALONE, step: int = 1, **stand: Any) -> EvaluationMachine:
    """The graph of `step` is kept."""
    machine = ready(place, **({"applied": step - 1} | stand))
    machine.handle(heard(forward(step), place.input_room))
    machine.handle(Forwarded(array(0.25)))
    return machine


def misfit(machine: EvaluationMachine, message: Message, why: str, **stand: Any) -> None:
    before = (machine.phase, machine.applied, machine.held, machine.term)
    assert said(machine.handle(heard(message))) == [say("@trainer", position(why, **stand))]
    assert (machine.phase, machine.applied, machine.held, machine.term) == before


# --- where it stands


@scenario
def a_fresh_evaluator_takes_the_run_and_term_of_the_first_question() -> None:
    machine = EvaluationMachine(ALONE, width=1)
    assert said(machine.handle(heard(PositionRequest(3, "r")))) == [say("@trainer", position(term=3))]
    assert (machine.run, machine.term) == ("r", 3)


@scenario
def a_position_names_no_more_checkpoints_than_a_list_may_have() -> None:
    machine = ready(applied=1100, restorable=tuple(range(1, 1101)))
    (told,) = machine.handle(heard(PositionRequest(1, "r")))
    assert isinstance(told, Say)
    assert isinstance(told.message, Position)
    assert told.message.restorable == tuple(range(77, 1101))


@scenario
def without_any_training_it_serves_another_run_even_of_a_lower_term() -> None:
    machine = ready()
    machine.handle(heard(PositionRequest(9, "r")))
    machine.handle(heard(PositionRequest(1, "other")))
    assert (machine.run, machine.term) == ("other", 1)


@scenario
def with_checkpoints_it_refuses_another_run_to_whoever_asked() -> None:
    machine = ready(applied=5, restorable=(5,))
    text = "evaluator has checkpoints of run r, not of run s"
    for message in (PositionRequest(2, "s"), Restore(2, "s", "evaluator", 0), Promote(2, "s", 0, 5, 5)):
        told = machine.handle(heard(message, name="trainer-2"))
        step = getattr(message, "step", 0)
        assert said(told) == [say("@trainer-2", refused("wrong_run", step, text, term=2))]
    assert (machine.run, machine.term) == ("r", 1)


@scenario
def before_the_run_is_known_steps_and_promotions_are_answered_by_a_position() -> None:
    machine = EvaluationMachine(ALONE, width=1)
    for message in (forward(1), gradient(1), step_message(1), Promote(1, "r", 0, 1, 1)):
        (command,) = machine.handle(heard(message))
        assert "before any POSITION_REQUEST" in command.message.why
        assert command.message.run == ""


@scenario
def a_lower_term_is_refused_and_changes_nothing() -> None:
    machine = holding()
    machine.handle(heard(forward(1, term=2)))
    machine.handle(Forwarded(array(0.25)))
    text = "term 1 is over: this evaluator serves term 2"
    for message in (gradient(1), forward(1), step_message(1), Promote(1, "r", 0, 1, 1), PositionRequest(1, "r")):
        step = getattr(message, "step", 0)
        assert said(machine.handle(heard(message, name="old"))) == [say("@old", refused("stale_term", step, text))]
    assert (machine.phase, machine.held) == ("holding", 1)


@scenario
def a_higher_term_drops_the_kept_graph_and_what_was_said() -> None:
    machine = holding()
    told = machine.handle(heard(PositionRequest(2, "r")))
    assert said(told) == [say("@trainer", position(term=2))]
    assert (machine.phase, machine.held) == ("ready", 0)
    misfit(machine, gradient(1, term=2), "GRADIENT of step 1 does not fit: 0 is applied, no graph is kept", term=2)


@scenario
def a_question_of_the_same_term_keeps_the_graph() -> None:
    machine = holding()
    machine.handle(heard(PositionRequest(1, "r")))
    assert (machine.phase, machine.held) == ("holding", 1)


# --- steps


@scenario
def a_forward_and_its_gradient_are_one_step() -> None:
    machine = ready(width=0)
    assert said(machine.handle(heard(forward(1)))) == said([RunForward(1, 7, array(0.5))])
    assert machine.phase == "forwarding"
    assert said(machine.handle(Forwarded(array(0.25)))) == [say("trainoutput", predictions(1))]
    assert (machine.phase, machine.width, machine.applied) == ("holding", 1, 0)
    assert said(machine.handle(heard(gradient(1)))) == said([RunApply(1, array(-1.0), False)])
    assert machine.phase == "applying"
    assert said(machine.handle(Applied(None))) == [say("traininput", Gradient(1, 1, None))]
    assert (machine.phase, machine.applied, machine.held) == ("ready", 1, 0)


@scenario
def a_fused_step_applies_and_forwards_and_says_only_the_predictions() -> None:
    machine = holding()
    assert said(machine.handle(heard(step_message(1)))) == said([RunApply(1, array(-1.0), False)])
    assert said(machine.handle(Applied(None))) == said([RunForward(2, 7, array(0.5))])
    told = machine.handle(Forwarded(array(0.75)))
    assert said(told) == [say("trainoutput", Forward(1, 2, Status.TRAIN, "", 0, 0, 1, 7, array(0.75)))]
    assert (machine.phase, machine.applied, machine.held) == ("holding", 1, 2)


@scenario
def repeats_get_what_was_said_before_and_no_second_effect() -> None:
    machine = holding()
    assert said(machine.handle(heard(forward(1)))) == [say("trainoutput", predictions(1))]
    machine.handle(heard(step_message(1)))
    machine.handle(Applied(None))
    second = said(machine.handle(Forwarded(array(0.75))))
    assert said(machine.handle(heard(step_message(1)))) == second
    assert said(machine.handle(heard(forward(2)))) == second
    machine.handle(heard(gradient(2)))
    applied = said(machine.handle(Applied(None)))
    assert said(machine.handle(heard(gradient(2)))) == applied
    assert machine.applied == 2
    assert machine.said.repeats == 4


@scenario
def a_batch_of_other_rows_is_no_repeat_and_its_graph_takes_the_place_of_the_kept_one() -> None:
    """Who stood before it in the chain returned a row too many and was started again: the kept graph is of nothing."""
    machine = holding()
    two_rows = np.ones((2, 1), np.float32)
    (run,) = machine.handle(heard(replace(forward(1), data=two_rows)))
    assert isinstance(run, RunForward)
    assert run.batch is two_rows
    assert (machine.phase, machine.held) == ("forwarding", 0)
    machine.handle(Forwarded(two_rows))
    (again,) = machine.handle(heard(replace(forward(1), data=two_rows)))
    assert isinstance(again, Say)
    assert (machine.phase, machine.held) == ("holding", 1)


@scenario
def repeats_of_what_is_under_way_are_dropped() -> None:
    machine = ready()
    machine.handle(heard(forward(1)))
    assert machine.handle(heard(forward(1))) == []
    machine.handle(Forwarded(array(0.25)))
    machine.handle(heard(step_message(1)))
    assert machine.handle(heard(step_message(1))) == []
    machine.handle(Applied(None))
    assert machine.handle(heard(step_message(1))) == []
    assert len(machine.handle(Forwarded(array(0.75)))) == 1
    assert machine.said.repeats == 3


@scenario
def a_step_whose_gradient_is_applied_is_only_forwarded() -> None:
    machine = holding()
    machine.handle(heard(step_message(1)))
    machine.handle(Applied(None))
    machine.handle(Impossible("shape", "too wide"))
    assert said(machine.handle(heard(step_message(1)))) == said([RunForward(2, 7, array(0.5))])
    assert machine.applied == 1


@scenario
def late_copies_of_done_steps_get_a_position_without_a_reason() -> None:
    machine = holding(step=4)
    for message in (forward(3), gradient(3), gradient(2), step_message(2)):
        misfit(machine, message, "", applied=3)


@scenario
def what_is_ahead_gets_a_position_with_the_reason() -> None:
    machine = ready()
    misfit(machine, forward(3), "FORWARD of step 3 does not fit: 0 is applied, no graph is kept")
    misfit(machine, gradient(1), "GRADIENT of step 1 does not fit: 0 is applied, no graph is kept")
    misfit(holding(), step_message(2), "STEP of step 2 does not fit: 0 is applied, the graph of step 1 is kept")


@scenario
def a_round_begins_with_promoted_weights() -> None:
    """Else they may be those that the round before was held back for, and only a late word made the trainer go on."""
    first = replace(forward(4), batch=0)
    machine = ready(applied=3, model_version=2, restorable=(2,))
    assert said(machine.handle(heard(first))) == [
        say(
            "@trainer",
            words.position(machine, "FORWARD of step 4 begins a round, and the weights of step 3 were not promoted"),
        )
    ]
    assert said(machine.handle(heard(forward(4)))) == said([RunForward(4, 7, array(0.5))])
    machine = ready(applied=3, model_version=3, restorable=(3,))
    assert said(machine.handle(heard(first))) == said([RunForward(4, 7, array(0.5))])


@scenario
def a_refused_forward_is_told_and_may_be_tried_again() -> None:
    machine = ready()
    machine.handle(heard(forward(1)))
    assert said(machine.handle(Impossible("shape", "63 columns"))) == [
        say("@trainer", refused("shape", 1, "63 columns"))
    ]
    assert machine.phase == "ready"
    assert said(machine.handle(heard(forward(1)))) == said([RunForward(1, 7, array(0.5))])


@scenario
def a_refused_gradient_leaves_the_graph() -> None:
    machine = holding()
    machine.handle(heard(gradient(1)))
    told = machine.handle(Impossible("not_finite", "NaN"))
    assert said(told) == [say("@trainer", refused("not_finite", 1, "NaN"))]
    assert (machine.phase, machine.held, machine.applied) == ("holding", 1, 0)
    assert said(machine.handle(heard(gradient(1)))) == said([RunApply(1, array(-1.0), False)])


@scenario
def a_gradient_without_data_is_refused() -> None:
    machine = holding()
    told = machine.handle(heard(Gradient(1, 1, None)))
    assert said(told) == [say("@trainer", refused("shape", 1, "GRADIENT of step 1 has no data"))]
    assert machine.phase == "holding"


@scenario
def a_refused_forward_of_a_fused_step_names_the_next_step() -> None:
    machine = holding()
    machine.handle(heard(step_message(1)))
    machine.handle(Applied(None))
    assert said(machine.handle(Impossible("shape", "x"))) == [say("@trainer", refused("shape", 2, "x"))]
    assert machine.applied == 1


# --- while the engine works


@scenario
def what_comes_while_the_engine_works_waits_for_its_turn() -> None:
    machine = holding()
    machine.handle(heard(gradient(1)))
    assert machine.handle(heard(PositionRequest(2, "r"))) == []
    assert machine.handle(heard(forward(2, term=2))) == []
    assert machine.handle(heard(PositionRequest(2, "r"))) == []
    told = machine.handle(Applied(None))
    assert said(told) == [
        say("traininput", Gradient(1, 1, None)),
        say("@trainer", position(applied=1, term=2)),
        *said([RunForward(2, 7, array(0.5))]),
    ]
    assert machine.phase == "forwarding"


@scenario
def more_than_may_wait_is_dropped_and_counted() -> None:
    machine = ready()
    machine.handle(heard(forward(1)))
    for number in range(WAITING_LIMIT + 3):
        machine.handle(heard(forward(0, status=Status.VALIDATE, ticket=str(number))))
    assert machine.dropped == 3


# --- validation, promotion, restoration


@scenario
def validation_answers_by_the_present_weights_and_keeps_the_graph() -> None:
    machine = holding(step=4)
    question = forward(3, status=Status.VALIDATE, ticket="v1", data=9.0)
    machine.handle(heard(question))
    assert machine.phase == "evaluating"
    answer = Forward(1, 3, Status.VALIDATE, "v1", 0, 0, 2, 7, array(0.1))
    assert said(machine.handle(Evaluated(array(0.1)))) == [say("trainoutput", answer)]
    assert (machine.phase, machine.held) == ("holding", 4)


@scenario
def validation_of_other_weights_than_the_present_ones_is_not_answered() -> None:
    why = "FORWARD of step 4 does not fit: 3 is applied, no graph is kept"
    misfit(ready(applied=3), forward(4, status=Status.VALIDATE, ticket="v"), why, applied=3)


@scenario
def a_refused_validation_is_told_with_its_ticket() -> None:
    machine = ready(applied=3)
    machine.handle(heard(forward(3, status=Status.VALIDATE, ticket="v")))
    told = machine.handle(Impossible("failed", "no memory"))
    assert said(told)[0] == say("@trainer", refused("failed", 3, "no memory", ticket="v"))
    assert machine.phase == "ready"


@scenario
def a_promotion_saves_and_says_the_digest_and_a_repeat_gets_the_same() -> None:
    machine = ready(applied=3)
    assert said(machine.handle(heard(Promote(1, "r", 2, 3, 3)))) == said([RunPromote("r", 2, 3, 3, 1)])
    promoted = [say("@trainer", Promoted(1, "evaluator", 2, 3, "abc"))]
    assert said(machine.handle(Promotion("abc", (1, 3)))) == promoted
    assert said(machine.handle(heard(Promote(1, "r", 2, 3, 3)))) == promoted
    assert (machine.model_version, machine.restorable) == (3, (1, 3))
    assert said(machine.handle(heard(Promote(1, "r", 3, 3, 3)))) == said([RunPromote("r", 3, 3, 3, 1)])


@scenario
def a_promotion_of_another_step_is_answered_by_a_position() -> None:
    why = "PROMOTE of step 4 does not fit: 3 is applied, no graph is kept"
    misfit(ready(applied=3), Promote(1, "r", 2, 4, 4), why, applied=3)


@scenario
def a_promotion_that_cannot_be_saved_is_refused_and_may_be_tried_again() -> None:
    machine = ready(applied=3)
    machine.handle(heard(Promote(1, "r", 2, 3, 3)))
    told = machine.handle(Impossible("failed", "disk full"))
    assert said(told)[0] == say("@trainer", refused("failed", 3, "disk full"))
    assert machine.model_version == 0
    assert said(machine.handle(heard(Promote(1, "r", 2, 3, 3)))) == said([RunPromote("r", 2, 3, 3, 1)])


@scenario
def a_restore_goes_back_and_forgets_what_was_said() -> None:
    machine = holding(step=9, restorable=(4, 8))
    assert said(machine.handle(heard(Restore(1, "r", "evaluator", 4)))) == said([RunRestore("r", 4)])
    told = machine.handle(Restored(4, 4, (4,)))
    assert said(told)[0] == say("@trainer", position(applied=4, model_version=4, restorable=(4,)))
    assert (machine.phase, machine.held) == ("ready", 0)
    assert said(machine.handle(heard(forward(5)))) == said([RunForward(5, 7, array(0.5))])


@scenario
def a_restore_to_the_untrained_network_is_always_possible() -> None:
    machine = ready(applied=4)
    assert said(machine.handle(heard(Restore(1, "r", "evaluator", 0)))) == said([RunRestore("r", 0)])


@scenario
def a_restore_to_where_it_stands_is_done_already() -> None:
    machine = ready(applied=4)
    assert said(machine.handle(heard(Restore(1, "r", "evaluator", 4)))) == [say("@trainer", position(applied=4))]


@scenario
def a_restore_to_a_step_without_a_checkpoint_says_which_there_are() -> None:
    machine = ready(applied=9, restorable=(4, 8))
    misfit(machine, Restore(1, "r", "evaluator", 5), "there is no checkpoint of step 5", applied=9, restorable=(4, 8))


@scenario
def a_damaged_checkpoint_is_not_offered_again() -> None:
    machine = ready(applied=9, restorable=(4, 8))
    machine.handle(heard(Restore(1, "r", "evaluator", 8)))
    told = machine.handle(Impossible("failed", "checkpoint x is damaged", (4,)))
    assert said(told)[0] == say("@trainer", position("checkpoint x is damaged", applied=9, restorable=(4,)))
    assert (machine.phase, machine.applied) == ("ready", 9)


@scenario
def a_promotion_of_older_weights_goes_back_to_them_and_stands_at_its_step() -> None:
    machine = holding(step=9, restorable=(4, 7), model_version=4)
    assert said(machine.handle(heard(Promote(1, "r", 2, 8, 4)))) == said([RunPromote("r", 2, 8, 4, 1)])
    told = machine.handle(Promotion("old", (4, 7, 8)))
    assert said(told) == [say("@trainer", Promoted(1, "evaluator", 2, 8, "old"))]
    assert (machine.phase, machine.applied, machine.model_version, machine.held) == ("ready", 8, 8, 0)
    assert said(machine.handle(heard(forward(9)))) == said([RunForward(9, 7, array(0.5))])


@scenario
def weights_of_an_older_step_are_neither_judged_nor_promoted_as_those_of_the_step() -> None:
    why = "the round that ended at step 8 was held back: its weights are there no more"
    held_back = ready(applied=8, restorable=(4, 8), model_version=8, older=True)
    question = forward(8, status=Status.VALIDATE, ticket="v")
    stand = {"applied": 8, "restorable": (4, 8), "model_version": 8}
    misfit(held_back, question, why, **stand)
    misfit(held_back, Promote(1, "r", 2, 8, 8), why, **stand)
    assert said(held_back.handle(heard(Promote(1, "r", 2, 8, 4)))) == said([RunPromote("r", 2, 8, 4, 1)])
    held_back.handle(Promotion("old", (4, 8)))
    misfit(held_back, question, why, **stand)
    stepped(held_back, 9)
    assert said(held_back.handle(heard(forward(9, status=Status.VALIDATE, ticket="v"))))[0].startswith("RunEvaluate")


@scenario
def a_promotion_of_weights_without_a_checkpoint_is_answered_by_a_position() -> None:
    why = "there is no checkpoint of step 4, whose weights are wanted"
    misfit(ready(applied=8, restorable=(7,)), Promote(1, "r", 2, 8, 4), why, applied=8, restorable=(7,))


@scenario
def a_promotion_of_weights_whose_checkpoint_is_damaged_is_answered_by_a_position() -> None:
    machine = ready(applied=8, restorable=(4, 7))
    machine.handle(heard(Promote(1, "r", 2, 8, 4)))
    told = machine.handle(Impossible("failed", "checkpoint x is damaged", (7,)))
    assert said(told)[0] == say("@trainer", position("checkpoint x is damaged", applied=8, restorable=(7,)))
    machine = ready(applied=8, restorable=(4, 7))
    machine.handle(heard(Promote(1, "r", 2, 8, 4)))
    told = machine.handle(Impossible("failed", "disk full", (4, 7)))
    assert said(told)[0] == say("@trainer", refused("failed", 8, "disk full"))


# --- checkpoints in the middle of a round


def stepped(machine: EvaluationMachine, last: int, *, at: float = 0.0) -> list[str]:
    """Every step up to `last` by two trips; all that was done beside answering."""
    commands: list[Any] = []
    for step in range(machine.applied + 1, last + 1):
        commands += machine.handle(heard(forward(step), at=at))
        commands += machine.handle(Forwarded(array(0.25)))
        commands += machine.handle(heard(gradient(step)))
        commands += machine.handle(Applied(None))
    return said([command for command in commands if isinstance(command, RunCheckpoint | Note)])


@scenario
def the_state_is_kept_after_so_many_steps_and_not_again_before_it_is_written() -> None:
    machine = ready(applied=5, rule=CheckpointRule(3, 100.0))
    assert stepped(machine, 7) == []
    assert stepped(machine, 12) == said([RunCheckpoint("r", 0, 8, 1)])
    assert machine.handle(CheckpointWritten(8, (5, 8))) == []
    assert (machine.restorable, machine.checkpoints) == ((5, 8), 1)
    assert stepped(machine, 13) == said([RunCheckpoint("r", 0, 13, 1)])


@scenario
def the_state_is_kept_when_its_oldest_step_was_begun_so_long_ago() -> None:
    machine = ready(rule=CheckpointRule(100, 2.0))
    assert stepped(machine, 1, at=50.0) == []
    assert stepped(machine, 2, at=51.9) == []
    assert stepped(machine, 3, at=52.0) == said([RunCheckpoint("r", 0, 3, 1)])
    machine.handle(CheckpointWritten(3, (3,)))
    assert stepped(machine, 4, at=60.0) == []


@scenario
def a_fused_step_is_kept_before_the_next_forward() -> None:
    machine = ready(rule=CheckpointRule(1, 100.0))
    machine.handle(heard(forward(1)))
    machine.handle(Forwarded(array(0.25)))
    machine.handle(heard(step_message(1)))
    assert said(machine.handle(Applied(None))) == said([RunCheckpoint("r", 0, 1, 1), RunForward(2, 7, array(0.5))])


@scenario
def a_checkpoint_that_cannot_be_written_is_told_ever_more_seldom_and_tried_after_as_many_steps() -> None:
    machine = ready(rule=CheckpointRule(2, 100.0))
    told = []
    for step in range(2, 19, 2):
        assert stepped(machine, step) == said([RunCheckpoint("r", 0, step, 1)])
        told += machine.handle(CheckpointFailed(step, "disk full"))
    assert [note.text for note in told] == [
        f"no checkpoint of step {step}: disk full; {count} such failures so far"
        for step, count in ((2, 1), (4, 2), (8, 4), (16, 8))
    ]
    assert (machine.failed_checkpoints, machine.checkpoints, machine.restorable) == (9, 0, ())


@scenario
def promotions_and_restorations_begin_the_counting_again() -> None:
    machine = ready(rule=CheckpointRule(3, 100.0))
    stepped(machine, 2)
    machine.handle(heard(Promote(1, "r", 0, 2, 2)))
    machine.handle(Promotion("d", (2,)))
    assert stepped(machine, 4) == []
    machine.handle(heard(Restore(1, "r", "evaluator", 2)))
    machine.handle(Restored(2, 2, (2,)))
    assert stepped(machine, 5) == said([RunCheckpoint("r", 0, 5, 1)])


@scenario
def the_first_stage_says_when_and_the_others_follow() -> None:
    lower, upper = ready(LOWER, rule=CheckpointRule(1, 100.0)), ready(UPPER, rule=CheckpointRule(100, 0.0))
    lower.handle(heard(forward(1)))
    (passed,) = lower.handle(Forwarded(array(0.25)))
    assert isinstance(passed, Say)
    assert said([passed]) == [say("middle", forward(1, data=0.25, ticket="checkpoint"))]
    upper.handle(heard(passed.message, "middle", "lower", "lower"))
    assert said(upper.handle(Forwarded(array(0.75)))) == [say("trainoutput", predictions(1, data=0.75))]
    upper.handle(heard(gradient(1)))
    assert said(upper.handle(Applied(array(0.5))))[0] == plain(RunCheckpoint("r", 0, 1, 1))
    lower.handle(heard(gradient(1), "middle", "upper", "upper"))
    assert said(lower.handle(Applied(None)))[0] == plain(RunCheckpoint("r", 0, 1, 1))


@scenario
def a_stage_behind_the_first_does_not_decide_for_itself() -> None:
    upper = ready(UPPER, rule=CheckpointRule(1, 0.0))
    upper.handle(heard(forward(1), "middle", "lower", "lower"))
    upper.handle(Forwarded(array(0.75)))
    upper.handle(heard(gradient(1)))
    assert said(upper.handle(Applied(array(0.5)))) == [say("middle", Gradient(1, 1, array(0.5)))]


@scenario
def row_28_the_term_of_the_checkpoint_stays_after_a_restart() -> None:
    machine = EvaluationMachine(ALONE, run="r", applied=4, model_version=4, restorable=(4,), term=7)
    text = "term 6 is over: this evaluator serves term 7"
    for message in (
        PositionRequest(6, "r"),
        Restore(6, "r", "evaluator", 0),
        Promote(6, "r", 1, 4, 4),
        forward(5, term=6),
    ):
        (refusal,) = machine.handle(heard(message))
        assert isinstance(refusal, Say)
        assert isinstance(refusal.message, StepRefused)
        assert (refusal.message.code, refusal.message.text) == ("stale_term", text)
    assert (machine.applied, machine.term) == (4, 7)
    (told,) = machine.handle(heard(PositionRequest(7, "r")))
    assert (told.message.applied, told.message.term) == (4, 7)  # type: ignore[union-attr]


# --- chains


@scenario
def a_stage_hears_forwards_in_its_input_room_and_gradients_in_its_output_room_only() -> None:
    machine = ready(UPPER)
    unheard = [
        heard(forward(1), "traininput"),
        heard(forward(1), "trainoutput"),
        heard(forward(0, status=Status.SCORE), "middle"),
        heard(gradient(1), "middle"),
        heard(step_message(1), "trainoutput"),
        heard(Restore(1, "r", "lower", 0)),
        heard(LogLine(1, "info", "x"), "control"),
    ]
    for event in unheard:
        assert machine.handle(event) == []
    assert machine.phase == "ready"


@scenario
def a_later_stage_passes_its_input_gradient_on_into_its_input_room() -> None:
    machine = ready(UPPER)
    machine.handle(heard(forward(1), "middle", "lower", "lower"))
    assert said(machine.handle(Forwarded(array(0.25)))) == [say("trainoutput", predictions(1))]
    assert said(machine.handle(heard(gradient(1)))) == said([RunApply(1, array(-1.0), True)])
    assert said(machine.handle(Applied(array(0.125)))) == [say("middle", Gradient(1, 1, array(0.125)))]


@scenario
def the_first_stage_takes_its_gradient_from_the_next_and_tells_the_trainer() -> None:
    machine = holding(LOWER)
    told = machine.handle(heard(gradient(1), "middle", "upper", "upper"))
    assert said(told) == said([RunApply(1, array(-1.0), False)])
    assert said(machine.handle(Applied(None))) == [say("traininput", Gradient(1, 1, None))]


@scenario
def a_chain_does_not_take_fused_steps() -> None:
    (command,) = holding(LOWER).handle(heard(step_message(1)))
    assert command.message.why == "STEP is for a single evaluator; this is one of a chain"
    assert not command.message.fused


@scenario
def the_input_gradient_is_computed_for_a_single_evaluator_when_configured() -> None:
    place = Place("evaluator", "traininput", "trainoutput", "evolution", True, True, input_gradient=True)
    machine = holding(place)
    assert said(machine.handle(heard(gradient(1)))) == said([RunApply(1, array(-1.0), True)])
    assert said(machine.handle(Applied(array(3.0)))) == [say("traininput", Gradient(1, 1, array(3.0)))]


# --- who may say what


def unheeded(machine: EvaluationMachine, event: Heard) -> None:
    before = (machine.phase, machine.applied, machine.held, machine.term, machine.run)
    count = machine.unheeded
    assert all(isinstance(command, Note) for command in machine.handle(event))
    assert machine.unheeded == count + 1
    assert (machine.phase, machine.applied, machine.held, machine.term, machine.run) == before


@scenario
def only_the_trainer_tells_a_single_evaluator_what_to_do() -> None:
    machine = holding(restorable=(1,))
    messages: list[Message] = [
        forward(1),
        forward(0, status=Status.VALIDATE, ticket="v"),
        step_message(1),
        gradient(1),
        PositionRequest(2**62, "r"),
        PositionRequest(1, "other"),
        Restore(1, "r", "evaluator", 0),
        Promote(1, "r", 0, 0, 0),
    ]
    for role in ("labeler", "source", "evaluator", ""):
        for message in messages:
            unheeded(machine, heard(message, name="mallory", role=role))
    assert machine.unheeded == 32
    assert said(machine.handle(heard(gradient(1)))) == said([RunApply(1, array(-1.0), False)])


@scenario
def in_a_chain_forwards_count_from_the_stage_before_and_gradients_from_the_stage_behind() -> None:
    lower, upper = ready(LOWER), ready(UPPER)
    unheeded(lower, heard(forward(1), "traininput", "upper", "upper"))
    unheeded(upper, heard(forward(1), "middle", "trainer", "trainer"))
    unheeded(upper, heard(forward(1), "middle", "mallory", "labeler"))
    lower, upper = holding(LOWER), ready(UPPER)
    unheeded(lower, heard(gradient(1), "middle", "trainer", "trainer"))
    unheeded(lower, heard(gradient(1), "middle", "mallory", "source"))
    upper.handle(heard(forward(1), "middle", "lower", "lower"))
    upper.handle(Forwarded(array(0.25)))
    unheeded(upper, heard(gradient(1), "trainoutput", "lower", "lower"))


@scenario
def a_neighbour_does_not_tell_the_term() -> None:
    unheeded(ready(UPPER), heard(forward(1, term=2), "middle", "lower", "lower"))
    unheeded(holding(LOWER), heard(gradient(1, term=2), "middle", "upper", "upper"))


@scenario
def what_does_not_count_is_told_ever_more_seldom() -> None:
    machine = ready()
    told = [machine.handle(heard(gradient(1), name="mallory", role="labeler")) for _ in range(9)]
    assert [len(commands) for commands in told] == [1, 1, 0, 1, 0, 0, 0, 1, 0]
    (note,) = told[0]
    assert note.text == (
        "GRADIENT of mallory (role labeler) is not theirs to say and counts for nothing; 1 such messages so far"
    )


@pytest.mark.parametrize("neighbours", [{}, {"before": "lower", "behind": "top"}])
def test_a_place_in_a_chain_names_its_neighbours(neighbours: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"upper: first=False, last=True and its neighbours are"):
        Place("upper", "middle", "trainoutput", "evolution", first=False, last=True, **neighbours)


# --- the table


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda one: one.__name__)
def test_scenario(run: Callable[[], None]) -> None:
    run()


def test_every_row_of_the_table_is_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    hit: Counter[tuple[str, str]] = Counter()
    monkeypatch.setattr(Machine, "observe", lambda _, phase, trigger: hit.update([(phase, trigger)]))
    for run in SCENARIOS:
        run()
    print(f"EvaluationMachine: {len(hit)} of {len(EvaluationMachine.TABLE)} rows, {hit.total()} transitions")
    assert set(hit) == set(EvaluationMachine.TABLE)


@pytest.mark.parametrize("event", [Forwarded(array(0)), Applied(None), Evaluated(array(0)), Promotion("", ())])
def test_an_answer_that_nobody_asked_for_is_our_bug_and_changes_nothing(event: Any) -> None:
    machine = ready(applied=3)
    with pytest.raises(InvalidTransition, match="in phase 'ready'"):
        machine.handle(event)
    assert (machine.phase, machine.applied) == ("ready", 3)
