"""What the trainer tells of its rounds to who asks: the learning curve so far. Knows results and the control arm's file; decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from active_learner.core.records import RoundResult
from active_learner.errors import ActiveLearnerError
from active_learner.peer import Received
from active_learner.results import metrics
from active_learner.results.metrics import RoundMetrics
from protocol.limits import MAX_STRING_BYTES, shortened
from protocol.messages import Message, RoundLine, Rounds, RoundsRequest

LOG = logging.getLogger(__name__)

CONTROL = "control"
"""The arm; the run itself is ""."""

MOST = 512
"""Rounds of an arm in one message: a curve has no more points than that on any screen, and two arms fit a list of the wire."""

BINS = 10
"""As RoundLine has them."""

One = TypeVar("One")


class RoundsTold:
    """Answers each asker once for however many requests, by one look at the disk for however many askers."""

    def __init__(
        self,
        run: str,
        results: Sequence[RoundResult],
        folder: Path,
        on_disk: Callable[[Callable[[], Any]], Awaitable[Any]],
        spawn: Callable[[Awaitable[None]], None],
        reply: Callable[[Received, Message], bool],
    ) -> None:
        """`results`: of the rounds that are over, a list that grows. `folder`: the run's. `on_disk`: calls it on a thread."""
        self._run, self._results, self._file = run, results, folder / metrics.CONTROL_FILE
        self._on_disk, self._spawn, self._reply = on_disk, spawn, reply
        self._asked: dict[int, Received] = {}
        self._told = ""

    def heard(self, received: Received) -> None:
        """A ROUNDS_REQUEST; the last of a session is the one that is answered."""
        is_first = not self._asked
        self._asked[received.session] = received
        if is_first:
            self._spawn(self._answer())

    async def _answer(self) -> None:
        control = await self._on_disk(self._control)
        asked, self._asked = self._asked, {}
        lines = (*lines_of([metrics.of(one) for one in thinned(self._results, MOST)], ""), *lines_of(control, CONTROL))
        for received in asked.values():
            assert isinstance(received.message, RoundsRequest)  # nothing else is given to `heard`
            self._reply(received, Rounds(received.message.id, self._run, len(self._results), lines))

    def _control(self) -> list[RoundMetrics]:
        """A file that cannot be read must not take the run's own curve with it."""
        try:
            return metrics.read(self._file)
        except (ActiveLearnerError, OSError) as error:
            if self._told != str(error):
                self._told = str(error)
                LOG.warning("the control arm is not told: %s", error)
            return []


def lines_of(rounds: Sequence[RoundMetrics], arm: str) -> tuple[RoundLine, ...]:
    """At most MOST of them, as they go over the wire."""
    return tuple(_line(one, arm) for one in thinned(rounds, MOST))


def thinned(all_of_them: Sequence[One], most: int) -> list[One]:
    """`most` (2 and above) at equal distances, the first and the last among them; all, when there are no more."""
    if len(all_of_them) <= most:
        return list(all_of_them)
    last = len(all_of_them) - 1
    return [all_of_them[number * last // (most - 1)] for number in range(most)]


def _line(one: RoundMetrics, arm: str) -> RoundLine:
    bins = one.uncertainty if len(one.uncertainty) == BINS else (0,) * BINS
    return RoundLine(
        round=one.round,
        arm=arm,
        labels=one.labels,
        model_version=one.model_version,
        accuracy=one.accuracy,
        loss=one.loss,
        held_out=one.held_out,
        held_back=shortened(one.held_back, MAX_STRING_BYTES),
        at=one.at,
        pool=one.pool,
        uncertainty=bins,  # type: ignore[arg-type]  # ten of them
    )
