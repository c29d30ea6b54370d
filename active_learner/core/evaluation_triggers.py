"""What a message of training is to an evaluator that stands where it stands. Knows numbers of steps; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from active_learner.core import evaluation_words as words
from active_learner.core.evaluation_events import Say
from active_learner.core.evaluation_words import TrainingMessage
from protocol.messages import (
    Forward,
    Gradient,
    Message,
    PositionRequest,
    Promote,
    Restore,
    Status,
    Step,
)

WAITING_LIMIT = 64
"""Messages that wait for the engine: a validation set sent at once. Beyond it the newest is dropped; its sender repeats it."""


@dataclass(slots=True)
class Said:
    """What was said last, to be said again to a repeat."""

    forward: Say | None = None
    rows: tuple[int, ...] = ()
    """Of the batch whose graph is kept."""
    applied: Say | None = None
    promoted: Say | None = None
    promote: Promote | None = None
    """To which `promoted` was the answer."""
    repeats: int = 0
    """Messages that asked for what was done, or under way, already."""

    def again(self, say: Say | None) -> list[Say]:
        """What was said to the first is said to a repeat; None: its answer is still to come."""
        self.repeats += 1
        return [] if say is None else [say]

    def forget(self) -> None:
        self.forward = self.applied = self.promoted = self.promote = None


class Standing(words.Standing, Protocol):
    """Where an evaluator stands, and what it said there."""

    said: Said


def of_training(here: Standing, message: TrainingMessage) -> str:
    """While the engine is free."""
    if isinstance(message, PositionRequest | Restore | Promote) and message.run != here.run:
        taken = _may_take_run(here, message)
        if taken or here.run:
            return "new run" if taken else "wrong run"
    if message.term < here.term:
        return "stale term"
    if message.term > here.term:
        return "new term"
    match message:
        case PositionRequest():
            return "position request"
        case _ if not here.run:
            return "misfit"  # just restarted: something late came before the question
        case Restore():
            return _of_restore(here, message)
        case Promote():
            return _of_promote(here, message)
        case Forward(status=Status.VALIDATE):
            return "validate" if message.step == here.applied and not here.older else "misfit"
    return _of_step(here, message)


def at_work(message: TrainingMessage, under_way: Sequence[Message]) -> str:
    """While the engine works on the first of `under_way` and the others wait."""
    if words.identity(message) in map(words.identity, under_way):
        return "repeat at work"
    return "too many" if len(under_way) > WAITING_LIMIT else "comes later"


def _may_take_run(here: Standing, message: Message) -> bool:
    """An evaluator without any training of a run may serve another one."""
    return isinstance(message, PositionRequest) and not (here.run and (here.applied or here.restorable))


def _of_step(here: Standing, message: Forward | Step | Gradient) -> str:
    step = message.step
    match message:
        case Forward() if words.is_too_early(here, message):
            return "misfit"
        case Forward() if step == here.applied + 1:
            is_repeated = here.held == step and message.data.shape[:1] == here.said.rows
            return "forward repeated" if is_repeated else "forward"
        case Gradient() if step == here.held:
            return "gradient"
        case Gradient() if step == here.applied and here.said.applied is not None:
            return "gradient repeated"
        case Step() if not (here.place.first and here.place.last):
            return "misfit"
        case Step() if step == here.held:
            return "step"
        case Step() if step == here.applied:
            return "forward repeated" if here.held == step + 1 else "forward of step"
    return "past" if step <= here.applied else "misfit"


def _of_restore(here: Standing, message: Restore) -> str:
    if message.step == here.applied:
        return "restore needless"
    return "restore" if message.step in (0, *here.restorable) else "restore impossible"


def _of_promote(here: Standing, message: Promote) -> str:
    if message.step != here.applied:
        return "misfit"
    if here.said.promote is not None and words.identity(here.said.promote) == words.identity(message):
        return "promote repeated"
    if message.weights_of == message.step:
        return "misfit" if here.older else "promote"
    return "promote" if message.weights_of in here.restorable else "misfit"
