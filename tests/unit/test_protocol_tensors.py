"""Arrays on the wire: inline and raw, every dtype, and every way in which a descriptor can lie."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray

from protocol import limits
from protocol.codec import decode, encode
from protocol.envelope import pack
from protocol.errors import LimitExceeded, LocalProtocolError, MessageTooLarge, NotFinite, RefusalCode, SchemaMismatch
from protocol.messages import Forward, Gradient, Scores, Status, Step
from protocol.tensors import DTYPES
from tests.protocol_content import content

RAW = np.arange(limits.RAW_FRAME_BYTES, dtype=np.uint8)


def carried(array: NDArray[Any]) -> NDArray[Any]:
    """The array after a trip in a GRADIENT."""
    message = decode(encode(Gradient(1, 1, array))).message
    assert isinstance(message, Gradient)
    assert message.data is not None
    return message.data


def received(descriptor: object, *raws: bytes) -> Any:
    """What is understood when a peer sends this descriptor and these raw frames."""
    header = msgpack.packb({"term": 1, "step": 1, "data": descriptor})
    first = pack(Gradient.KIND, header, room="digits/trainoutput", session=1, sequence=1, parts=len(raws))
    return decode([first, *raws]).message


def raw_descriptor(**fields: object) -> dict[str, object]:
    return {"d": "|u1", "s": [len(RAW)], "f": 1, "n": len(RAW), "c": crc32(RAW), **fields}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 3, 1, 1, 1, 1, 2), (64, 1024)])
def test_every_dtype_and_shape_comes_back_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 100 - 7).astype(dtype).reshape(shape)
    found = carried(array)
    assert (found.dtype.str, found.shape, found.tobytes()) == (dtype, shape, array.tobytes())


@pytest.mark.parametrize(
    "array",
    [np.arange(12.0).reshape(3, 4).T, np.arange(12, dtype=">f4"), np.arange(24)[::2], np.ones((512, 512)).T],
    ids=["transposed", "big-endian", "strided", "large and transposed"],
)
def test_memory_order_and_byte_order_of_the_sender_do_not_matter(array: NDArray[Any]) -> None:
    found = carried(array)
    np.testing.assert_array_equal(found, array)
    assert found.flags.c_contiguous


def test_negative_zero_and_subnormals_keep_their_bits() -> None:
    array = np.array([-0.0, 1e-45, np.finfo(np.float32).max], np.float32)
    assert carried(array).tobytes() == array.tobytes()


def test_arrays_below_64_kib_are_inline_and_others_are_views_in_frames_of_their_own() -> None:
    assert len(encode(Gradient(1, 1, RAW[:-1].copy()))) == 1
    first, raw = encode(Gradient(1, 1, RAW))
    assert len(first) < 150
    assert np.shares_memory(np.frombuffer(raw, np.uint8), RAW)
    message = decode([first, raw]).message
    assert isinstance(message, Gradient)
    assert message.data is not None
    assert np.shares_memory(message.data, RAW)


def test_raw_frames_stand_in_the_order_of_the_fields() -> None:
    gradient, features = np.full((256, 64), 1.0, np.float32), np.full((256, 128), 2.0, np.float32)
    step = Step(1, 2, gradient, 0, 0, 3, 7, features)
    frames = encode(step)
    assert [len(frame) for frame in frames[1:]] == [gradient.nbytes, features.nbytes]
    assert content(decode(frames).message) == content(step)
    with pytest.raises(SchemaMismatch, match=r"Step\.gradient"):
        decode([frames[0], frames[2], frames[1]])


def test_inline_and_raw_arrays_mix_and_absent_ones_are_nil() -> None:
    scores = Scores("c", 3, np.full((2000, 10), 0.1, np.float32), np.zeros(2000, np.float32), None)
    frames = encode(scores)
    assert len(frames) == 2
    assert content(decode(frames).message) == content(scores)


@pytest.mark.parametrize(
    ("descriptor", "text"),
    [
        (None, None),
        ([1.0], "expected the descriptor"),
        ({}, "keys of neither"),
        ({"d": "<f4", "s": [1]}, "keys of neither"),
        ({"d": "<f4", "s": [1], "b": b"0000", "x": 1}, "keys of neither"),
        ({"d": "<f2", "s": [1], "b": b"00"}, "dtype '<f2', allowed are"),
        ({"d": "|O", "s": [1], "b": b"00000000"}, "dtype"),
        ({"d": ">f4", "s": [1], "b": b"0000"}, "dtype"),
        ({"d": ["<f4"], "s": [1], "b": b"0000"}, "dtype"),
        ({"d": b"<f4", "s": [1], "b": b"0000"}, "dtype"),
        ({"d": "<f4", "s": 1, "b": b"0000"}, "no list"),
        ({"d": "<f4", "s": [1.0], "b": b"0000"}, "dimension"),
        ({"d": "<f4", "s": [True], "b": b"0000"}, "dimension"),
        ({"d": "<f4", "s": [-1], "b": b""}, "dimension"),
        ({"d": "<f4", "s": [0], "b": b""}, "dimension"),
        ({"d": "<f4", "s": [2**31], "b": b""}, "dimension"),
        ({"d": "<f4", "s": [2**32, 2**32], "b": b""}, "dimension"),
        ({"d": "<f4", "s": [2**31 - 1] * 8, "b": b"0000"}, "has 4 bytes"),
        ({"d": "<f8", "s": [2**30, 2**30, 16], "b": b""}, "has 0 bytes"),
        ({"d": "<f4", "s": [2], "b": b"0000"}, "has 4 bytes, its shape and dtype make 8"),
        ({"d": "<f4", "s": [1], "b": b"00000"}, "has 5 bytes"),
        ({"d": "<f4", "s": [1], "b": "0000"}, "not binary"),
        ({"d": "<f4", "s": [1], "b": None}, "not binary"),
        ({"d": "|u1", "s": [65536], "b": bytes(65536)}, "msgpack"),
        (raw_descriptor(), "not the next one"),
    ],
)
def test_row_23_a_hostile_descriptor_is_a_mismatch(descriptor: object, text: str | None) -> None:
    if text is None:
        assert received(descriptor).data is None
        return
    with pytest.raises(SchemaMismatch, match=text):
        received(descriptor)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"f": 0}, "not the next one"),
        ({"f": 2}, "not the next one"),
        ({"f": True}, "not the next one"),
        ({"f": None}, "not the next one"),
        ({"n": 65535}, "another size"),
        ({"n": "65536"}, "another size"),
        ({"c": 1}, "checksum"),
        ({"c": -1}, "checksum"),
        ({"s": [65535]}, "has 65536 bytes, its shape and dtype make 65535"),
    ],
)
def test_a_hostile_raw_descriptor_is_a_mismatch(fields: dict[str, object], text: str) -> None:
    with pytest.raises(SchemaMismatch, match=text):
        received(raw_descriptor(**fields), RAW.tobytes())


def test_a_raw_frame_is_not_for_small_arrays() -> None:
    small = b"0" * 100
    with pytest.raises(SchemaMismatch, match="below 65536"):
        received(raw_descriptor(n=100, c=crc32(small), s=[100]), small)


def test_a_raw_frame_changed_on_its_way_is_found() -> None:
    first, raw = encode(Gradient(1, 1, RAW))
    broken = bytearray(raw)
    broken[40_000] ^= 1
    with pytest.raises(SchemaMismatch, match="checksum"):
        decode([first, bytes(broken)])


def test_more_dimensions_than_8_are_over_the_limit_in_both_directions() -> None:
    with pytest.raises(LimitExceeded, match="9 dimensions"):
        received({"d": "|u1", "s": [1] * 9, "b": b"0"})
    with pytest.raises(MessageTooLarge, match=r"Gradient\.data is 9, allowed are 8"):
        encode(Gradient(1, 1, np.ones((1,) * 9)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [3, 100_000])
def test_row_24_floats_must_be_finite_in_both_directions(value: float, size: int) -> None:
    array = np.ones(size, np.float32)
    array[-1] = value
    with pytest.raises(LocalProtocolError, match=r"Gradient\.data has values that are not finite"):
        encode(Gradient(1, 1, array))
    descriptor = {"d": "<f4", "s": [3], "b": array[-3:].tobytes()}
    with pytest.raises(NotFinite) as caught:
        received(descriptor)
    assert caught.value.code is RefusalCode.NOT_FINITE


@pytest.mark.parametrize(
    "array",
    [
        np.array([True]),
        np.array([1.0], np.float16),
        np.array([1], np.uint32),
        np.array([1j]),
        np.array(["a"]),
        np.array([None]),
        np.zeros((0, 3), np.float32),
        [1.0],
        1.0,
    ],
    ids=["bool", "half", "uint32", "complex", "text", "object", "empty", "list", "number"],
)
def test_arrays_that_a_receiver_would_refuse_are_not_said(array: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode(Forward(1, 1, Status.TRAIN, "", 0, 0, 0, 7, array))
