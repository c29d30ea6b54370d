"""Any message comes back bit for bit; no bytes whatever raise anything but RemoteProtocolError."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protocol.codec import decode, encode
from protocol.envelope import inspect, pack, peek
from protocol.errors import RemoteProtocolError
from protocol.messages import Message
from protocol.schema import KINDS, SIGNED
from protocol.tensors import DTYPES
from tests.protocol_content import content

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


class ArrayHint:
    """Stands for the annotation `Array`."""


def any_array() -> st.SearchStrategy[Any]:
    small = st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=0, max_dims=8, min_side=1, max_side=3),
            elements={"allow_nan": False, "allow_infinity": False} if "f" in dtype else None,
        )
    )
    return st.one_of(small, st.integers(0, 255).map(lambda byte: np.full((2, 40_000), byte, np.uint8)))


def values_of(hint: Any, path: str) -> st.SearchStrategy[Any]:
    """Any value that a field with this annotation may have."""
    plain: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(-(2**63) if path in SIGNED else 0, 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
        type(None): st.none(),
        ArrayHint: any_array(),
    }
    if hint in plain:
        return plain[hint]
    parts = get_args(hint)
    if parts[1:] == (...,):
        return st.lists(values_of(parts[0], path), max_size=4).map(tuple)
    if parts and hint.__class__.__name__ == "GenericAlias":
        return st.tuples(*(values_of(part, path) for part in parts))
    if parts:
        return st.one_of(*(values_of(part, path) for part in parts))
    return any_of(hint) if dataclasses.is_dataclass(hint) else st.sampled_from(list(hint))


def any_of(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, localns={"Array": ArrayHint})
    return st.builds(
        cls,
        **{
            field.name: values_of(hints[field.name], f"{cls.__name__}.{field.name}")
            for field in dataclasses.fields(cls)
        },
    )


def any_message() -> st.SearchStrategy[Message]:
    return st.sampled_from(sorted(KINDS)).flatmap(lambda kind: any_of(KINDS[kind]))


def assert_understood_or_refused(frames: list[bytes]) -> None:
    try:
        found = decode(frames)
    except RemoteProtocolError:
        return
    assert type(found.message) is KINDS[found.envelope.kind]
    again = decode(encode(found.message))
    assert content(again.message) == content(found.message)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(QUICK, max_examples=15)
@given(data=st.data(), session=st.integers(0, 2**64 - 1), sequence=st.integers(0, 2**32 - 1))
def test_every_kind_comes_back_bit_for_bit(kind: int, data: st.DataObject, session: int, sequence: int) -> None:
    message = data.draw(any_of(KINDS[kind]))
    frames = encode(message, room="digits/evolution", session=session, sequence=sequence)
    envelope, found = decode([bytes(frame) for frame in frames])
    assert content(found) == content(message)
    assert (envelope.session, envelope.sequence, envelope.room) == (session, sequence, "digits/evolution")
    again = encode(found, room="digits/evolution", session=session, sequence=sequence)
    assert [bytes(frame) for frame in again] == [bytes(frame) for frame in frames]


@QUICK
@given(data=st.data(), message=any_message())
def test_a_changed_frame_is_refused(data: st.DataObject, message: Message) -> None:
    frames = [bytes(frame) for frame in encode(message, room="digits/evolution")]
    which = data.draw(st.integers(0, len(frames) - 1))
    frame = bytearray(frames[which])
    place, flip = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(1, 255))
    frame[place] ^= flip
    frames[which] = bytes(frame)
    with pytest.raises(RemoteProtocolError):
        decode(frames)


@QUICK
@given(data=st.data(), message=any_message())
def test_a_changed_header_with_a_right_checksum_is_understood_or_refused(data: st.DataObject, message: Message) -> None:
    first, *raws = [bytes(frame) for frame in encode(message, room="digits/evolution")]
    header = bytearray(first[peek(first).header_start :])
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    first = pack(message.KIND, bytes(header), room="digits/evolution", session=0, sequence=0, parts=len(raws))
    assert_understood_or_refused([first, *raws])


@QUICK
@given(st.lists(st.binary(max_size=80), max_size=18))
def test_random_frames_raise_nothing_but_remote_errors(frames: list[bytes]) -> None:
    for read in (decode, inspect):
        with pytest.raises(RemoteProtocolError):
            read(frames)


@QUICK
@given(kind=st.integers(0, 255), header=st.binary(max_size=200))
def test_random_headers_raise_nothing_but_remote_errors(kind: int, header: bytes) -> None:
    assert_understood_or_refused([pack(kind, header, room="", session=0, sequence=0)])


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@QUICK
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_any_value_in_any_field_is_understood_or_refused(data: st.DataObject, kind: int) -> None:
    names = [field.name for field in dataclasses.fields(KINDS[kind])]
    header = {name: data.draw(JUNK, label=name) for name in names}
    assert_understood_or_refused([pack(kind, msgpack.packb(header), room="", session=0, sequence=0)])


@QUICK
@given(data=st.data(), message=any_message())
def test_one_wrong_field_in_a_right_message_is_understood_or_refused(data: st.DataObject, message: Message) -> None:
    first, *raws = [bytes(frame) for frame in encode(message)]
    header = msgpack.unpackb(first[peek(first).header_start :])
    if header:
        header[data.draw(st.sampled_from(sorted(header)))] = data.draw(JUNK)
    first = pack(message.KIND, msgpack.packb(header), room="", session=0, sequence=0, parts=len(raws))
    assert_understood_or_refused([first, *raws])
