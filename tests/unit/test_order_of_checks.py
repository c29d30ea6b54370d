"""What is cheap for a sender is never dear for a receiver: each check comes before the next, dearer one (SPEC.md, section 3.4)."""

from __future__ import annotations

import pytest

from protocol.codec import decode
from protocol.envelope import Envelope, pack
from protocol.errors import (
    LimitExceeded,
    MalformedFrame,
    RemoteProtocolError,
    SchemaMismatch,
    UnknownKind,
    WrongVersion,
)
from protocol.limits import MAX_FRAMES, SMALL_HEADER_BYTES
from protocol.messages import Ping


class Forbidden(Exception):
    """The sender may not say this there."""


def forbid(envelope: Envelope) -> None:
    raise Forbidden("not there")


def spoiled(frame: bytes, offset: int, byte: int) -> bytes:
    return frame[:offset] + bytes([byte]) + frame[offset + 1 :]


LIMIT = 10_000
JUNK = b"\xc1"
GOOD = pack(Ping.KIND, b"\x81\xa2id\x01", room="", session=0, sequence=0)  # an id that is no string
NO_MSGPACK = pack(Ping.KIND, JUNK, room="", session=0, sequence=0)
BAD_SUM = spoiled(NO_MSGPACK, 24, NO_MSGPACK[24] ^ 1)
UNKNOWN = spoiled(BAD_SUM, 3, 99)
PARTS = pack(24, JUNK, room="", session=0, sequence=0)
LONG = pack(Ping.KIND, JUNK * (SMALL_HEADER_BYTES + 1), room="", session=0, sequence=0)
OLD = spoiled(LONG, 2, 9)

STEPS: list[tuple[str, list[bytes], type[Exception], str]] = [
    ("frames", [OLD] * (MAX_FRAMES + 1), LimitExceeded, "17 frames"),
    ("bytes", [OLD + bytes(LIMIT)], LimitExceeded, "bytes in all"),
    ("prefix", [OLD], WrongVersion, "version 9"),
    ("limits of the kind", [LONG], LimitExceeded, "kind 10: 0 raw frames, room of 0 bytes, header of 2049"),
    ("raw frames", [PARTS, b"x"], MalformedFrame, "1 raw frames follow, the prefix announces 0"),
    ("rights", [UNKNOWN], Forbidden, "not there"),
]
BEHIND_RIGHTS: list[tuple[str, list[bytes], type[Exception], str]] = [
    ("kind", [UNKNOWN], UnknownKind, "kind 99"),
    ("checksum", [BAD_SUM], MalformedFrame, "checksum"),
    ("msgpack", [NO_MSGPACK], SchemaMismatch, "not the msgpack of this protocol"),
    ("schema", [GOOD], SchemaMismatch, "Ping.id is int, expected a string"),
]
"""Each message has all the faults of those below it too, as far as one message can have them."""


@pytest.mark.parametrize(("name", "frames", "error", "words"), STEPS, ids=[step[0] for step in STEPS])
def test_what_comes_before_rights(name: str, frames: list[bytes], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        decode(frames, allow=forbid, limit=LIMIT)


@pytest.mark.parametrize(("name", "frames", "error", "words"), BEHIND_RIGHTS, ids=[step[0] for step in BEHIND_RIGHTS])
def test_what_comes_behind_rights(name: str, frames: list[bytes], error: type[Exception], words: str) -> None:
    with pytest.raises(Forbidden):
        decode(frames, allow=forbid, limit=LIMIT)
    with pytest.raises(error, match=words) as caught:
        decode(frames, limit=LIMIT)
    assert isinstance(caught.value, RemoteProtocolError)
