"""Who may say what and where: the table, the grants of keys, and the broker that keeps both."""

from __future__ import annotations

import re

import pytest

from active_learner.core.admission import FIRST_ROOM_KIND
from active_learner.core.rights import OWN, TABLE, Grant, Rights, rights_of
from active_learner.core.strikes import SUSPEND_S
from protocol.codec import decode
from protocol.envelope import pack
from protocol.messages import (
    Answer,
    Candidates,
    Control,
    Gradient,
    Join,
    Joined,
    Lease,
    LogLine,
    Message,
    Ping,
    Pong,
    Presence,
    Promote,
    Refused,
    StatusRequest,
    Unknown,
    Welcome,
)
from protocol.schema import KINDS
from tests.conversation import Conversation, hello
from tests.unit.test_protocol_spec import section

ROOM_KINDS = sorted(kind for kind in KINDS if kind >= FIRST_ROOM_KIND)


def test_every_kind_may_be_said_by_somebody_and_kinds_of_the_broker_by_nobody() -> None:
    said = {kind for rights in TABLE.values() for kind in rights.in_rooms | rights.direct}
    assert said == set(ROOM_KINDS)


def test_what_moves_weights_or_acknowledges_labels_is_the_trainer_s_alone() -> None:
    alone = {22, 23, 25, 26, 29, 30, 32, 18, 38, 40}
    for role, rights in {**TABLE, "own": OWN}.items():
        if role != "trainer":
            assert not (rights.in_rooms | rights.direct) & alone, role
    for kind in (Answer.KIND, Lease.KIND):
        assert [role for role, rights in TABLE.items() if kind in rights.direct] == ["labeler"]


def test_the_table_is_that_of_the_spec() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]*) ?\| ([\d, ]*) \|$", section(6), re.M)
    listed = {role: (_kinds(rooms), _kinds(direct)) for role, rooms, direct in rows}
    assert listed == {role: (rights.in_rooms, rights.direct) for role, rights in TABLE.items()}
    own = re.search(r"^\| any other, without keys \| ([\d, ]+) \| ([\d, ]+) \|$", section(6), re.M)
    assert own
    assert (_kinds(own[1]), _kinds(own[2])) == (OWN.in_rooms, OWN.direct)


def _kinds(text: str) -> set[int]:
    return {int(kind) for kind in text.split(",") if kind.strip()}


def test_a_role_of_the_user_s_own_is_a_stage_when_a_key_vouches_for_it() -> None:
    assert rights_of("front", keyed=True) == TABLE["evaluator"]
    assert rights_of("front", keyed=False) == OWN
    assert rights_of("monitor", keyed=False) == TABLE["monitor"] == Rights(frozenset({34}), frozenset({34, 39}), False)


# --- on a broker without keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*TABLE, "own"])
@pytest.mark.parametrize("kind", ROOM_KINDS)
def test_a_role_says_what_the_table_lets_it_and_nothing_else(role: str, kind: int) -> None:
    talk = Conversation()
    talk.enter("listener", "digits/control")
    talk.enter("speaker", "digits/control", role=role)
    rights = rights_of(role, keyed=False)
    for room, allowed in (("digits/control", rights.in_rooms), ("@digits/listener", rights.direct)):
        frame = pack(kind, b"\x80", room=room, session=talk.sessions["speaker"], sequence=7)
        sends = talk.membership.received(b"speaker", [frame], 0.0)
        if kind in allowed:
            assert [(send.connection, send.frames[0]) for send in sends] == [(b"listener", frame)]
        else:
            [(who, answer)] = [(send.connection, decode(send.frames)) for send in sends]
            assert (who, answer.envelope.sequence) == (b"speaker", 7)
            assert isinstance(answer.message, Refused)
            assert answer.message.code == "forbidden"
            assert f"a {role} does not say {KINDS[kind].__name__}" in answer.message.text


def test_without_keys_what_a_role_may_not_say_is_a_mistake_and_costs_no_session() -> None:
    talk = Conversation()
    talk.enter("a", "digits/control", role="monitor")
    for _ in range(10):
        [(_, refused)] = talk.say("a", Control("source", "stop"), "digits/control")
        assert isinstance(refused, Refused)
    assert isinstance(talk.say("a", Ping("x"))[0][1], Pong)


# --- grants -------------------------------------------------------------------------------------------------------

