"""The real broker, asked byte by byte what the specification promises; neither its code nor ours is used."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from foreign_evaluator import digest_of, seed_of
from foreign_session import Line, Peer
from foreign_wire import Array, Malformed, Message, decode, encode

from tests.integration.foreign_process import Processes

pytestmark = pytest.mark.integration

HELLO = {"protocol_min": 1, "protocol_max": 1, "experiment": "digits", "name": "trainer", "role": "trainer"}
HELLO |= {"exclusive": True, "instance": "00ff", "software": "x 0.1"}
HELLO_BYTES = """
41 4c 01 01 00 00 00 00 71 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 ea 41 93 1a 88
ac 70 72 6f 74 6f 63 6f 6c 5f 6d 69 6e 01 ac 70 72 6f 74 6f 63 6f 6c 5f 6d 61 78 01
aa 65 78 70 65 72 69 6d 65 6e 74 a6 64 69 67 69 74 73 a4 6e 61 6d 65 a7 74 72 61 69 6e 65 72
a4 72 6f 6c 65 a7 74 72 61 69 6e 65 72 a9 65 78 63 6c 75 73 69 76 65 c3
a8 69 6e 73 74 61 6e 63 65 a4 30 30 66 66 a8 73 6f 66 74 77 61 72 65 a5 78 20 30 2e 31
"""
GRADIENT_BYTES = """
41 4c 01 15 00 00 12 00 2a 00 00 00 04 00 00 00 02 01 00 00 00 00 00 00 9f 7a ce a4
64 69 67 69 74 73 2f 74 72 61 69 6e 6f 75 74 70 75 74 83 a4 74 65 72 6d 01 a4 73 74 65 70 01
a4 64 61 74 61 83 a1 64 a3 3c 66 34 a1 73 92 01 02 a1 62 c4 08 00 00 80 3f 00 00 00 bf
"""


class Lines:
    """Connections to one broker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.all: list[Line] = []

    def stranger(self) -> Line:
        self.all.append(Line(self.address))
        return self.all[-1]

    def peer(self, name: str, *rooms: str, experiment: str = "one", exclusive: bool = False) -> Peer:
        peer = Peer(self.address, experiment, name, name, list(rooms), exclusive)
        self.all.append(peer)
        peer.begin(30)
        return peer


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    processes = Processes(tmp_path_factory.mktemp("broker"))
    try:
        broker = processes.start("-m", "active_learner", "broker", "--address", "tcp://127.0.0.1:0")
        ready = broker.line("ready:")
        found = re.search(r"tcp://127\.0\.0\.1:\d+", ready)
        assert found, ready
        yield found[0]
    finally:
        processes.close()


@pytest.fixture
def lines(address: str) -> Iterator[Lines]:
    opened = Lines(address)
    try:
        yield opened
    finally:
        for line in opened.all:
            if line.session:
                line.say("BYE", why="the test is over")
            line.close()


def heard(line: Line, name: str) -> Message:
    """The next message of that name."""
    for _ in range(1000):
        message = line.receive(30) if isinstance(line, Peer) else line.hear(30)
        assert message, f"no {name}"
        if message.name == name:
            return message
    raise AssertionError(f"no {name} among a thousand messages")


