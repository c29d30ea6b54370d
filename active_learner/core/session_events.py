"""What happens to a peer's session, and what it wants done. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.messages import Member, Message

# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """The broker said something to us; `sequence` is that of our message that it answers, or 0."""

    message: Message
    sequence: int
    at: float


@dataclass(frozen=True, slots=True)
class Tick:
    at: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The transport has a connection, the first one or a new one: whoever is there may know nothing of us."""


@dataclass(frozen=True, slots=True)
class Want:
    """Join a room (qualified), now and after every reconnect."""

    room: str
    at: float


@dataclass(frozen=True, slots=True)
class Unwant:
    room: str


@dataclass(frozen=True, slots=True)
class Finish:
    why: str


Event = Heard | Tick | Connected | Want | Unwant | Finish


# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Send it to the broker with this session and sequence. When it cannot be sent, a later tick says it again."""

    message: Message
    session: int
    sequence: int


@dataclass(frozen=True, slots=True)
class RoomJoined:
    room: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RoomRefused:
    """The room will not be joined; it is not wanted any more."""

    room: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody is now in a room (`here`), or not any more."""

    room: str
    member: Member
    here: bool
    why: str


@dataclass(frozen=True, slots=True)
class Up:
    """Welcomed, and all wanted rooms are joined."""


@dataclass(frozen=True, slots=True)
class Down:
    """The broker, or our session on it, is lost."""

    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """HELLO was refused; it will be said again."""

    code: str
    text: str


Command = Say | RoomJoined | RoomRefused | Seen | Up | Down | Rejected