ANNA = Grant("anna", "labeler", frozenset({"digits"}), frozenset({"digits/user", "control"}))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"name": "anna.2f"}, ""),
        ({"name": "annabel"}, "may be called anna or anna.ANYTHING, not annabel"),
        ({"name": "labeler"}, "may be called anna"),
        ({"role": "trainer"}, "the key 'anna' is a labeler's, not a trainer's"),
        ({"experiment": "melody"}, "the key 'anna' is for digits, not for melody"),
        ({"exclusive": True}, "a labeler cannot be exclusive"),
    ],
)
def test_a_key_is_only_who_its_grant_says(fields: dict[str, object], text: str) -> None:
    problem = ANNA.problem_with(hello("anna", **{"role": "labeler", **fields}))
    assert (text in problem) if text else problem == ""


def test_a_key_of_a_role_that_only_one_can_have_may_be_called_by_the_role() -> None:
    assert Grant("gpu-1", "evaluator").problem_with(hello("evaluator", exclusive=True)) == ""
    assert Grant("gpu-1", "front").problem_with(hello("front", exclusive=True)) == ""


@pytest.mark.parametrize(
    ("experiment", "room", "may"),
    [("digits", "user", True), ("digits", "control", True), ("digits", "evolution", False)],
)
def test_a_grant_may_name_rooms_of_one_or_of_all_experiments(experiment: str, room: str, may: bool) -> None:
    assert ANNA.may_join(experiment, room) is may
    assert Grant("b", "labeler").may_join(experiment, room)


# --- on a broker with keys ----------------------------------------------------------------------------------------

KEYS = {"key of trainer": Grant("trainer", "trainer"), "key of anna": ANNA, "key of bob": Grant("bob", "source")}


class Keyed(Conversation):
    """Each connection has the key "key of NAME"; `keys` says otherwise."""

    def __init__(self) -> None:
        super().__init__(grants=dict(KEYS))
        self.keys: dict[str, str] = {}
        self.notes: list[str] = []
        self.membership.note = self.notes.append

    def key(self, who: str) -> str:
        return self.keys.get(who, f"key of {who.partition('.')[0]}")


@pytest.fixture
def talk() -> Keyed:
    talk = Keyed()
    talk.enter("trainer", "digits/control", "digits/user", exclusive=True)
    talk.enter("anna", "digits/control", role="labeler")
    return talk


def test_one_key_does_not_take_all_rooms_or_all_places(talk: Keyed) -> None:
    """Nobody shuts the others out by being many."""
    limits = talk.membership.limits
    talk.grant({**KEYS, "key of carl": Grant("carl", "labeler")})
    for name in ("carl", "carl.1"):
        talk.enter(name, role="labeler")
    for number in range(limits.rooms_of_one):
        assert isinstance(talk.say(("carl", "carl.1")[number % 2], Join(f"digits/room{number}"))[0][1], Joined)
    assert {code(talk.say(name, Join("digits/one-more"))) for name in ("carl", "carl.1")} == {"limit"}
    assert isinstance(talk.say("trainer", Join("digits/one-more"))[0][1], Joined)
    for number in range(limits.sessions_of_one - 2):
        talk.enter(f"carl.x{number}", role="labeler")
    assert code(talk.say("carl.y", hello("carl.y", role="labeler"))) == "limit"
    assert isinstance(talk.say("bob", hello("bob", role="source"))[0][1], Welcome)


def code(told: list[tuple[str, Message]]) -> str:
    [(_, refused), *_] = told
    assert isinstance(refused, Refused), told
    return refused.code


def test_row_26_a_forged_name_is_refused_because_the_sender_is_its_key(talk: Keyed) -> None:
    talk.keys["mallory"] = "key of bob"
    assert code(talk.say("mallory", hello("trainer", role="trainer", exclusive=True))) == "forbidden"
    assert code(talk.say("mallory", hello("anna", role="source"))) == "forbidden"
    assert isinstance(talk.say("mallory", hello("bob", role="source"))[-1][1], Welcome)


def test_a_key_that_is_not_on_the_list_gets_nothing_but_a_refusal(talk: Keyed) -> None:
    talk.keys["eve"] = "key of nobody"
    assert code(talk.say("eve", hello("eve"))) == "forbidden"
    assert talk.say("eve", Ping("x")) == [("eve", Unknown())]


