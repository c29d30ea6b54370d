"""Messages <-> frames (SPEC.md, sections 3 and 4). Knows msgpack and the order of the checks; no socket, no rights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from protocol.envelope import LOWEST_VERSION, Envelope, Frame, inspect, pack, verify
from protocol.errors import (
    LimitExceeded,
    LocalProtocolError,
    MalformedFrame,
    MessageTooLarge,
    NotFinite,
    RemoteProtocolError,
    SchemaMismatch,
    UnknownKind,
)
from protocol.limits import (
    MAX_CONTAINERS,
    MAX_ELEMENTS,
    MAX_FIELDS,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    RAW_FRAME_BYTES,
)
from protocol.messages import Message
from protocol.schema import KINDS, Infinite, TooLong, Unfit, layout


class Decoded(NamedTuple):
    """What was said, and the prefix and room that it came with."""

    envelope: Envelope
    message: Message


def encode(
    message: Message,
    *,
    room: str = "",
    session: int = 0,
    sequence: int = 0,
    version: int = LOWEST_VERSION,
    limit: int = MAX_MESSAGE_BYTES,
) -> list[bytes | memoryview]:
    """The frames of a message: the first, then one for each array of 64 KiB or more (a view of it, not a copy).

    `limit`: max_message_bytes of WELCOME. Raises: MessageTooLarge, LocalProtocolError (what `decode` would refuse).
    """
    cls = type(message)
    if KINDS.get(getattr(cls, "KIND", 0)) is not cls:
        raise LocalProtocolError(f"{cls.__name__} is no kind of message")
    raws: list[bytes | memoryview] = []
    try:
        header = msgpack.packb(layout(cls).write(message, raws))
    except TooLong as error:
        raise MessageTooLarge(f"{cls.__name__}{error.where}", error.size, error.limit) from None
    except Unfit as error:
        raise LocalProtocolError(f"{cls.__name__}.{error}") from None
    first = pack(cls.KIND, header, room=room, session=session, sequence=sequence, version=version, parts=len(raws))
    total = len(first) + sum(map(len, raws)) if raws else len(first)
    if total > limit:
        raise MessageTooLarge(cls.__name__, total, limit)
    return [first, *raws]


def decode(
    frames: Sequence[Frame], *, allow: Callable[[Envelope], None] | None = None, limit: int = MAX_MESSAGE_BYTES
) -> Decoded:
    """Read a multipart message. Checked in this order: number of frames, bytes in all, prefix, rights, checksum, msgpack,
    schema, arrays. `allow` is given the envelope and raises when the sender may not say this there; the rest is then
    never looked at.

    Raises: RemoteProtocolError, and whatever `allow` raises.
    """
    envelope = inspect(frames, limit)
    if allow is not None:
        allow(envelope)
    return Decoded(envelope, decode_message(envelope, frames))


def decode_message(envelope: Envelope, frames: Sequence[Frame]) -> Message:
    """The message behind an envelope that `inspect` made of the same frames. Raises: RemoteProtocolError."""
    cls = KINDS.get(envelope.kind)
    if cls is None:
        raise UnknownKind(f"kind {envelope.kind}")
    verify(frames[0], envelope)
    header = _unpack(memoryview(frames[0])[envelope.header_start :])
    raws = enumerate(frames[1:], 1)
    try:
        message: Message = layout(cls).read(header, raws)
    except Unfit as error:
        raise _remote(cls, error) from None
    if next(raws, None) is not None:
        raise MalformedFrame(f"{cls.__name__} does not mention all of its {envelope.parts} raw frames")
    return message


class _Containers:
    """Counts lists and maps while msgpack builds them, so that a bomb of empty ones is stopped early."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_CONTAINERS

    def of_list(self, elements: list[Any]) -> list[Any]:
        self.left -= 1
        if self.left < 0:
            raise LimitExceeded(f"header has more than {MAX_CONTAINERS} lists and maps")
        return elements

    def of_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self.left -= 1
        if self.left < 0:
            raise LimitExceeded(f"header has more than {MAX_CONTAINERS} lists and maps")
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise SchemaMismatch("header says a field twice")
        return fields


def _unpack(header: memoryview) -> Any:
    containers = _Containers()
    try:
        return msgpack.unpackb(
            header,
            strict_map_key=True,
            object_pairs_hook=containers.of_map,
            list_hook=containers.of_list,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=RAW_FRAME_BYTES - 1,
            max_array_len=MAX_ELEMENTS,
            max_map_len=MAX_FIELDS,
            max_ext_len=0,
        )
    except ValueError as error:  # all that msgpack raises, bad UTF-8 too
        why = str(error)[:200] or type(error).__name__  # StackError, of what is nested too deep, says nothing
        raise SchemaMismatch(f"header is not the msgpack of this protocol: {why}") from None


def _remote(cls: type[Message], error: Unfit) -> RemoteProtocolError:
    text = f"{cls.__name__}{error.where} {error.args[0]}"
    if isinstance(error, TooLong):
        return LimitExceeded(text)
    return NotFinite(text) if isinstance(error, Infinite) else SchemaMismatch(text)
