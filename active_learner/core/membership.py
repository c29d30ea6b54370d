"""The broker's decisions: who is in, who hears what, who is told what. Knows frames and their prefix; no socket, clock or queue.

Frames in, frames out: `received`, `gone` and `tick` return what must be sent, in this order. Of a message that is relayed
only the prefix and the room are read. The rules (SPEC.md, section 6):

- a session speaks under its own number, in rooms of its experiment that it has joined, and to "@experiment/name", and says
  there what its role may say (rights.py); on a broker with keys its key vouches for name and role, message by message;
- what reaches nobody is answered by UNDELIVERED, what is not allowed by REFUSED, both with the sequence that they answer;
- who has no session is told UNKNOWN, except for HELLO, and PING with session 0;
- a HELLO for a taken name or exclusive role waits until who has it is heard (refused), is gone, or was silent for
  `PATIENCE_S` (replaced); the same instance replaces itself at once;
- the third malformed message ends the session, and the connection is not heard for a while; with keys the key is not, and
  a message without right counts too (strikes.py). A wrong session number is refused without counting: what was under way
  when a session was replaced has the number of the one before;
- what is said faster than a peer may speak is dropped, and told to it once a second (flood.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from active_learner.core.admission import (
    FIRST_ROOM_KIND,
    Challenge,
    Limits,
    Room,
    Session,
    foreign,
    no_place,
    no_room,
    taken,
)
from active_learner.core.guard import Guard, Problem
from active_learner.core.rights import Grant
from active_learner.core.telling import Frames, Send, Speaker, answer, tell
from protocol import PROTOCOL_VERSION
from protocol.codec import decode_message, encode
from protocol.envelope import Envelope, inspect
from protocol.errors import ProtocolError, RefusalCode, RemoteProtocolError
from protocol.limits import MAX_ELEMENTS
from protocol.messages import (
    Bye,
    Hello,
    Join,
    Joined,
    Leave,
    Ping,
    Pong,
    Presence,
    Probe,
    Undelivered,
    Unknown,
    Welcome,
)
from protocol.rooms import split
from protocol.schema import KINDS

RELAYED = frozenset(kind for kind in KINDS if kind >= FIRST_ROOM_KIND)

PATIENCE_S = 4.0
"""A peer may be busy for 3 s without losing its role; one that is dead is found by its connection in less than 2 s."""

HEARD_MARGIN_S = 0.1
"""What a peer said just before it died may be read this long after the HELLO of the next: no sign of life."""

QUIET_S = 0.25
"""Who said nothing for that long is sent a PROBE on every tick, so that a dead connection is noticed."""

PROBE: Frames = encode(Probe())


class Membership:
    """Sessions and rooms of all experiments on one broker.

    `new_session` draws 63-bit numbers; it is asked again when one is taken. `broker` is a random name of this process.
    `grants`: what each public key may be; None: a broker without keys, where roles are what HELLO says.
    """

    def __init__(
        self,
        limits: Limits,
        new_session: Callable[[], int],
        broker: str,
        software: str,
        grants: Mapping[str, Grant] | None = None,
    ) -> None:
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
        self._guard = Guard(grants, limits, self.counters, lambda text: self.note(text))
        self._ignored = self._guard.strikes.ignored

    @property
    def sessions(self) -> Mapping[bytes, Session]:
        """By connection."""
        return self._sessions

    # --- what may happen -------------------------------------------------------------------------------------------

    def received(self, connection: bytes, frames: Frames, at: float, key: str = "") -> list[Send]:
        """A message came. The first half is the path of all that is relayed: keep it short."""
        if self._ignored and self._guard.strikes.ignores(connection, key):
            self.counters["ignored"] += 1
            return []
        try:
            envelope = inspect(frames, self.limits.max_message_bytes)
        except RemoteProtocolError as error:
            return self._malformed(Speaker(connection, key), error, 0, at)
        session = self._sessions.get(connection)
        if session is not None and session.key == key and envelope.session == session.number:
            size_bytes = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
            if not session.budget.allows(size_bytes, at):
                return self._guard.flooded(session, self.who(connection), at)
            session.heard = at
            room = session.rooms.get(envelope.room)
            if room is not None and envelope.kind in session.rights.in_rooms:
                audience = room.audience(session.number)
                if audience:
                    self.counters["relayed"] += len(audience)
                    return [Send(other, frames) for other in audience]
            if envelope.kind in RELAYED:
                return self._not_in_room(session, envelope, frames, at)
        elif not self._guard.stranger(session, connection, key, at).allows(len(frames[0]), at):
            self.counters["flooded"] += 1
            return []
        return self._session_kind(Speaker(connection, key), session, envelope, frames, at)

    def grant(self, grants: Mapping[str, Grant]) -> list[Send]:
        """From now on these are the keys. Sessions whose key is gone, or may now be less or something else, end."""
        changed = self._guard.replace(grants)
        for connection in [one for one, challenge in self._challenges.items() if challenge.key in changed]:
            del self._challenges[connection]
        sends: list[Send] = []
        text = "the key was revoked, or its rights have changed"
        for session in [one for one in self._sessions.values() if one.key in changed]:
            self.note(f"{self.who(session.connection)} is put out: {text}")
            sends.append(self._guard.refused(session.connection, RefusalCode.FORBIDDEN, text, 0))
            sends += self.gone(session.connection, text)
        return sends

    def gone(self, connection: bytes, why: str) -> list[Send]:
        """The connection cannot be written to any more, or was given up."""
        self._challenges.pop(connection, None)
        self._guard.strikes.forget(connection)
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
        self._guard.strikes.forgive(at)
        sends = [Send(s.connection, PROBE) for s in self._sessions.values() if at - s.heard >= QUIET_S]
        for challenge in list(self._challenges.values()):
            sends += self._settle(challenge, at)
        return sends

    # --- messages in rooms and direct ------------------------------------------------------------------------------

    def _not_in_room(self, session: Session, envelope: Envelope, frames: Frames, at: float) -> list[Send]:
        """A direct message, an empty room, or what the sender may not say, or not there."""
        problem = self._guard.problem_with_kind(session, envelope.kind, envelope.room)
        if problem is not None:
            return self._struck(Speaker(session.connection, session.key), problem, envelope.sequence, at)
        target = session.directory.get(envelope.room)
        if target is not None:
            self.counters["relayed"] += 1
            return [Send(target.connection, frames)]
        if envelope.room in session.rooms:
            return [self._undelivered(session, envelope, "", "nobody else is in the room")]
        try:
            experiment, room = split(envelope.room)
        except ProtocolError as error:
            return [self._guard.refused(session.connection, RefusalCode.BAD_ROOM, str(error), envelope.sequence)]
        if experiment != session.hello.experiment:
            text = foreign(session, experiment)
            return [self._guard.refused(session.connection, RefusalCode.BAD_ROOM, text, envelope.sequence)]
        if room.startswith("@"):
            return [self._undelivered(session, envelope, room[1:], "absent")]
        text = f"{session.hello.name} has not joined {envelope.room}: join a room before speaking in it"
        return [self._guard.refused(session.connection, RefusalCode.NOT_MEMBER, text, envelope.sequence)]

    def _undelivered(self, sender: Session, envelope: Envelope, name: str, why: str) -> Send:
        self.counters["undelivered"] += 1
        told = Undelivered(envelope.sequence, envelope.room, name, why)
        return answer(sender.connection, told, envelope.sequence)

    # --- messages between a peer and the broker --------------------------------------------------------------------

    def _session_kind(
        self, speaker: Speaker, session: Session | None, envelope: Envelope, frames: Frames, at: float
    ) -> list[Send]:
        connection, kind, number = speaker.connection, envelope.kind, envelope.session
        sends: list[Send] = []
        if session is not None and session.key != speaker.key:  # a peer may choose the name of its connection
            sends, session = self._end(session, "gone"), None
        free = kind == Hello.KIND or (kind == Ping.KIND and number == 0 and self._guard.knows(speaker.key))
        if session is None and not free:
            self.counters["unknown"] += 1
            return [*sends, answer(connection, Unknown(), envelope.sequence)]
        if session is not None and not free and number != session.number:
            text = f"session {number} is not the one of this connection"
            return [self._guard.refused(connection, RefusalCode.MALFORMED, text, envelope.sequence)]
        row = ROWS.get(kind)
        if row is None:
            error = RemoteProtocolError(f"kind {kind} is not for peers to say")
            return self._malformed(speaker, error, envelope.sequence, at)
        try:
            message = decode_message(envelope, frames)
        except RemoteProtocolError as error:
            return sends + self._malformed(speaker, error, envelope.sequence, at)
        if session is not None:
            session.heard = at
        return sends + row(self, speaker, session, envelope, message, at)

    def _ping(self, speaker: Speaker, session: Session | None, envelope: Envelope, ping: Ping, at: float) -> list[Send]:
        """The counters are for a person who asks; the sign of life of a session does not carry them."""
        counters = () if envelope.session else tuple(sorted(self.counters.items()))[:MAX_ELEMENTS]
        pong = Pong(ping.id, self.software, len(self._sessions), counters)
        return [answer(speaker.connection, pong, envelope.sequence)]

    def _bye(self, speaker: Speaker, session: Session, envelope: Envelope, bye: Bye, at: float) -> list[Send]:
        return self._end(session, bye.why)

    def _join(self, speaker: Speaker, session: Session, envelope: Envelope, join: Join, at: float) -> list[Send]:
        connection = speaker.connection
        problem = self._bad_room(session, join.room)
        if problem is not None:
            return self._not_allowed(speaker, problem, envelope.sequence, at)
        room = self._rooms.setdefault(join.room, Room(join.room))
        others = room.others(session.number)
        members = tuple(other.as_member() for other in others)
        sends = [answer(connection, Joined(join.room, members), envelope.sequence)]
        if session.number not in room.members:
            room.add(session)
            sends += tell(others, Presence(join.room, session.as_member(), "joined", ""))
        return sends

    def _bad_room(self, session: Session, name: str) -> Problem | None:
        try:
            experiment, room = split(name)
        except ProtocolError as error:
            return RefusalCode.BAD_ROOM, str(error)
        if room.startswith("@"):
            return RefusalCode.BAD_ROOM, f"{name!r} is the address of a peer, not a room"
        if experiment != session.hello.experiment:
            return RefusalCode.BAD_ROOM, foreign(session, experiment)
        if (problem := self._guard.problem_with_room(session.key, experiment, room)) is not None:
            return problem
        if name not in self._rooms and (
            full := no_room(self.limits, session, self._sessions.values(), len(self._rooms))
        ):
            return RefusalCode.LIMIT, full
        if name in self._rooms and len(self._rooms[name].members) > MAX_ELEMENTS:
            return RefusalCode.LIMIT, f"{MAX_ELEMENTS} others are the limit of a room"
        return None

    def _leave(self, speaker: Speaker, session: Session, envelope: Envelope, leave: Leave, at: float) -> list[Send]:
        room = session.rooms.get(leave.room)
        return [] if room is None else self._part(session, room, "left")

    # --- sessions begin --------------------------------------------------------------------------------------------

    def _hello(
        self, speaker: Speaker, session: Session | None, envelope: Envelope, hello: Hello, at: float
    ) -> list[Send]:
        connection = speaker.connection
        problem = self._guard.problem_with_hello(speaker.key, hello)
        if problem is not None:
            return self._not_allowed(speaker, problem, envelope.sequence, at)
        if session is not None and session.hello == hello:
            return [self._welcome(session, envelope.sequence)]
        sends = [] if session is None else self._end(session, "said another HELLO")
        for rival in self._rivals(hello):
            if rival.hello.instance == hello.instance:
                sends += self._end(rival, "replaced")
        before = self._challenges.pop(connection, None)
        if full := no_place(self.limits, hello, speaker.key, [*self._sessions.values(), *self._challenges.values()]):
            return [*sends, self._guard.refused(connection, RefusalCode.LIMIT, full, envelope.sequence)]
        since = at if before is None else before.since
        challenge = Challenge(connection, hello, envelope.sequence, since, speaker.key)
        rivals = self._rivals(hello)
        if not rivals:
            return sends + self._admit(challenge, at)
        self._challenges[connection] = challenge
        return sends + [Send(rival.connection, PROBE) for rival in rivals]

    def _rivals(self, hello: Hello) -> list[Session]:
        directory = self._directories.get(hello.experiment, {})
        return [session for session in directory.values() if session.rivals(hello)]

    def _settle(self, challenge: Challenge, at: float) -> list[Send]:
        """Refuse when who has the name or role was heard since, replace it when patience is over."""
        rivals = self._rivals(challenge.hello)
        alive = next((rival for rival in rivals if rival.heard > challenge.since + HEARD_MARGIN_S), None)
        if alive is not None:
            del self._challenges[challenge.connection]
            return [self._guard.refused(challenge.connection, *taken(challenge.hello, alive), challenge.sequence)]
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
        rights = self._guard.rights(hello.role)
        budget = self._guard.budget(challenge.key, at)
        session = Session(number, connection, hello, at, directory, rights, budget, challenge.key)
        self._sessions[connection] = self._numbers[number] = directory[session.address] = session
        return [self._welcome(session, challenge.sequence)]

    def _welcome(self, session: Session, sequence: int) -> Send:
        welcome = Welcome(
            min(session.hello.protocol_max, PROTOCOL_VERSION),
            session.number,
            self.broker,
            self.limits.max_message_bytes,
        )
        return answer(session.connection, welcome, sequence)

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
        return tell(room.members.values(), Presence(room.name, session.as_member(), "left", why))

    # --- what is not allowed ---------------------------------------------------------------------------------------

    def _malformed(self, speaker: Speaker, error: RemoteProtocolError, sequence: int, at: float) -> list[Send]:
        self.counters["malformed"] += 1
        return self._struck(speaker, (error.code, str(error)), sequence, at)

    def _not_allowed(self, speaker: Speaker, problem: Problem, sequence: int, at: float) -> list[Send]:
        """Only what its key forbids is an offence; of names, places and rooms a peer cannot always know."""
        if problem[0] is RefusalCode.FORBIDDEN:
            return self._struck(speaker, problem, sequence, at)
        return [self._guard.refused(speaker.connection, *problem, sequence)]

    def _struck(self, speaker: Speaker, problem: Problem, sequence: int, at: float) -> list[Send]:
        """Tell, and cut off at the third time: all connections of a key."""
        told, is_over = self._guard.struck(speaker, self.who(speaker.connection), problem, sequence, at)
        if not is_over:
            return [told]
        same = [one.connection for one in self._sessions.values() if speaker.key and one.key == speaker.key]
        why = "forbidden" if problem[0] is RefusalCode.FORBIDDEN else "malformed"
        ended = {speaker.connection: None, **dict.fromkeys(same)}
        return [told, *(send for connection in ended for send in self.gone(connection, why))]


Row = Callable[..., list[Send]]

ROWS: dict[int, Row] = {
    Hello.KIND: Membership._hello,
    Join.KIND: Membership._join,
    Leave.KIND: Membership._leave,
    Ping.KIND: Membership._ping,
    Bye.KIND: Membership._bye,
}
"""What a peer may say to the broker."""