def test_who_takes_over_the_name_of_a_connection_has_none_of_its_rights(talk: Keyed) -> None:
    """ZeroMQ lets a peer choose that name; a session number is known to all in the room."""
    talk.keys["trainer"] = "key of bob"
    told = talk.say("trainer", Control("source", "stop"), "digits/control")
    assert [(who, type(message)) for who, message in told] == [("anna", Presence), ("trainer", Unknown)]


def test_rooms_that_the_list_does_not_name_cannot_be_joined(talk: Keyed) -> None:
    assert isinstance(talk.say("anna", Join("digits/user"))[0][1], Joined)
    assert code(talk.say("anna", Join("digits/evolution"))) == "forbidden"


def test_the_third_offence_ends_all_sessions_of_the_key_and_suspends_it(talk: Keyed) -> None:
    talk.enter("anna.2", "digits/control", role="labeler")
    for who in ("anna", "anna.2"):
        assert code(talk.say(who, Promote(1, "r", 1, 1, 1), "digits/control")) == "forbidden"
    told = talk.say("anna", Control("source", "stop"), "digits/control")
    assert code(told) == "forbidden"
    assert "not heard for 60 s" in told[0][1].text  # type: ignore[attr-defined]
    left = [message.member.name for who, message in told if who == "trainer" and isinstance(message, Presence)]
    assert sorted(left) == ["anna", "anna.2"]
    assert talk.say("anna.3", hello("anna.3", role="labeler")) == []
    assert talk.notes[-1].startswith("anna of digits (key key of anna) is not heard for 60 s: the third offence, now")
    talk.tick(SUSPEND_S)
    assert isinstance(talk.say("anna", hello("anna", role="labeler"), at=SUSPEND_S)[0][1], Welcome)


def test_what_was_heard_from_a_suspended_key_disturbs_nobody(talk: Keyed) -> None:
    for _ in range(3):
        talk.say("anna", Control("source", "stop"), "digits/control")
    assert talk.say("anna", StatusRequest("x"), "@digits/trainer") == []
    assert talk.membership.counters["ignored"] == 1
    assert isinstance(talk.say("trainer", Ping("x"))[0][1], Pong)


def test_strikes_are_forgotten_after_a_while(talk: Keyed) -> None:
    for at in (0.0, 100.0, 200.0, 300.0):
        assert code(talk.say("anna", Control("source", "stop"), "digits/control", at=at)) == "forbidden"
    assert isinstance(talk.say("anna", Ping("x"), at=300.0)[0][1], Pong)


def test_a_revoked_key_loses_its_session_and_others_do_not(talk: Keyed) -> None:
    left = {key: grant for key, grant in KEYS.items() if key != "key of anna"}
    told = talk.grant(left)
    assert [(who, type(message)) for who, message in told] == [("anna", Refused), ("trainer", Presence)]
    assert talk.say("anna", LogLine(1, "info", "x"), "digits/control") == [("anna", Unknown())]
    assert code(talk.say("anna", hello("anna", role="labeler"))) == "forbidden"
    assert talk.say("trainer", Ping("x"))[0][1].sessions == 1  # type: ignore[attr-defined]
    assert talk.grant(left) == []


def test_a_key_whose_rights_change_must_say_hello_again(talk: Keyed) -> None:
    told = talk.grant({**KEYS, "key of anna": Grant("anna", "monitor")})
    assert code([one for one in told if one[0] == "anna"]) == "forbidden"
    assert isinstance(talk.say("anna", hello("anna", role="monitor"))[0][1], Welcome)


def test_a_gradient_comes_from_the_trainer_s_key_or_a_stage_s_and_never_from_a_source(talk: Keyed) -> None:
    talk.enter("bob", "digits/control", role="source")
    assert code(talk.say("bob", Gradient(1, 1, None), "digits/control")) == "forbidden"
    assert talk.say("trainer", Gradient(1, 1, None), "digits/control") == [
        ("anna", Gradient(1, 1, None)),
        ("bob", Gradient(1, 1, None)),
    ]


def test_a_source_may_not_answer_questions_nor_a_labeler_propose(talk: Keyed) -> None:
    import numpy as np

    talk.enter("bob", "digits/control", role="source")
    answer = Answer("i", "q", "anna", 0, "skip", None, 0.0)  # type: ignore[arg-type]
    assert code(talk.say("bob", answer, "@digits/trainer")) == "forbidden"
    assert code(talk.say("anna", Candidates("c", "propose", np.zeros((1, 2)), False), "digits/control")) == "forbidden"
