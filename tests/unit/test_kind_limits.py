"""What a kind may take is refused by its prefix when it is more, and holds all that its fields can say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from protocol.codec import decode, encode
from protocol.envelope import inspect, pack
from protocol.errors import LimitExceeded
from protocol.limits import (
    KIND_LIMITS,
    MAX_ELEMENTS,
    MAX_HEADER_BYTES,
    MAX_INTEGER,
    MAX_STRING_BYTES,
    MAX_TEXT_BYTES,
    RAW_FRAME_BYTES,
)
from protocol.messages import Member, PeerAge, RoundLine
from protocol.schema import KINDS, layout
from tests.unit.test_protocol_spec import section

INLINE = np.zeros(RAW_FRAME_BYTES - 1, np.uint8)
LARGEST: dict[str, Any] = {
    "str": "s" * MAX_STRING_BYTES,
    "text": "t" * MAX_TEXT_BYTES,
    "u63": MAX_INTEGER,
    "i64": MAX_INTEGER,
    "f64": 1.5,
    "bool": True,
    "Status": "validate",
    "Action": "answer",
    "array": INLINE,
    "Member": Member(MAX_INTEGER, "n" * 63, "r" * 63),
    "[str]": ("s" * MAX_STRING_BYTES,) * MAX_ELEMENTS,
    "[u63]": (MAX_INTEGER,) * MAX_ELEMENTS,
    "[Member]": (Member(MAX_INTEGER, "n" * 63, "r" * 63),) * MAX_ELEMENTS,
    "[PeerAge]": (PeerAge("n" * 63, "r" * 63, 1.5),) * MAX_ELEMENTS,
    "[RoundLine]": (
        RoundLine(
            MAX_INTEGER,
            "a" * 256,
            MAX_INTEGER,
            MAX_INTEGER,
            0.1,
            0.1,
            MAX_INTEGER,
            "h" * 256,
            0.1,
            MAX_INTEGER,
            (MAX_INTEGER,) * 10,
        ),
    )
    * MAX_ELEMENTS,
    "[(str, u63)]": (("c" * MAX_STRING_BYTES, MAX_INTEGER),) * MAX_ELEMENTS,
}


def largest(cls: type[Any]) -> Any:
    """The message of this kind that takes most."""
    return cls(*(LARGEST[kind.text.removesuffix("?")] for _, kind in layout(cls).fields))


@pytest.mark.parametrize("cls", KINDS.values(), ids=lambda cls: cls.__name__)
def test_the_limit_of_a_kind_holds_all_that_its_fields_can_say(cls: type[Any]) -> None:
    most_header, most_raws = KIND_LIMITS[cls.KIND]
    message = largest(cls)
    assert inspect(encode(message)).header_size <= most_header
    assert sum("array" in kind.text for _, kind in layout(cls).fields) == most_raws


@pytest.mark.parametrize("kind", sorted(kind for kind, (size, _) in KIND_LIMITS.items() if size < MAX_HEADER_BYTES))
def test_a_header_over_the_limit_of_its_kind_is_refused_before_it_is_parsed(kind: int) -> None:
    most_header, most_raws = KIND_LIMITS[kind]
    junk = b"\xc1" * (most_header + 1)  # a byte that msgpack never uses: parsing would say so
    with pytest.raises(LimitExceeded, match=f"kind {kind}: 0 raw frames, room of 0 bytes, header of {most_header + 1}"):
        decode([pack(kind, junk, room="", session=0, sequence=0)])
    with pytest.raises(LimitExceeded, match=f"kind {kind}: {most_raws + 1} raw frames"):
        decode([pack(kind, b"", room="", session=0, sequence=0, parts=most_raws + 1), *[b""] * (most_raws + 1)])


def test_the_limits_of_the_kinds_are_those_of_the_spec() -> None:
    from protocol import limits

    rows = re.findall(r"^\| ((?:\d+, )*\d+) \| ([A-Z_]+) \| (\d+) \|$", section(10), re.M)
    listed = {int(kind): (getattr(limits, name), int(raws)) for kinds, name, raws in rows for kind in kinds.split(", ")}
    assert listed == KIND_LIMITS
