"""The rounds of the run as the labeling page shows them: the curve, its control arm, and when a round is over. Knows the trainer's
words; asks it when a report shows that there is more to know, and when what it knows is old."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from active_learner.errors import Unreachable
from active_learner.peer import Peer, Received
from active_learner.web.forms import Form
from active_learner.web.problems import Problem
from protocol.messages import RoundLine, Rounds, RoundsRequest, StatusReport

TRAINER = "@trainer"

ASK_S = 1.0
"""For the trainer's answer."""

FRESH_S = 5.0
"""A curve is good for that long when no report says that there is more: a report may be lost."""

NAMED = ("round", "labels", "model_version", "accuracy", "loss", "held_out", "held_back", "at", "pool")


class RoundsView:
    """One for all pages."""

    def __init__(self, peer: Peer, over: Callable[[Form], object], clock: Callable[[], float]) -> None:
        """`over(line)`: a round is over that was not when it was last asked."""
        self._peer, self._over, self._clock = peer, over, clock
        self._known: Rounds | None = None
        self._read_at = float("-inf")
        self._place: tuple[object, ...] = ()
        self._asking: asyncio.Task[None] | None = None

    def reported(self, report: StatusReport) -> None:
        """SPEC.md, 7.6: how it shows that a round is over."""
        place = (report.run, report.round, report.training == "idle")
        if place != self._place:
            self._place, self._read_at = place, float("-inf")
            self._ask()

    async def form(self, trainer_here: bool) -> Form:
        """As /rounds answers. Raises: Problem, when nothing is known and nobody can be asked."""
        if trainer_here and self._clock() - self._read_at > FRESH_S:
            await asyncio.wait({self._ask()})
        if self._known is None:
            raise Problem(503, "The trainer is away: the rounds of the run are not known yet.", retry_after_s=1)
        lines = self._known.rounds
        return {
            "total": self._known.total,
            "rounds": [line_form(one) for one in lines if not one.arm],
            "control": [line_form(one) for one in lines if one.arm],
        }

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _ask(self) -> asyncio.Task[None]:
        """Once, however many want to know."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_trainer())
        return self._asking

    async def _ask_trainer(self) -> None:
        """Again when a report came meanwhile: the answer may be of before."""
        place: tuple[object, ...] | None = None
        with suppress(Unreachable):
            while place != self._place:
                place = self._place
                self._heard(await self._request())

    async def _request(self) -> Rounds:
        number = secrets.token_hex(8)

        def answers(received: Received) -> bool:
            message, sender = received.message, received.sender
            return isinstance(message, Rounds) and message.re == number and bool(sender and sender.role == "trainer")

        found = (await self._peer.request(TRAINER, RoundsRequest(number), answers, ASK_S)).message
        assert isinstance(found, Rounds)  # what `answers` lets through
        return found

    def _heard(self, rounds: Rounds) -> None:
        before, self._known, self._read_at = self._known, rounds, self._clock()
        if before is None or before.run != rounds.run:
            return
        last = max((one.round for one in before.rounds if not one.arm), default=-1)
        for one in rounds.rounds:
            if not one.arm and one.round > last:
                self._over(line_form(one))


def line_form(line: RoundLine) -> Form:
    """As a line of metrics.jsonl; `uncertainty` is empty where nothing was scored."""
    bins = list(line.uncertainty) if any(line.uncertainty) else []
    return {**{name: getattr(line, name) for name in NAMED}, "arm": line.arm, "uncertainty": bins}