def within(seconds: float, attempt: Callable[[], Any]) -> Any:
    """What the attempt gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := attempt():
            return result
    raise AssertionError(f"nothing within {seconds} s")


def log(number: int, text: str = "") -> dict[str, Any]:
    return {"number": number, "level": "info", "text": text}


def test_the_examples_of_the_specification_are_written_byte_by_byte() -> None:
    assert encode("HELLO", "", HELLO) == [bytes.fromhex(HELLO_BYTES)]
    fields = {"term": 1, "step": 1, "data": Array.of("<f4", (1, 2), [1.0, -0.5])}
    frames = encode("GRADIENT", "digits/trainoutput", fields, session=258, sequence=4)
    assert frames == [bytes.fromhex(GRADIENT_BYTES)]
    assert decode(frames) == Message("GRADIENT", "digits/trainoutput", 258, 4, fields)


def test_the_numbers_of_the_specification() -> None:
    assert seed_of("step/7/1/0") == 3509351651903582464
    assert sorted(range(5), key=lambda row: (seed_of(f"epoch/7/0/0/{row}"), row)) == [3, 2, 0, 4, 1]
    digest = "e293e11b3f29b8a1a1fc51cded9f51cdff63343d0531861dd8f3ad4fe65cbda5"
    assert digest_of({"w": Array.of("<f4", (2,), [1.0, -0.5])}) == digest


def test_a_large_array_is_a_raw_frame_and_a_wrong_bit_is_seen() -> None:
    fields = {"term": 1, "step": 1, "data": Array.of("<f8", (8192,), range(8192))}
    frames = encode("GRADIENT", "one/trainoutput", fields)
    assert len(frames) == 2
    assert decode(frames).fields == fields
    for number in (0, 1):
        damaged = list(frames)
        damaged[number] = damaged[number][:-1] + bytes([damaged[number][-1] ^ 1])
        with pytest.raises(Malformed):
            decode(damaged)


def test_a_version_that_the_broker_does_not_speak_is_refused(lines: Lines) -> None:
    line = lines.stranger()
    said = line.say("HELLO", **HELLO | {"protocol_min": 2, "protocol_max": 3})
    answer = heard(line, "REFUSED")
    assert (answer.fields["code"], answer.sequence, answer.session, answer.room) == ("version", said, 0, "")


def test_a_frame_of_another_version_is_refused_unread(lines: Lines) -> None:
    line = lines.stranger()
    line.send(encode("HELLO", "", HELLO, sequence=7, version=2))
    answer = heard(line, "REFUSED")
    assert (answer.fields["code"], answer.sequence) == ("version", 0)


def test_a_stranger_is_told_unknown_and_may_ping(lines: Lines) -> None:
    line = lines.stranger()
    said = line.say("JOIN", room="one/control")
    assert heard(line, "UNKNOWN").sequence == said
    free = bytearray(encode("JOIN", "", {"room": "one/control"}, sequence=77)[0])
    free[3] = 14
    line.send([bytes(free)])
    assert heard(line, "UNKNOWN").sequence == 77
    said = line.say("PING", id="who")
    pong = heard(line, "PONG")
    assert (pong.fields["id"], pong.sequence) == ("who", said)


def test_a_peer_recovers_from_unknown(lines: Lines) -> None:
    peer, other = lines.peer("lost", "control"), lines.peer("other", "control")
    peer.say("BYE", why="as if the broker had forgotten it")
    peer.say("PING", id="still there?")
    old = peer.session
    within(30, lambda: (peer.receive(0.01), peer.ready and peer.session != old)[1])
    other.tell("control", "LOG_LINE", **log(1))
    assert heard(peer, "LOG_LINE").session == other.session


def test_hello_again_is_welcomed_again(lines: Lines) -> None:
    line = lines.stranger()
    line.say("HELLO", **HELLO | {"experiment": "again"})
    first = heard(line, "WELCOME")
    line.say("HELLO", **HELLO | {"experiment": "again"})
    assert heard(line, "WELCOME").fields == first.fields


def test_a_name_of_a_live_peer_is_refused(lines: Lines) -> None:
    owner = lines.peer("owner", "control", experiment="names")
    line = lines.stranger()
    line.say("HELLO", **owner.hello | {"instance": "01"})
    answer = within(30, lambda: (owner.receive(0), line.hear(0.05))[1])
    assert (answer.name, answer.fields["code"]) == ("REFUSED", "name_taken")


def test_a_joined_room_misses_nothing_and_keeps_the_order(lines: Lines) -> None:
    speaker = lines.peer("speaker", "room", "control")
    listener = lines.peer("listener", "room")
    for number in range(500):
        speaker.tell("room", "LOG_LINE", **log(number))
    numbers = [heard(listener, "LOG_LINE") for _ in range(500)]
    assert [one.fields["number"] for one in numbers] == list(range(500))
    assert {(one.session, one.room) for one in numbers} == {(speaker.session, "one/room")}
    assert [one.sequence for one in numbers] == list(range(numbers[0].sequence, numbers[0].sequence + 500))


def test_presence_tells_who_comes_and_goes(lines: Lines) -> None:
    first = lines.peer("first", "hall")
    second = lines.peer("second", "hall")
    came = heard(first, "PRESENCE").fields
    assert (came["event"], came["why"], came["member"]["name"]) == ("joined", "", "second")
    assert first.member(second.session) == came["member"]
    second.say("BYE", why="enough")
    second.session = 0
    left = heard(first, "PRESENCE").fields
    assert (left["event"], left["why"]) == ("left", "enough")
    assert first.member(came["member"]["session"]) is None


def test_direct_messages_need_no_room(lines: Lines) -> None:
    alone, far, foreign = lines.peer("alone"), lines.peer("far"), lines.peer("far", experiment="two")
    alone.say("LOG_LINE", "@one/far", **log(3, "direct"))
    message = heard(far, "LOG_LINE")
    assert (message.room, message.session, message.fields["text"]) == ("@one/far", alone.session, "direct")
    alone.say("LOG_LINE", "@one/alone", **log(5, "to myself"))
    assert heard(alone, "LOG_LINE").session == alone.session
    alone.say("LOG_LINE", "@two/far", **log(4))
    assert heard(alone, "REFUSED").fields["code"] == "bad_room"
    assert foreign.receive(0) is None


def test_what_nobody_gets_is_undelivered(lines: Lines) -> None:
    peer = lines.peer("lonely", "empty")
    for room in ("one/empty", "@one/nobody"):
        said = peer.say("LOG_LINE", room, **log(1))
        answer = heard(peer, "UNDELIVERED")
        assert (answer.sequence, answer.fields["sequence"], answer.fields["room"]) == (said, said, room)


def test_only_members_speak_and_nobody_forges_the_broker(lines: Lines) -> None:
    peer, other = lines.peer("outside", "mine"), lines.peer("inside", "mine", "theirs")
    peer.say("LOG_LINE", "one/theirs", **log(1))
    assert heard(peer, "REFUSED").fields["code"] == "not_member"
    peer.say("JOIN", room="two/control")
    assert heard(peer, "REFUSED").fields["code"] == "bad_room"
    member = {"session": 1, "name": "x", "role": "x"}
    peer.say("PRESENCE", "one/mine", room="one/mine", member=member, event="joined", why="")
    assert heard(peer, "REFUSED").fields["code"] == "malformed"
    peer.tell("mine", "LOG_LINE", **log(2))
    assert heard(other, "LOG_LINE").fields["number"] == 2
    assert other.member(1) is None


def test_a_wrong_session_number_is_refused(lines: Lines) -> None:
    peer, other = lines.peer("liar", "stage"), lines.peer("honest", "stage")
    frames = encode("LOG_LINE", "one/stage", log(1), session=other.session, sequence=999)
    peer.send(frames)
    answer = heard(peer, "REFUSED")
    assert (answer.fields["code"], answer.sequence) == ("malformed", 999)
