"""Headers: each limit and each malformed case, and that what would be refused is not said in the first place."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import numpy as np
import pytest

from protocol import limits
from protocol.codec import decode, encode
from protocol.envelope import Envelope, inspect, pack
from protocol.errors import (
    LimitExceeded,
    LocalProtocolError,
    MalformedFrame,
    MessageTooLarge,
    NotFinite,
    RefusalCode,
    RemoteProtocolError,
    SchemaMismatch,
    UnknownKind,
)
from protocol.messages import (
    Action,
    Answer,
    Candidates,
    Gradient,
    Joined,
    LogLine,
    Member,
    Message,
    PeerAge,
    Ping,
    Position,
    Promote,
    StatusReport,
    Taken,
    Unknown,
)

ANSWER: dict[str, Any] = {
    "id": "a",
    "question": "q",
    "annotator": "me",
    "revision": 0,
    "action": "answer",
    "value": 3,
    "at": 1.5,
    "circumstances": "",
}
REPORT = StatusReport(
    "", 1, "r", "collecting", "idle", 0, 0, 0, 0, 0, 0, 5, 200, 0, 0, 0, 0, None, None, None, "", (("stale", 2),), ()
)


def framed(kind: int, header: bytes) -> list[bytes]:
    return [pack(kind, header, room="digits/user", session=1, sequence=1)]


def said(kind: int, header: object) -> Message:
    """What a peer makes us understand that sends this header."""
    return decode(framed(kind, msgpack.packb(header))).message


def answer_with(**fields: object) -> Message:
    return said(Answer.KIND, {**ANSWER, **fields})


def test_an_answer_is_understood_whatever_the_order_of_its_fields() -> None:
    expected = Answer("a", "q", "me", 0, Action.ANSWER, 3, 1.5)
    assert said(Answer.KIND, dict(reversed(ANSWER.items()))) == expected


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (Joined("d/r", (Member(1, "a", "source"), Member(2, "b", "labeler"))), 5),
        (Unknown(), 9),
        (REPORT, 35),
        (Position(1, "", "evaluator", 0, 0, (5, 10), True, 0, ""), 24),
    ],
)
def test_nested_and_empty_messages_come_back_as_they_were(message: Message, kind: int) -> None:
    envelope, found = decode(encode(message))
    assert (found, envelope.kind) == (message, kind)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"revision": "0"}, "Answer.revision is str, expected an integer"),
        ({"revision": True}, "is bool"),
        ({"revision": 0.0}, "is float"),
        ({"revision": None}, "is nil"),
        ({"revision": -1}, "outside 0"),
        ({"revision": 2**63}, "outside 0"),
        ({"value": 2**63}, "outside -9223372036854775808"),
        ({"value": [1]}, "is list"),
        ({"at": "1.5"}, "is str, expected a number"),
        ({"at": False}, "is bool, expected a number"),
        ({"id": 7}, "expected a string"),
        ({"id": b"a"}, "is bytes, expected a string"),
        ({"id": {}}, "is dict"),
        ({"action": "dance"}, "allowed are answer, skip, undo, revise"),
        ({"action": []}, "allowed are"),
        ({"action": None}, "allowed are"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_a_field_of_the_wrong_type_is_a_mismatch(fields: dict[str, object], text: str) -> None:
    with pytest.raises(SchemaMismatch, match=text):
        answer_with(**fields)


def test_a_negative_class_is_left_to_the_trainer_to_refuse() -> None:
    message = answer_with(value=-1)
    assert isinstance(message, Answer)
    assert message.value == -1


def test_numbers_are_taken_in_the_forms_that_other_languages_write() -> None:
    for at in (1, 1.0):
        found = answer_with(at=at)
        assert isinstance(found, Answer)
        assert type(found.at) is float
    single = msgpack.packb({**ANSWER, "at": 1.5}, use_single_float=True)
    assert decode(framed(Answer.KIND, single)).message == answer_with()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_with_its_own_code(value: float) -> None:
    with pytest.raises(NotFinite, match=r"Answer\.at is not finite") as caught:
        answer_with(at=value)
    assert caught.value.code is RefusalCode.NOT_FINITE


def test_a_missing_field_is_named() -> None:
    header = {name: value for name, value in ANSWER.items() if name != "question"}
    with pytest.raises(SchemaMismatch, match="Answer lacks question"):
        said(Answer.KIND, header)


@pytest.mark.parametrize("header", [[], None, 7, "text", b"bytes"])
def test_a_header_that_is_no_map_is_refused(header: object) -> None:
    with pytest.raises(SchemaMismatch, match="expected a map"):
        said(Unknown.KIND, header)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x81",
        b"\xc1",
        b"\x80\x80",
        b"\x82\xa2id\xa1a\xa2id\xa1b",
        b"\x81\x01\xa1a",
        b"\x81\xa2id\xd4\x01\x00",
        b"\x81\xa2id\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa2id\xa1\xff",
        b"\x81\xa2id\xdb\xff\xff\xff\xff",
        b"\x81\xa2id\xc6\xff\xff\xff\xff",
        b"\x81\xa2id\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa2id" + b"\x91" * 17 + b"\x00",
        b"\x81\xa2id" + b"\x91" * 100_000 + b"\x00",
        b"\x81\xc4\x02id\xa1a",
    ],
    ids=[
        "empty",
        "map cut short",
        "byte that msgpack never uses",
        "two values",
        "field said twice",
        "integer as key",
        "ext",
        "timestamp",
        "not UTF-8",
        "string of 4 GiB",
        "binary of 4 GiB",
        "list of 4 G elements",
        "map of 4 G fields",
        "17 lists in one another",
        "100000 lists in one another",
        "binary as key",
    ],
)
def test_msgpack_that_is_not_of_this_protocol_is_a_mismatch(header: bytes) -> None:
    with pytest.raises(SchemaMismatch):
        decode(framed(StatusReport.KIND, header))


def test_what_is_nested_too_deep_is_refused_with_a_reason() -> None:
    bomb = pack(LogLine.KIND, b"\x91" * 30_000 + b"\x00", room="digits/control", session=1, sequence=1)
    with pytest.raises(SchemaMismatch, match="not the msgpack of this protocol: StackError"):
        decode([bomb])


def test_a_bomb_of_empty_lists_is_stopped_early() -> None:
    inner = b"\xdc\x04\x00" + b"\x90" * 1024
    with pytest.raises(LimitExceeded, match="4096 lists and maps"):
        decode(framed(StatusReport.KIND, b"\x81\xa2id\xdc\x03\xe8" + inner * 1000))
    with pytest.raises(LimitExceeded, match="4096 lists and maps"):
        decode(framed(StatusReport.KIND, b"\x81\xa2id\xdc\x03\xe8" + inner.replace(b"\x90", b"\x80") * 1000))


def test_lists_and_strings_have_their_limits_in_both_directions() -> None:
    steps = tuple(range(limits.MAX_ELEMENTS + 1))
    longest = Position(1, "r" * 256, "e", 0, 0, steps[:-1], True, 0, "t" * limits.MAX_TEXT_BYTES)
    assert decode(encode(longest)).message == longest
    with pytest.raises(MessageTooLarge, match=r"Position\.restorable is 1025, allowed are 1024"):
        encode(Position(1, "", "e", 0, 0, steps, True, 0, ""))
    with pytest.raises(MessageTooLarge, match=r"LogLine\.text is 16385"):
        encode(LogLine(1, "info", "t" * (limits.MAX_TEXT_BYTES + 1)))
    with pytest.raises(MessageTooLarge, match=r"Ping\.id is 258"):
        encode(Ping("ä" * 129))
    with pytest.raises(LimitExceeded, match="258 bytes"):
        said(Ping.KIND, {"id": "ä" * 129})


def test_the_longest_status_report_fits_a_header() -> None:
    name = "n" * limits.MAX_STRING_BYTES
    peers = tuple(PeerAge(name, name, 1.0) for _ in range(limits.MAX_ELEMENTS))
    counters = tuple((name, 2**63 - 1) for _ in range(limits.MAX_ELEMENTS))
    fields = [name, 1, name, name, name, *[2**63 - 1] * 12, 0.5, 0.5, 0.5, "t" * limits.MAX_TEXT_BYTES, counters, peers]
    report = StatusReport(*fields)
    frames = encode(report)
    assert decode(frames).message == report
    assert len(frames[0]) < 900 * 1024


def test_nested_fields_are_named_by_their_path() -> None:
    members = [{"session": 1, "name": "a", "role": "b"}, {"session": "1", "name": "a", "role": "b"}]
    with pytest.raises(SchemaMismatch, match=r"Joined\.members\[1\]\.session is str"):
        said(Joined.KIND, {"room": "d/r", "members": members})
    with pytest.raises(SchemaMismatch, match=r"Joined\.members\[0\] is nil, expected a map"):
        said(Joined.KIND, {"room": "d/r", "members": [None]})
    with pytest.raises(LocalProtocolError, match=r"Joined\.members\[0\]\.session is str"):
        encode(Joined("d/r", (Member("1", "a", "b"),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        Promote(1, "r", 0, np.int64(3), 3),  # type: ignore[arg-type]
        Promote(1, "r", 0, True, 3),
        Promote(1, "r", 0, -1, 3),
        Promote(1, "r", 0, 10**5000, 3),
        Promote(1, "\ud800", 0, 1, 1),
        Promote(1, None, 0, 1, 1),  # type: ignore[arg-type]
        Answer("a", "q", "me", 0, "dance", 3, 1.5),  # type: ignore[arg-type]
        Answer("a", "q", "me", 0, Action.ANSWER, 3, math.nan),
        Answer("a", "q", "me", 0, Action.ANSWER, 3, 10**400),
        Position(1, "", "e", 0, 0, [1], True, 0, ""),  # type: ignore[arg-type]
        Position(1, "", "e", 0, 0, (), 1, 0, ""),  # type: ignore[arg-type]
        Joined("d/r", (PeerAge("a", "b", 1.0),)),  # type: ignore[arg-type]
        Joined("d/r", ({"session": 1, "name": "a", "role": "b"},)),  # type: ignore[arg-type]
        Gradient(1, 1, [[1.0]]),  # type: ignore[arg-type]
        PeerAge("a", "b", 1.0),
        Message(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_a_receiver_would_refuse_is_not_said(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        encode(message)


def test_counters_must_be_pairs() -> None:
    with pytest.raises(LocalProtocolError, match=r"StatusReport\.counters\[0\] is tuple, expected 2 elements"):
        encode(StatusReport(*[getattr(REPORT, name) for name in REPORT.__slots__[:-2]], (("a", 1, 2),), ()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [0, 14, 15, 41, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(UnknownKind, match=str(kind)):
        decode(framed(kind, b"\x80"))


def test_the_checksum_is_compared_before_the_header_is_read() -> None:
    frame = bytearray(encode(Ping("abc"))[0])
    frame[-1] ^= 1
    with pytest.raises(MalformedFrame, match="checksum"):
        decode([bytes(frame)])


def test_rights_are_asked_before_the_checksum_and_the_header() -> None:
    frame = bytearray(encode(Taken("c", 1, 0, 0, 0, ""), room="@digits/source", session=5)[0])
    frame[-1] ^= 1
    seen: list[Envelope] = []

    def deny(envelope: Envelope) -> None:
        seen.append(envelope)
        raise PermissionError

    with pytest.raises(PermissionError):
        decode([bytes(frame)], allow=deny)
    assert [(one.kind, one.session, one.room) for one in seen] == [(18, 5, "@digits/source")]


def test_bytes_in_all_are_limited_in_both_directions() -> None:
    with pytest.raises(MessageTooLarge, match="Ping is 37, allowed are 36"):
        encode(Ping("abcd"), limit=36)
    with pytest.raises(LimitExceeded, match="37 bytes"):
        decode(encode(Ping("abcd")), limit=36)


def test_a_raw_frame_that_no_array_mentions_is_refused() -> None:
    inline = encode(Candidates("c", "propose", np.zeros((1, 2)), False))[0]
    header = inline[inspect([inline]).header_start :]
    first = pack(Candidates.KIND, header, room="", session=0, sequence=0, parts=1)
    with pytest.raises(MalformedFrame, match="does not mention"):
        decode([first, b"x"])


def test_every_remote_error_has_a_code_of_the_wire() -> None:
    kinds = [RemoteProtocolError, *RemoteProtocolError.__subclasses__(), *SchemaMismatch.__subclasses__()]
    assert {kind.code for kind in kinds} >= {RefusalCode.LIMIT, RefusalCode.VERSION, RefusalCode.MALFORMED}
    assert all(isinstance(kind.code, RefusalCode) for kind in kinds)


def test_the_prefix_of_the_spec_is_what_is_packed() -> None:
    frame = bytes(encode(Ping("x"), session=2, sequence=3)[0])
    fields = struct.unpack_from("<2sBBBBHIIQ", frame)
    assert fields == (b"AL", 1, 10, 0, 0, 0, 6, 3, 2)
