"""A labeler that answers as soon as the answer before has its receipt, and measures: how long receipts take, and whether the next
question is there already. Knows no trainer but by its messages.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from active_learner.peer import Peer, Received
from protocol.messages import Action, Answer, AnswerReceipt, Lease, Leased, Question, QuestionClosed

FIRST_TIMEOUT_S = 120.0
"""Until the pool is full."""
TIMEOUT_S = 30.0
ANNOTATOR = "quick"
HOLDS = 5
"""Questions at a time, as a page that has the next ones ready."""
LEASE_S = (0.5, 5.0)
"""Between two LEASEs that nothing else occasions: before the first question, and then."""


@dataclass(slots=True)
class Waits:
    """What one labeler saw."""

    receipts: list[float] = field(default_factory=list)
    """Seconds from an answer to its receipt."""
    missing: int = 0
    """Answers after which there was no next question."""
    waited_s: float = 0.0
    """For these, all together."""
    begun: float = 0.0
    """Wall clock of the first answer."""
    ended: float = 0.0
    rounds: int = 0
    training: float = 0.0
    """Share of the time in which a round was under way."""

    def quantile(self, share: float) -> float:
        return sorted(self.receipts)[min(len(self.receipts) - 1, int(share * len(self.receipts)))]


class QuickLabeler:
    """`answer_of(features)`: the class of one sample."""

    def __init__(self, experiment: str, address: str, answer_of: Callable[[Any], Any], answers: int) -> None:
        self._answer_of, self._answers = answer_of, answers
        self._peer = Peer(experiment=experiment, role="labeler", address=address, connect_timeout_s=30.0)
        self._peer.on_message = self._heard
        self._held: dict[str, Question] = {}
        self._decided: set[str] = set()
        self._came = asyncio.Event()
        self._receipts: dict[str, asyncio.Future[AnswerReceipt]] = {}
        self.waits = Waits()

    async def run(self) -> Waits:
        """Raises: TimeoutError when nothing is asked."""
        async with self._peer:
            await self._peer.join("user")
            renewing = asyncio.create_task(self._renew())
            await self._next(FIRST_TIMEOUT_S)
            self.waits.begun = time.time()
            for number in range(self._answers):
                await self._answer()
                if number + 1 < self._answers:
                    await self._count_next()
            self.waits.ended = time.time()
            renewing.cancel()
        return self.waits

    def _heard(self, received: Received) -> None:
        match received.message:
            case Question() as question if question.id not in self._decided:
                self._held[question.id] = question
                self._came.set()
            case QuestionClosed(id=id):
                self._held.pop(id, None)
            case Leased(holds=holds):
                self._held = {one: self._held[one] for one in self._held if one in holds}
            case AnswerReceipt() as receipt if receipt.id in self._receipts:
                self._receipts.pop(receipt.id).set_result(receipt)

    async def _answer(self) -> None:
        question = self._held.pop(next(iter(self._held)))
        self._decided.add(question.id)
        value = int(self._answer_of(question.features)[0])
        answer = Answer(uuid.uuid4().hex, question.id, ANNOTATOR, 0, Action.ANSWER, value, time.time())
        receipt = self._receipts[answer.id] = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self._peer.send("@trainer", answer)
        self._lease(question.id)
        await asyncio.wait_for(receipt, TIMEOUT_S)
        self.waits.receipts.append(time.perf_counter() - begun)

    def _lease(self, *unconfirmed: str) -> None:
        self._peer.send("@trainer", Lease(ANNOTATOR, HOLDS, (*self._held, *unconfirmed), ()))

    async def _renew(self) -> None:
        while True:
            self._lease()
            await asyncio.sleep(LEASE_S[bool(self._decided)])

    async def _count_next(self) -> None:
        if self._held:
            return
        self.waits.missing += 1
        begun = time.perf_counter()
        await self._next(TIMEOUT_S)
        self.waits.waited_s += time.perf_counter() - begun

    async def _next(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not self._held:
                self._came.clear()
                await self._came.wait()
