"""A peer that is let in and behaves badly: it says again, in its own name and under a role that it chose, what it hears, and
worse. Knows rooms; means nothing by it."""

from __future__ import annotations

import asyncio
from random import Random

import numpy as np

from active_learner.peer import Peer, Received
from active_learner.services.shell import Service
from protocol.messages import Candidates, Control, Message, StatusReport

ROOMS = ("evolution", "traininput", "trainoutput", "user", "control")
EVERY_S = 0.2
"""At most that often: its harm is in what it says, not in how much."""


class Chatterbox(Service):
    def __init__(self, peer: Peer, random: Random) -> None:
        super().__init__()
        self._peer, self._random = peer, random
        self._quiet_until = 0.0

    async def start(self) -> str:
        self._peer.on_message = self._heard
        await self._peer.open()
        for room in ROOMS:
            await self._peer.join(room)
        return self._peer.name

    async def stop(self) -> None:
        await self._peer.close()

    def _heard(self, received: Received) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until or isinstance(received.message, StatusReport):
            return
        self._quiet_until = now + EVERY_S
        room = self._random.choice((received.room or "control", received.room or "control", "@trainer", *ROOMS))
        self._peer.send(room, self._said_of(received.message))

    def _said_of(self, heard: Message) -> Message:
        if isinstance(heard, Candidates) and self._random.random() < 0.5:
            return Candidates(heard.id[::-1], "propose", np.zeros((2, 5), np.float32), False)
        if self._random.random() < 0.1:
            return Control("source", self._random.choice(("start", "stop", "dance", "diversify")))
        return heard
