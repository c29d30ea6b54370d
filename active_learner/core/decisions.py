"""What an annotator is asked and what it decided, as the answering machine remembers it. Knows no order of things."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.limits import CIRCUMSTANCES_BYTES
from protocol.messages import Action, Answer, Question


@dataclass(slots=True)
class OpenQuestion:
    question: Question
    arrival: int
    undone: bool = False
    """Asked again after an undo: stays until it is answered, also when the trainer closes it."""

    def order(self) -> tuple[bool, int, int, int]:
        return (not self.undone, self.question.round, self.question.rank, self.arrival)


@dataclass(slots=True)
class Decision:
    """The last thing that was done with a question."""

    answer: Answer
    question: Question | None
    """None: longer ago than can be undone."""
    closed: bool = False
    reopens: bool = False
    """It is asked again when the trainer asks again: it was skipped and closed, or refused."""


def kept_circumstances(text: str) -> str:
    """What is too long is left out: the answer matters."""
    return text if len(text.encode()) <= CIRCUMSTANCES_BYTES else ""


def weight(action: Action) -> int:
    """Of a standing word, among the answers given."""
    return int(action in (Action.ANSWER, Action.REVISE))
