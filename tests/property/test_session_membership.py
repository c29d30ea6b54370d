"""Membership and relay under any order of hellos, joins, talk, deaths and stopped readers, against a simple model."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from active_learner.core.admission import Limits
from active_learner.core.membership import PATIENCE_S, QUIET_S, Membership
from active_learner.core.relay import Relay, Sent, size_of
from active_learner.core.telling import Frames
from protocol.codec import decode, encode
from protocol.messages import Bye, Control, Hello, Join, LogLine, Message, Presence, Undelivered, Unknown, Welcome

NAMES = ("a", "b", "c", "d")
EXPERIMENTS = ("digits", "melody")
ROOMS = ("control", "user")
LIMITS = Limits(max_message_bytes=10_000, queue_messages=6, queue_bytes=1500, max_sessions=6, max_rooms=3)

connections = st.integers(0, 5)


class Broker(RuleBasedStateMachine):
    """Connections are numbers. Each has a reader, which may be stopped, and may die, after which it gets a new number."""

    def __init__(self) -> None:
        super().__init__()
        # few numbers, so that the same is often drawn again
        drawn = iter(n % 7 for n in range(10**9))
        self.relay = Relay(Membership(LIMITS, lambda: next(drawn), "broker", "test"), self.send)
        self.at = 0.0
        self.names = {slot: f"c{slot}" for slot in range(6)}
        self.born = 6
        self.stopped: set[str] = set()
        self.dead: set[str] = set()
        self.sessions: dict[str, int] = {}
        self.heard: dict[str, list[tuple[str, Message]]] = defaultdict(list)
        self.expected: dict[str, list[str]] = defaultdict(list)
        self.said = 0

    def send(self, connection: bytes, frames: Frames) -> Sent:
        who = connection.decode()
        if who in self.dead:
            return Sent.GONE
        if who in self.stopped:
            return Sent.FULL
        envelope, message = decode(frames)
        self.heard[who].append((envelope.room, message))
        if isinstance(message, Welcome):
            self.sessions[who] = message.session
        return Sent.TAKEN

    def say(self, who: str, message: Message, room: str = "") -> None:
        frames = encode(message, room=room, session=self.sessions.get(who, 0), sequence=self.said % 1000)
        self.relay.received(who.encode(), frames, self.at)

    def members(self, room: str) -> list[str]:
        found = self.relay.membership._rooms.get(room)
        return [] if found is None else [session.connection.decode() for session in found.members.values()]

    @rule(
        slot=connections,
        name=st.sampled_from(NAMES),
        experiment=st.sampled_from(EXPERIMENTS),
        exclusive=st.booleans(),
        fresh=st.booleans(),
    )
    def hello(self, slot: int, name: str, experiment: str, exclusive: bool, fresh: bool) -> None:
        who = self.names[slot]
        instance = who if fresh else name
        role = "trainer" if exclusive else name
        hello = Hello(1, 1, experiment, name, role, exclusive, instance, "test")
        self.say(who, hello)

    @rule(slot=connections, experiment=st.sampled_from(EXPERIMENTS), room=st.sampled_from(ROOMS))
    def join(self, slot: int, experiment: str, room: str) -> None:
        self.say(self.names[slot], Join(f"{experiment}/{room}"))

    @rule(
        slot=connections,
        to=st.sampled_from([f"{e}/{r}" for e in EXPERIMENTS for r in ROOMS] + ["@digits/a", "@melody/b"]),
        telemetry=st.booleans(),
    )
    def talk(self, slot: int, to: str, telemetry: bool) -> None:
        who = self.names[slot]
        self.said += 1
        text = str(self.said)
        session = self.relay.membership._sessions.get(who.encode())
        known = session is not None and session.number == self.sessions.get(who)
        if known and who in self.members(to):
            for other in self.members(to):
                if other != who and not telemetry:
                    self.expected[other].append(text)
        message: Message = LogLine(self.said, "info", text) if telemetry else Control("any", text)
        self.say(who, message, to)

    @rule(slot=connections, junk=st.binary(max_size=60))
    def junk(self, slot: int, junk: bytes) -> None:
        self.relay.received(self.names[slot].encode(), [junk], self.at)

    @rule(slot=connections)
    def bye(self, slot: int) -> None:
        self.say(self.names[slot], Bye("done"))

    @rule(slot=connections)
    def stop_reading(self, slot: int) -> None:
        self.stopped.add(self.names[slot])

    @precondition(lambda self: self.stopped)
    @rule()
    def all_read(self) -> None:
        self.stopped.clear()
        self.relay.flush()

    @rule(slot=connections)
    def die(self, slot: int) -> None:
        self.dead.add(self.names[slot])
        self.names[slot] = f"c{self.born}"
        self.born += 1

    @rule(seconds=st.sampled_from([0.25, 1.0, PATIENCE_S, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds
        self.relay.tick(self.at)
        assert not {who.encode() for who in self.dead} & {
            one.connection for one in self.relay.membership._sessions.values() if self.at - one.heard >= QUIET_S
        }

    @invariant()
    def tables_agree(self) -> None:
        members = self.relay.membership
        sessions = list(members._sessions.values())
        numbers = [session.number for session in sessions]
        assert len(set(numbers)) == len(numbers)
        assert all(numbers)
        assert {session.number: session for session in sessions} == members._numbers
        assert len(sessions) <= LIMITS.max_sessions
        assert len(members._rooms) <= LIMITS.max_rooms
        for name, room in members._rooms.items():
            assert room.members
            for number, session in room.members.items():
                assert members._numbers[number] is session
                assert session.rooms[name] is room
                assert name.startswith(session.hello.experiment + "/")

    @invariant()
    def names_and_exclusive_roles_are_held_once(self) -> None:
        sessions = list(self.relay.membership._sessions.values())
        names = [(one.hello.experiment, one.hello.name) for one in sessions]
        roles = [(one.hello.experiment, one.hello.role) for one in sessions if one.hello.exclusive]
        assert len(set(names)) == len(names)
        assert len(set(roles)) == len(roles)

    @invariant()
    def queues_are_bounded(self) -> None:
        total = 0
        for backlog in self.relay.backlogs.values():
            size = sum(size_of(one.frames) for one in backlog.messages)
            assert size == backlog.size_bytes
            assert len(backlog.messages) <= LIMITS.queue_messages
            assert size <= LIMITS.queue_bytes or len(backlog.messages) == 1
            total += size
        assert total == self.relay._total_bytes

    @invariant()
    def members_that_read_have_heard_all_in_order(self) -> None:
        """Joined and not evicted: nothing missed, nothing twice, nothing of another room."""
        for who, texts in self.expected.items():
            if who in self.dead:
                continue
            heard = [
                one.command for room, one in self.heard[who] if isinstance(one, Control) and not room.startswith("@")
            ]
            if self.relay.membership.counters["evicted"] or who.encode() in self.relay.backlogs:
                assert is_subsequence(heard, texts)
            else:
                assert heard == texts

    @invariant()
    def nobody_hears_another_experiment(self) -> None:
        for who, heard in self.heard.items():
            welcomes = sum(isinstance(message, Welcome) for _, message in heard)
            for room, message in heard:
                if isinstance(message, (Control, LogLine, Presence, Undelivered)):
                    assert welcomes, f"{who} heard {message} in {room} without a session"
                if isinstance(message, (Control, LogLine)):
                    assert room.removeprefix("@").partition("/")[0] in EXPERIMENTS
                if isinstance(message, Unknown):
                    assert room == ""


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(any(one == other for other in rest) for one in part)


class OneExperimentEach(RuleBasedStateMachine):
    """Two experiments with the same names and rooms: everything heard comes from one's own."""

    def __init__(self) -> None:
        super().__init__()
        numbers = iter(range(1, 10**9))
        self.membership = Membership(Limits(), lambda: next(numbers), "broker", "test")
        self.sessions: dict[bytes, int] = {}
        for experiment in EXPERIMENTS:
            for name in NAMES:
                self.say(experiment, name, Hello(1, 1, experiment, name, name, False, name, "test"))

    def say(self, experiment: str, name: str, message: Any, room: str = "") -> None:
        connection = f"{experiment} {name}".encode()
        frames = encode(message, room=room, session=self.sessions.get(connection, 0), sequence=1)
        for send in self.membership.received(connection, frames, 0.0):
            heard = decode(send.frames).message
            if isinstance(heard, Welcome):
                self.sessions[send.connection] = heard.session
            if isinstance(heard, (Control, Presence)):
                assert send.connection.startswith(experiment.encode())

    @rule(
        experiment=st.sampled_from(EXPERIMENTS),
        other=st.sampled_from(EXPERIMENTS),
        name=st.sampled_from(NAMES),
        room=st.sampled_from(ROOMS),
        to=st.sampled_from(NAMES),
        what=st.sampled_from(["join", "talk", "direct", "bye"]),
    )
    def anything(self, experiment: str, other: str, name: str, room: str, to: str, what: str) -> None:
        match what:
            case "join":
                self.say(experiment, name, Join(f"{other}/{room}"))
            case "talk":
                self.say(experiment, name, Control("any", "x"), f"{other}/{room}")
            case "direct":
                self.say(experiment, name, Control("any", "x"), f"@{other}/{to}")
            case "bye":
                self.say(experiment, name, Bye("x"))
                self.say(experiment, name, Hello(1, 1, experiment, name, name, False, name, "test"))


TestBroker = Broker.TestCase
TestBroker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExperiments = OneExperimentEach.TestCase
TestExperiments.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
