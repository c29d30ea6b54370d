"""The peer's side of its session: HELLO, JOIN, presence, heartbeat. Knows no socket, clock or randomness.

Whatever the broker says may be lost: HELLO, JOIN and PING are said again, and so is the JOIN of a room that is joined, whose
answer tells who came or left unheard. A restarted broker is found by UNKNOWN, the answer to the first message after it, which
is a PING, said at once on a new connection; a broker that is gone by `LOST_S` of silence. Then HELLO is said, and all rooms are joined, again.
"""

from __future__ import annotations

from typing import ClassVar

from active_learner.core.machine import Machine
from active_learner.core.session_events import (
    Command,
    Connected,
    Down,
    Event,
    Finish,
    Heard,
    Rejected,
    RoomJoined,
    RoomRefused,
    Say,
    Seen,
    Tick,
    Unwant,
    Up,
    Want,
)
from protocol.errors import RefusalCode
from protocol.limits import MAX_MESSAGE_BYTES, MAX_SEQUENCE
from protocol.messages import Bye, Hello, Join, Joined, Leave, Member, Ping, Presence, Refused, Welcome

HELLO_S = 0.25
"""Between two HELLOs without answer: a connection that came meanwhile is told by `Connected`."""

FULL_S = 1.0
"""Between two HELLOs to a broker that is full, or does not allow our key: that changes seldom, and it has enough to do."""

PING_S = 0.5
"""Between two PINGs: bounds how long a restarted broker stays unnoticed by a peer that says nothing."""

JOIN_S = 0.5
"""Between two JOINs without answer."""

LOOK_S = 0.5
"""Between two looks at who is in a room, each at the next room in turn: how long a lost PRESENCE stays unnoticed."""

LOOK_AT_EACH_S = 0.02
"""So much longer for each member of the room: a thousand peers that list a thousand members are 50,000 entries a second."""

LOST_S = 1.75
"""Silence, in spite of PINGs, after which the broker is lost: one that is stopped must be noticed within 2 s."""

LONG_AGO = float("-inf")

BUSY_S = 1.0
"""A longer time between two ticks was our own doing: silence during it proves nothing."""


