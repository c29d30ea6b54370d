"""Prefix, room names and checksum: what is refused, and that the broker's part needs no numpy and no msgpack."""

from __future__ import annotations

import struct
import subprocess
import sys
from zlib import crc32

import pytest

from protocol import limits
from protocol.envelope import CHECKSUM_OFFSET, PREFIX_SIZE, inspect, pack, peek, verify
from protocol.errors import (
    BadRoom,
    LimitExceeded,
    LocalProtocolError,
    MalformedFrame,
    MessageTooLarge,
    RemoteProtocolError,
    WrongVersion,
)
from protocol.rooms import check_name, direct, is_name, qualified, split

FRAME = pack(22, b"\x80", room="digits/traininput", session=77, sequence=9)


def changed(offset: int, value: bytes, frame: bytes = FRAME) -> bytes:
    return frame[:offset] + value + frame[offset + len(value) :]


def test_what_is_packed_is_read_again() -> None:
    envelope = peek(FRAME)
    assert (envelope.version, envelope.kind, envelope.sequence, envelope.session) == (1, 22, 9, 77)
    assert (envelope.room, envelope.parts, envelope.header_size) == ("digits/traininput", 0, 1)
    assert FRAME[envelope.header_start :] == b"\x80"
    verify(FRAME, envelope)


def test_a_memoryview_is_read_as_bytes_are() -> None:
    assert peek(memoryview(bytearray(FRAME))) == peek(FRAME)


def test_the_checksum_covers_all_but_itself() -> None:
    assert peek(FRAME).checksum == crc32(FRAME[:24] + FRAME[28:])
    assert (CHECKSUM_OFFSET, PREFIX_SIZE) == (24, 28)


def test_peek_leaves_the_checksum_to_verify() -> None:
    wrong = changed(24, b"\0\0\0\0")
    envelope = peek(wrong)
    with pytest.raises(MalformedFrame, match="checksum"):
        verify(wrong, envelope)


@pytest.mark.parametrize("offset", [3, 12, 16, 28, len(FRAME) - 1])
def test_a_changed_byte_is_found_by_verify(offset: int) -> None:
    wrong = changed(offset, bytes([FRAME[offset] ^ 1]))
    with pytest.raises(MalformedFrame, match="checksum"):
        verify(wrong, peek(wrong))


@pytest.mark.parametrize("size", range(len(FRAME)))
def test_a_truncated_frame_is_malformed(size: int) -> None:
    with pytest.raises(MalformedFrame):
        peek(FRAME[:size])


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (changed(0, b"XX"), MalformedFrame, "XX"),
        (changed(2, b"\x00"), WrongVersion, "version 0"),
        (changed(2, b"\x02"), WrongVersion, "spoken are 1 to 1"),
        (changed(4, b"\x01"), MalformedFrame, "flags"),
        (changed(5, b"\x10"), LimitExceeded, "16 raw frames"),
        (changed(6, struct.pack("<H", 201)), LimitExceeded, "room of 201"),
        (changed(8, struct.pack("<I", 2**20 + 1)), LimitExceeded, "header of 1048577"),
        (changed(8, struct.pack("<I", 2)), MalformedFrame, "add up"),
        (FRAME + b"\0", MalformedFrame, "add up"),
        (changed(28, b"\xff"), MalformedFrame, "UTF-8"),
    ],
)
def test_a_wrong_prefix_is_refused(frame: bytes, error: type[RemoteProtocolError], text: str) -> None:
    with pytest.raises(error, match=text):
        peek(frame)


def test_more_frames_than_16_are_refused_before_the_first_is_read() -> None:
    with pytest.raises(LimitExceeded, match="17 frames"):
        inspect([b"junk"] * 17)
    with pytest.raises(LimitExceeded, match="0 frames"):
        inspect([])


def test_more_bytes_than_allowed_are_refused_before_the_first_is_read() -> None:
    with pytest.raises(LimitExceeded, match="44 bytes"):
        inspect([b"junk", b"x" * 40], limit=43)


@pytest.mark.parametrize("extra", [1, 3])
def test_the_number_of_raw_frames_must_be_as_announced(extra: int) -> None:
    frame = pack(22, b"\x80", room="", session=0, sequence=0, parts=2)
    assert inspect([frame, b"a", b"b"]).parts == 2
    with pytest.raises(MalformedFrame, match="announces 2"):
        inspect([frame, *[b"a"] * extra])


@pytest.mark.parametrize(
    "place", [{"room": "r" * 201}, {"parts": 16}, {"header": bytes(2**20 + 1)}], ids=["room", "parts", "header"]
)
def test_what_is_too_large_is_not_packed(place: dict[str, object]) -> None:
    with pytest.raises(MessageTooLarge):
        pack(1, **{"header": b"", "room": "", "session": 0, "sequence": 0, **place})  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [{"sequence": 2**32}, {"session": -1}, {"version": 256}, {"room": "\ud800"}])
def test_what_does_not_fit_its_field_is_not_packed(place: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        pack(1, **{"header": b"", "room": "", "session": 0, "sequence": 0, **place})  # type: ignore[arg-type]


def test_rooms_are_qualified_and_split() -> None:
    assert qualified("digits", "evolution") == "digits/evolution"
    assert direct("digits", "trainer") == "@digits/trainer"
    assert split("digits/evolution") == ("digits", "evolution")
    assert split("@digits/trainer") == ("digits", "@trainer")


@pytest.mark.parametrize("text", ["", "a b", "-a", ".a", "a/b", "@a", "a" * 64, "ä", "a\n"])
def test_what_is_no_name_is_refused(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(LocalProtocolError, match="is no name"):
        check_name(text)
    with pytest.raises(LocalProtocolError):
        qualified("digits", text)


@pytest.mark.parametrize("text", ["", "digits", "/", "digits/", "/a", "@digits", "@@digits/a", "digits/@a", "a/b/c"])
def test_what_is_no_room_is_refused_as_the_peers_fault(text: str) -> None:
    with pytest.raises(BadRoom):
        split(text)


def test_the_longest_address_fits_the_room_field() -> None:
    address = direct("e" * 63, "n" * 63)
    assert peek(pack(31, b"\x80", room=address, session=1, sequence=0)).room == address
    assert len(address) < limits.MAX_ROOM_BYTES


def test_texts_are_shortened_to_what_may_be_said() -> None:
    assert limits.shortened("short") == "short"
    cut = limits.shortened("ä" * 20_000)
    assert cut.endswith(" ...")
    assert limits.MAX_TEXT_BYTES - 1 <= len(cut.encode()) <= limits.MAX_TEXT_BYTES
    assert limits.shortened("bad \ud800 half") == "bad ? half"


def test_neither_envelope_nor_codec_load_numpy() -> None:
    script = (
        "import sys; import protocol.envelope; assert not {'msgpack', 'numpy'} & set(sys.modules)\n"
        "from protocol.codec import decode, encode; from protocol.messages import Join\n"
        "decode(encode(Join('digits/control'))); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
