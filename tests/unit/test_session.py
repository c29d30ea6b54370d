"""The peer's side of a session: one test a row, and the stories that matter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from active_learner.core.resends import Resends
from active_learner.core.session import (
    FULL_S,
    HELLO_S,
    JOIN_S,
    LOOK_AT_EACH_S,
    LOOK_S,
    LOST_S,
    PING_S,
    Session,
)
from active_learner.core.session_events import (
    Connected,
    Down,
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
from active_learner.errors import InvalidTransition
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.messages import Bye, Join, Joined, Leave, Member, Ping, Pong, Presence, Probe, Refused, Unknown, Welcome
from tests.conversation import hello

HELLO = hello("me")
WELCOME = Welcome(1, 7, "broker", 1000)
ROOM = "digits/user"
ANNA = Member(8, "anna", "labeler")
BERT = Member(9, "bert", "labeler")


@pytest.fixture
def session() -> Session:
    return Session(HELLO)


def ready(session: Session, *members: Member, at: float = 0.0) -> Session:
    """Welcomed, and in ROOM."""
    session.handle(Want(ROOM, at))
    session.handle(Tick(at))
    session.handle(Heard(WELCOME, 1, at))
    session.handle(Heard(Joined(ROOM, members), 2, at))
    assert session.phase == "ready"
    return session


def test_hello_is_said_and_said_again(session: Session) -> None:
    assert session.handle(Tick(0.0)) == [Say(HELLO, 0, 1)]
    assert session.handle(Tick(HELLO_S - 0.01)) == []
    assert session.handle(Tick(HELLO_S)) == [Say(HELLO, 0, 2)]


def test_hello_is_said_at_the_next_tick_when_there_is_a_connection(session: Session) -> None:
    session.handle(Tick(0.0))
    assert session.handle(Connected()) == []
    assert session.handle(Tick(0.05)) == [Say(HELLO, 0, 2)]
    assert session.handle(Tick(0.1)) == []


@pytest.mark.parametrize("phase", ["joining", "ready"])
def test_on_a_new_connection_a_ping_at_the_next_tick_finds_out_whether_the_broker_knows_us(
    session: Session, phase: str
) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 1, 0.0))
    if phase == "ready":
        session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    assert session.phase == phase
    assert session.handle(Tick(0.05)) == []
    assert session.handle(Connected()) == []
    assert session.handle(Tick(0.1)) == [Say(Ping("2"), 7, 2)]
    assert session.handle(Tick(0.15)) == []


def test_a_session_without_rooms_is_up_when_welcomed(session: Session) -> None:
    assert session.handle(Heard(WELCOME, 0, 0.0)) == [Up()]
    assert (session.phase, session.number, session.max_message_bytes) == ("ready", 7, 1000)


def test_rooms_wanted_before_are_joined_and_only_then_it_is_up(session: Session) -> None:
    assert session.handle(Want(ROOM, 0.0)) == []
    assert session.handle(Heard(WELCOME, 0, 0.0)) == [Say(Join(ROOM), 7, 1)]
    told = session.handle(Heard(Joined(ROOM, (ANNA,)), 1, 0.0))
    assert told == [RoomJoined(ROOM, (ANNA,)), Seen(ROOM, ANNA, True, "present"), Up()]


def test_a_room_wanted_no_more_is_not_joined(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    assert session.handle(Unwant(ROOM)) == []
    assert session.handle(Heard(WELCOME, 0, 0.0)) == [Up()]


def test_a_refused_hello_is_told_and_said_again(session: Session) -> None:
    session.handle(Tick(0.0))
    assert session.handle(Heard(Refused("role_taken", "by bert"), 1, 0.1)) == [Rejected("role_taken", "by bert")]
    assert session.handle(Tick(HELLO_S)) == [Say(HELLO, 0, 2)]


def test_a_full_broker_is_asked_again_every_second(session: Session) -> None:
    session.handle(Tick(0.0))
    assert session.handle(Heard(Refused("limit", "full"), 1, 0.1)) == [Rejected("limit", "full")]
    assert session.handle(Tick(0.1 + FULL_S - 0.01)) == []
    assert session.handle(Tick(0.1 + FULL_S)) == [Say(HELLO, 0, 2)]


@pytest.mark.parametrize("phase", ["joining", "ready"])
def test_refused_for_the_number_of_its_session_it_says_hello_and_takes_the_one_that_it_is_told(
    session: Session, phase: str
) -> None:
    """Of two WELCOMEs the older one came last."""
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    if phase == "ready":
        session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    wrong = Heard(Refused("malformed", "session 7 is not the one of this connection"), 1, 1.0)
    assert session.handle(wrong) == [Say(HELLO, 0, 2)]
    assert session.handle(replace(wrong, at=1.0 + HELLO_S - 0.01)) == []
    assert session.phase == phase
    told = session.handle(Heard(Welcome(1, 8, "broker", 1000), 2, 1.1))
    assert Down("the broker began a new session") in told
    assert Say(Join(ROOM), 8, 3) in told
    assert RoomJoined(ROOM, ()) in session.handle(Heard(Joined(ROOM, ()), 3, 1.1))


def test_a_limit_above_that_of_the_protocol_is_not_believed(session: Session) -> None:
    session.handle(Heard(Welcome(1, 7, "broker", 2 * MAX_MESSAGE_BYTES), 0, 0.0))
    assert session.max_message_bytes == MAX_MESSAGE_BYTES


def test_late_answers_are_stale_while_greeting(session: Session) -> None:
    for message in (Unknown(), Joined(ROOM, ()), Pong("1", "x", 1, ()), Presence(ROOM, ANNA, "left", "")):
        assert session.handle(Heard(message, 0, 0.0)) == []
    assert session.phase == "greeting"


def test_a_room_can_be_wanted_at_any_time(session: Session) -> None:
    ready(session)
    assert session.handle(Want("digits/control", 1.0)) == [Say(Join("digits/control"), 7, 3)]
    assert session.handle(Heard(Joined("digits/control", ()), 3, 1.0)) == [RoomJoined("digits/control", ())]


def test_a_room_wanted_while_joining_is_waited_for(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    session.handle(Want("digits/control", 0.0))
    assert Up() not in session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    assert Up() in session.handle(Heard(Joined("digits/control", ()), 2, 0.0))


def test_a_room_unwanted_while_joining_is_left_although_it_is_not_joined_yet(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    assert session.handle(Unwant(ROOM)) == [Say(Leave(ROOM), 7, 2), Up()]
    assert session.handle(Unwant(ROOM)) == []
    assert session.handle(Heard(Joined(ROOM, (ANNA,)), 1, 0.1)) == []
    assert session.rooms == {}


def test_a_room_wanted_again_is_joined_by_the_answer_to_the_later_join(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    session.handle(Unwant(ROOM))
    session.handle(Want(ROOM, 0.0))
    assert session.handle(Heard(Joined(ROOM, (ANNA,)), 1, 0.1)) == []
    assert session.handle(Heard(Joined(ROOM, ()), 3, 0.1)) == [RoomJoined(ROOM, ())]


def test_a_room_unwanted_later_is_left(session: Session) -> None:
    ready(session)
    assert session.handle(Unwant(ROOM)) == [Say(Leave(ROOM), 7, 3)]
    assert session.handle(Unwant(ROOM)) == []


def test_a_room_already_joined_is_told_again(session: Session) -> None:
    ready(session, ANNA)
    assert session.handle(Want(ROOM, 1.0)) == [RoomJoined(ROOM, (ANNA,))]


def test_a_join_without_answer_is_said_again(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    assert session.handle(Tick(JOIN_S - 0.1)) == []
    assert Say(Join(ROOM), 7, 2) in session.handle(Tick(JOIN_S))
    assert Up() in session.handle(Heard(Joined(ROOM, ()), 1, 0.6))
    assert session.handle(Heard(Joined(ROOM, ()), 2, 0.6)) == []


def test_a_refused_room_is_told_and_not_wanted_any_more(session: Session) -> None:
    ready(session)
    session.handle(Want("digits/other", 1.0))
    told = session.handle(Heard(Refused("limit", "full"), 3, 1.0))
    assert told == [RoomRefused("digits/other", "limit", "full")]
    assert session.handle(Heard(Refused("not_member", "of another message"), 99, 1.0)) == []


def test_a_room_refused_while_joining_is_not_waited_for(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    assert session.handle(Heard(Refused("limit", "full"), 1, 0.0)) == [RoomRefused(ROOM, "limit", "full"), Up()]


def test_presence_keeps_the_table(session: Session) -> None:
    ready(session, ANNA)
    joined, left = Presence(ROOM, BERT, "joined", ""), Presence(ROOM, ANNA, "left", "slow")
    assert session.handle(Heard(joined, 0, 1.0)) == [Seen(ROOM, BERT, True, "")]
    assert session.handle(Heard(joined, 0, 1.0)) == []
    assert session.handle(Heard(left, 0, 1.0)) == [Seen(ROOM, ANNA, False, "slow")]
    assert session.handle(Heard(left, 0, 1.0)) == []
    assert session.rooms == {ROOM: {9: BERT}}
    assert session.member(9) == BERT
    assert session.member(8) is None
    assert session.handle(Heard(Presence("digits/other", BERT, "joined", ""), 0, 1.0)) == []


def test_presence_of_one_room_comes_while_another_is_being_joined(session: Session) -> None:
    for room in (ROOM, "digits/control"):
        session.handle(Want(room, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    seen = session.handle(Heard(Presence(ROOM, BERT, "joined", ""), 0, 0.0))
    assert seen == [Seen(ROOM, BERT, True, "")]


def test_the_answer_to_a_repeated_join_tells_who_came_and_left_unheard(session: Session) -> None:
    ready(session, ANNA)
    assert Say(Join(ROOM), 7, 4) in session.handle(Tick(LOOK_S))
    told = session.handle(Heard(Joined(ROOM, (BERT,)), 4, LOOK_S))
    assert told == [Seen(ROOM, ANNA, False, "not there any more"), Seen(ROOM, BERT, True, "present")]
    assert session.member(9) == BERT
    assert session.member(8) is None


def test_one_room_after_the_other_is_looked_at_and_large_ones_more_seldom(session: Session) -> None:
    ready(session, ANNA, BERT)
    session.handle(Want("digits/control", 0.0))
    session.handle(Heard(Joined("digits/control", ()), 3, 0.0))
    looks = []
    for tick in range(31):
        said = session.handle(Tick(tick / 10))
        looks += [
            (tick, each.message.room) for each in said if isinstance(each, Say) and isinstance(each.message, Join)
        ]
        session.handle(Heard(Probe(), 0, tick / 10))
    assert looks[:3] == [(5, ROOM), (11, "digits/control"), (16, ROOM)]
    assert 2 * LOOK_AT_EACH_S < 0.1


def test_a_heartbeat_goes_out_and_its_answer_keeps_the_session(session: Session) -> None:
    ready(session)
    assert session.handle(Tick(PING_S)) == [Say(Ping("3"), 7, 3), Say(Join(ROOM), 7, 4)]
    at = PING_S
    while at < 3 * LOST_S:
        assert session.handle(Heard(Pong("3", "x", 1, ()), 3, at)) == []
        session.handle(Tick(at))
        at += 0.5
    assert session.phase == "ready"


def test_unknown_means_hello_and_all_rooms_again(session: Session) -> None:
    ready(session, ANNA)
    session.handle(Tick(1.0))
    told = session.handle(Heard(Unknown(), 0, 1.0))
    why = "the broker does not know us any more"
    assert told == [Seen(ROOM, ANNA, False, why), Down(why), Say(HELLO, 0, 5)]
    assert session.handle(Heard(Unknown(), 0, 1.0)) == []
    assert session.handle(Heard(Welcome(1, 77, "new", 1000), 5, 1.1)) == [Say(Join(ROOM), 77, 6)]
    told = session.handle(Heard(Joined(ROOM, (BERT,)), 6, 1.1))
    assert told == [RoomJoined(ROOM, (BERT,)), Seen(ROOM, BERT, True, "present"), Up()]


def test_unknown_while_joining_begins_again(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    assert isinstance(session.handle(Heard(Unknown(), 0, 0.1))[0], Down)


@pytest.mark.parametrize("joined", [True, False])
def test_silence_in_spite_of_pings_means_lost(session: Session, joined: bool) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    if joined:
        session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    at = 0.0
    while at + 0.5 < LOST_S:
        at += 0.5
        assert Down not in map(type, session.handle(Tick(at)))
    assert session.handle(Tick(at + 0.3)) == [Down("the broker was silent for 1.75 s")]
    assert session.handle(Tick(at + 0.3))[0].message == HELLO


def test_being_busy_for_long_is_no_silence_of_the_broker(session: Session) -> None:
    ready(session)
    session.handle(Tick(1.0))
    assert Down not in map(type, session.handle(Tick(60.0)))
    assert session.phase == "ready"


def test_a_repeated_welcome_is_nothing_and_another_number_a_new_session(session: Session) -> None:
    ready(session)
    assert session.handle(Heard(WELCOME, 0, 0.1)) == []
    told = session.handle(Heard(Welcome(1, 70, "broker", 1000), 0, 0.2))
    assert told == [Down("the broker began a new session"), Say(Join(ROOM), 70, 3)]
    assert session.handle(Heard(Welcome(1, 70, "broker", 1000), 0, 0.2)) == []


def test_finish_says_bye_and_nothing_after(session: Session) -> None:
    ready(session)
    assert session.handle(Finish("done")) == [Say(Bye("done"), 7, 3)]
    for event in (Tick(9.0), Heard(Unknown(), 0, 9.0), Finish("again")):
        assert session.handle(event) == []
    with pytest.raises(InvalidTransition):
        session.handle(Want(ROOM, 9.0))


def test_finish_before_the_welcome_is_silent(session: Session) -> None:
    session.handle(Tick(0.0))
    assert session.handle(Finish("done")) == []
    assert session.phase == "closed"


def test_finish_while_joining_says_bye(session: Session) -> None:
    session.handle(Want(ROOM, 0.0))
    session.handle(Heard(WELCOME, 0, 0.0))
    assert session.handle(Finish("done")) == [Say(Bye("done"), 7, 2)]


def test_sequences_go_round(session: Session) -> None:
    session._sequence = 2**32 - 2
    assert [session.next_sequence() for _ in range(3)] == [2**32 - 1, 0, 1]


# --- re-sending ---------------------------------------------------------------------------------------------------


def test_requests_are_due_at_doubling_times() -> None:
    resends = Resends(lambda: 1.0)
    number = resends.add(ROOM, 0.5, 0.0)
    times = []
    for tenth in range(600):
        if resends.due(tenth / 10) == [number]:
            times.append(tenth / 10)
    assert times[:6] == [0.5, 1.5, 3.5, 7.5, 15.5, 25.5]
    resends.remove(number)
    assert resends.due(1e9) == []


def test_somebody_who_comes_makes_the_requests_of_the_room_due() -> None:
    resends = Resends(lambda: 1.0)
    here, _ = resends.add(ROOM, 0.5, 0.0), resends.add("digits/control", 0.5, 0.0)
    resends.hurry(0.1, ROOM)
    assert resends.due(0.1) == [here]
    assert resends.due(0.59) == [2]
    assert resends.due(0.6) == [here]


def test_a_first_wait_above_the_longest_stays() -> None:
    resends = Resends(lambda: 1.0)
    number = resends.add(ROOM, 30.0, 0.0)
    assert [at for at in range(100) if resends.due(float(at)) == [number]] == [30, 60, 90]


def test_jitter_keeps_requests_apart() -> None:
    factors = iter([0.8, 1.2])
    resends = Resends(lambda: next(factors))
    first, second = resends.add(ROOM, 1.0, 0.0), resends.add(ROOM, 1.0, 0.0)
    assert [(one, resends.waiting[one].due.at) for one in (first, second)] == [(first, 0.8), (second, 1.2)]


# --- the table ----------------------------------------------------------------------------------------------------

HEARD = {
    "Welcome": WELCOME,
    "Refused": Refused("limit", "full"),
    "Unknown": Unknown(),
    "Joined": Joined(ROOM, (ANNA,)),
    "Presence": Presence(ROOM, BERT, "joined", ""),
    "stale": Pong("1", "x", 1, ()),
}


def in_phase(phase: str) -> Session:
    session = Session(HELLO)
    session.handle(Want(ROOM, 0.0))
    if phase != "greeting":
        session.handle(Heard(WELCOME, 0, 0.0))
    if phase == "ready":
        session.handle(Heard(Joined(ROOM, ()), 1, 0.0))
    if phase == "closed":
        session.handle(Finish("done"))
    return session


@pytest.mark.parametrize(("phase", "trigger"), sorted(Session.TABLE))
def test_every_row_can_be_reached_and_leaves_a_phase_of_the_table(phase: str, trigger: str) -> None:
    session = in_phase(phase)
    assert session.phase == phase
    if trigger == "silence":
        for at in (0.9, 1.7):
            session.handle(Tick(at))
    events = {"tick": Tick(0.1), "silence": Tick(2.1), "want": Want("digits/b", 0.0), "unwant": Unwant(ROOM)}
    events["connected"] = Connected()
    events["finish"] = Finish("done")
    event = events.get(trigger) or Heard(HEARD[trigger], 0, 0.1)
    assert session.classify(event) == trigger
    session.handle(event)
    assert session.phase in {row[0] for row in Session.TABLE}
