"""The oracle's promise: whoever answers questions. Knows questions and answers; not the wire."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from protocol.messages import Action, AnswerReceipt, Question


@dataclass(frozen=True, slots=True)
class Reply:
    """What an oracle did with a question."""

    question: str
    action: Action
    value: int | None
    circumstances: str = ""
    """How it came about, as ANSWER says it: a JSON object, or ""."""


class Oracle(ABC):
    """Answers one question at a time; `ask` is a coroutine that is cancelled when the question is closed."""

    annotator: str
    person: ClassVar[bool] = False
    """Somebody sits there, and sees what is shown."""

    @abstractmethod
    async def ask(self, question: Question, waiting: int) -> Reply | None:
        """The reply, or None for "I leave" (the labeler process then ends). `waiting` more questions are open. A reply may
        be about an earlier question (undo, revise): then `ask` is called again, after an undo with the undone one."""

    async def rest(self) -> Reply | None:
        """Called while no question is open, and cancelled when one comes: an undo or revision, or None for "I leave". The
        default waits for ever."""
        never: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        return await never

    async def receipt(self, receipt: AnswerReceipt) -> None:
        """The trainer stored or refused a reply; show what a person must know."""
        return

    def notice(self, text: str) -> None:
        """Something that a person should know, in words: the trainer is away, a question was withdrawn."""
        return

    async def leave(self) -> None:
        """The process stops and asks no more: give back what takes time. What is told from now on is told all the same."""
        return

    def close(self) -> None:
        """After `leave`, and after all was told: give the terminal back."""
        return
