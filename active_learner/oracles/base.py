"""The oracle's promise: whoever answers questions. Knows questions and answers; not the wire."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from protocol.messages import Action, AnswerReceipt, Question


@dataclass(frozen=True, slots=True)
class Reply:
    """What an oracle did with a question."""

    question: str
    action: Action
    value: int | None


class Oracle(ABC):
    """Answers one question at a time; `ask` is a coroutine that is cancelled when the question is closed."""

    annotator: str

    @abstractmethod
    async def ask(self, question: Question, waiting: int) -> Reply | None:
        """The reply, or None for "I leave" (the labeler process then ends). `waiting` more questions are open. A reply may
        be about an earlier question (undo, revise): then `ask` is called again with the present one."""

    async def receipt(self, receipt: AnswerReceipt) -> None:
        """The trainer stored or refused a reply; show what a person must know."""
        return

    def close(self) -> None:
        """Give the terminal back."""
        return
