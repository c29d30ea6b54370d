"""Answers of a labeler of one's own: each is on the disk before it is said, and said until the trainer has it. Knows a peer and
a file; not how an answer comes about.

    async with Peer(experiment="digits", role="labeler") as peer, Outbox(peer, "me.jsonl", "me") as outbox:
        await peer.join("user")
        async for received in peer:
            if isinstance(received.message, Question) and outbox.wants(received.message.id):
                await outbox.put(received.message.id, 7)
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from active_learner.core.answering import MAX_UNSENT
from active_learner.core.decisions import REFUSED
from active_learner.core.holding import AHEAD
from active_learner.core.unsent import RESEND_S
from active_learner.durable.kept_answers import FULL, REMEMBERED, KeptAnswers
from active_learner.leases import Leases
from active_learner.peer import Peer, Received
from protocol.messages import Action, Answer, AnswerReceipt

TRAINER = "@trainer"

Receipt = asyncio.Task[AnswerReceipt]
"""Awaited, it is the final receipt. Raises: Unreachable when the peer was closed before; the answer stays in the file."""


class Outbox:
    """What one annotator has answered. Killed at any moment, the next Outbox on the same file says again what had no receipt,
    with the same ids, as soon as it is entered.

    It keeps the leases of its annotator too, so that a trainer asks it: from when it is entered until it is left, when they are
    given back. One process uses a file at a time. Answers to one question are said one after the other, so that none overtakes another.
    """

    def __init__(
        self,
        peer: Peer,
        path: str | Path,
        annotator: str,
        max_unsent: int = MAX_UNSENT,
        *,
        ahead: int = AHEAD,
        room: str = "user",
    ) -> None:
        """`max_unsent`: with so many answers without receipt `put` waits. `ahead`: questions to hold at a time; 0: leases are not
        its matter. `room`: where trainers are seen. Raises: StoreLocked, WrongStore, StoreError."""
        self._peer, self._annotator = peer, annotator
        self._file = KeptAnswers(Path(path))
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._max_unsent = max_unsent
        self._leases = Leases(peer, annotator, ahead, room)
        self._order = asyncio.Lock()
        self._last: dict[str, tuple[Answer, str]] = {}
        self._unsent: dict[str, tuple[Answer, Receipt]] = {}
        self._of_before: set[str] = set()
        """Questions that an earlier process has settled: should they come again, something was lost since."""

    async def __aenter__(self) -> Outbox:
        for answer, status in sorted(self._file.all(), key=lambda one: one[0].revision):
            self._last[answer.question] = (answer, status)
            if not status:
                self._say(answer)
        self._of_before = {question for question, (_, status) in self._last.items() if status}
        self._leases.begin()
        return self

    async def __aexit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        """What has no receipt stays in the file; `drain` before this waits for it."""
        self._leases.end()
        receipts = [receipt for _, receipt in self._unsent.values()]
        for receipt in receipts:
            receipt.cancel()
        await asyncio.gather(*receipts, return_exceptions=True)
        await self._on_disk(self._file.close)
        self._thread.shutdown(wait=False)

    @property
    def unsent(self) -> list[Answer]:
        """On the disk, without a final receipt."""
        return [answer for answer, _ in self._unsent.values()]

    def wants(self, question: str) -> bool:
        """It is not answered yet, or the answer was taken back or refused: a question comes again until it is closed. What is
        wanted is held until it is answered."""
        answer, status = self._last.get(question, (None, ""))
        taken_back = answer is None or answer.action is Action.UNDO
        is_wanted = taken_back or status in REFUSED or question in self._of_before
        if is_wanted:
            self._leases.has(question)
        return is_wanted

    async def put(self, question: str, value: int | None, action: Action = Action.ANSWER) -> Receipt:
        """Returns when the answer is on the disk; await what it returns for the receipt. `value`: None for SKIP and UNDO. A
        further word on a question is another answer, with the next revision. Waits while there are too many without receipt.

        Raises: OSError when the disk does not take it: nothing was said then, and it can be put again; Unreachable when it
        waits and the peer is closed.
        """
        async with self._order:
            while len(self._unsent) >= self._max_unsent:
                await self._wait(asyncio.FIRST_COMPLETED)
            return await asyncio.shield(asyncio.ensure_future(self._put(question, value, action)))

    async def _put(self, question: str, value: int | None, action: Action) -> Receipt:
        before, _ = self._last.get(question, (None, ""))
        revision = 0 if before is None else before.revision + 1
        answer = Answer(secrets.token_hex(16), question, self._annotator, revision, action, value, time.time())
        await self._on_disk(lambda: self._file.keep(answer))
        return self._say(answer)

    async def answer(self, question: str, value: int | None, action: Action = Action.ANSWER) -> str:
        """As `put`, and waits for the receipt: its status, SPEC.md section 7.5."""
        return (await (await self.put(question, value, action))).status

    async def drain(self) -> None:
        """Returns when every answer has its receipt. Raises: Unreachable when the peer was closed before."""
        while self._unsent:
            await self._wait(asyncio.ALL_COMPLETED)

    async def _wait(self, until: str) -> None:
        done, _ = await asyncio.wait([receipt for _, receipt in self._unsent.values()], return_when=until)
        for receipt in done:
            receipt.result()

    def _say(self, answer: Answer) -> Receipt:
        before = [receipt for other, receipt in self._unsent.values() if other.question == answer.question]
        receipt = asyncio.create_task(self._deliver(answer, before))
        self._last[answer.question] = (answer, "")
        self._of_before.discard(answer.question)
        self._unsent[answer.id] = (answer, receipt)
        self._leases.decides(answer.question)
        return receipt

    async def _deliver(self, answer: Answer, before: list[Receipt]) -> AnswerReceipt:
        """`before`: of earlier words on the same question."""

        def is_final(received: Received) -> bool:
            match received.message:
                case AnswerReceipt(id=id, status=status):
                    return id == answer.id and status != "storage_full"
                case _:
                    return False

        if before:
            await asyncio.wait(before)
        received = await self._peer.request(TRAINER, answer, is_final, timeout_s=None, resend_s=RESEND_S)
        receipt = received.message
        assert isinstance(receipt, AnswerReceipt)
        await self._on_disk(lambda: self._file.settle(answer.id, receipt.status))
        del self._unsent[answer.id]
        self._leases.settles(answer.question)
        if self._last[answer.question][0].id == answer.id:
            self._last[answer.question] = (answer, receipt.status)
        self._trim()
        return receipt

    def _trim(self) -> None:
        """As many settled questions are remembered as the file does at most."""
        if len(self._last) > FULL:
            settled = [question for question, (_, status) in self._last.items() if status]
            for question in settled[:-REMEMBERED]:
                del self._last[question]

    async def _on_disk(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)
