"""Peers beside the experiment: one that is let in and says again, in its own name and under a role that it chose, what it hears,
and worse; and an operator who stops the sources for a while. Knows rooms."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import numpy as np

from active_learner.errors import Unreachable
from active_learner.peer import Peer, Received
from active_learner.services.shell import Service
from active_learner.simulator.people import SPEC
from protocol.messages import Candidates, Control, Message, Scores, StatusReport

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
        self._wandering = asyncio.ensure_future(self._wander())
        return self._peer.name

    async def _wander(self) -> None:
        """Out of a room and into it again, perhaps before the broker has answered."""
        while True:
            await asyncio.sleep(self._random.uniform(0.0, 1.5))
            room = self._random.choice(ROOMS)
            self._peer.leave(room)
            self._entering = asyncio.ensure_future(self._enter(room))
            if self._random.random() < 0.3:
                self._peer.leave(room)

    async def _enter(self, room: str) -> None:
        with suppress(Unreachable):
            await self._peer.join(room)

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
        if isinstance(heard, Candidates):
            rows = len(heard.features) + 1
            bare = np.zeros((rows, SPEC.classes), np.float32)
            scores = Scores(heard.id, 0, bare, np.zeros(rows, np.float32), None)
            strange = Candidates(heard.id[::-1], "propose", np.zeros((2, 5), np.float32), False)
            return self._random.choice((scores, strange, heard))
        if self._random.random() < 0.5:
            return Control("source", self._random.choice(("start", "stop", "dance", "diversify")))
        return heard


class Operator(Service):
    """Says "stop" to the sources, perhaps twice, as who is not sure whether it was heard, and "start" after a while."""

    def __init__(self, peer: Peer, random: Random) -> None:
        super().__init__()
        self._peer, self._random = peer, random

    async def start(self) -> str:
        await self._peer.open()
        await self._peer.join("control")
        self._saying = asyncio.ensure_future(self._say_all())
        return self._peer.name

    async def _say_all(self) -> None:
        for command in self._random.choice((("stop", "start"), ("stop", "stop", "start"))):
            self._peer.send("control", Control("source", command))
            await asyncio.sleep(self._random.uniform(0.1, 4.0))
        self.finish(0)

    async def stop(self) -> None:
        await self._peer.close()
