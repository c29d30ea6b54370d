"""What a broker answers, told as conversations."""

from __future__ import annotations

import pytest

from active_learner.core.membership import PATIENCE_S
from active_learner.core.strikes import IGNORE_S
from protocol.codec import decode, encode
from protocol.messages import (
    Bye,
    Control,
    Hello,
    Join,
    Joined,
    Leave,
    Member,
    Ping,
    Pong,
    Presence,
    Probe,
    Refused,
    Undelivered,
    Unknown,
    Welcome,
)
from tests.conversation import Conversation, hello

START = Control("source", "start")


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def codes(told: list) -> list[tuple[str, str]]:
    return [(who, message.code) for who, message in told if isinstance(message, Refused)]


def test_hello_is_answered_by_a_number_and_the_limits(talk: Conversation) -> None:
    assert talk.say("a", hello("a")) == [("a", Welcome(1, 101, "broker", 64 * 1024 * 1024))]


def test_the_same_hello_again_is_answered_by_the_same_number(talk: Conversation) -> None:
    assert talk.say("a", hello("a")) == talk.say("a", hello("a"))


def test_a_version_that_is_not_spoken_is_refused_naming_both_ranges(talk: Conversation) -> None:
    [(_, refused)] = talk.say("a", hello("a", protocol_min=7, protocol_max=9))
    assert refused == Refused("version", "peer speaks protocol 7 to 9, broker speaks 1 to 1")


def test_a_newer_peer_that_still_speaks_ours_is_welcomed_in_ours(talk: Conversation) -> None:
    [(_, welcome)] = talk.say("a", hello("a", protocol_max=9))
    assert isinstance(welcome, Welcome)
    assert welcome.protocol == 1


@pytest.mark.parametrize("field", ["experiment", "name", "role"])
def test_a_hello_with_a_bad_name_is_refused(talk: Conversation, field: str) -> None:
    [(_, refused)] = talk.say("a", hello("a", **{field: "no/name"}))
    assert isinstance(refused, Refused)
    assert refused.text == f"{field} 'no/name' is no name"


def test_more_sessions_than_allowed_are_refused() -> None:
    talk = Conversation(max_sessions=1)
    talk.enter("a")
    assert codes(talk.say("b", hello("b"))) == [("b", "limit")]
    talk.leave("a")
    talk.enter("b")


def test_the_last_eighth_of_the_places_is_for_exclusive_roles() -> None:
    talk = Conversation(max_sessions=16)
    for number in range(14):
        talk.enter(f"other{number}", experiment="melody")
    assert codes(talk.say("late", hello("late"))) == [("late", "limit")]
    talk.enter("trainer", exclusive=True)
    talk.enter("evaluator", exclusive=True)
    assert codes(talk.say("third", hello("third", exclusive=True))) == [("third", "limit")]


def test_join_tells_who_is_there_and_tells_them(talk: Conversation) -> None:
    talk.enter("a", "digits/user")
    talk.enter("b")
    assert talk.say("b", Join("digits/user")) == [
        ("b", Joined("digits/user", (Member(101, "a", "a"),))),
        ("a", Presence("digits/user", Member(102, "b", "b"), "joined", "")),
    ]


def test_joining_twice_is_joining_once(talk: Conversation) -> None:
    talk.enter("a", "digits/user")
    talk.enter("b", "digits/user")
    assert talk.say("b", Join("digits/user")) == [("b", Joined("digits/user", (Member(101, "a", "a"),)))]


@pytest.mark.parametrize("room", ["melody/user", "@digits/b", "user", "", "digits/", "digits/a/b"])
def test_rooms_of_others_and_what_is_no_room_cannot_be_joined(talk: Conversation, room: str) -> None:
    talk.enter("a")
    assert codes(talk.say("a", Join(room))) == [("a", "bad_room")]


def test_more_rooms_than_allowed_are_refused_and_empty_rooms_do_not_count() -> None:
    talk = Conversation(max_rooms=1)
    talk.enter("a", "digits/user")
    assert codes(talk.say("a", Join("digits/control"))) == [("a", "limit")]
    talk.say("a", Leave("digits/user"))
    assert talk.say("a", Join("digits/control")) == [("a", Joined("digits/control", ()))]


