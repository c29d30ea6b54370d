"""A melody's player that needs long to end, in place of the real one."""

from __future__ import annotations

import asyncio

import pytest

from active_learner.oracles.player import Player


class LongSound:
    """It is silent, and ends when who asks has been cancelled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._has_ended = asyncio.Event()
        self._ending = asyncio.Event()
        monkeypatch.setattr(Player, "play", lambda player, genome: self._play())
        monkeypatch.setattr(Player, "stop", lambda player: self._stop())

    async def ends_behind(self, asking: asyncio.Future[object]) -> None:
        """`asking` is cancelled while the sound is being ended, which ends afterwards."""
        await self._ending.wait()
        asking.cancel()
        await asyncio.sleep(0)
        self._has_ended.set()

    async def _play(self) -> None:
        """Not a sound."""

    async def _stop(self) -> None:
        self._ending.set()
        await self._has_ended.wait()
