"""What a broker keeps of each session and room, and the limits. Knows no frames and decides nothing (membership.py does)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from active_learner.core.flood import RATE_BYTES, RATE_MESSAGES, Budget
from active_learner.core.rights import Grant, Rights
from protocol import PROTOCOL_VERSION
from protocol.envelope import LOWEST_VERSION
from protocol.errors import RefusalCode
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.messages import Hello, Member
from protocol.rooms import direct, is_name

FIRST_ROOM_KIND = 16
"""Kinds below are between a peer and the broker and are never relayed: nobody can forge a PRESENCE."""

SHARE_OF_ONE = 4
"""One key, or (rooms) one session without a key, may have no more than one part of so many of the places: nobody shuts the
others out by being many."""

EXCLUSIVE_SHARE = 8
"""One place of so many, 32 of 256, is for exclusive roles only; an experiment has about three of these."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker gives to its peers at most; the reasons stand in config/schema.py."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    queue_messages: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    max_sessions: int = 256
    max_rooms: int = 1024
    rate_messages: int = RATE_MESSAGES
    rate_bytes: int = RATE_BYTES

    @property
    def sessions_of_one(self) -> int:
        return -(-self.max_sessions // SHARE_OF_ONE)

    @property
    def rooms_of_one(self) -> int:
        return -(-self.max_rooms // SHARE_OF_ONE)

    def places(self, exclusive: bool) -> int:
        """Sessions up to which a HELLO is let in. The last eighth is kept for exclusive roles: whatever a crowd of others
        takes, a trainer or evaluator that comes back finds room."""
        return self.max_sessions if exclusive else self.max_sessions - self.max_sessions // EXCLUSIVE_SHARE


@dataclass(slots=True, eq=False)
class Room:
    """Who hears what is said in it, in the order of joining."""

    name: str
    members: dict[int, Session] = field(default_factory=dict)
    audiences: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Session number -> connections of all the others: built once, dropped when somebody joins or leaves."""

    def audience(self, number: int) -> tuple[bytes, ...]:
        """Connections of all members but `number`."""
        found = self.audiences.get(number)
        if found is None:
            found = tuple(member.connection for member in self.members.values() if member.number != number)
            self.audiences[number] = found
        return found

    def others(self, number: int) -> list[Session]:
        return [member for member in self.members.values() if member.number != number]

    def add(self, session: Session) -> None:
        self.members[session.number] = session
        session.rooms[self.name] = self
        self.audiences.clear()

    def remove(self, session: Session) -> None:
        del self.members[session.number]
        del session.rooms[self.name]
        self.audiences.clear()


@dataclass(slots=True, eq=False)
class Session:
    """A welcomed peer. `directory` is shared by all sessions of its experiment: direct address -> session."""

    number: int
    connection: bytes
    hello: Hello
    heard: float
    """When it last said anything."""
    directory: dict[str, Session]
    rights: Rights
    budget: Budget
    key: str
    """That vouches for it; empty on a broker without keys."""
    rooms: dict[str, Room] = field(default_factory=dict)
    shed: int = 0
    """Messages dropped from its queue."""

    @property
    def address(self) -> str:
        return direct(self.hello.experiment, self.hello.name)

    def as_member(self) -> Member:
        return Member(self.number, self.hello.name, self.hello.role)

    def rivals(self, hello: Hello) -> bool:
        """True when `hello` asks for a name or an exclusive role that this session has."""
        same_role = self.hello.role == hello.role and (self.hello.exclusive or hello.exclusive)
        return same_role or self.hello.name == hello.name


@dataclass(slots=True, eq=False)
class Challenge:
    """A HELLO that waits for sign of life of those who have its name or role."""

    connection: bytes
    hello: Hello
    sequence: int
    """Of the HELLO, for the answer."""
    since: float
    key: str


def problem_with(hello: Hello, grant: Grant | None) -> tuple[RefusalCode, str] | None:
    """Why nobody, or nobody with a key that has this grant, may say so. None: it may."""
    if min(hello.protocol_max, PROTOCOL_VERSION) < max(hello.protocol_min, LOWEST_VERSION):
        text = (
            f"peer speaks protocol {hello.protocol_min} to {hello.protocol_max}, "
            f"broker speaks {LOWEST_VERSION} to {PROTOCOL_VERSION}"
        )
        return RefusalCode.VERSION, text
    for what, name in (("experiment", hello.experiment), ("name", hello.name), ("role", hello.role)):
        if not is_name(name):
            return RefusalCode.MALFORMED, f"{what} {name!r} is no name"
    problem = "" if grant is None else grant.problem_with(hello)
    return (RefusalCode.FORBIDDEN, problem) if problem else None


def taken(hello: Hello, holder: Session) -> tuple[RefusalCode, str]:
    """Why `hello` is refused: the name or role is held by a live peer."""
    if holder.hello.name == hello.name:
        code, what = RefusalCode.NAME_TAKEN, f"name {hello.name!r}"
    else:
        code, what = RefusalCode.ROLE_TAKEN, f"role {hello.role!r}"
    return code, f"{what} of experiment {hello.experiment!r} is held by {holder.hello.name!r}, which is alive"


def foreign(session: Session, experiment: str) -> str:
    return f"{experiment} is another experiment than {session.hello.experiment}"


def no_place(limits: Limits, hello: Hello, key: str, holders: Collection[Session | Challenge]) -> str:
    """Why one more must wait; "": it need not."""
    places, each = limits.places(hello.exclusive), limits.sessions_of_one
    if len(holders) >= places:
        return f"{places} peers are the broker's limit" + (" for roles of many" if not hello.exclusive else "")
    too_many = bool(key) and sum(one.key == key for one in holders) >= each
    return f"{each} peers are the limit of one key" if too_many else ""


def no_room(limits: Limits, session: Session, sessions: Iterable[Session], rooms: int) -> str:
    """Why `session` cannot make one more; "": it can. What counts is whose key it is, not which of its sessions."""
    if rooms >= limits.max_rooms:
        return f"{limits.max_rooms} rooms are the broker's limit"
    own = [one for one in sessions if one.key == session.key] if session.key else [session]
    too_many = len({name for one in own for name in one.rooms}) >= limits.rooms_of_one
    return f"{limits.rooms_of_one} rooms are the limit of one peer" if too_many else ""