def test_what_is_said_in_a_room_is_heard_by_all_others_in_the_same_bytes(talk: Conversation) -> None:
    for who in "abc":
        talk.enter(who, "digits/control")
    frames = encode(START, room="digits/control", session=102, sequence=5)
    sends = talk.membership.received(b"b", frames, 0.0)
    assert [(send.connection, send.frames is frames) for send in sends] == [(b"a", True), (b"c", True)]
    assert talk.membership.counters["relayed"] == 2


def test_a_direct_message_reaches_its_name_only(talk: Conversation) -> None:
    for who in "abc":
        talk.enter(who, "digits/control")
    assert talk.say("a", START, "@digits/c") == [("c", START)]


def test_nobody_in_the_room_is_told_to_the_sender(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    [told] = talk.say("a", START, "digits/control")
    assert told == ("a", Undelivered(talk.sequence, "digits/control", "", "nobody else is in the room"))


def test_an_absent_name_is_told_to_the_sender(talk: Conversation) -> None:
    talk.enter("a")
    assert talk.say("a", START, "@digits/b") == [("a", Undelivered(talk.sequence, "@digits/b", "b", "absent"))]


@pytest.mark.parametrize("room", ["melody/control", "@melody/b", "nonsense", ""])
def test_row_25_nobody_speaks_in_another_experiment_or_in_what_is_no_room(talk: Conversation, room: str) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "melody/control", experiment="melody")
    assert codes(talk.say("a", START, room)) == [("a", "bad_room")]


