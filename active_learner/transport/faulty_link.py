"""A link that loses, repeats, reorders and delays messages, both ways. Knows another link; what happens is drawn by faults/."""

from __future__ import annotations

import asyncio
import logging

from active_learner.faults.fates import Fates
from active_learner.faults.rules import VARIABLE, FaultRules
from active_learner.transport.base import Frames, Link, OnFrames

LOG = logging.getLogger(__name__)


class FaultyLink(Link):
    """Around `inner`. What is lost was taken, as a network takes it: `send` is true."""

    def __init__(self, inner: Link, rules: FaultRules, who: str) -> None:
        """`who`: whose link it is; others draw other fates."""
        self._inner, self._rules = inner, rules
        self._out: Fates[list[bytes]] = Fates(rules, f"{who}/out")
        self._in: Fates[list[memoryview]] = Fates(rules, f"{who}/in")
        self._on_frames: OnFrames | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str:  # type: ignore[override]
        return self._inner.trouble

    async def open(self, on_frames: OnFrames) -> None:
        LOG.warning("faults are on (%s): messages are lost, repeated and late: %s", VARIABLE, self._rules.told())
        self._loop = asyncio.get_running_loop()
        self._on_frames = on_frames
        self._inner.on_live = self.on_live
        await self._inner.open(self._heard)

    def send(self, frames: Frames) -> bool:
        if self._on_frames is None:
            return False
        self._out.offer([bytes(frame) for frame in frames], self._loop.time())
        self._turn()
        return True

    async def close(self) -> None:
        """What is still held is sent before."""
        if self._on_frames is None:
            return
        self._on_frames = None
        if self._timer is not None:
            self._timer.cancel()
        for frames in self._out.due(float("inf")):
            self._inner.send(frames)
        LOG.info("faults on the way out: %s; in: %s", dict(self._out.counters), dict(self._in.counters))
        await self._inner.close()

    def _heard(self, frames: list[memoryview]) -> None:
        self._in.offer(frames, self._loop.time())
        self._turn()

    def _turn(self) -> None:
        """Let go what is due, and look again when the next is."""
        at = self._loop.time()
        for frames in self._out.due(at):
            self._inner.send(frames)
        for heard in self._in.due(at):
            if self._on_frames is not None:  # the one before it may have closed us
                self._on_frames(heard)
        self._look_again()

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        times = [at for at in (self._out.next_at(), self._in.next_at()) if at is not None]
        self._timer = self._loop.call_at(min(times), self._turn) if times and self._on_frames is not None else None
