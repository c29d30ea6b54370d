"""Rows 23 and 24 of bad input at the wire: arrays of a wrong shape or dtype, and arrays that hold no numbers, in every field of
every kind that has one. They are refused with the name of the field before anybody looks at them."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import pytest

from protocol.codec import decode
from protocol.envelope import pack
from protocol.errors import NotFinite, RemoteProtocolError, SchemaMismatch
from protocol.messages import Message
from protocol.schema import KINDS, layout
from tests.proofs.fuzz_frames import Fuzzer

FIELDS = [
    (cls, name) for cls in KINDS.values() for name, kind in layout(cls).fields if kind.text.removesuffix("?") == "array"
]
GOOD = {"d": "<f4", "s": [2, 1], "b": bytes(8)}
WRONG = {
    "bytes for another shape": {"s": [3, 1]},
    "bytes for another dtype": {"d": "<f8"},
    "a dimension of 0": {"s": [0, 1]},
    "a negative dimension": {"s": [-2, -1]},
    "a product that overflows": {"s": [2**31 - 1] * 8},
    "nine dimensions": {"s": [1] * 8 + [2]},
    "a shape of floats": {"s": [2.0, 1]},
    "no shape": {"s": None},
    "objects": {"d": "|O"},
    "booleans": {"d": "|b1"},
    "half floats": {"d": "<f2"},
    "text": {"d": "<U1"},
    "big-endian": {"d": ">f4"},
    "a raw frame that is not there": {"f": 1},
}


def said(cls: type[Message], name: str, **changed: Any) -> Message:
    """A message of that kind, valid but for what is changed in the descriptor of one of its arrays."""
    header = Fuzzer(1).valid(cls)[0]
    arrays = {one: GOOD for kind, one in FIELDS if kind is cls}
    packed = msgpack.packb({**header, **arrays, name: {**GOOD, **changed}})
    return decode([pack(cls.KIND, packed, room="digits/control", session=1, sequence=1)]).message


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_the_same_message_with_a_good_array_is_accepted(cls: type[Message], name: str) -> None:
    assert getattr(said(cls, name), name).shape == (2, 1)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_row_23_an_array_of_a_wrong_shape_or_dtype_is_refused_by_the_name_of_its_field(
    cls: type[Message], name: str, wrong: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=rf"{cls.__name__}\.{name}") as caught:
        said(cls, name, **WRONG[wrong])
    assert not isinstance(caught.value, NotFinite)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_row_24_an_array_that_holds_no_number_is_refused_by_the_name_of_its_field(
    cls: type[Message], name: str, dtype: str, value: float
) -> None:
    content = struct.pack("<2f" if dtype == "<f4" else "<2d", 1.0, value)
    with pytest.raises(NotFinite, match=rf"{cls.__name__}\.{name} has values that are not finite"):
        said(cls, name, d=dtype, b=content)


def test_row_24_a_number_that_is_none_is_refused_too() -> None:
    for cls, name in ((KINDS[29], "score"), (KINDS[31], "at"), (KINDS[35], "accuracy")):
        header = Fuzzer(1).valid(cls)[0]
        arrays = {one: GOOD for kind, one in FIELDS if kind is cls}
        packed = msgpack.packb({**header, **arrays, name: float("nan")})
        with pytest.raises(NotFinite, match=rf"{cls.__name__}\.{name} is not finite"):
            decode([pack(cls.KIND, packed, room="digits/control", session=1, sequence=1)])


def test_an_unknown_dtype_is_told_with_what_is_allowed() -> None:
    with pytest.raises(SchemaMismatch, match=r"has dtype '\|O', allowed are \|u1, \|i1, <i2, <i4, <i8, <f4, <f8"):
        said(KINDS[20], "data", d="|O")
