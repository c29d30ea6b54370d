"""An oracle whose every reply and receipt is written down for somebody outside. Knows a file; not what is made of it."""

from __future__ import annotations

import os
from pathlib import Path

from active_learner.faults import history
from active_learner.oracles.base import Oracle, Reply
from protocol.messages import AnswerReceipt, Question


class Witnessed(Oracle):
    """Around another oracle. Each line is one write to a file that only grows: what was written survives a kill."""

    def __init__(self, inner: Oracle, path: Path) -> None:
        self._inner, self.annotator = inner, inner.annotator
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        return self._wrote(await self._inner.ask(question, waiting))

    async def rest(self) -> Reply | None:
        return self._wrote(await self._inner.rest())

    async def receipt(self, receipt: AnswerReceipt) -> None:
        os.write(self._file, history.told(receipt.status, receipt.id, receipt.question).encode())
        await self._inner.receipt(receipt)

    def notice(self, text: str) -> None:
        self._inner.notice(text)

    async def leave(self) -> None:
        await self._inner.leave()

    def close(self) -> None:
        self._inner.close()
        os.close(self._file)

    def _wrote(self, reply: Reply | None) -> Reply | None:
        if reply is not None:
            os.write(self._file, history.said(reply.question, reply.action.value, reply.value).encode())
        return reply
