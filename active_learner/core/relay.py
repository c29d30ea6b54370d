"""Carries out what the membership decides, over a `send` that never waits. Knows queues; no socket and no clock.

A member that reads too slowly has a queue of its own, bounded in messages and bytes; nobody else waits for it. Over the
bound it is relieved of what matters least, oldest first: telemetry, then candidates, then labels, all of which their
senders say again (or will not miss); they are told, and all is counted by kind. What carries the run (presence, orders,
training) is never taken out of a queue: a member that cannot hold even that, or that took nothing for `STOPPED_S`, is evicted.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from typing import NamedTuple

from active_learner.core.membership import Membership
from active_learner.core.rights import Grant
from active_learner.core.telling import Frames, Send
from protocol.envelope import KIND_OFFSET, sender_of
from protocol.messages import (
    Answer,
    AnswerReceipt,
    Bye,
    Candidates,
    Lease,
    Leased,
    LogLine,
    Message,
    Pong,
    Probe,
    Question,
    QuestionClosed,
    Rounds,
    Scores,
    SourceEnded,
    StatusReport,
    Taken,
    Undelivered,
)

TOTAL_FACTOR = 4
"""All queues together may hold as many bytes as that many full ones: then the fullest member is evicted."""

STOPPED_S = 10.0
"""A member of whose full queue nothing was taken for that long does not read at all. ZeroMQ frees a connection in steps of
500 messages, so one that reads 100 a second moves every 5 s."""

UNREAD_S = 0.25
"""A connection may be found closed that long before what was said through it last, a BYE perhaps, is read."""

_BYE = bytes([Bye.KIND])


class Sent(Enum):
    """What became of a message that a connection was given."""

    TAKEN = "taken"
    FULL = "full"
    """It takes none now; nothing was sent."""
    GONE = "gone"
    """There is no such connection (any more)."""


class Rank(IntEnum):
    """Who goes first when a queue is full."""

    TELEMETRY = 0
    """The newest counts, or it only hints at what a re-send finds out anyway. Nobody is told."""
    CANDIDATES = 1
    """Said again until there is a receipt; a flood of them must cost no label its place."""
    LABELS = 2
    """Said again too, but a person waits for them."""
    CONTROL = 3
    """All else: who is here, orders, training. Never shed."""


_RANKED: dict[Rank, tuple[type[Message], ...]] = {
    Rank.TELEMETRY: (StatusReport, Rounds, LogLine, Pong, Probe, Undelivered),
    Rank.CANDIDATES: (Candidates, Scores, Taken, SourceEnded),
    Rank.LABELS: (Question, QuestionClosed, Answer, AnswerReceipt, Lease, Leased),
}
RANKS = {kind.KIND: rank for rank, kinds in _RANKED.items() for kind in kinds}
NAMES = {
    kind.KIND: re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kinds in _RANKED.values() for kind in kinds
}
"""Kind -> as it is counted: "log_line"."""


class Waiting(NamedTuple):
    """A message in a queue."""

    frames: Frames
    size_bytes: int
    kind: int


class Backlog:
    """What one connection still has to be given, oldest first. `moved_at`: when something was taken from it last."""

    __slots__ = ("messages", "moved_at", "shed_before", "size_bytes")

    def __init__(self, at: float) -> None:
        self.messages: deque[Waiting] = deque()
        self.size_bytes = 0
        self.moved_at = at
        self.shed_before = False

    def push(self, frames: Frames) -> None:
        waiting = Waiting(frames, size_of(frames), frames[0][KIND_OFFSET])
        self.messages.append(waiting)
        self.size_bytes += waiting.size_bytes

    def pop(self, at: float) -> None:
        self.size_bytes -= self.messages.popleft().size_bytes
        self.moved_at = at

    def shed(self, rank: Rank) -> list[Waiting]:
        """Take out the older half of that rank, at least one when there is any.

        Half, so that a queue full of it is not searched through again for every message that comes.
        """
        going = -(-sum(RANKS.get(one.kind) is rank for one in self.messages) // 2)
        kept: deque[Waiting] = deque()
        dropped: list[Waiting] = []
        for one in self.messages:
            (dropped if len(dropped) < going and RANKS.get(one.kind) is rank else kept).append(one)
        self.messages = kept
        self.size_bytes -= sum(one.size_bytes for one in dropped)
        return dropped


class Relay:
    """Membership plus queues. `received`, `tick` and `flush` return when all that could be sent is sent.

    Of every copy that is to be sent exactly one thing becomes true: it is given to its connection, waits in a queue, is
    counted in "shed.KIND", or is counted in "lost" (with the queue of a member that was evicted or is gone).
    """

    def __init__(self, membership: Membership, send: Callable[[bytes, Frames], Sent]) -> None:
        self.membership = membership
        self.backlogs: dict[bytes, Backlog] = {}
        self._send = send
        self._total_bytes = 0
        self._at = 0.0
        self._closed: dict[bytes, tuple[float, str]] = {}  # when found, and what to note unless a BYE is read

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.membership.counters)

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages and bytes in all queues."""
        return sum(len(one.messages) for one in self.backlogs.values()), self._total_bytes

    def received(self, connection: bytes, frames: Frames, at: float, key: str = "") -> None:
        """`key`: the public key that the connection has proven; empty on a broker without keys."""
        self._at = at
        if self._closed and frames[0][KIND_OFFSET : KIND_OFFSET + 1] == _BYE:
            self._closed.pop(connection, None)
        self._run(self.membership.received(connection, frames, at, key))

    def grant(self, grants: Mapping[str, Grant]) -> None:
        """The allow-list has changed."""
        self._run(self.membership.grant(grants))

    def tick(self, at: float) -> None:
        """Every quarter second. Queues come first: a dead connection with a queue is not found by a PROBE at its end."""
        self._at = at
        self._note_closed(UNREAD_S)
        self.flush()
        self._run(self.membership.tick(at))

    def close(self) -> None:
        """No more will be read: what was held back is noted."""
        self._note_closed(0.0)

    def flush(self) -> None:
        """Give waiting messages to those connections that take some again."""
        for connection in list(self.backlogs):
            backlog = self.backlogs.get(connection)
            if backlog is not None:
                self._empty(connection, backlog)

    def _empty(self, connection: bytes, backlog: Backlog) -> None:
        while backlog.messages:
            sent = self._send(connection, backlog.messages[0].frames)
            if sent is Sent.FULL:
                return
            if sent is Sent.GONE:
                self._run(self._given_up(connection, "gone"))
                return
            before = backlog.size_bytes
            backlog.pop(self._at)
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
                backlogs[connection] = Backlog(self._at)
                sends += self._queue(connection, frames)
            elif sent is Sent.GONE:
                self.membership.counters["lost"] += 1
                sends += self.membership.undelivered(connection, frames, "gone")
                sends += self._end(connection, "gone")

    def _queue(self, connection: bytes, frames: Frames) -> list[Send]:
        backlog = self.backlogs[connection]
        backlog.push(frames)
        self._total_bytes += backlog.messages[-1].size_bytes
        return self._shed(connection, backlog) if self._full(backlog) else self._relieve()

    def _full(self, backlog: Backlog) -> bool:
        limits = self.membership.limits
        waiting = len(backlog.messages)  # a single message always fits: it may be as large as the whole queue
        return waiting > limits.queue_messages or (waiting > 1 and backlog.size_bytes > limits.queue_bytes)

    def _shed(self, connection: bytes, backlog: Backlog) -> list[Send]:
        """Make room by rank; evict who has room for nothing more, or reads nothing."""
        told: list[Send] = []
        reads = self._at - backlog.moved_at < STOPPED_S
        for rank in (Rank.TELEMETRY, Rank.CANDIDATES, Rank.LABELS) if reads else (Rank.TELEMETRY,):
            dropped = backlog.shed(rank)
            self._total_bytes -= sum(one.size_bytes for one in dropped)
            told += self._count_shed(connection, backlog, rank, dropped)
            if not self._full(backlog):
                return told
        return told + self._evict(connection)

    def _count_shed(self, connection: bytes, backlog: Backlog, rank: Rank, dropped: list[Waiting]) -> list[Send]:
        kinds = Counter(NAMES[one.kind] for one in dropped)
        self.membership.counters.update({f"shed.{kind}": number for kind, number in kinds.items()})
        if dropped and not backlog.shed_before:
            backlog.shed_before = True
            what = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            self.membership.note(f"{self.membership.who(connection)} reads too slowly: dropped of its queue: {what}")
        if (session := self.membership.sessions.get(connection)) is not None:
            session.shed += len(dropped)
        return [] if rank is Rank.TELEMETRY else self._tell_senders(connection, dropped)

    def _tell_senders(self, connection: bytes, dropped: list[Waiting]) -> list[Send]:
        """One word to each, about its last one: as many as were dropped would be a flood of their own."""
        numbers = [sender_of(one.frames[0]) for one in dropped]
        last, counts = dict(zip(numbers, dropped, strict=True)), Counter(numbers)
        return [
            send
            for number, one in last.items()
            for send in self.membership.undelivered(connection, one.frames, f"slow, {counts[number]} dropped")
        ]

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
        self.membership.counters["lost"] += len(backlog.messages)
        told = [send for one in backlog.messages for send in self.membership.undelivered(connection, one.frames, why)]
        return self._end(connection, why) + told

    def _end(self, connection: bytes, why: str) -> list[Send]:
        """ZeroMQ does not tell why a connection ended: who watches the broker is told that one did, and what it may have been."""
        if why == "gone" and connection in self.membership.sessions:
            who, most = self.membership.who(connection), self.membership.limits.max_message_bytes
            reasons = f"killed, hung, cut off, or a frame of more than {most} bytes"
            note = f"{who} is gone without a BYE: its connection ended ({reasons})"
            self._closed[connection] = (self._at, note)
        return self.membership.gone(connection, why)

    def _note_closed(self, since_s: float) -> None:
        for connection, (at, note) in list(self._closed.items()):
            if self._at - at >= since_s:
                del self._closed[connection]
                self.membership.note(note)


def size_of(frames: Frames) -> int:
    """Bytes of all frames of a message."""
    return len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
