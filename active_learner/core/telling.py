"""What the broker says, addressed to connections. Knows frames; not why something is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from active_learner.core.admission import Session
from protocol.codec import encode
from protocol.envelope import Frame
from protocol.messages import Message

Frames = Sequence[Frame]


class Send(NamedTuple):
    """A message for one connection."""

    connection: bytes
    frames: Frames


class Speaker(NamedTuple):
    """Where a message came from."""

    connection: bytes
    key: str
    """Public key, proven by the transport; empty on a broker without keys."""


def answer(connection: bytes, message: Message, sequence: int = 0) -> Send:
    """`sequence`: of what it answers."""
    return Send(connection, encode(message, sequence=sequence))


def tell(sessions: Iterable[Session], message: Message) -> list[Send]:
    """One encoding for all."""
    frames = encode(message)
    return [Send(session.connection, frames) for session in sessions]
