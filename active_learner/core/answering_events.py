"""What the answering machine hears and says. Knows no behaviour; that is answering.py."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.messages import Action, Answer, AnswerReceipt, Lease, Leased, Question

# --- events


@dataclass(frozen=True, slots=True)
class QuestionArrived:
    question: Question


@dataclass(frozen=True, slots=True)
class QuestionGone:
    """The trainer closed it."""

    question: str
    why: str


@dataclass(frozen=True, slots=True)
class LeasedArrived:
    leased: Leased
    at: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many questions are to be held from now on, and `gives` are not wanted any more; 0: nobody is there."""

    ahead: int
    at: float
    gives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replied:
    """The annotator's reply; `id` was made when the key was pressed."""

    question: str
    action: Action
    value: int | None
    id: str
    wall: float
    """Seconds since 1970."""
    at: float
    turn: int
    """Of the `Ask` or `Rest` that it ends; 0: the reply ended none (a page that shows several)."""
    circumstances: str = ""
    """A JSON object, or ""; what is longer than the wire's CIRCUMSTANCES_BYTES is left out."""


@dataclass(frozen=True, slots=True)
class ReceiptArrived:
    receipt: AnswerReceipt
    at: float


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that Keep named is on the disk."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class NotKept:
    """The disk did not take the answer that Keep named; `text` says why."""

    id: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class TrainerSeen:
    """The trainer is here, or here again: what it may have missed is sent at once."""

    at: float


@dataclass(frozen=True, slots=True)
class TrainerGone:
    at: float


@dataclass(frozen=True, slots=True)
class Tick:
    at: float


@dataclass(frozen=True, slots=True)
class Left:
    """The annotator leaves, or the process ends: nothing is asked any more, all leases are given back, the outbox drains."""

    at: float


Event = (
    QuestionArrived
    | QuestionGone
    | LeasedArrived
    | Wanted
    | Replied
    | ReceiptArrived
    | Kept
    | NotKept
    | TrainerSeen
    | TrainerGone
    | Tick
    | Left
)


# --- commands


@dataclass(frozen=True, slots=True)
class Ask:
    """Put it to the annotator, in place of whatever is asked now. `waiting` more are open."""

    question: Question
    waiting: int
    turn: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is open: the annotator may still undo, revise or leave."""

    turn: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The question that is asked now was closed, or is not this annotator's any more; `Ask` or `Rest` follows."""

    question: str
    why: str


@dataclass(frozen=True, slots=True)
class Full:
    """So many answers have no receipt that nothing is asked any more, until half of them have one; `Rest` follows."""

    unsent: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Put the answer on the disk, so that a later process sends it should this one die; answered by Kept or NotKept."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Forget:
    """The answer has its final receipt, of this status: no later process needs to send it."""

    id: str
    status: str


@dataclass(frozen=True, slots=True)
class Send:
    answer: Answer


@dataclass(frozen=True, slots=True)
class SayLease:
    lease: Lease


@dataclass(frozen=True, slots=True)
class Unkept:
    """Tell the person, once an answer: it is not on the disk yet. It is sent all the same, and keeping it is tried again."""

    answer: Answer
    text: str


@dataclass(frozen=True, slots=True)
class Tell:
    """The receipt of an answer, once each; `storage_full` may come before the final one."""

    receipt: AnswerReceipt


@dataclass(frozen=True, slots=True)
class NothingThere:
    """An undo or revision of something that is not among the last decisions, or already undone."""

    question: str


@dataclass(frozen=True, slots=True)
class Drained:
    """The annotator has left and every answer has its receipt."""


Command = Ask | Rest | Withdraw | Full | Keep | Forget | Send | SayLease | Unkept | Tell | NothingThere | Drained
