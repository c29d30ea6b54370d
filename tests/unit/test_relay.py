"""Queues of members that do not read."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest

from active_learner.core.admission import Limits
from active_learner.core.membership import Membership
from active_learner.core.relay import STOPPED_S, TOTAL_FACTOR, UNREAD_S, Relay, Sent
from active_learner.core.telling import Frames
from protocol.codec import decode, encode
from protocol.messages import (
    Action,
    Answer,
    Bye,
    Candidates,
    Control,
    Join,
    LogLine,
    Message,
    Presence,
    Undelivered,
    Welcome,
)
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
        self.at = 0.0

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
        self.relay.received(who.encode(), encode(message, room=room, session=number, sequence=self.sequence), self.at)

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
    messages, size_bytes = wires.relay.waiting
    assert messages == 6
    assert size_bytes > 6 * 100
    wires.relay.flush()
    assert wires.relay.waiting == (0, 0)
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
    assert wires.relay.counters["shed.log_line"] == 30 - len(kept) > 0
    assert wires.heard("a", Undelivered) == []


def proposal(number: int) -> Candidates:
    return Candidates(str(number), "propose", np.full((1, 10), number, np.int32), False)


def answer(number: int) -> Answer:
    return Answer(str(number), "q", "ann", number, Action.ANSWER, 1, 0.0)


def test_row_45_control_before_labels_before_candidates_before_telemetry(wires: Wires) -> None:
    """Each kind fills a queue of ten in turn: what matters less goes first, the older half of it."""
    wires.full.add("b")
    for number in range(4):
        for message in (line(number), proposal(number), answer(number), order(number)):
            wires.say("a", message, ROOM)
    for number in range(4, 10):
        wires.say("a", order(number), ROOM)
    assert {name: count for name, count in wires.relay.counters.items() if name.startswith("shed.")} == {
        "shed.log_line": 4,
        "shed.candidates": 4,
        "shed.answer": 4,
    }
    wires.full.clear()
    wires.relay.flush()
    assert wires.heard("b", LogLine, Candidates, Answer, Control) == [order(number) for number in range(10)]
    assert not wires.relay.counters.keys() & {"lost", "evicted"}


def test_row_45_nothing_goes_while_something_waits_that_matters_less(wires: Wires) -> None:
    wires.full.add("b")
    for number in range(3):
        for message in (answer(number), proposal(number), line(number)):
            wires.say("a", message, ROOM)
    went: list[str] = []
    before: dict[str, int] = {}
    for number in range(10):
        wires.say("a", order(number), ROOM)
        counts = {name: count for name, count in wires.relay.counters.items() if name.startswith("shed.")}
        went += [name for name, count in counts.items() if count != before.get(name)]
        before = counts
    assert before == {"shed.log_line": 3, "shed.candidates": 3, "shed.answer": 3}
    assert went == sorted(went, key=["shed.log_line", "shed.candidates", "shed.answer"].index)


def test_row_45_a_sender_is_told_once_of_what_was_dropped_and_telemetry_is_not_told(wires: Wires) -> None:
    notes: list[str] = []
    wires.relay.membership.note = notes.append
    wires.full.add("b")
    for number in range(9):
        wires.say("a" if number % 2 else "c", proposal(number), ROOM)
    wires.say("a", line(0), ROOM)
    for number in range(2):
        wires.say("a", order(number), ROOM)
    assert wires.relay.counters["shed.candidates"] == 5
    for who, dropped in (("a", 2), ("c", 3)):
        assert [(one.name, one.why) for one in wires.heard(who, Undelivered)] == [("b", f"slow, {dropped} dropped")]
    assert notes == ["b of digits reads too slowly: dropped of its queue: 1 log_line"]
    assert [session.shed for session in wires.relay.membership.sessions.values()] == [0, 6, 0]


def test_a_member_that_reads_a_little_stays_and_one_that_reads_nothing_is_evicted(wires: Wires) -> None:
    wires.full.add("b")
    for number in range(40):
        wires.say("a", proposal(number), ROOM)
    assert "evicted" not in wires.relay.counters
    wires.full.clear()
    wires.relay.tick(STOPPED_S - 0.1)
    wires.full.add("b")
    for at in (STOPPED_S, 2 * STOPPED_S - 0.2):
        wires.at = at
        for number in range(11):
            wires.say("a", proposal(number), ROOM)
    assert "evicted" not in wires.relay.counters
    wires.at = 2 * STOPPED_S
    for number in range(11):
        wires.say("a", proposal(number), ROOM)
    assert wires.relay.counters["evicted"] == 1
    assert [one.why for one in wires.heard("c", Presence) if one.event == "left"] == ["slow"]


@pytest.mark.parametrize("stopped", [False, True], ids=["slow", "stopped"])
def test_every_copy_is_taken_waits_was_shed_or_lost(wires: Wires, stopped: bool) -> None:
    draw = random.Random(1)
    makers = (line, proposal, answer, order)
    for number in range(3000):
        (wires.full.discard if draw.random() < 0.02 and not stopped else wires.full.add)("b")
        wires.at += 0.01
        wires.say("a", makers[draw.choices((0, 1, 2, 3), (9, 9, 9, 0.02))[0]](number), ROOM)
        wires.relay.flush()
    kinds = (LogLine, Candidates, Answer, Control)
    counters = wires.relay.counters
    backlog = wires.relay.backlogs.get(b"b")
    waiting = len(backlog.messages) if backlog else 0
    shed = sum(count for name, count in counters.items() if name.startswith("shed."))
    relayed_to_b = counters["relayed"] - len(wires.heard("c", *kinds))
    assert relayed_to_b == len(wires.heard("b", *kinds)) + waiting + shed + counters.get("lost", 0)
    assert counters.get("evicted", 0) == stopped


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


def test_a_dead_member_is_found_by_the_probe_and_named_once(wires: Wires) -> None:
    notes: list[str] = []
    wires.relay.membership.note = notes.append
    wires.dead.add("b")
    wires.relay.tick(1.0)
    wires.relay.tick(1.0 + UNREAD_S)
    wires.relay.tick(1.0 + 2 * UNREAD_S)
    wires.say("a", order(0), ROOM)
    (note,) = notes
    assert note.startswith("b of digits is gone without a BYE: its connection ended (killed, hung, cut off, or a frame")
    for who in "ac":
        assert [one.why for one in wires.heard(who, Presence) if one.event == "left"] == ["gone"]


def test_a_member_that_is_found_gone_just_before_the_end_is_named_at_the_end(wires: Wires) -> None:
    notes: list[str] = []
    wires.relay.membership.note = notes.append
    wires.dead.add("b")
    wires.relay.tick(1.0)
    assert notes == []
    wires.relay.close()
    wires.relay.close()
    assert len(notes) == 1


def test_a_member_whose_bye_is_read_after_its_connection_was_found_closed_is_not_named(wires: Wires) -> None:
    notes: list[str] = []
    wires.relay.membership.note = notes.append
    wires.dead.add("b")
    wires.relay.tick(1.0)
    wires.say("b", Bye("stopped"))
    wires.relay.tick(1.0 + UNREAD_S)
    wires.relay.tick(1.0 + 2 * UNREAD_S)
    assert notes == []


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
