"""What an event is to a trainer's training in the phase that it is in. Knows phases and steps; changes nothing."""

from __future__ import annotations

from typing import Protocol

from active_learner.core.records import Plan
from active_learner.core.schedule import BatchPlace, plan_of
from active_learner.core.stages import Stages
from active_learner.core.training_events import (
    AppliedHeard,
    Event,
    GradientReady,
    LossFailed,
    NothingToTrain,
    PlanCommitted,
    PositionHeard,
    PredictionHeard,
    PromotedHeard,
    Refusal,
    Replaced,
    ResultCommitted,
    RoundWanted,
    StageJoined,
    StageLeft,
    TermTaken,
    Tick,
    ValidationDone,
)

ASKING = ("predicting", "applying", "validating", "promoting", "syncing")
"""Phases in which an evaluator owes an answer."""

OF_STEPS = {
    PredictionHeard: ("prediction", "predicting"),
    GradientReady: ("gradient", "computing"),
    AppliedHeard: ("applied", "applying"),
    LossFailed: ("loss failed", "computing"),
}
"""Trigger, and the phase that waits for it."""

ALWAYS = {
    RoundWanted: "round wanted",
    PlanCommitted: "plan committed",
    NothingToTrain: "nothing to train",
    StageJoined: "stage joined",
    StageLeft: "stage left",
    ResultCommitted: "committed",
    TermTaken: "term taken",
}


class Standing(Protocol):
    """Where training stands."""

    phase: str
    term: int
    stages: Stages
    plans: list[Plan]
    applied: int
    place: BatchPlace | None
    deadline: float

    @property
    def promoted(self) -> set[str]:
        """Roles that have said PROMOTED of this round."""


def trigger(here: Standing, event: Event) -> str:
    match event:
        case PredictionHeard() | GradientReady() | AppliedHeard() | LossFailed():
            return _of_step(here, event)
        case ValidationDone():
            plan = plan_of(here.plans, here.applied)
            fits = here.phase == "validating" and plan is not None and event.round == plan.round
            return "validated" if fits else "stale"
        case PositionHeard():
            return _of_position(here, event)
        case PromotedHeard():
            return _of_promoted(here, event)
        case Tick(at=at):
            return "late" if at >= here.deadline else "tick"
        case Refusal():
            expected = event.step in (0, here.applied, here.applied + 1, here.applied + 2)
            return "refused" if _is_answer(here, event) and expected else "stale"
        case Replaced():
            return "replaced" if _is_answer(here, event) else "stale"
    return ALWAYS[type(event)]


def _of_step(here: Standing, event: PredictionHeard | GradientReady | AppliedHeard | LossFailed) -> str:
    name, phase = OF_STEPS[type(event)]
    is_ours = getattr(event, "term", here.term) == here.term
    fits = here.phase == phase and here.place is not None and event.step == here.place.step
    return name if is_ours and fits else "stale"


def _of_position(here: Standing, event: PositionHeard) -> str:
    if event.term != here.term or event.role not in here.stages.roles:
        return "stale"
    if here.phase == "syncing" and not here.stages.is_asked:
        return "stale"  # it answers an earlier question, or none
    if here.phase == "syncing":
        return "last position" if here.stages.would_complete(event) else "position"
    return "stale" if event.applied == here.applied and not event.why else "misfit"


def _of_promoted(here: Standing, event: PromotedHeard) -> str:
    fits = here.phase == "promoting" and event.term == here.term and event.step == here.applied
    if not fits or event.role not in here.stages.roles:
        return "stale"
    return "last promoted" if {*here.promoted, event.role} == set(here.stages.roles) else "promoted"


def _is_answer(here: Standing, event: Refusal | Replaced) -> bool:
    return event.term == here.term and here.phase in ASKING
