"""What the training machine is told and what it wants done. Knows no behaviour (training.py does).

Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from active_learner.core.records import Plan, RoundResult
from active_learner.core.schedule import BatchPlace

Array = NDArray[Any]

# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoundWanted:
    """The asking machine has a batch of labels (or the first start found some)."""

    at: float


@dataclass(frozen=True, slots=True)
class PlanCommitted:
    plan: Plan
    at: float


@dataclass(frozen=True, slots=True)
class NothingToTrain:
    """There is no label to make a plan of."""

    at: float


@dataclass(frozen=True, slots=True)
class StageJoined:
    """An evaluator came (again): it may have been restarted."""

    role: str
    at: float


@dataclass(frozen=True, slots=True)
class StageLeft:
    role: str
    at: float


@dataclass(frozen=True, slots=True)
class PositionHeard:
    role: str
    term: int
    applied: int
    model_version: int
    restorable: tuple[int, ...]
    fused: bool
    width: int
    why: str
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class PredictionHeard:
    term: int
    step: int
    predictions: Array
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class GradientReady:
    step: int
    loss: float
    gradient: Array
    at: float


@dataclass(frozen=True, slots=True)
class LossFailed:
    """The loss refused the predictions: wrong width, or not finite."""

    step: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class AppliedHeard:
    term: int
    step: int
    at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A stage understood and cannot do it; its weights are untouched."""

    role: str
    term: int
    step: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Replaced:
    """A stage serves a higher term: of another trainer, or of one that knew more than this store."""

    role: str
    term: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class TermTaken:
    """`term` is ours from now on."""

    term: int
    at: float


@dataclass(frozen=True, slots=True)
class ValidationDone:
    """All held-out batches came back and were assessed (or there are none: all None)."""

    round: int
    accuracy: float | None
    loss: float | None
    calibration_error: float | None
    at: float


@dataclass(frozen=True, slots=True)
class PromotedHeard:
    role: str
    term: int
    step: int
    digest: str
    at: float


@dataclass(frozen=True, slots=True)
class ResultCommitted:
    round: int
    at: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Look at the clock."""

    at: float


Event = (
    RoundWanted
    | PlanCommitted
    | NothingToTrain
    | StageJoined
    | StageLeft
    | PositionHeard
    | PredictionHeard
    | GradientReady
    | LossFailed
    | AppliedHeard
    | Refusal
    | Replaced
    | TermTaken
    | ValidationDone
    | PromotedHeard
    | ResultCommitted
    | Tick
)

# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Take a snapshot of the labels and commit a plan; answered by PlanCommitted or NothingToTrain."""

    round: int | None
    """None: the next one (0 when there are only labels that nobody was asked for)."""
    first_step: int


@dataclass(frozen=True, slots=True)
class AskPosition:
    term: int


@dataclass(frozen=True, slots=True)
class TakeTerm:
    """Take the next term; answered by TermTaken."""


@dataclass(frozen=True, slots=True)
class End:
    """This trainer must not go on: the evaluators know more than its store."""

    text: str


@dataclass(frozen=True, slots=True)
class SendRestore:
    role: str
    step: int


@dataclass(frozen=True, slots=True)
class SendForward:
    place: BatchPlace


@dataclass(frozen=True, slots=True, eq=False)
class SendGradient:
    step: int
    gradient: Array


@dataclass(frozen=True, slots=True, eq=False)
class SendStep:
    """Gradient of the step before `place` and the batch of `place`."""

    gradient: Array
    place: BatchPlace


@dataclass(frozen=True, slots=True, eq=False)
class ComputeGradient:
    """Answered by GradientReady or LossFailed."""

    place: BatchPlace
    predictions: Array


@dataclass(frozen=True, slots=True)
class Validate:
    """Send the held-out rows, and again what is unanswered when said again; answered by ValidationDone."""

    round: int
    again: bool


@dataclass(frozen=True, slots=True)
class SendPromote:
    round: int
    step: int
    weights_of: int
    """`step`; a lower one: its weights go on in the place of what the round came to."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """Answered by ResultCommitted."""

    result: RoundResult


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The evaluator stands at the end of the last plan and scores by it."""

    model_version: int


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """The round that was wanted is over, and the model ready."""

    round: int | None
    """None: there was nothing to train on."""
    model_version: int


@dataclass(frozen=True, slots=True)
class Note:
    level: str
    text: str


Command = (
    MakePlan
    | AskPosition
    | TakeTerm
    | End
    | SendRestore
    | SendForward
    | SendGradient
    | SendStep
    | ComputeGradient
    | Validate
    | SendPromote
    | CommitResult
    | ModelReady
    | RoundEnded
    | Note
)
