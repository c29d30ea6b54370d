"""Room "user": who is asked what, questions, answers and receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Action, Array, Message


@dataclass(frozen=True, slots=True)
class Question(Message):
    """One sample that the trainer wants labeled, said to who holds it. Same id, same question."""

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
    annotator: str = ""
    """Whom it is leased to; "" : whoever hears it."""
    asked_at: float = 0.0
    """Wall clock of the trainer when it was opened, seconds since 1970."""


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
    circumstances: str = ""
    """How it came about: a JSON object of at most 1 KiB (seconds heard, plays, what was shown), or ""."""


@dataclass(frozen=True, slots=True)
class AnswerReceipt(Message):
    """Sent after the commit. `status`: stored, duplicate, conflict, late, surplus, unknown_question, bad_value, storage_full."""

    KIND: ClassVar[int] = 32
    id: str
    question: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Lease(Message):
    """How many open questions an annotator wants to hold, and which it holds. A request, answered by LEASED."""

    KIND: ClassVar[int] = 37
    annotator: str
    wants: int
    """Open questions that it wants to hold, those of `holds` counted; 0: it takes no more and gives all back."""
    holds: tuple[str, ...]
    """Ids of questions that it still has: their leases are renewed, and claimed again after a restart of the trainer."""
    gives: tuple[str, ...]
    """Ids of questions that it returns."""


@dataclass(frozen=True, slots=True)
class Leased(Message):
    """What an annotator holds now; whatever else it has is not (any more) its own."""

    KIND: ClassVar[int] = 38
    annotator: str
    holds: tuple[str, ...]
    seconds: float
    """Until these leases end, unless LEASE is said again."""
    waiting: int
    """Open questions that nobody holds."""
    text: str
    """Why it holds no more, when it wanted more; else ""."""
