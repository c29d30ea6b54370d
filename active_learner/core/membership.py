"""The broker's decisions: who is in, who hears what, who is told what. Knows frames and their prefix; no socket, clock or queue.

Frames in, frames out: `received`, `gone` and `tick` return what must be sent, in this order. Of a message that is relayed
only the prefix and the room are read. The rules (SPEC.md, section 6):

- a session speaks under its own number, in rooms of its experiment that it has joined, and to "@experiment/name";
- what reaches nobody is answered by UNDELIVERED, what is not allowed by REFUSED, both with the sequence that they answer;
- who has no session is told UNKNOWN, except for HELLO, and PING with session 0;
- a HELLO for a taken name or exclusive role waits until who has it is heard (refused), is gone, or was silent for
  `PATIENCE_S` (replaced); the same instance replaces itself at once;
- `STRIKES` malformed messages end the session, and the connection is not heard for `IGNORE_S`; a wrong session number is
  refused without counting as one: what was under way when a session was replaced has the number of the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from active_learner.core.admission import FIRST_ROOM_KIND, Challenge, Limits, Room, Session, taken
from protocol import PROTOCOL_VERSION
from protocol.codec import decode_message, encode
from protocol.envelope import LOWEST_VERSION, Envelope, Frame, inspect
from protocol.errors import ProtocolError, RefusalCode, RemoteProtocolError
from protocol.limits import MAX_ELEMENTS, shortened
from protocol.messages import (
    Bye,
    Hello,
    Join,
    Joined,
    Leave,
    Message,
    Ping,
    Pong,
    Presence,
    Probe,
    Refused,
    Undelivered,
    Unknown,
    Welcome,
)
from protocol.rooms import is_name, split
from protocol.schema import KINDS

Frames = Sequence[Frame]

RELAYED = frozenset(kind for kind in KINDS if kind >= FIRST_ROOM_KIND)

STRIKES = 3
IGNORE_S = 10.0
"""Long enough that junk costs its sender more than us, short enough for a peer that was repaired."""

PATIENCE_S = 4.0
"""A peer may be busy for 3 s without losing its role; one that is dead is found by its connection in less than 2 s."""

HEARD_MARGIN_S = 0.1
"""What a peer said just before it died may be read this long after the HELLO of the next: no sign of life."""

QUIET_S = 0.25
"""Who said nothing for that long is sent a PROBE on every tick, so that a dead connection is noticed."""

MAX_STRUCK = 4096
"""Connections whose malformed messages are remembered; ZeroMQ never tells that one has ended."""

PROBE: Frames = encode(Probe())


class Send(NamedTuple):
    """A message for one connection."""

    connection: bytes
    frames: Frames


class Membership:
    """Sessions and rooms of all experiments on one broker.

    `new_session` draws 63-bit numbers; it is asked again when one is taken. `broker` is a random name of this process.
    """

    def __init__(self, limits: Limits, new_session: Callable[[], int], broker: str, software: str) -> None:
        self.limits, self.broker, self.software = limits, broker, software
        self.counters: Counter[str] = Counter()
        self.note: Callable[[str], None] = lambda text: None
        """Told in words who is cut off or evicted, and why."""
        self._new_session = new_session
        self._sessions: dict[bytes, Session] = {}
        self._numbers: dict[int, Session] = {}
        self._directories: dict[str, dict[str, Session]] = {}
        self._rooms: dict[str, Room] = {}
        self._challenges: dict[bytes, Challenge] = {}
        self._strikes: dict[bytes, int] = {}
        self._ignored: dict[bytes, float] = {}

    @property
    def sessions(self) -> Mapping[bytes, Session]:
        """By connection."""
        return self._sessions

    # --- what may happen -------------------------------------------------------------------------------------------

    def received(self, connection: bytes, frames: Frames, at: float) -> list[Send]:
        """A message came. The first half is the path of all that is relayed: keep it short."""
        if connection in self._ignored:
            self.counters["ignored"] += 1
            return []
        try:
            envelope = inspect(frames, self.limits.max_message_bytes)
        except RemoteProtocolError as error:
            return self._malformed(connection, error, at)
        session = self._sessions.get(connection)
        if session is not None and envelope.session == session.number and envelope.kind in RELAYED:
            session.heard = at
            room = session.rooms.get(envelope.room)
            if room is not None:
                audience = room.audience(session.number)
                if audience:
                    self.counters["relayed"] += len(audience)
                    return [Send(other, frames) for other in audience]
            return self._not_in_room(session, envelope, frames)
        return self._session_kind(connection, session, envelope, frames, at)

    def gone(self, connection: bytes, why: str) -> list[Send]:
        """The connection cannot be written to any more, or was given up."""
        self._challenges.pop(connection, None)
        self._strikes.pop(connection, None)
        session = self._sessions.get(connection)
        return [] if session is None else self._end(session, why)

    def undelivered(self, connection: bytes, frames: Frames, why: str) -> list[Send]:
        """`frames` could not be brought to `connection`: tell who said it, when that was a peer that is still here."""
        envelope = inspect(frames, self.limits.max_message_bytes)
        sender = self._numbers.get(envelope.session)
        if sender is None:
            return []
        target = self._sessions.get(connection)
        return [self._undelivered(sender, envelope, "" if target is None else target.hello.name, why)]

    def who(self, connection: bytes) -> str:
        """The peer of a connection in words."""
        session = self._sessions.get(connection)
        return (
            "a connection without session" if session is None else f"{session.hello.name} of {session.hello.experiment}"
        )

    def tick(self, at: float) -> list[Send]:
        """Every quarter second: find the dead, settle challenges, forgive the ignored."""
        for connection in [one for one, until in self._ignored.items() if until <= at]:
            del self._ignored[connection]
        sends = [Send(s.connection, PROBE) for s in self._sessions.values() if at - s.heard >= QUIET_S]
        for challenge in list(self._challenges.values()):
            sends += self._settle(challenge, at)
        return sends

    # --- messages in rooms and direct ------------------------------------------------------------------------------

    def _not_in_room(self, session: Session, envelope: Envelope, frames: Frames) -> list[Send]:
        """A direct message, an empty room, or a room that the sender may not speak in."""
        target = session.directory.get(envelope.room)
        if target is not None:
            self.counters["relayed"] += 1
            return [Send(target.connection, frames)]
        if envelope.room in session.rooms:
            return [self._undelivered(session, envelope, "", "nobody else is in the room")]
        try:
            experiment, room = split(envelope.room)
        except ProtocolError as error:
            return [self._refused(session.connection, RefusalCode.BAD_ROOM, str(error), envelope.sequence)]
        if experiment != session.hello.experiment:
            return [
                self._refused(
                    session.connection, RefusalCode.BAD_ROOM, _foreign(session, experiment), envelope.sequence
                )
            ]
        if room.startswith("@"):
            return [self._undelivered(session, envelope, room[1:], "absent")]
        text = f"{session.hello.name} has not joined {envelope.room}: join a room before speaking in it"
        return [self._refused(session.connection, RefusalCode.NOT_MEMBER, text, envelope.sequence)]

    def _undelivered(self, sender: Session, envelope: Envelope, name: str, why: str) -> Send:
        self.counters["undelivered"] += 1
        told = Undelivered(envelope.sequence, envelope.room, name, why)
        return _send(sender.connection, told, envelope.sequence)

    # --- messages between a peer and the broker --------------------------------------------------------------------

    def _session_kind(
        self, connection: bytes, session: Session | None, envelope: Envelope, frames: Frames, at: float
    ) -> list[Send]:
        kind, number = envelope.kind, envelope.session
        free = kind == Hello.KIND or (kind == Ping.KIND and number == 0)
        if session is None and not free:
            self.counters["unknown"] += 1
            return [_send(connection, Unknown(), envelope.sequence)]
        if session is not None and not free and number != session.number:
            text = f"session {number} is not the one of this connection"
            return [self._refused(connection, RefusalCode.MALFORMED, text, envelope.sequence)]
        row = ROWS.get(kind)
        if row is None:
            return self._malformed(
                connection, RemoteProtocolError(f"kind {kind} is not for peers to say"), at, envelope
            )
        try:
            message = decode_message(envelope, frames)
        except RemoteProtocolError as error:
            return self._malformed(connection, error, at, envelope)
        if session is not None:
            session.heard = at
        return row(self, connection, session, envelope, message, at)

    def _ping(
        self, connection: bytes, session: Session | None, envelope: Envelope, ping: Ping, at: float
    ) -> list[Send]:
        """The counters are for a person who asks; the sign of life of a session does not carry them."""
        counters = () if envelope.session else tuple(sorted(self.counters.items()))[:MAX_ELEMENTS]
        return [_send(connection, Pong(ping.id, self.software, len(self._sessions), counters), envelope.sequence)]

    def _bye(self, connection: bytes, session: Session, envelope: Envelope, bye: Bye, at: float) -> list[Send]:
        return self._end(session, bye.why)

    def _join(self, connection: bytes, session: Session, envelope: Envelope, join: Join, at: float) -> list[Send]:
        problem = self._bad_room(session, join.room)
        if problem is not None:
            return [self._refused(connection, *problem, envelope.sequence)]
        room = self._rooms.setdefault(join.room, Room(join.room))
        others = room.others(session.number)
        members = tuple(other.as_member() for other in others)
        sends = [_send(connection, Joined(join.room, members), envelope.sequence)]
        if session.number not in room.members:
            room.add(session)
            sends += _tell(others, Presence(join.room, session.as_member(), "joined", ""))
        return sends

    def _bad_room(self, session: Session, name: str) -> tuple[RefusalCode, str] | None:
        try:
            experiment, room = split(name)
        except ProtocolError as error:
            return RefusalCode.BAD_ROOM, str(error)
        if room.startswith("@"):
            return RefusalCode.BAD_ROOM, f"{name!r} is the address of a peer, not a room"
        if experiment != session.hello.experiment:
            return RefusalCode.BAD_ROOM, _foreign(session, experiment)
        if name not in self._rooms and len(self._rooms) >= self.limits.max_rooms:
            return RefusalCode.LIMIT, f"{self.limits.max_rooms} rooms are the broker's limit"
        if name in self._rooms and len(self._rooms[name].members) > MAX_ELEMENTS:
            return RefusalCode.LIMIT, f"{MAX_ELEMENTS} others are the limit of a room"
        return None

    def _leave(self, connection: bytes, session: Session, envelope: Envelope, leave: Leave, at: float) -> list[Send]:
        room = session.rooms.get(leave.room)
        return [] if room is None else self._part(session, room, "left")

    # --- sessions begin --------------------------------------------------------------------------------------------

    def _hello(
        self, connection: bytes, session: Session | None, envelope: Envelope, hello: Hello, at: float
    ) -> list[Send]:
        protocol = min(hello.protocol_max, PROTOCOL_VERSION)
        problem = self._bad_hello(hello, protocol)
        if problem is not None:
            return [self._refused(connection, *problem, envelope.sequence)]
        if session is not None and session.hello == hello:
            return [self._welcome(session, envelope.sequence)]
        sends = [] if session is None else self._end(session, "said another HELLO")
        for rival in self._rivals(hello):
            if rival.hello.instance == hello.instance:
                sends += self._end(rival, "replaced")
        before = self._challenges.pop(connection, None)
        places = self.limits.places(hello.exclusive)
        if len(self._sessions) + len(self._challenges) >= places:
            text = f"{places} peers are the broker's limit" + (" for roles of many" if not hello.exclusive else "")
            return [*sends, self._refused(connection, RefusalCode.LIMIT, text, envelope.sequence)]
        challenge = Challenge(connection, hello, protocol, envelope.sequence, at if before is None else before.since)
        rivals = self._rivals(hello)
        if not rivals:
            return sends + self._admit(challenge, at)
        self._challenges[connection] = challenge
        return sends + [Send(rival.connection, PROBE) for rival in rivals]

    def _bad_hello(self, hello: Hello, protocol: int) -> tuple[RefusalCode, str] | None:
        if protocol < max(hello.protocol_min, LOWEST_VERSION):
            text = (
                f"peer speaks protocol {hello.protocol_min} to {hello.protocol_max}, "
                f"broker speaks {LOWEST_VERSION} to {PROTOCOL_VERSION}"
            )
            return RefusalCode.VERSION, text
        for what, name in (("experiment", hello.experiment), ("name", hello.name), ("role", hello.role)):
            if not is_name(name):
                return RefusalCode.MALFORMED, f"{what} {name!r} is no name"
        return None

    def _rivals(self, hello: Hello) -> list[Session]:
        directory = self._directories.get(hello.experiment, {})
        return [session for session in directory.values() if session.rivals(hello)]

    def _settle(self, challenge: Challenge, at: float) -> list[Send]:
        """Refuse when who has the name or role was heard since, replace it when patience is over."""
        rivals = self._rivals(challenge.hello)
        alive = next((rival for rival in rivals if rival.heard > challenge.since + HEARD_MARGIN_S), None)
        if alive is not None:
            del self._challenges[challenge.connection]
            return [self._refused(challenge.connection, *taken(challenge.hello, alive), challenge.sequence)]
        if rivals and at < challenge.since + PATIENCE_S:
            return []
        self._challenges.pop(challenge.connection, None)
        sends = [send for rival in rivals for send in self._end(rival, "silent, and replaced")]
        return sends + self._admit(challenge, at)

    def _admit(self, challenge: Challenge, at: float) -> list[Send]:
        hello, connection = challenge.hello, challenge.connection
        self._challenges.pop(connection, None)
        number = self._new_session()
        while number in self._numbers or number == 0:
            number = self._new_session()
        directory = self._directories.setdefault(hello.experiment, {})
        session = Session(number, connection, hello, challenge.protocol, at, directory)
        self._sessions[connection] = self._numbers[number] = directory[session.address] = session
        return [self._welcome(session, challenge.sequence)]

    def _welcome(self, session: Session, sequence: int) -> Send:
        welcome = Welcome(session.protocol, session.number, self.broker, self.limits.max_message_bytes)
        return _send(session.connection, welcome, sequence)

    # --- sessions end ----------------------------------------------------------------------------------------------

    def _end(self, session: Session, why: str) -> list[Send]:
        """Take the session out and tell its rooms. Who waited for its place is let in on the next tick."""
        del self._sessions[session.connection], self._numbers[session.number]
        del session.directory[session.address]
        if not session.directory:
            del self._directories[session.hello.experiment]
        sends: list[Send] = []
        for room in list(session.rooms.values()):
            sends += self._part(session, room, why)
        return sends

    def _part(self, session: Session, room: Room, why: str) -> list[Send]:
        room.remove(session)
        if not room.members:
            del self._rooms[room.name]
        return _tell(room.members.values(), Presence(room.name, session.as_member(), "left", why))

    # --- what is not allowed ---------------------------------------------------------------------------------------

    def _refused(self, connection: bytes, code: RefusalCode, text: str, sequence: int) -> Send:
        self.counters[f"refused.{code}"] += 1
        return _send(connection, Refused(code, shortened(text)), sequence)

    def _malformed(
        self, connection: bytes, error: RemoteProtocolError, at: float, envelope: Envelope | None = None
    ) -> list[Send]:
        """Count, tell, and cut off at the third time."""
        self.counters["malformed"] += 1
        strikes = self._strikes.pop(connection, 0) + 1
        text = str(error)
        sends: list[Send] = []
        if strikes >= STRIKES:
            self.counters["cut_off"] += 1
            self.note(
                f"{self.who(connection)} is not heard for {IGNORE_S:g} s: {strikes} malformed messages, now {text}"
            )
            sends = self.gone(connection, "malformed")
            self._ignored[connection] = at + IGNORE_S
            text += f"; malformed {strikes} times: not heard for {IGNORE_S:g} s"
        else:
            self._strikes[connection] = strikes
            if len(self._strikes) > MAX_STRUCK:
                del self._strikes[next(iter(self._strikes))]
        return [self._refused(connection, error.code, text, 0 if envelope is None else envelope.sequence), *sends]


Row = Callable[..., list[Send]]

ROWS: dict[int, Row] = {
    Hello.KIND: Membership._hello,
    Join.KIND: Membership._join,
    Leave.KIND: Membership._leave,
    Ping.KIND: Membership._ping,
    Bye.KIND: Membership._bye,
}
"""What a peer may say to the broker."""


def _send(connection: bytes, message: Message, sequence: int = 0) -> Send:
    return Send(connection, encode(message, sequence=sequence))


def _tell(sessions: Iterable[Session], message: Message) -> list[Send]:
    """One encoding for all."""
    frames = encode(message)
    return [Send(session.connection, frames) for session in sessions]


def _foreign(session: Session, experiment: str) -> str:
    return f"{experiment} is another experiment than {session.hello.experiment}"
