"""Session machines against a membership, over a wire that is cut and a broker that is restarted at any moment."""

from __future__ import annotations

from collections import deque
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core.admission import Limits
from active_learner.core.membership import Membership
from active_learner.core.session import Session
from active_learner.core.session_events import (
    Command,
    Connected,
    Down,
    Event,
    Finish,
    Heard,
    Say,
    Seen,
    Tick,
    Unwant,
    Up,
    Want,
)
from active_learner.core.telling import Send
from protocol.codec import decode, encode
from protocol.messages import Bye, Member
from tests.conversation import hello

ROOMS = ("digits/control", "digits/user")
TICK_S = 0.05
REJOIN_S = 2.0


class Side:
    """A peer: its machine, its connection, and the presence that it was told of."""

    def __init__(self, name: str) -> None:
        self.session = Session(hello(name, role="trainer" if name == "p0" else name, exclusive=name == "p0"))
        self.connection = b""
        self.up = False
        self.seen: dict[str, dict[int, Member]] = {room: {} for room in ROOMS}
        self.wanted: set[str] = set()


class World:
    """All queues are in order; a cut connection loses what was in it."""

    def __init__(self, peers: int) -> None:
        self.at = 0.0
        self.numbers, self.connections = count(1), count(1)
        self.sides = [Side(f"p{number}") for number in range(peers)]
        self.to_broker: dict[bytes, deque] = {}
        self.to_peer: dict[bytes, deque] = {}
        self.restart()

    def restart(self) -> None:
        self.membership = Membership(Limits(), lambda: next(self.numbers), "broker", "test")
        for side in self.sides:
            self.cut(side, tell=False)

    def cut(self, side: Side, tell: bool = True) -> None:
        """A new connection; the broker learns at once, or (restarted) never knew the old one."""
        old, side.connection = side.connection, b"%d" % next(self.connections)
        for queues in (self.to_broker, self.to_peer):
            queues.pop(old, None)
            queues[side.connection] = deque()
        self.handle(side, Connected())
        if tell:
            self.send(self.membership.gone(old, "gone"))

    def send(self, sends: list[Send]) -> None:
        for connection, frames in sends:
            if connection in self.to_peer:
                self.to_peer[connection].append(frames)

    def handle(self, side: Side, event: Event) -> None:
        for command in side.session.handle(event):
            self.run(side, command)

    def run(self, side: Side, command: Command) -> None:
        match command:
            case Say(message, session, sequence):
                self.to_broker[side.connection].append(encode(message, session=session, sequence=sequence))
            case Seen(room, member, here, _):
                assert (member.session in side.seen[room]) != here, "told what was known"
                if here:
                    side.seen[room][member.session] = member
                else:
                    del side.seen[room][member.session]
            case Up():
                assert not side.up
                side.up = True
            case Down():
                side.up = False
                assert not any(side.seen.values()), "lost, but still sees others"

    def carry(self, side: Side, messages: int = 10**6) -> None:
        """Both directions, in order."""
        queue = self.to_broker[side.connection]
        while queue and messages:
            self.send(self.membership.received(side.connection, queue.popleft(), self.at))
            messages -= 1
        queue = self.to_peer[side.connection]
        while queue and messages:
            envelope, message = decode(queue.popleft())
            self.handle(side, Heard(message, envelope.sequence, self.at))
            messages -= 1

    def tick(self, seconds: float) -> None:
        """Time passes; nothing is carried."""
        self.at += seconds
        for side in self.sides:
            self.handle(side, Tick(self.at))
        self.send(self.membership.tick(self.at))

    def heal(self, seconds: float) -> None:
        until = self.at + seconds
        while self.at < until:
            self.tick(TICK_S)
            for _ in range(3):
                for side in self.sides:
                    self.carry(side)


peers = st.integers(0, 2)
events = st.lists(
    st.one_of(
        st.tuples(st.just("want"), peers, st.sampled_from(ROOMS)),
        st.tuples(st.just("unwant"), peers, st.sampled_from(ROOMS)),
        st.tuples(st.just("carry"), peers, st.integers(1, 5)),
        st.tuples(st.just("cut"), peers, st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
        st.tuples(st.just("tick"), st.none(), st.sampled_from([0.05, 0.3, 0.6, 3.0])),
    ),
    max_size=40,
)


def play(world: World, what: str, peer: int | None, value: object) -> None:
    side = world.sides[peer or 0]
    match what:
        case "want":
            side.wanted.add(str(value))
            world.handle(side, Want(str(value), world.at))
        case "unwant":
            side.wanted.discard(str(value))
            side.seen[str(value)] = {}
            world.handle(side, Unwant(str(value)))
        case "carry":
            world.carry(side, int(str(value)))
        case "cut":
            world.cut(side)
        case "restart":
            world.restart()
        case "tick":
            world.tick(float(str(value)))


@settings(max_examples=150, deadline=None)
@given(events)
def test_after_any_story_all_are_back_in_their_rooms_within_two_seconds_and_see_one_another(story: list) -> None:
    world = World(3)
    for what, peer, value in story:
        play(world, what, peer, value)
    world.heal(REJOIN_S)
    for side in world.sides:
        assert side.session.phase == "ready"
        assert side.up
        assert set(side.session.rooms) == side.wanted
        for room in side.wanted:
            others = {one.session.number for one in world.sides if one is not side and room in one.wanted}
            assert set(side.session.rooms[room]) == others
            assert set(side.seen[room]) == others
    assert len(world.membership._sessions) == 3


@settings(max_examples=50, deadline=None)
@given(events, peers)
def test_who_says_bye_is_seen_to_leave_and_stays_away(story: list, leaver: int) -> None:
    world = World(3)
    for what, peer, value in story:
        play(world, what, peer, value)
    world.heal(REJOIN_S)
    gone = world.sides[leaver]
    number = gone.session.number
    world.handle(gone, Finish("done"))
    assert decode(world.to_broker[gone.connection][-1]).message == Bye("done")
    world.heal(1.0)
    for side in world.sides:
        assert not any(number in members for members in side.session.rooms.values())
    assert len(world.membership._sessions) == 2
