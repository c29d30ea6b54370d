"""Queues of members that do not read."""

from __future__ import annotations

from collections import defaultdict

import pytest

from active_learner.core.admission import Limits
from active_learner.core.membership import Frames, Membership
from active_learner.core.relay import TOTAL_FACTOR, Relay, Sent
from protocol.codec import decode, encode
from protocol.messages import Control, Join, LogLine, Message, Presence, Undelivered, Welcome
from tests.conversation import hello

ROOM = "digits/control"


class Wires:
    """Connections by name; those in `full` take nothing, those in `dead` are gone."""

    def __init__(self, **limits: int) -> None:
        self.full: set[str] = set()
        self.dead: set[str] = set()
        self.got: dict[str, list[Message]] = defaultdict(list)
        numbers = iter(range(1, 100))
        self.relay = Relay(Membership(Limits(**limits), lambda: next(numbers), "broker", "test"), self.send)
        self.sequence = 0

    def send(self, connection: bytes, frames: Frames) -> Sent:
        who = connection.decode()
        if who in self.dead:
            return Sent.GONE
        if who in self.full:
            return Sent.FULL
        self.got[who].append(decode(frames).message)
        return Sent.TAKEN

    def say(self, who: str, message: Message, room: str = "") -> None:
        self.sequence += 1
        number = next((m.session for m in self.got[who] if isinstance(m, Welcome)), 0)
        self.relay.received(who.encode(), encode(message, room=room, session=number, sequence=self.sequence), 0.0)

    def enter(self, *names: str) -> None:
        for who in names:
            self.say(who, hello(who))
            self.say(who, Join(ROOM))

    def heard(self, who: str, *kinds: type[Message]) -> list[Message]:
        return [message for message in self.got[who] if isinstance(message, kinds)]


def line(number: int) -> LogLine:
    return LogLine(number, "info", "x" * 100)


def order(number: int) -> Control:
    return Control("source", f"{number:0100d}")


@pytest.fixture
def wires() -> Wires:
    wires = Wires(queue_messages=10, queue_bytes=100_000)
    wires.enter("a", "b", "c")
    return wires


def test_a_full_member_gets_all_in_order_when_it_reads_again_and_nobody_waits(wires: Wires) -> None:
    wires.full.add("b")
    said = [order(number) for number in range(5)]
    for message in said:
        wires.say("a", message, ROOM)
    assert wires.heard("c", Control) == said
    wires.full.clear()
    wires.say("a", order(5), ROOM)
    assert wires.heard("b", Control) == []
    wires.relay.flush()
    assert wires.heard("b", Control) == [*said, order(5)]
    assert wires.relay.backlogs == {}


def test_telemetry_over_the_limit_is_shed_oldest_first_and_counted(wires: Wires) -> None:
    wires.full.add("b")
    wires.say("a", order(0), ROOM)
    for number in range(30):
        wires.say("a", line(number), ROOM)
    wires.full.clear()
    wires.relay.flush()
    assert wires.heard("b", Control) == [order(0)]
    kept = [message.number for message in wires.heard("b", LogLine)]
    assert kept == list(range(30 - len(kept), 30))
    assert wires.relay.counters["shed"] == 30 - len(kept) > 0
    assert wires.heard("a", Undelivered) == []


def test_a_member_over_its_limit_is_evicted_and_all_who_spoke_to_it_are_told(wires: Wires) -> None:
    wires.full.add("b")
    for number in range(11):
        wires.say("a", order(number), ROOM)
    left = [message for message in wires.heard("c", Presence) if message.event == "left"]
    assert [(one.member.name, one.why) for one in left] == [("b", "slow")]
    told = wires.heard("a", Undelivered)
    assert [(one.name, one.why) for one in told] == [("b", "slow")] * 11
    assert len({one.sequence for one in told}) == 11
    assert wires.relay.counters["evicted"] == 1
    assert wires.relay.backlogs == {}


def test_an_eviction_is_told_in_words(wires: Wires) -> None:
    notes: list[str] = []
    wires.relay.membership.note = notes.append
    wires.full.add("b")
    for number in range(11):
        wires.say("a", order(number), ROOM)
    assert len(notes) == 1
    assert notes[0].startswith("b of digits is evicted: it does not read, 11 messages of ")


def test_a_member_over_its_limit_in_bytes_is_evicted() -> None:
    wires = Wires(queue_bytes=1000)
    wires.enter("a", "b")
    wires.full.add("b")
    for number in range(10):
        wires.say("a", order(number), ROOM)
    assert wires.relay.counters["evicted"] == 1


def test_one_message_as_large_as_the_queue_is_kept() -> None:
    wires = Wires(queue_bytes=100)
    wires.enter("a", "b")
    wires.full.add("b")
    wires.say("a", order(0), ROOM)
    wires.full.clear()
    wires.relay.flush()
    assert wires.heard("b", Control) == [order(0)]


def test_all_queues_together_are_bounded() -> None:
    wires = Wires(queue_bytes=2000)
    names = [f"p{number}" for number in range(TOTAL_FACTOR + 2)]
    wires.enter("a", *names)
    wires.full.update(names)
    for number in range(11):
        wires.say("a", order(number), ROOM)
    total = sum(backlog.size_bytes for backlog in wires.relay.backlogs.values())
    assert 0 < total <= TOTAL_FACTOR * 2000
    assert wires.relay.counters["evicted"] >= 1


def test_a_dead_member_is_found_by_what_is_said_to_it(wires: Wires) -> None:
    wires.dead.add("b")
    wires.say("a", order(0), ROOM)
    assert [(one.name, one.why) for one in wires.heard("a", Undelivered)] == [("b", "gone")]
    assert [one.why for one in wires.heard("c", Presence) if one.event == "left"] == ["gone"]
    wires.say("a", order(1), "@digits/b")
    assert wires.heard("a", Undelivered)[-1].why == "absent"


def test_a_dead_member_is_found_by_the_probe(wires: Wires) -> None:
    wires.dead.add("b")
    wires.relay.tick(1.0)
    for who in "ac":
        assert [one.why for one in wires.heard(who, Presence) if one.event == "left"] == ["gone"]


def test_a_member_that_dies_with_a_queue_is_given_up(wires: Wires) -> None:
    wires.full.add("b")
    wires.say("a", order(0), ROOM)
    wires.dead.add("b")
    wires.relay.flush()
    assert [one.why for one in wires.heard("a", Undelivered)] == ["gone"]
    assert wires.relay.backlogs == {}


def test_a_member_that_dies_with_a_queue_is_found_by_the_next_tick(wires: Wires) -> None:
    wires.full.add("b")
    wires.say("a", order(0), ROOM)
    wires.dead.add("b")
    wires.relay.tick(1.0)
    assert [one.why for one in wires.heard("c", Presence) if one.event == "left"] == ["gone"]


def test_the_sender_s_own_death_ends_the_telling(wires: Wires) -> None:
    wires.dead.update("ab")
    wires.say("a", order(0), ROOM)
    assert [one.member.name for one in wires.heard("c", Presence) if one.event == "left"] == ["b", "a"]
