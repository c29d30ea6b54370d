"""How much one peer may say: buckets by numbers, and what the broker does when one is empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from active_learner.core.flood import BURST_S, RATE_BYTES, RATE_MESSAGES, TELL_S, Bucket, Budget
from active_learner.core.guard import MAX_STRANGERS
from active_learner.core.rights import Grant
from protocol.codec import encode
from protocol.messages import Bye, Joined, LogLine, Message, Ping, Pong, Refused, StatusRequest
from tests.conversation import Conversation, hello

ROOM = "digits/control"
LINE = LogLine(1, "info", "x")


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst=20, at=0.0)
    assert [bucket.take(1, 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [bucket.take(1, 1.0) for _ in range(11)] == [True] * 10 + [False]
    assert not bucket.take(1, 1.05)
    assert bucket.take(1, 1.1)


def test_a_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = Bucket(rate=10, burst=20, at=0.0)
    assert sum(bucket.take(1, 0.0) for _ in range(30)) == 20
    assert sum(bucket.take(1, 1000.0) for _ in range(30)) == 20


def test_what_is_larger_than_a_burst_is_lent_by_a_full_bucket_and_paid_back() -> None:
    bucket = Bucket(rate=10, burst=20, at=0.0)
    assert bucket.take(50, 0.0)
    assert not bucket.take(1, 2.9)
    assert bucket.take(1, 3.2)


@given(st.lists(st.tuples(st.integers(1, 15), st.floats(0, 3)), max_size=200))
def test_no_time_has_more_than_two_bursts_and_the_rate(said: list[tuple[int, float]]) -> None:
    bucket, at, taken = Bucket(rate=10, burst=20, at=0.0), 0.0, 0
    for number, pause in said:
        at += pause
        taken += number * bucket.take(number, at)
    assert taken <= 2 * 20 + 10 * at + 1e-6


def test_honest_use_is_far_below_the_defaults() -> None:
    budget = Budget(RATE_MESSAGES, RATE_BYTES, 0.0)
    assert all(budget.allows(64, number / 20_000) for number in range(200_000))  # 20,000 a second for 10 s


# --- on the broker ------------------------------------------------------------------------------------------------


@pytest.fixture
def talk() -> Conversation:
    talk = Conversation(rate_messages=5)  # so 10 at once
    talk.enter("other", ROOM)
    talk.enter("loud", ROOM)  # two messages
    return talk


def flood(talk: Conversation, number: int, at: float) -> list[tuple[str, Message]]:
    return [told for _ in range(number) for told in talk.say("loud", LINE, ROOM, at)]


def test_row_46_what_is_over_the_rate_is_dropped_counted_and_told_once_a_second(talk: Conversation) -> None:
    told = flood(talk, 100, 0.0)
    heard = [message for who, message in told if who == "other"]
    assert len(heard) == BURST_S * 5 - 1  # the JOIN was one
    [refused] = [message for who, message in told if who == "loud"]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.text[:22]) == ("flood", "1 messages were droppe")
    assert talk.membership.counters["flooded"] == 100 - len(heard)
    later = [message for who, message in flood(talk, 100, TELL_S) if who == "loud"]
    assert [message.text.split()[0] for message in later] == ["91"]  # type: ignore[attr-defined]


def test_row_46_the_flood_of_one_costs_the_others_nothing(talk: Conversation) -> None:
    flood(talk, 1000, 0.0)
    assert [who for who, _ in talk.say("other", LINE, ROOM)] == ["loud"]
    assert isinstance(talk.say("other", Ping("x"))[0][1], Pong)


def test_bytes_are_counted_too() -> None:
    talk = Conversation(rate_bytes=1000)
    talk.enter("other", ROOM)
    talk.enter("loud", ROOM)
    long = LogLine(1, "info", "x" * 400)
    told = [one for _ in range(10) for one in talk.say("loud", long, ROOM)]
    assert [type(message) for who, message in told if who == "loud"] == [Refused]
    assert sum(who == "other" for who, _ in told) == 4  # 480 bytes each, 2000 at once


def test_a_dropped_join_is_no_refused_one(talk: Conversation) -> None:
    """REFUSED with the sequence of a JOIN would give the room up for good."""
    from protocol.codec import decode
    from protocol.messages import Join

    flood(talk, 9, 0.0)
    sends = talk.membership.received(
        b"loud", encode(Join("digits/user"), session=talk.sessions["loud"], sequence=77), 0.0
    )
    assert [decode(send.frames).envelope.sequence for send in sends] == [0]
    [(_, joined)] = talk.say("loud", Join("digits/user"), at=1.0)
    assert isinstance(joined, Joined)


def test_a_key_has_one_budget_whatever_its_sessions() -> None:
    class Keyed(Conversation):
        def key(self, who: str) -> str:
            return "key"

    talk = Keyed(grants={"key": Grant("anna", "operator")}, rate_messages=5)
    for number in range(4):
        talk.enter(f"anna.{number}", role="operator")
    for number in range(4):
        for _ in range(3):
            talk.say(f"anna.{number}", StatusRequest("x"), "@digits/trainer")
        talk.say(f"anna.{number}", Bye("again"))
    assert talk.membership.counters["flooded"] == 4 + 4 * 4 - 10


SESSIONLESS = {
    "PING without a session": lambda talk: talk.say("stranger", Ping("x"), session=0),
    "HELLO again and again": lambda talk: talk.say("stranger", hello("stranger", role="operator"), session=0),
    "under another session's number": lambda talk: talk.say("stranger", Ping("x"), session=12345),
}


@pytest.mark.parametrize("how", SESSIONLESS)
@pytest.mark.parametrize("key", ["", "key"])
def test_row_46_what_is_said_outside_of_a_session_is_counted_too(how: str, key: str) -> None:
    class Keyed(Conversation):
        def key(self, who: str) -> str:
            return key

    talk = Keyed(grants={"key": Grant("stranger", "operator")} if key else None, rate_messages=5)
    answers = [answer for _ in range(100) for answer in SESSIONLESS[how](talk)]
    assert len(answers) in (10, 11)  # the HELLO that makes a session, without a key, is not paid by it
    assert talk.membership.counters["flooded"] == 100 - len(answers)


def test_connections_without_a_session_are_remembered_up_to_a_number() -> None:
    talk = Conversation(rate_messages=5)
    for number in range(MAX_STRANGERS + 1):
        assert talk.say(f"stranger{number}", Ping("x"), session=0)
    assert len(talk.membership._guard._strangers) == MAX_STRANGERS


def test_who_says_too_much_is_named_in_the_log(talk: Conversation) -> None:
    notes: list[str] = []
    talk.membership.note = notes.append
    flood(talk, 20, 0.0)
    assert notes == [
        "loud of digits says too much: 1 messages were dropped: more than 5 messages or 536870912 bytes a second"
    ]
