"""Carries out what the membership decides, over a `send` that never waits. Knows queues; no socket and no clock.

A member that does not read has a queue of its own, bounded in messages and bytes. Over the bound telemetry goes first, oldest
first; then the member is evicted, and those who spoke to it are told. Nobody else waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum

from active_learner.core.membership import Frames, Membership, Send
from protocol.envelope import peek
from protocol.messages import LogLine, Pong, Probe, StatusReport, Undelivered

SHEDDABLE = frozenset(kind.KIND for kind in (StatusReport, LogLine, Pong, Probe, Undelivered))
"""Kinds of which the newest counts, or that only hint at what a re-send finds out anyway."""

TOTAL_FACTOR = 4
"""All queues together may hold as many bytes as that many full ones: then the fullest member is evicted."""


class Sent(Enum):
    """What became of a message that a connection was given."""

    TAKEN = "taken"
    FULL = "full"
    """It takes none now; nothing was sent."""
    GONE = "gone"
    """There is no such connection (any more)."""


class Backlog:
    """What one connection still has to be given, oldest first."""

    __slots__ = ("messages", "size_bytes")

    def __init__(self) -> None:
        self.messages: deque[Frames] = deque()
        self.size_bytes = 0

    def push(self, frames: Frames) -> None:
        self.messages.append(frames)
        self.size_bytes += size_of(frames)

    def pop(self) -> None:
        self.size_bytes -= size_of(self.messages.popleft())

    def shed(self) -> int:
        """Drop the older half of the telemetry, at least one when there is any; returns how many went.

        Half, so that a queue full of it is not searched through again for every message that comes.
        """
        sheddable = sum(peek(frames[0]).kind in SHEDDABLE for frames in self.messages)
        going = -(-sheddable // 2)
        kept: deque[Frames] = deque()
        dropped = 0
        for frames in self.messages:
            if dropped < going and peek(frames[0]).kind in SHEDDABLE:
                dropped += 1
                self.size_bytes -= size_of(frames)
            else:
                kept.append(frames)
        self.messages = kept
        return dropped


class Relay:
    """Membership plus queues. `received`, `tick` and `flush` return when all that could be sent is sent."""

    def __init__(self, membership: Membership, send: Callable[[bytes, Frames], Sent]) -> None:
        self.membership = membership
        self.backlogs: dict[bytes, Backlog] = {}
        self._send = send
        self._total_bytes = 0

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.membership.counters)

    def received(self, connection: bytes, frames: Frames, at: float) -> None:
        self._run(self.membership.received(connection, frames, at))

    def tick(self, at: float) -> None:
        """Every quarter second. Queues come first: a dead connection with a queue is not found by a PROBE at its end."""
        self.flush()
        self._run(self.membership.tick(at))

    def flush(self) -> None:
        """Give waiting messages to those connections that take some again."""
        for connection in list(self.backlogs):
            backlog = self.backlogs.get(connection)
            if backlog is not None:
                self._empty(connection, backlog)

    def _empty(self, connection: bytes, backlog: Backlog) -> None:
        while backlog.messages:
            sent = self._send(connection, backlog.messages[0])
            if sent is Sent.FULL:
                return
            if sent is Sent.GONE:
                self._run(self._given_up(connection, "gone"))
                return
            before = backlog.size_bytes
            backlog.pop()
            self._total_bytes -= before - backlog.size_bytes
        del self.backlogs[connection]

    def _run(self, sends: list[Send]) -> None:
        """Send in order; what a failure makes necessary is appended to the same list and sent too."""
        backlogs, send = self.backlogs, self._send
        for connection, frames in sends:
            if connection in backlogs:
                sends += self._queue(connection, frames)
                continue
            sent = send(connection, frames)
            if sent is Sent.FULL:
                backlogs[connection] = Backlog()
                sends += self._queue(connection, frames)
            elif sent is Sent.GONE:
                sends += self.membership.undelivered(connection, frames, "gone")
                sends += self.membership.gone(connection, "gone")

    def _queue(self, connection: bytes, frames: Frames) -> list[Send]:
        backlog = self.backlogs[connection]
        backlog.push(frames)
        self._total_bytes += size_of(frames)
        if not self._full(backlog):
            return self._relieve()
        before = backlog.size_bytes
        self.membership.counters["shed"] += backlog.shed()
        self._total_bytes -= before - backlog.size_bytes
        return self._evict(connection) if self._full(backlog) else []

    def _full(self, backlog: Backlog) -> bool:
        limits = self.membership.limits
        waiting = len(backlog.messages)  # a single message always fits: it may be as large as the whole queue
        return waiting > limits.queue_messages or (waiting > 1 and backlog.size_bytes > limits.queue_bytes)

    def _relieve(self) -> list[Send]:
        """Keep all queues together in bounds."""
        if self._total_bytes <= TOTAL_FACTOR * self.membership.limits.queue_bytes:
            return []
        return self._evict(max(self.backlogs, key=lambda one: self.backlogs[one].size_bytes))

    def _evict(self, connection: bytes) -> list[Send]:
        self.membership.counters["evicted"] += 1
        backlog = self.backlogs[connection]
        waiting = f"{len(backlog.messages)} messages of {backlog.size_bytes} bytes wait for it"
        self.membership.note(f"{self.membership.who(connection)} is evicted: it does not read, {waiting}")
        return self._given_up(connection, "slow")

    def _given_up(self, connection: bytes, why: str) -> list[Send]:
        """Throw the queue away, end the session, tell everyone whose message was in it."""
        backlog = self.backlogs.pop(connection)
        self._total_bytes -= backlog.size_bytes
        told = [send for frames in backlog.messages for send in self.membership.undelivered(connection, frames, why)]
        return self.membership.gone(connection, why) + told


def size_of(frames: Frames) -> int:
    """Bytes of all frames of a message."""
    return len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
