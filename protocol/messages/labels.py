"""Room "user": questions, answers and receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Action, Array, Message


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
