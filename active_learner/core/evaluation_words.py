"""What an evaluator says of itself: positions, refusals, predictions. Knows messages; decides nothing."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from active_learner.core.evaluation_events import Place
from protocol.limits import MAX_ELEMENTS
from protocol.messages import (
    Forward,
    Gradient,
    Message,
    Position,
    PositionRequest,
    Promote,
    Restore,
    Status,
    Step,
    StepRefused,
)

TrainingMessage = Forward | Gradient | Step | PositionRequest | Restore | Promote


class Standing(Protocol):
    """Where an evaluator stands."""

    place: Place
    run: str
    term: int
    applied: int
    held: int
    older: bool
    model_version: int
    restorable: tuple[int, ...]
    width: int


def position(here: Standing, why: str) -> Position:
    return Position(
        term=here.term,
        run=here.run,
        role=here.place.role,
        applied=here.applied,
        model_version=here.model_version,
        restorable=here.restorable[-MAX_ELEMENTS:],
        fused=here.place.first and here.place.last,
        width=here.width,
        why=why,
    )


def is_too_early(here: Standing, message: Message) -> bool:
    """The first batch of a round behind one whose promotion did not come: its verdict is not known here, so the weights may be
    those that were held back. A trainer says it that took a late PROMOTED or POSITION for the answer to its last question."""
    if not isinstance(message, Forward) or message.epoch or message.batch:
        return False
    return message.step == here.applied + 1 and here.model_version != here.applied


def misfit(here: Standing, message: TrainingMessage) -> str:
    """Why `message` cannot be done from here."""
    kind = type(message).__name__.upper()
    step = getattr(message, "step", 0)
    if not here.run:
        return f"{kind} of step {step} before any POSITION_REQUEST: the run is not known"
    if isinstance(message, Step) and not (here.place.first and here.place.last):
        return "STEP is for a single evaluator; this is one of a chain"
    if isinstance(message, Restore):
        return f"there is no checkpoint of step {step}"
    if here.older and step == here.applied and step == getattr(message, "weights_of", step):
        return f"the round that ended at step {step} was held back: its weights are there no more"
    if isinstance(message, Promote) and step == here.applied:
        return f"there is no checkpoint of step {message.weights_of}, whose weights are wanted"
    if is_too_early(here, message):
        return f"FORWARD of step {step} begins a round, and the weights of step {here.applied} were not promoted"
    graph = f"the graph of step {here.held} is kept" if here.held else "no graph is kept"
    return f"{kind} of step {step} does not fit: {here.applied} is applied, {graph}"


def refusal(role: str, message: Message, code: str, text: str, step: int | None = None) -> StepRefused:
    """`step` None: the message's own."""
    return StepRefused(
        term=getattr(message, "term", 0),
        step=getattr(message, "step", 0) if step is None else step,
        ticket=getattr(message, "ticket", ""),
        role=role,
        code=str(code),
        text=text,
    )


def predictions(asked: Forward | Step, step: int, data: NDArray[Any], ticket: str) -> Forward:
    """The FORWARD that answers a FORWARD or STEP."""
    return Forward(
        term=asked.term,
        step=step,
        status=Status.TRAIN,
        ticket=ticket,
        round=asked.round,
        epoch=asked.epoch,
        batch=asked.batch,
        seed=asked.seed,
        data=data,
    )


def identity(message: Message) -> tuple[object, ...]:
    """Two messages of the same identity ask for the same thing."""
    names = ("term", "step", "ticket", "run", "round", "weights_of")
    return (type(message), *(getattr(message, name, None) for name in names))


def is_told(count: int) -> bool:
    """At 1, 2, 4, 8, ...: what happens again and again does not fill the log."""
    return count & (count - 1) == 0
