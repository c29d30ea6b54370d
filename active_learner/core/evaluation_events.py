"""What the evaluation machine is told and what it wants done, and whom it heeds. Knows no behaviour (evaluation.py does)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from protocol.messages import Forward, Gradient, Message, Restore, Status, Step

Array = NDArray[Any]

TRAINER = "trainer"
"""Role whose word counts, and name as long as none of that role was heard, of whom refusals and positions are told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this evaluator stands in the network: rooms, and whether its input or output is the network's own."""

    role: str
    input_room: str
    output_room: str
    evolution_room: str
    first: bool
    last: bool
    input_gradient: bool = False
    """Send the gradient with respect to the input even when nobody stands before us."""
    before: str = TRAINER
    """Role that says FORWARD in the input room: the stage before, or the trainer."""
    behind: str = TRAINER
    """Role that says GRADIENT in the output room: the stage behind, or the trainer."""

    def __post_init__(self) -> None:
        """Raises: ValueError when a stage of a chain does not say who its neighbours are."""
        if (self.first, self.last) != (self.before == TRAINER, self.behind == TRAINER):
            raise ValueError(
                f"{self.role}: first={self.first}, last={self.last} and its neighbours are {self.before!r} and "
                f"{self.behind!r}; the role before the first and behind the last is {TRAINER!r}, elsewhere it is a stage's"
            )

    def is_for(self, message: Message, room: str) -> bool:
        """Whether a message of training is said where this stage listens."""
        match message:
            case Forward():
                return room == self.input_room and message.status != Status.SCORE
            case Step():
                return room == self.input_room
            case Gradient():
                return room == self.output_room
            case Restore():
                return message.role == self.role
        return True

    def speaker(self, message: Message) -> str:
        """The only role from which `message` counts."""
        match message:
            case Forward():
                return self.before
            case Gradient():
                return self.behind
        return TRAINER


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A message of a peer. `room` as it was said in; "" when direct. `name` and `role` are the sender's."""

    message: Message
    room: str
    name: str
    role: str
    at: float = 0.0
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Forwarded:
    """The batch went through and its graph is kept."""

    predictions: Array


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """The optimizer made its step."""

    input_gradient: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    predictions: Array


@dataclass(frozen=True, slots=True)
class Promotion:
    """The snapshot is taken and its checkpoint is on the disk."""

    digest: str
    restorable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    applied: int
    model_version: int
    restorable: tuple[int, ...]
    older: bool = False
    """The weights are those of an earlier step: the round that ended there was held back."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """What was to be done for training was refused, with nothing changed. `code`: one of errors.RefusalCode."""

    code: str
    text: str
    restorable: tuple[int, ...] | None = None
    """The checkpoints that are left, when one turned out to be damaged."""


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """The state after `step` is on the disk; training went on meanwhile."""

    step: int
    restorable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckpointFailed:
    """It is not, and that costs a few steps after a death."""

    step: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the promoted snapshot says of the candidates `ticket`."""

    ticket: str
    model_version: int
    probabilities: Array
    fitness: Array
    embeddings: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the promoted snapshot makes of the candidates `ticket` on their way through a chain."""

    ticket: str
    model_version: int
    predictions: Array


@dataclass(frozen=True, slots=True)
class ScoringFailed:
    ticket: str
    code: str
    text: str


Event = (
    Heard | Forwarded | Applied | Evaluated | Promotion | Restored | Impossible | CheckpointWritten | CheckpointFailed
)
RESULTS = {
    Forwarded: "forwarded",
    Applied: "applied",
    Evaluated: "evaluated",
    Promotion: "saved",
    Restored: "restored",
    Impossible: "impossible",
    CheckpointWritten: "checkpoint written",
    CheckpointFailed: "checkpoint failed",
}
"""What the trigger of an answer of the engine is called."""
ScoringEvent = Heard | Scored | Inferred | ScoringFailed

# --- commands: all but Say and Note are answered by one event of above, or by Impossible or ScoringFailed; the engine is
# free for the next one at once after RunCheckpoint, and only then after the others ---------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RunForward:
    step: int
    seed: int
    batch: Array


@dataclass(frozen=True, slots=True, eq=False)
class RunApply:
    step: int
    gradient: Array
    want_input_gradient: bool


@dataclass(frozen=True, slots=True, eq=False)
class RunEvaluate:
    """By the present weights."""

    batch: Array


@dataclass(frozen=True, slots=True)
class RunPromote:
    """Snapshot, checkpoint, digest. `weights_of` less than `step`: first back to the weights and optimizer of that step, whose
    checkpoint is there; they are from then on those of `step`."""

    run: str
    round: int
    step: int
    weights_of: int
    term: int


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """Copy the state before anything else is done, and write it while training goes on; answered by CheckpointWritten or
    CheckpointFailed."""

    run: str
    round: int
    step: int
    term: int


@dataclass(frozen=True, slots=True)
class RunRestore:
    """Back to the checkpoint of `step`; 0: the network as it was first made."""

    run: str
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class RunScore:
    ticket: str
    batch: Array
    embeddings: bool


@dataclass(frozen=True, slots=True, eq=False)
class RunInfer:
    ticket: str
    batch: Array


@dataclass(frozen=True, slots=True, eq=False)
class Say:
    """`room`: a room, or "@name" for one peer."""

    room: str
    message: Message


@dataclass(frozen=True, slots=True)
class Note:
    level: str
    text: str


Command = RunForward | RunApply | RunEvaluate | RunPromote | RunCheckpoint | RunRestore | Say | Note
ScoringCommand = RunScore | RunInfer | Say | Note
