"""Listens to an experiment from outside: which process speaks again after it was attacked, and when. Knows rooms and roles;
attacks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from active_learner.peer import Peer, Received
from protocol.messages import LogLine, Member, StatusReport

TELEMETRY = (StatusReport, LogLine)
"""Says that a process runs, not that it works."""

WORD_S = 3.0
"""Who is back in its rooms and has nothing to say for that long counts as back from when it was there."""

LABELER, BROKER = "labeler", "broker"

OBSERVER = "observer"
"""Name of its key, on a broker that wants one."""


@dataclass(frozen=True, slots=True)
class Back:
    """A process works again."""

    seconds: float
    """Since the attack."""
    how: str
    """spoke: said something useful; joined: is in its rooms, and had nothing to say."""


class _Wait:
    """For the first word of `program` in a session that is not one of `old`."""

    def __init__(self, program: str, old: Collection[int], began: float) -> None:
        self.program, self.old, self.began = program, frozenset(old), began
        self.spoke: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.joined: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def note(self, program: str, session: int, how: str, at: float) -> None:
        """Somebody was heard or seen."""
        future = self.spoke if how == "spoke" else self.joined
        is_it = session not in self.old and self.program in (program, BROKER)
        if is_it and at >= self.began and not future.done():
            future.set_result(at)


class Observer:
    """A peer in all rooms. The broker works again when anybody is heard through it; a labeler speaks to the trainer alone, so
    its coming is its word."""

    def __init__(self, peer: Peer, rooms: Collection[str], programs: Mapping[str, str]) -> None:
        """`programs`: role -> name of the program."""
        self._peer, self._rooms, self._programs = peer, rooms, programs
        self._loop = asyncio.get_running_loop()
        self._firsts: dict[tuple[str, int, str], float] = {}
        """Program, session, how -> when it was heard or seen first."""
        self._waits: list[_Wait] = []

    async def open(self) -> None:
        self._peer.on_message, self._peer.on_presence = self._heard, self._presence
        await self._peer.open()
        for room in self._rooms:
            await self._peer.join(room)

    async def close(self) -> None:
        await self._peer.close()

    def sessions(self) -> frozenset[int]:
        """All that were ever heard of: what a process said before it died does not count as its return."""
        return frozenset(session for _, session, _ in self._firsts)

    async def back(self, program: str, old: Collection[int], began: float, patience_s: float) -> Back | None:
        """When it works again in another session than these; None: not within `patience_s` of `began`."""
        wait = _Wait(program, old, began)
        for first, at in self._firsts.items():  # it may be back already
            wait.note(*first, at)
        self._waits.append(wait)
        try:
            return await self._waited(wait, patience_s)
        finally:
            self._waits.remove(wait)

    async def _waited(self, wait: _Wait, patience_s: float) -> Back | None:
        left_s = wait.began + patience_s - self._loop.time()
        await asyncio.wait({wait.spoke, wait.joined}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if wait.joined.done() and not wait.spoke.done():
            await asyncio.wait({wait.spoke}, timeout=WORD_S)
        if wait.spoke.done():
            return Back(wait.spoke.result() - wait.began, "spoke")
        return Back(wait.joined.result() - wait.began, "joined") if wait.joined.done() else None

    def _heard(self, received: Received) -> None:
        if received.sender is not None and not isinstance(received.message, TELEMETRY):
            self._note(received.sender, "spoke")

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        if here:
            self._note(member, "spoke" if member.role == LABELER else "joined")

    def _note(self, member: Member, how: str) -> None:
        program, at = self._programs.get(member.role, member.role), self._loop.time()
        self._firsts.setdefault((program, member.session, how), at)
        for wait in self._waits:
            wait.note(program, member.session, how, at)
