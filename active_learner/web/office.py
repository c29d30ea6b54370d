"""What the HTTP side needs of the process behind it. Knows no HTTP beyond codes, and no wire."""

from __future__ import annotations

from typing import Protocol

from active_learner.web.forms import Form, LeaseForm, Verdict, Word
from active_learner.web.streams import Streams


class Office(Protocol):
    """One for all annotators; each method may raise Problem."""

    classes: int
    streams: Streams

    def me(self, annotator: str) -> Form: ...

    async def questions(self, annotator: str, hold: int) -> Form: ...

    async def answer(self, annotator: str, word: Word) -> Verdict: ...

    async def lease(self, annotator: str, asked: LeaseForm) -> Form: ...

    def history(self, annotator: str, before: str | None, limit: int) -> list[Form]: ...

    def queue(self) -> Form: ...

    async def status(self) -> Form: ...

    async def rounds(self) -> Form: ...

    def metrics(self) -> bytes: ...

    def greeting(self, annotator: str) -> list[tuple[str, Form]]:
        """Events with which a fresh page is right."""
        ...
