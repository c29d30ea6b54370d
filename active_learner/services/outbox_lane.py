"""The labeler's file of answers on a thread of its own: an fsync must not stop the loop. Knows the file and the machine's
events; decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from active_learner.core.answering_events import Kept, NotKept
from active_learner.durable.kept_answers import KeptAnswers
from protocol.messages import Answer


class OutboxLane:
    """One piece of work after the other, in the order in which they were asked for."""

    def __init__(
        self, answers: KeptAnswers, handle: Callable[[Kept | NotKept], None], clock: Callable[[], float]
    ) -> None:
        self._answers, self._handle, self._clock = answers, handle, clock
        self._thread = ThreadPoolExecutor(1, "outbox")

    def keep(self, answer: Answer) -> None:
        """`handle` gets Kept or NotKept, in the loop's thread."""
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._answers.keep, answer)
        work.add_done_callback(lambda done: self._over(answer, done))

    def _over(self, answer: Answer, done: asyncio.Future[None]) -> None:
        error = done.exception()
        if error is None:
            self._handle(Kept(answer.id, self._clock()))
        elif isinstance(error, OSError):
            self._handle(NotKept(answer.id, error.strerror or str(error), self._clock()))
        else:
            raise error

    def settle(self, answer_id: str, status: str) -> None:
        self._thread.submit(self._answers.settle, answer_id, status)

    async def close(self) -> None:
        """When all that was asked for is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._answers.close)
        self._thread.shutdown(wait=False)
