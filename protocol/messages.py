"""Everything that can be said on the wire, one frozen dataclass a kind. Knows no bytes (codec.py does).

Field types are the schema: the codec refuses a header whose fields are missing, unknown or of another type.
Arrays are numpy arrays of the dtypes in tensors.py; shapes stand in the docstrings. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = "Array"


class Status(StrEnum):
    """Why a forward batch is sent."""

    TRAIN = "train"
    """Keep the graph; a gradient follows."""
    VALIDATE = "validate"
    """Current weights, evaluation mode, no gradient follows."""
    SCORE = "score"
    """Promoted snapshot, evaluation mode: candidates on their way through a chain of evaluators."""


class Action(StrEnum):
    """What a labeler did with a question."""

    ANSWER = "answer"
    SKIP = "skip"
    UNDO = "undo"
    REVISE = "revise"


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as others see it: the session number stamped on its messages, its name and its role."""

    session: int
    name: str
    role: str


class Message:
    """Base of all messages; `KIND` is the number in the prefix."""

    __slots__ = ()
    KIND: ClassVar[int]


# --- session: between a peer and the broker, room "" -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a peer, and again after UNKNOWN."""

    KIND: ClassVar[int] = 1
    protocol_min: int
    protocol_max: int
    experiment: str
    """Names the experiment; rooms and roles of other experiments are out of reach."""
    name: str
    """Unique among the sessions of the experiment; the address for direct messages is `@name`."""
    role: str
    exclusive: bool
    """True: at most one live session of this role in this experiment (trainer, each evaluator stage)."""
    instance: str
    """Random hex of this process; tells a restarted peer from one that reconnects."""
    software: str


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    KIND: ClassVar[int] = 2
    protocol: int
    session: int
    """Stamped by the peer on all its further messages and verified by the broker."""
    broker: str
    """Random hex of the broker process: another value means that it was restarted."""
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """HELLO, JOIN or any other message was refused; `code` is one of errors.RefusalCode."""

    KIND: ClassVar[int] = 3
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Join(Message):
    KIND: ClassVar[int] = 4
    room: str


@dataclass(frozen=True, slots=True)
class Joined(Message):
    """Nothing said in the room after this is missed. `members` are the others that were there before."""

    KIND: ClassVar[int] = 5
    room: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Leave(Message):
    KIND: ClassVar[int] = 6
    room: str


@dataclass(frozen=True, slots=True)
class Presence(Message):
    """Told to every other member of a room. `event` is "joined" or "left"; `why` says why it left."""

    KIND: ClassVar[int] = 7
    room: str
    member: Member
    event: str
    why: str


@dataclass(frozen=True, slots=True)
class Undelivered(Message):
    """Message number `sequence` of the receiver of this reached nobody, or not `name` ("" = the whole room)."""

    KIND: ClassVar[int] = 8
    sequence: int
    room: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Unknown(Message):
    """The broker has no session for the sender (it was restarted, or gave the sender up): say HELLO and JOIN again."""

    KIND: ClassVar[int] = 9


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Answered by PONG with the same id; needs no session."""

    KIND: ClassVar[int] = 10
    id: str


@dataclass(frozen=True, slots=True)
class Pong(Message):
    KIND: ClassVar[int] = 11
    id: str
    software: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Probe(Message):
    """Sent by the broker to find sessions that are gone; carries nothing, is not answered."""

    KIND: ClassVar[int] = 12


@dataclass(frozen=True, slots=True)
class Bye(Message):
    KIND: ClassVar[int] = 13
    why: str


# --- room "evolution": candidates and their scores ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidates(Message):
    """Proposed samples. A request: answered by SCORES (evaluator) and, if `purpose` is "propose", TAKEN (trainer).

    The trainer itself sends them with `purpose` "refresh" to have its pool scored again.
    """

    KIND: ClassVar[int] = 16
    id: str
    purpose: str
    features: Array
    """(n, *sample shape), dtype of the experiment."""
    embeddings: bool
    """Ask for the evaluator's embeddings too."""