def test_only_members_speak_in_a_room(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b")
    assert codes(talk.say("b", START, "digits/control")) == [("b", "not_member")]


def test_the_answer_carries_the_sequence_that_it_answers(talk: Conversation) -> None:
    talk.enter("a")
    [send] = talk.membership.received(b"a", encode(START, room="digits/user", session=101, sequence=77), 0.0)
    assert decode(send.frames).envelope.sequence == 77


def test_an_answer_that_had_to_wait_carries_the_sequence_of_the_latest_hello(talk: Conversation) -> None:
    talk.enter("first", role="trainer", exclusive=True)
    for sequence in (5, 6):
        talk.membership.received(b"second", encode(hello("second", role="trainer"), sequence=sequence), 1.0)
    talk.gone("first")
    [send] = talk.membership.tick(1.25)
    envelope, message = decode(send.frames)
    assert (type(message), envelope.sequence) == (Welcome, 6)


def test_a_session_number_of_another_is_refused_and_counted(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control")
    assert codes(talk.say("b", START, "digits/control", session=101)) == [("b", "malformed")]
    assert talk.membership.counters["refused.malformed"] == 1
    assert talk.say("b", START, "digits/control") == [("a", START)]


def test_wrong_session_numbers_are_refused_each_time_and_never_end_the_session(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control")
    for message, room in [(START, "digits/control"), (Join("digits/user"), "")] * 4:
        assert codes(talk.say("b", message, room, session=12345)) == [("b", "malformed")]
    assert talk.membership.counters["malformed"] == 0
    assert talk.say("b", START, "digits/control") == [("a", START)]


def test_who_has_no_session_is_told_unknown(talk: Conversation) -> None:
    assert talk.say("a", START, "digits/control", session=5) == [("a", Unknown())]
    assert talk.say("a", Join("digits/control")) == [("a", Unknown())]


def test_ping_needs_no_session_but_a_wrong_one_is_told_unknown(talk: Conversation) -> None:
    assert talk.say("a", Ping("x")) == [("a", Pong("x", "test", 0, ()))]
    assert talk.say("a", Ping("x"), session=5) == [("a", Unknown())]
    talk.enter("a")
    assert talk.say("a", Ping("y")) == [("a", Pong("y", "test", 1, ()))]


def test_only_who_pings_without_a_session_is_told_what_the_broker_counted(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.say("a", START, "digits/elsewhere")
    counters = (("refused.not_member", 1), ("unknown", 1))
    talk.say("b", Join("digits/control"))
    assert talk.say("b", Ping("x")) == [("b", Pong("x", "test", 1, counters))]
    assert talk.say("a", Ping("y"), session=101) == [("a", Pong("y", "test", 1, ()))]


def test_leave_and_bye_are_told_with_the_reason(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control", "digits/user")
    b = Member(102, "b", "b")
    assert talk.say("b", Leave("digits/control")) == [("a", Presence("digits/control", b, "left", "left"))]
    assert talk.say("b", Leave("digits/control")) == []
    talk.say("b", Join("digits/control"))
    assert talk.say("b", Bye("enough")) == [("a", Presence("digits/control", b, "left", "enough"))]
    assert talk.say("b", Ping("x"), session=102) == [("b", Unknown())]


def test_a_connection_that_is_gone_is_told_to_its_rooms(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control")
    assert talk.gone("b") == [("a", Presence("digits/control", Member(102, "b", "b"), "left", "gone"))]
    assert talk.gone("b") == []


# --- names and exclusive roles ------------------------------------------------------------------------------------


def test_the_same_instance_replaces_itself_at_once(talk: Conversation) -> None:
    talk.enter("watcher", "digits/control")
    talk.enter("a", "digits/control", exclusive=True)
    left = Presence("digits/control", Member(102, "a", "a"), "left", "replaced")
    told = talk.say("a again", hello("a", exclusive=True))
    assert told == [("watcher", left), ("a again", Welcome(1, 103, "broker", 64 * 1024 * 1024))]


@pytest.mark.parametrize(
    ("fields", "code"), [({"role": "trainer"}, "role_taken"), ({"name": "first", "exclusive": False}, "name_taken")]
)
def test_a_live_holder_keeps_its_place(talk: Conversation, fields: dict, code: str) -> None:
    talk.enter("first", role="trainer", exclusive=True)
    newcomer = hello("second", **{"exclusive": True, "instance": "other", **fields})
    assert talk.say("second", newcomer, at=1.0) == []
    assert talk.tick(1.25) == []
    talk.say("first", Ping("x"), at=1.3)
    assert codes(talk.tick(1.5)) == [("second", code)]
    assert talk.say("first", Ping("x"))[0][1] == Pong("x", "test", 1, ())


def test_what_a_holder_said_just_before_is_no_sign_of_life(talk: Conversation) -> None:
    talk.enter("first", role="trainer", exclusive=True)
    talk.say("second", hello("second", role="trainer"), at=1.0)
    talk.say("first", Ping("x"), at=1.05)
    assert talk.tick(1.25) == []


def test_a_dead_holder_gives_way_to_the_newcomer(talk: Conversation) -> None:
    talk.enter("first", role="trainer", exclusive=True)
    sends = talk.membership.received(b"second", encode(hello("second", role="trainer", exclusive=True)), 1.0)
    assert [(send.connection, decode(send.frames).message) for send in sends] == [(b"first", Probe())]
    talk.gone("first")
    [(who, welcome)] = talk.tick(1.25)
    assert (who, type(welcome)) == ("second", Welcome)


def test_a_silent_holder_gives_way_when_patience_is_over(talk: Conversation) -> None:
    talk.enter("watcher", "digits/control")
    talk.enter("first", "digits/control", role="trainer", exclusive=True)
    talk.say("second", hello("second", role="trainer", exclusive=True), at=1.0)
    assert talk.say("second", hello("second", role="trainer", exclusive=True), at=3.0) == []
    assert talk.tick(1.0 + PATIENCE_S - 0.01) == []
    told = talk.tick(1.0 + PATIENCE_S)
    assert [(who, type(message)) for who, message in told] == [("watcher", Presence), ("second", Welcome)]
    assert talk.say("first", Ping("x")) == [("first", Unknown())]


def test_of_two_that_wait_for_a_place_one_gets_it_and_the_other_is_refused(talk: Conversation) -> None:
    talk.enter("first", role="trainer", exclusive=True)
    for who in ("second", "third"):
        talk.say(who, hello(who, role="trainer", exclusive=True), at=1.0)
    talk.gone("first")
    told = talk.tick(1.25)
    assert [(who, type(message)) for who, message in told] == [("second", Welcome), ("third", Refused)]


def test_names_and_roles_of_other_experiments_are_free(talk: Conversation) -> None:
    talk.enter("a", exclusive=True)
    [(_, welcome)] = talk.say("b", hello("a", exclusive=True, experiment="melody"))
    assert isinstance(welcome, Welcome)


def test_another_hello_on_the_same_connection_begins_anew(talk: Conversation) -> None:
    talk.enter("watcher", "digits/control")
    talk.enter("a", "digits/control")
    told = talk.say("a", hello("b"))
    assert [(who, type(message)) for who, message in told] == [("watcher", Presence), ("a", Welcome)]


# --- what is malformed --------------------------------------------------------------------------------------------

CORRUPT = encode(hello("a"))[0][:-1] + b"\xff"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], "malformed"),
        ([b"junk" * 20], "malformed"),
        ([CORRUPT], "malformed"),
        ([b"AL\x09" + encode(hello("a"))[0][3:]], "version"),
        ([*encode(hello("a")), b"raw"], "malformed"),
        ([b"x"] * 17, "limit"),
        ([], "limit"),
    ],
)
def test_malformed_messages_are_counted_told_and_cut_off_at_the_third(frames: list, code: str) -> None:
    talk = Conversation()
    talk.enter("b", "digits/control")
    talk.enter("a", "digits/control")
    for _ in range(2):
        assert codes(talk.raw("a", frames)) == [("a", code)]
    told = talk.raw("a", frames)
    assert codes(told) == [("a", code)]
    assert told[1:] == [("b", Presence("digits/control", Member(102, "a", "a"), "left", "malformed"))]
    assert talk.membership.counters["malformed"] == 3


def test_who_was_cut_off_is_not_heard_for_a_while(talk: Conversation) -> None:
    for _ in range(3):
        talk.raw("a", [b"junk"], at=1.0)
    assert talk.say("a", hello("a"), at=2.0) == []
    talk.tick(1.0 + IGNORE_S)
    talk.enter("a", at=1.0 + IGNORE_S)
    assert talk.membership.counters["ignored"] == 1


def test_who_is_cut_off_is_told_in_words_with_the_reason() -> None:
    talk = Conversation()
    notes: list[str] = []
    talk.membership.note = notes.append
    talk.enter("a", "digits/control")
    for _ in range(3):
        talk.raw("a", [b"junk"])
        talk.raw("stranger", [b"junk"])
    assert len(notes) == 2
    assert notes[0].startswith("a of digits is not heard for 10 s: the third offence, now first frame has 4 bytes")
    assert notes[1].startswith("a connection without session is not heard")


def test_a_message_over_the_broker_s_own_limit_is_refused() -> None:
    talk = Conversation(max_message_bytes=200)
    talk.enter("a", "digits/control")
    big = Control("source", "x" * 200)
    assert codes(talk.say("a", big, "digits/control")) == [("a", "limit")]


@pytest.mark.parametrize("message", [Presence("digits/control", Member(1, "x", "x"), "left", ""), Unknown(), Probe()])
def test_what_only_the_broker_says_is_not_relayed(talk: Conversation, message: object) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control")
    assert codes(talk.say("a", message, "digits/control")) == [("a", "malformed")]


def test_row_25_an_unknown_kind_is_refused_and_the_sender_stays(talk: Conversation) -> None:
    talk.enter("a", "digits/control")
    talk.enter("b", "digits/control")
    frame = bytearray(encode(START, room="digits/control", session=101)[0])
    frame[3] = 200
    assert codes(talk.raw("a", [bytes(frame)])) == [("a", "malformed")]
    assert talk.say("a", START, "digits/control") == [("b", START)]


# --- probes -------------------------------------------------------------------------------------------------------


def test_only_those_that_were_quiet_are_probed(talk: Conversation) -> None:
    talk.enter("a")
    talk.enter("b", at=0.2)
    assert talk.tick(0.3, probes=True) == [("a", Probe())]


def test_a_taken_number_is_drawn_again() -> None:
    talk = Conversation()
    numbers = iter([7, 7, 0, 8])
    talk.membership._new_session = lambda: next(numbers)
    talk.enter("a")
    talk.enter("b")
    assert talk.sessions == {"a": 7, "b": 8}


def test_every_hello_field_counts_as_another_hello(talk: Conversation) -> None:
    talk.enter("a")
    assert isinstance(talk.say("a", hello("a", software="newer"))[-1][1], Welcome)
    assert talk.sessions["a"] == 102
    assert Hello.KIND == 1