class Session(Machine[Event, Command]):
    """Phases: greeting (no session), joining (a session, rooms missing), ready, closed."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("greeting", "tick"): "_greet",
        ("greeting", "Welcome"): "_welcomed",
        ("greeting", "Refused"): "_rejected",
        ("greeting", "connected"): "_greet_soon",
        ("greeting", "want"): "_want_later",
        ("greeting", "unwant"): "_unwant_later",
        ("greeting", "finish"): "_close",
        ("greeting", "stale"): "_nothing",
        ("joining", "tick"): "_join_again",
        ("joining", "Welcome"): "_welcomed_again",
        ("joining", "Joined"): "_joined",
        ("joining", "Presence"): "_presence",
        ("joining", "Refused"): "_room_refused",
        ("joining", "Unknown"): "_forgotten",
        ("joining", "connected"): "_ask_soon",
        ("joining", "want"): "_want",
        ("joining", "unwant"): "_unwant",
        ("joining", "finish"): "_say_bye",
        ("joining", "stale"): "_nothing",
        ("joining", "silence"): "_lost",
        ("ready", "tick"): "_beat",
        ("ready", "Welcome"): "_welcomed_again",
        ("ready", "Joined"): "_joined",
        ("ready", "Presence"): "_presence",
        ("ready", "Refused"): "_room_refused",
        ("ready", "Unknown"): "_forgotten",
        ("ready", "connected"): "_ask_soon",
        ("ready", "want"): "_want",
        ("ready", "unwant"): "_unwant",
        ("ready", "finish"): "_say_bye",
        ("ready", "stale"): "_nothing",
        ("ready", "silence"): "_lost",
        ("closed", "tick"): "_nothing",
        ("closed", "connected"): "_nothing",
        ("closed", "stale"): "_nothing",
        ("closed", "finish"): "_nothing",
    }
    HEARD: ClassVar[dict[str, frozenset[str]]] = {
        "greeting": frozenset({"Welcome", "Refused"}),
        "joining": frozenset({"Welcome", "Joined", "Presence", "Refused", "Unknown"}),
        "ready": frozenset({"Welcome", "Joined", "Presence", "Refused", "Unknown"}),
        "closed": frozenset(),
    }
    """What matters in each phase; all else that the broker says (late answers, PONG, PROBE) is stale."""

    def __init__(self, hello: Hello) -> None:
        super().__init__("greeting")
        self.hello = hello
        self.number = 0
        self.broker = ""
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self.rooms: dict[str, dict[int, Member]] = {}
        """Joined rooms and the others in them."""
        self.heard_at = 0.0
        self._sequence = 0
        self._wanted: dict[str, float] = {}
        self._asked: dict[int, str] = {}
        self._hello_at = LONG_AGO
        self._ping_at = 0.0
        self._look_at = 0.0
        self._tick_at = 0.0

    def classify(self, event: Event) -> str:
        if isinstance(event, Heard):
            name = type(event.message).__name__
            return name if name in self.HEARD[self.phase] else "stale"
        if isinstance(event, Tick):
            silent = event.at - self.heard_at > LOST_S and event.at - self._tick_at <= BUSY_S
            return "silence" if silent and self.phase in ("joining", "ready") else "tick"
        return type(event).__name__.lower()

    def next_sequence(self) -> int:
        """The number of the next message that we say: 1, 2, ... and round again."""
        self._sequence = self._sequence + 1 & MAX_SEQUENCE
        return self._sequence

    def member(self, number: int) -> Member | None:
        """Who has that session number, when we share a room."""
        return next((members[number] for members in self.rooms.values() if number in members), None)

    # --- greeting --------------------------------------------------------------------------------------------------

    def _greet(self, event: Tick) -> list[Command]:
        self._tick_at = event.at
        if event.at - self._hello_at < HELLO_S:
            return []
        self._hello_at = event.at
        return [Say(self.hello, 0, self.next_sequence())]

    def _greet_soon(self, event: Connected) -> list[Command]:
        """At the next tick. Not at once: a socket may take messages only a little after it told of its connection."""
        self._hello_at = LONG_AGO
        return []

    def _welcomed(self, event: Heard) -> list[Command]:
        welcome = event.message
        assert isinstance(welcome, Welcome)
        self.number, self.broker = welcome.session, welcome.broker
        self.max_message_bytes = min(welcome.max_message_bytes, MAX_MESSAGE_BYTES)
        self.heard_at = self._ping_at = self._tick_at = event.at
        self._look_at = event.at + LOOK_S
        self.phase = "joining"
        if not self._wanted:
            return self._complete()
        return [self._join(room, event.at) for room in self._wanted]

    def _rejected(self, event: Heard) -> list[Command]:
        refused = event.message
        assert isinstance(refused, Refused)
        if refused.code in (RefusalCode.LIMIT, RefusalCode.FORBIDDEN):
            self._hello_at = event.at + FULL_S - HELLO_S
        return [Rejected(refused.code, refused.text)]

    def _want_later(self, event: Want) -> list[Command]:
        self._wanted[event.room] = event.at
        return []

    def _unwant_later(self, event: Unwant) -> list[Command]:
        self._wanted.pop(event.room, None)
        return []

    # --- joining and ready -----------------------------------------------------------------------------------------

    def _welcomed_again(self, event: Heard) -> list[Command]:
        """The answer to a repeated HELLO; another number means that the broker began a new session."""
        welcome = event.message
        assert isinstance(welcome, Welcome)
        if welcome.session == self.number:
            return self._nothing(event)
        return self._down("the broker began a new session") + self._welcomed(event)

    def _want(self, event: Want) -> list[Command]:
        if event.room in self.rooms:
            return [RoomJoined(event.room, tuple(self.rooms[event.room].values()))]
        return [self._join(event.room, event.at)]

    def _unwant(self, event: Unwant) -> list[Command]:
        """LEAVE even when JOINED has not come yet: the JOIN is under way."""
        if self._wanted.pop(event.room, None) is None:
            return []
        self.rooms.pop(event.room, None)
        self._asked = {sequence: room for sequence, room in self._asked.items() if room != event.room}
        leave = Say(Leave(event.room), self.number, self.next_sequence())
        return [leave, *(self._complete() if self.phase == "joining" else [])]

    def _joined(self, event: Heard) -> list[Command]:
        joined = event.message
        assert isinstance(joined, Joined)
        self.heard_at = event.at
        if self._asked.pop(event.sequence, None) is None:
            return []  # of a JOIN before LEAVE
        if joined.room in self.rooms:
            return self._corrected(joined)
        self.rooms[joined.room] = {member.session: member for member in joined.members}
        seen = [Seen(joined.room, member, True, "present") for member in joined.members]
        done = self._complete() if self.phase == "joining" else []
        return [RoomJoined(joined.room, joined.members), *seen, *done]

    def _corrected(self, joined: Joined) -> list[Command]:
        """Who is in a room that we have joined already: a PRESENCE may have been lost."""
        known, found = self.rooms[joined.room], {member.session: member for member in joined.members}
        self.rooms[joined.room] = found
        gone = [member for number, member in known.items() if number not in found]
        come = [member for number, member in found.items() if number not in known]
        return [
            *(Seen(joined.room, member, False, "not there any more") for member in gone),
            *(Seen(joined.room, member, True, "present") for member in come),
        ]

    def _complete(self) -> list[Command]:
        if self.rooms.keys() < self._wanted.keys():
            return []
        self.phase = "ready"
        return [Up()]

    def _room_refused(self, event: Heard) -> list[Command]:
        """Only a refused JOIN concerns the session; what else was refused is the peer's to count."""
        refused = event.message
        assert isinstance(refused, Refused)
        self.heard_at = event.at
        if refused.code == RefusalCode.MALFORMED:
            return self._ask_who_we_are(event.at)
        room = self._asked.pop(event.sequence, None)
        if room is None or room in self.rooms or room not in self._wanted:
            return []
        del self._wanted[room]
        done = self._complete() if self.phase == "joining" else []
        return [RoomRefused(room, refused.code, refused.text), *done]

    def _ask_who_we_are(self, at: float) -> list[Command]:
        """We spoke in another session than the one of this connection: of several WELCOMEs an older one came last. The answer to
        HELLO says which it is."""
        if at - self._hello_at < HELLO_S:
            return []
        self._hello_at = at
        return [Say(self.hello, 0, self.next_sequence())]

    def _presence(self, event: Heard) -> list[Command]:
        presence = event.message
        assert isinstance(presence, Presence)
        self.heard_at = event.at
        members = self.rooms.get(presence.room)
        if members is None:
            return []
        member, here = presence.member, presence.event == "joined"
        if here == (member.session in members):
            return []
        if here:
            members[member.session] = member
        else:
            del members[member.session]
        return [Seen(presence.room, member, here, presence.why)]

    def _beat(self, event: Tick) -> list[Command]:
        if event.at - self._tick_at > BUSY_S:
            self.heard_at = event.at
        self._tick_at = event.at
        late = [room for room, asked in self._wanted.items() if room not in self.rooms and event.at - asked >= JOIN_S]
        says: list[Command] = [self._join(room, event.at) for room in late]
        if event.at - self._ping_at >= PING_S:
            self._ping_at = event.at
            sequence = self.next_sequence()
            says.append(Say(Ping(str(sequence)), self.number, sequence))
        return says + self._look_round(event.at)

    _join_again = _beat

    def _ask_soon(self, event: Connected) -> list[Command]:
        """PING at the next tick: a restarted broker answers UNKNOWN."""
        self._ping_at = LONG_AGO
        return []

    def _look_round(self, at: float) -> list[Command]:
        """The joined rooms are joined again, in turn: the answer says who is there."""
        if at < self._look_at or not self.rooms:
            return []
        room = next(iter(self.rooms))
        self.rooms[room] = self.rooms.pop(room)
        self._look_at = at + LOOK_S + LOOK_AT_EACH_S * len(self.rooms[room])
        return [self._join(room, at)]

    def _join(self, room: str, at: float) -> Say:
        self._wanted[room] = at
        sequence = self.next_sequence()
        self._asked[sequence] = room
        while len(self._asked) > 4 * len(self._wanted):
            del self._asked[next(iter(self._asked))]
        return Say(Join(room), self.number, sequence)

    # --- ends ------------------------------------------------------------------------------------------------------

    def _forgotten(self, event: Heard) -> list[Command]:
        """UNKNOWN: say HELLO at once. Those that are answered UNKNOWN after this were sent before it."""
        self._hello_at = event.at
        return [*self._down("the broker does not know us any more"), Say(self.hello, 0, self.next_sequence())]

    def _lost(self, event: Tick) -> list[Command]:
        return self._down(f"the broker was silent for {LOST_S:g} s")

    def _down(self, why: str) -> list[Command]:
        left = [Seen(room, member, False, why) for room, members in self.rooms.items() for member in members.values()]
        self.number = 0
        self.rooms = {}
        self._asked.clear()
        self.phase = "greeting"
        return [*left, Down(why)]

    def _say_bye(self, event: Finish) -> list[Command]:
        say = Say(Bye(event.why), self.number, self.next_sequence())
        self._close(event)
        return [say]

    def _close(self, event: Finish) -> list[Command]:
        self.phase, self.number, self.rooms = "closed", 0, {}
        return []

    def _nothing(self, event: Event) -> list[Command]:
        if isinstance(event, Heard):
            self.heard_at = event.at
        return []