@dataclass(frozen=True, slots=True)
class Scores(Message):
    """What the evaluator's promoted snapshot says of the candidates `re`; rows in their order."""

    KIND: ClassVar[int] = 17
    re: str
    model_version: int
    probabilities: Array
    """(n, classes) float32, rows sum to 1."""
    fitness: Array
    """(n,) float32, higher is better; what a source breeds by."""
    embeddings: Array | None
    """(n, width) float32."""


@dataclass(frozen=True, slots=True)
class Taken(Message):
    """The trainer's receipt for candidates `re`, sent to their source: new + known + refused = n."""

    KIND: ClassVar[int] = 18
    re: str
    new: int
    known: int
    """Already in the pool, asked or labeled."""
    refused: int
    """Wrong shape or dtype, or not finite."""
    evicted: int
    """Pool samples that had to go for these."""
    text: str


@dataclass(frozen=True, slots=True)
class SourceEnded(Message):
    """A finite source has proposed all it has and got a receipt for it, or gave up on `dropped` candidates."""

    KIND: ClassVar[int] = 19
    source: str
    proposed: int
    dropped: int


# --- rooms "traininput" and "trainoutput": training ---------------------------------------------------------------


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


# --- room "user": questions and labels ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question(Message):
    """One sample that the trainer wants labeled. Sent again for ever until answered or closed; same id, same question."""

    KIND: ClassVar[int] = 29
    id: str
    key: str
    """Hex of the sample's content key."""
    features: Array
    """(*sample shape), dtype of the experiment."""
    media: str
    """How to show it: melody, image, text, table, or a name of the user's own."""
    classes: int
    """Allowed answers are 0 .. classes - 1."""
    round: int
    strategy: str
    score: float
    """Of the strategy; higher was asked sooner."""
    rank: int
    """1 = asked first."""
    model_version: int
    stale: bool
    """The score was not of the newest model, or the evaluator was away."""
    pool: int
    """Samples in the pool at that moment."""


@dataclass(frozen=True, slots=True)
class QuestionClosed(Message):
    KIND: ClassVar[int] = 30
    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """What a labeler did. A request: sent again until the receipt comes; `id` is made once, when the key is pressed."""

    KIND: ClassVar[int] = 31
    id: str
    question: str
    annotator: str
    revision: int
    """0 for the first answer of this annotator to this question, then counted up by undo and revise."""
    action: Action
    value: int | None
    """Class for ANSWER and REVISE, else None."""
    at: float
    """Wall clock of the labeler, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class AnswerReceipt(Message):
    """Sent after the commit. `status`: stored, duplicate, conflict, late, unknown_question, bad_value, storage_full."""

    KIND: ClassVar[int] = 32
    id: str
    question: str
    status: str
    text: str


# --- room "control": control, status, log -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Control(Message):
    """`command` to every peer of `role` in the room: start, stop, diversify (the pool knows all you propose)."""

    KIND: ClassVar[int] = 33
    role: str
    command: str


@dataclass(frozen=True, slots=True)
class StatusRequest(Message):
    KIND: ClassVar[int] = 34
    id: str


@dataclass(frozen=True, slots=True)
class PeerAge(Message):
    """Part of StatusReport: a peer and how long ago the trainer last heard of it."""

    KIND: ClassVar[int] = 0
    name: str
    role: str
    age_s: float


@dataclass(frozen=True, slots=True)
class StatusReport(Message):
    """The trainer's state; answer to StatusRequest (`re`), and telemetry when something changed (`re` empty)."""

    KIND: ClassVar[int] = 35
    re: str
    number: int
    """Counts reports, so that a lost one is seen."""
    run: str
    asking: str
    """Phase of the asking machine."""
    training: str
    """Phase of the training machine."""
    round: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    step: int
    pool: int
    pool_size: int
    open_questions: int
    labels: int
    model_version: int
    accuracy: float | None
    loss: float | None
    text: str
    """What it waits for, in words."""
    counters: tuple[tuple[str, int], ...]
    """Name and count of everything absorbed, refused, evicted, re-sent or lost."""
    peers: tuple[PeerAge, ...]


@dataclass(frozen=True, slots=True)
class LogLine(Message):
    """Telemetry: `level` is info, warning or error."""

    KIND: ClassVar[int] = 36
    number: int
    level: str
    text: str
