"""Between a peer and the broker, room "". Knows no experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Member, Message


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a peer, and again after UNKNOWN."""

    KIND: ClassVar[int] = 1
    protocol_min: int
    protocol_max: int
    experiment: str
    """Names the experiment; rooms and roles of other experiments are out of reach."""
    name: str
    """Unique among the sessions of the experiment; the address for direct messages is `@name`."""
    role: str
    exclusive: bool
    """True: at most one live session of this role in this experiment (trainer, each evaluator stage)."""
    instance: str
    """Random hex of this process; tells a restarted peer from one that reconnects."""
    software: str


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    KIND: ClassVar[int] = 2
    protocol: int
    session: int
    """Stamped by the peer on all its further messages and verified by the broker."""
    broker: str
    """Random hex of the broker process: another value means that it was restarted."""
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """HELLO, JOIN or any other message was refused; `code` is one of errors.RefusalCode."""

    KIND: ClassVar[int] = 3
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Join(Message):
    KIND: ClassVar[int] = 4
    room: str


@dataclass(frozen=True, slots=True)
class Joined(Message):
    """Nothing said in the room after this is missed. `members` are the others that were there before."""

    KIND: ClassVar[int] = 5
    room: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Leave(Message):
    KIND: ClassVar[int] = 6
    room: str


@dataclass(frozen=True, slots=True)
class Presence(Message):
    """Told to every other member of a room. `event` is "joined" or "left"; `why` says why it left."""

    KIND: ClassVar[int] = 7
    room: str
    member: Member
    event: str
    why: str


@dataclass(frozen=True, slots=True)
class Undelivered(Message):
    """Message number `sequence` of the receiver of this reached nobody, or not `name` ("" = the whole room)."""

    KIND: ClassVar[int] = 8
    sequence: int
    room: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Unknown(Message):
    """The broker has no session for the sender (it was restarted, or gave the sender up): say HELLO and JOIN again."""

    KIND: ClassVar[int] = 9


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Answered by PONG with the same id; needs no session."""

    KIND: ClassVar[int] = 10
    id: str


@dataclass(frozen=True, slots=True)
class Pong(Message):
    KIND: ClassVar[int] = 11
    id: str
    software: str
    sessions: int
    counters: tuple[tuple[str, int], ...]
    """What the broker relayed, refused, shed and gave up since its start; empty when a session pinged."""


@dataclass(frozen=True, slots=True)
class Probe(Message):
    """Sent by the broker to find sessions that are gone; carries nothing, is not answered."""

    KIND: ClassVar[int] = 12


@dataclass(frozen=True, slots=True)
class Bye(Message):
    KIND: ClassVar[int] = 13
    why: str
