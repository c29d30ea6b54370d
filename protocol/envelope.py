"""The first frame: fixed prefix, room, header (SPEC.md, section 3). Knows lengths and checksum; not what the header says.

This is all that the broker reads of a message that it relays: struct and zlib, no msgpack, no numpy.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from protocol import PROTOCOL_VERSION
from protocol.errors import LimitExceeded, LocalProtocolError, MalformedFrame, MessageTooLarge, WrongVersion
from protocol.limits import (
    LARGEST,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_RAW_FRAMES,
    MAX_ROOM_BYTES,
)

Frame = bytes | bytearray | memoryview

MAGIC = b"AL"
LOWEST_VERSION = 1
"""HELLO is always sent in it, so that any broker can read what else the peer speaks."""

_PREFIX = struct.Struct("<2sBBBBHIIQI")
_COVERED = struct.Struct("<2sBBBBHIIQ")
_CHECKSUM = struct.Struct("<I")
PREFIX_SIZE = _PREFIX.size
CHECKSUM_OFFSET = _COVERED.size
"""The checksum is the prefix's last field: it covers all bytes before it and all bytes behind it."""
KIND_OFFSET = 3
_SESSION, _SESSION_OFFSET = struct.Struct("<Q"), 16


@dataclass(slots=True)
class Envelope:
    """The prefix and the room of one message."""

    version: int
    kind: int
    sequence: int
    """Counts the sender's messages of this session, modulo 2**32."""
    session: int
    """The sender; 0 before WELCOME."""
    room: str
    """Qualified room or direct address; "" between a peer and the broker."""
    parts: int
    """Raw frames that follow."""
    header_start: int
    header_size: int
    checksum: int


def pack(
    kind: int, header: bytes, *, room: str, session: int, sequence: int, version: int = LOWEST_VERSION, parts: int = 0
) -> bytes:
    """The first frame of a message with `parts` raw frames behind it.

    Raises: MessageTooLarge (header, room, parts), LocalProtocolError (what does not fit its field).
    """
    try:
        name = room.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"room: {error}") from None
    for what, size, limit in (
        ("header", len(header), MAX_HEADER_BYTES),
        ("room", len(name), MAX_ROOM_BYTES),
        ("number of raw frames", parts, MAX_RAW_FRAMES),
    ):
        if size > limit:
            raise MessageTooLarge(what, size, limit)
    try:
        covered = _COVERED.pack(MAGIC, version, kind, 0, parts, len(name), len(header), sequence, session)
    except struct.error as error:
        raise LocalProtocolError(
            f"version {version}, kind {kind}, sequence {sequence}, session {session}: {error}"
        ) from None
    checksum = crc32(header, crc32(name, crc32(covered)))
    return b"".join((covered, _CHECKSUM.pack(checksum), name, header))


def peek(frame: Frame) -> Envelope:
    """Read prefix and room of a first frame. Lengths must be exact; the checksum is left to `verify`.

    Raises: MalformedFrame, LimitExceeded, WrongVersion.
    """
    size = len(frame)
    if size < PREFIX_SIZE:
        raise MalformedFrame(f"first frame has {size} bytes, the prefix alone has {PREFIX_SIZE}")
    magic, version, kind, flags, parts, room_size, header_size, sequence, session, checksum = _PREFIX.unpack_from(frame)
    if magic != MAGIC:
        raise MalformedFrame(f"starts with {magic!r}, expected {MAGIC!r}")
    if not LOWEST_VERSION <= version <= PROTOCOL_VERSION:
        raise WrongVersion(f"version {version}, spoken are {LOWEST_VERSION} to {PROTOCOL_VERSION}")
    most_header, most_parts = LARGEST[kind]
    if flags or parts > most_parts or room_size > MAX_ROOM_BYTES or header_size > most_header:
        raise _over_limit(kind, flags, parts, room_size, header_size)
    start = PREFIX_SIZE + room_size
    if start + header_size != size:
        raise MalformedFrame(f"first frame has {size} bytes, its lengths add up to {start + header_size}")
    try:
        room = str(frame[PREFIX_SIZE:start], "utf-8") if room_size else ""
    except UnicodeDecodeError:
        raise MalformedFrame("room is not UTF-8") from None
    return Envelope(version, kind, sequence, session, room, parts, start, header_size, checksum)


def sender_of(frame: Frame) -> int:
    """The session in a first frame that was looked at before; much cheaper than `peek`."""
    number: int = _SESSION.unpack_from(frame, _SESSION_OFFSET)[0]
    return number


def verify(frame: Frame, envelope: Envelope) -> None:
    """Compare the checksum of the frame that `envelope` was read from. Raises: MalformedFrame."""
    view = memoryview(frame)
    found = crc32(view[PREFIX_SIZE:], crc32(view[:CHECKSUM_OFFSET]))
    if found != envelope.checksum:
        raise MalformedFrame(f"checksum {envelope.checksum:08x} does not fit, the frame has {found:08x}")


def inspect(frames: Sequence[Frame], limit: int = MAX_MESSAGE_BYTES) -> Envelope:
    """`peek` at a whole multipart message: number of frames, their bytes together, prefix, in this order.

    Raises: MalformedFrame, LimitExceeded, WrongVersion.
    """
    count = len(frames)
    if not 1 <= count <= MAX_FRAMES:
        raise LimitExceeded(f"{count} frames, allowed are 1 to {MAX_FRAMES}")
    total = len(frames[0]) if count == 1 else sum(map(len, frames))
    if total > limit:
        raise LimitExceeded(f"{total} bytes in all, allowed are {limit}")
    envelope = peek(frames[0])
    if envelope.parts != count - 1:
        raise MalformedFrame(f"{count - 1} raw frames follow, the prefix announces {envelope.parts}")
    return envelope


def _over_limit(kind: int, flags: int, parts: int, room_size: int, header_size: int) -> MalformedFrame | LimitExceeded:
    if flags:
        return MalformedFrame(f"flags are {flags:#04x}, this version has none")
    most_header, most_parts = LARGEST[kind]
    return LimitExceeded(
        f"kind {kind}: {parts} raw frames, room of {room_size} bytes, header of {header_size}; "
        f"allowed are {most_parts}, {MAX_ROOM_BYTES} and {most_header}"
    )
