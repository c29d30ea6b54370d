"""The leases of a labeler of one's own: says LEASE for its annotator and hears LEASED. Knows a peer and ids of questions; not what
is answered.

A trainer asks who says LEASE, so whoever has an Outbox need not know of them.
"""

from __future__ import annotations

import asyncio
import random

from active_learner.core.holding import Holding
from active_learner.peer import Peer, Received
from protocol.messages import Lease, Leased

TICK_S = 0.1
"""Between two looks at what is due and who is here."""

TRAINER = "trainer"


class Leases:
    """`ahead`: questions that the annotator wants at a time. `room`: where trainers and labelers meet."""

    def __init__(self, peer: Peer, annotator: str, ahead: int, room: str) -> None:
        self._peer, self._annotator, self._room = peer, annotator, room
        self._holding = Holding(annotator, ahead, lambda: random.uniform(0.8, 1.2))
        self._open: dict[str, None] = {}
        self._decided: dict[str, int] = {}
        """Words without receipt, by question."""
        self._trainer: int | None = None
        """Its session."""
        self._ticking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._peer.listeners.append(self._heard)
        self._ticking = asyncio.create_task(self._tick())

    def end(self) -> None:
        """All is given back."""
        self._peer.listeners.remove(self._heard)
        if self._ticking is not None:
            self._ticking.cancel()
        at = self._now()
        self._holding.want(0, (), at)
        self._say(self._holding.say((), list(self._decided), at))

    # --- what becomes of questions

    def has(self, question: str) -> None:
        """It came, and will be answered."""
        if question not in self._open:
            self._open[question] = None
            self._holding.arrived(question)

    def decides(self, question: str) -> None:
        self._open.pop(question, None)
        self._decided[question] = self._decided.get(question, 0) + 1
        self._say(self._holding.say(self._open, list(self._decided), self._now()))

    def settles(self, question: str) -> None:
        """A word on it has its receipt."""
        self._decided[question] -= 1
        if not self._decided[question]:
            del self._decided[question]

    # --- what happens

    def _heard(self, received: Received) -> None:
        match received.message:
            case Leased(annotator=self._annotator, holds=holds, seconds=seconds):
                self._open = {question: None for question in self._open if question in holds}
                self._holding.leased(holds, seconds, self._now())

    async def _tick(self) -> None:
        while True:
            self._look()
            self._say(self._holding.say_due(self._open, list(self._decided), self._now()))
            await asyncio.sleep(TICK_S)

    def _look(self) -> None:
        here = next((member.session for member in self._peer.present(self._room, TRAINER)), None)
        if here != self._trainer or not self._peer.connected:
            self._trainer = here if self._peer.connected else None
            self._holding.trainer(self._trainer is not None, self._now())

    def _say(self, leases: list[Lease]) -> None:
        for lease in leases:
            self._peer.send(f"@{TRAINER}", lease)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
