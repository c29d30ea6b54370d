"""Rooms "traininput" and "trainoutput": batches, gradients, positions, promotions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Array, Message, Status


@dataclass(frozen=True, slots=True)
class Forward(Message):
    """A batch on its way down: into an evaluator's input room, and its predictions into its output room.

    A TRAIN step is identified by (term, step); VALIDATE and SCORE batches by `ticket`.
    """

    KIND: ClassVar[int] = 20
    term: int
    step: int
    status: Status
    ticket: str
    round: int
    epoch: int
    batch: int
    seed: int
    """The run's seed: the evaluator seeds itself by it, the step and its stage (SPEC.md, section 8)."""
    data: Array
    """(batch, *sample shape) on the way in; (batch, width) float32 on the way out."""


@dataclass(frozen=True, slots=True)
class Gradient(Message):
    """The loss's gradient on its way up: with respect to the predictions into an output room; into an input room it says
    that (term, step) is applied, with the gradient with respect to the input when that was asked for."""

    KIND: ClassVar[int] = 21
    term: int
    step: int
    data: Array | None
    """Shape and dtype of what it is the gradient of; float32."""


@dataclass(frozen=True, slots=True)
class Step(Message):
    """GRADIENT of `step` and FORWARD (TRAIN) of `step` + 1 in one; answered by FORWARD of `step` + 1."""

    KIND: ClassVar[int] = 22
    term: int
    step: int
    gradient: Array
    round: int
    epoch: int
    batch: int
    seed: int
    data: Array


@dataclass(frozen=True, slots=True)
class PositionRequest(Message):
    """Trainer to every evaluator stage, at the start of a round, after a restart, and when in doubt."""

    KIND: ClassVar[int] = 23
    term: int
    run: str
    """Random hex that names the run; an evaluator with checkpoints of another run refuses it."""


@dataclass(frozen=True, slots=True)
class Position(Message):
    """Where an evaluator stands: the answer to PositionRequest and Restore, and to any step that does not fit."""

    KIND: ClassVar[int] = 24
    term: int
    run: str
    role: str
    applied: int
    """Last applied step; 0: untrained."""
    model_version: int
    """Step of the snapshot that scores candidates."""
    restorable: tuple[int, ...]
    """Steps that it can go back to (its checkpoints; 0 is always possible)."""
    fused: bool
    """It understands STEP."""
    width: int
    """Width of its output; 0 when not known yet."""
    why: str


@dataclass(frozen=True, slots=True)
class Restore(Message):
    """Go back to the checkpoint of `step`; answered by Position."""

    KIND: ClassVar[int] = 25
    term: int
    run: str
    role: str
    step: int


@dataclass(frozen=True, slots=True)
class Promote(Message):
    """Write a checkpoint of the present weights and score candidates with them from now on."""

    KIND: ClassVar[int] = 26
    term: int
    run: str
    round: int
    step: int
    weights_of: int
    """`step`; a lower one: go back to the weights and optimizer of that step first, and stand at `step` all the same."""


@dataclass(frozen=True, slots=True)
class Promoted(Message):
    KIND: ClassVar[int] = 27
    term: int
    role: str
    round: int
    step: int
    digest: str
    """SHA-256 (hex) of the weights (SPEC.md, section 8)."""


@dataclass(frozen=True, slots=True)
class StepRefused(Message):
    """A forward or gradient that was understood and cannot be done; weights are untouched."""

    KIND: ClassVar[int] = 28
    term: int
    step: int
    ticket: str
    role: str
    code: str
    """One of errors.RefusalCode."""
    text: str
