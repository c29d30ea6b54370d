"""Hostile frames: valid messages of every kind, changed in one place by somebody who knows the protocol. Knows SPEC.md's types
by their names in protocol/schema.py; decodes nothing.

A frame is drawn in three steps: a valid header of a kind, one change of what it says (or of the prefix, or of the bytes), and
a checksum that is made right again, most of the time.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import msgpack

from protocol.envelope import PREFIX_SIZE
from protocol.limits import MAX_ELEMENTS, RAW_FRAME_BYTES
from protocol.messages import Member, Message, PeerAge, RoundLine
from protocol.schema import KINDS, layout

PREFIX = struct.Struct("<2sBBBBHIIQI")
NAMED = {cls.__name__: cls for cls in (Member, PeerAge, RoundLine)}
WORDS = {"Status": ("train", "validate", "score"), "Action": ("answer", "skip", "undo", "revise", "cannot_tell")}
ROOMS = ("", "digits/control", "@digits/honest", "digits/evolution", "other/control")
CORPUS = 6
"""Valid headers of each kind to begin with."""


class Drawn(NamedTuple):
    """A multipart message; `kind` of the message that it was made from, `sealed`: its checksum is right."""

    frames: list[bytes]
    kind: int
    change: str
    sealed: bool


@dataclass(slots=True)
class Draft:
    """A message before it is bytes. `said` set: these bytes instead of the packed header."""

    kind: int
    header: Any
    raws: list[bytes]
    room: bytes
    session: int = 0
    said: bytes | None = None
    prefix: dict[str, int] | None = None
    count: int | None = None


class Fuzzer:
    """`draw()` again and again; the same seed, the same frames. `session`: said in frames that do not lie about it."""

    def __init__(self, seed: int, session: int = 0) -> None:
        self.random = random.Random(seed)
        self.session = session
        self._corpus = {kind: [self._valid(cls) for _ in range(CORPUS)] for kind, cls in KINDS.items()}
        self.kinds = tuple(KINDS)

    def draw(self) -> Drawn:
        draw = self.random
        kind = draw.choice(self.kinds)
        header, raws = draw.choice(self._corpus[kind])
        draft = Draft(kind, header, list(raws), draw.choice(ROOMS).encode(), self.session)
        change = draw.choices(CHANGES, WEIGHTS)[0]
        change(self, draft)
        sealed = draw.random() < 0.85
        frames = _framed(draft, sealed)
        name = change.__name__.strip("_")
        if draw.random() < 0.08:
            frames, sealed, name = self._torn(frames), False, "bytes"
        return Drawn(frames, kind, name, sealed)

    def plain(self, kind: int) -> list[bytes]:
        """One that is as it should be."""
        header, raws = self.random.choice(self._corpus[kind])
        room = b"" if kind < 16 else b"digits/control"
        return _framed(Draft(kind, header, list(raws), room, self.session), True)

    # --- valid -----------------------------------------------------------------------------------------------------

    def _valid(self, cls: type[Message]) -> tuple[dict[str, Any], list[bytes]]:
        raws: list[bytes] = []
        return self._map(cls, raws), raws

    def _map(self, cls: type[Any], raws: list[bytes]) -> dict[str, Any]:
        return {name: self._value(kind.text, raws) for name, kind in layout(cls).fields}

    def _value(self, text: str, raws: list[bytes]) -> Any:
        draw = self.random
        if text.endswith("?"):
            return None if draw.random() < 0.3 else self._value(text[:-1], raws)
        if text.startswith("["):
            return [self._value(text[1:-1], raws) for _ in range(draw.choice((0, 1, 3)))]
        if text.startswith("("):
            return [self._value(part, raws) for part in text[1:-1].split(", ")]
        if text in NAMED:
            return self._map(NAMED[text], raws)
        if text in WORDS:
            return draw.choice(WORDS[text])
        return self._scalar(text) if text != "array" else self._array(raws)

    def _scalar(self, text: str) -> Any:
        draw = self.random
        makers: dict[str, Callable[[], Any]] = {
            "u63": lambda: draw.choice((0, 1, 7, 300, 2**31, 2**63 - 1)),
            "i64": lambda: draw.choice((-1, 0, 3, -(2**63))),
            "f64": lambda: draw.choice((0.0, -1.5, 1e300, 3)),
            "bool": lambda: draw.random() < 0.5,
            "str": lambda: draw.choice(("", "a", "digits", "digits/control", "é" * 20, "x" * 256)),
            "text": lambda: draw.choice(("", "why not", "x" * 5000)),
        }
        return makers[text]()

    def _array(self, raws: list[bytes]) -> dict[str, Any]:
        dtype, size = self.random.choice((("|u1", 1), ("<f4", 4), ("<i8", 8), ("<f8", 8)))
        shape = self.random.choice(([], [3], [2, 4], [1, 1, 5]))
        if self.random.random() < 0.1:
            shape, raw = [RAW_FRAME_BYTES // size], bytes(RAW_FRAME_BYTES)
            raws.append(raw)
            return {"d": dtype, "s": shape, "f": len(raws), "n": len(raw), "c": crc32(raw)}
        number = size
        for one in shape:
            number *= one
        return {"d": dtype, "s": shape, "b": bytes(number)}

    # --- changes of what is said -----------------------------------------------------------------------------------

    def _nothing(self, draft: Draft) -> None:
        """So that what is valid is taken."""

    def _field(self, draft: Draft) -> None:
        """One field, at any depth, says something else."""
        draft.header = self._replaced(draft.header)

    def _replaced(self, value: Any) -> Any:
        draw = self.random
        if isinstance(value, dict) and value and draw.random() < 0.9:
            key = draw.choice(list(value))
            return {**value, key: self._replaced(value[key])}
        if isinstance(value, list) and value and draw.random() < 0.7:
            place = draw.randrange(len(value))
            return [*value[:place], self._replaced(value[place]), *value[place + 1 :]]
        return self._hostile()

    def _hostile(self) -> Any:
        makers: tuple[Callable[[], Any], ...] = (
            lambda: self.random.choice((-1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))),
            lambda: self.random.choice((float("nan"), float("inf"), -0.0, 5e-324)),
            lambda: self.random.choice((None, True, False, b"", b"\xff" * 300)),
            lambda: "x" * self.random.choice((0, 257, 16385, 70000)),
            lambda: msgpack.ExtType(self.random.randrange(128), b"x" * self.random.choice((0, 1, 40))),
            lambda: [self.random.choice((0, None, [], {}))] * self.random.choice((0, 1, 1024, MAX_ELEMENTS + 1)),
            lambda: {str(number): number for number in range(self.random.choice((0, 1, 64, 65)))},
            lambda: {1: "a key that is no string"},
            lambda: self._nested(self.random.choice((2, 15, 40, 400))),
            lambda: self.random.choice(("digits", "@digits/trainer", "train", "\u202e", "\x00", "a/b/c")),
        )
        return self.random.choice(makers)()

    def _nested(self, depth: int) -> Any:
        value: Any = 0
        for _ in range(depth):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return value

    def _fields(self, draft: Draft) -> None:
        """One field less, more, or by another name."""
        names = list(draft.header)
        match self.random.randrange(3):
            case 0 if names:
                draft.header = {name: draft.header[name] for name in names if name != self.random.choice(names)}
            case 1:
                draft.header = {**draft.header, self.random.choice(("extra", "", "x" * 300)): self._hostile()}
            case _:
                draft.header = {name + self.random.choice(("", "_", "\u0000")): draft.header[name] for name in names}

    def _twice(self, draft: Draft) -> None:
        """A key twice, with another value: msgpack allows it."""
        pairs = list(draft.header.items()) or [("a", 1)]
        pairs.append((self.random.choice(pairs)[0], self._hostile()))
        packed = b"".join(msgpack.packb(key) + msgpack.packb(value) for key, value in pairs)
        draft.said = struct.pack(">BH", 0xDE, len(pairs)) + packed

    def _descriptor(self, draft: Draft) -> None:
        """An array whose words and bytes disagree."""
        draw = self.random
        arrays = [name for name, value in draft.header.items() if isinstance(value, dict) and "d" in value]
        if not arrays:
            self._field(draft)
            return
        name = draw.choice(arrays)
        array = dict(draft.header[name])
        key = draw.choice(list(array))
        array[key] = draw.choice(DESCRIPTORS[key])
        if draw.random() < 0.2:
            array.pop(draw.choice(list(array)))
        draft.header = {**draft.header, name: array}

    def _raw_frames(self, draft: Draft) -> None:
        """Raw frames that nobody announced, fewer, other sizes, other bytes."""
        match self.random.randrange(4):
            case 0:
                draft.raws += [bytes(self.random.choice((0, 1, RAW_FRAME_BYTES)))] * self.random.choice((1, 15, 16, 40))
            case 1:
                draft.raws = draft.raws[:-1]
            case 2:
                draft.raws = [raw[: self.random.randrange(len(raw) + 1)] for raw in draft.raws]
            case _:
                draft.raws = [b"\xff" * len(raw) for raw in draft.raws]
        draft.count = self.random.choice((None, 0, 1, 255))

    def _bomb(self, draft: Draft) -> None:
        """A few bytes that mean much, or much that means little."""
        size = self.random.choice((10, 1000, 30_000))
        draft.said = self.random.choice(
            (
                lambda: b"\x91" * size + b"\x00",
                lambda: b"\xdd\xff\xff\xff\xff" + b"\x80" * size,
                lambda: b"\xdd" + struct.pack(">I", size) + b"\x80" * size,
                lambda: b"\xdb\xff\xff\xff\xff",
                lambda: b"\xc6\x7f\xff\xff\xff" + bytes(size),
                lambda: b"\xdf\xff\xff\xff\xff" + b"\xa0\x90" * size,
                lambda: b"\xc9\xff\xff\xff\xff\x01",
                lambda: b"\x81\xa1a" * size + b"\xc0",
                lambda: msgpack.packb(draft.header) + self.random.randbytes(8),
                lambda: b"\xc1" * 4,
                lambda: b"",
                lambda: msgpack.packb([draft.header]),
                lambda: b"\x82\xa1a\xa2\xff\xfe\xa1b\xc3",
            )
        )()

    def _prefix(self, draft: Draft) -> None:
        """Another kind, version, length, session ... than it is."""
        field = self.random.choice(("version", "kind", "flags", "parts", "room", "header", "sequence", "session"))
        draft.prefix = {field: self.random.choice((0, 1, 2, 14, 15, 16, 37, 200, 255, 65535, 2**31, 2**64 - 1))}

    def _room(self, draft: Draft) -> None:
        draft.room = self.random.choice(
            (b"\xff\xfe", b"digits", b"digits/", b"@", b"a" * 200, b"a" * 201, b"@digits/\xc3", b"digits/control/x")
        )

    def _flipped(self, draft: Draft) -> None:
        """Bits of the packed header, before the checksum is made."""
        packed = bytearray(msgpack.packb(draft.header))
        for _ in range(self.random.choice((1, 1, 2, 8))):
            packed[self.random.randrange(len(packed))] ^= 1 << self.random.randrange(8)
        draft.said = bytes(packed)

    def _cut(self, draft: Draft) -> None:
        """The packed header up to anywhere."""
        packed = msgpack.packb(draft.header)
        draft.said = packed[: self.random.randrange(len(packed))]

    def _torn(self, frames: list[bytes]) -> list[bytes]:
        """Bytes as a broken sender would send them, without a thought of checksums."""
        draw = self.random
        first = bytearray(frames[0])
        match draw.randrange(5):
            case 0:
                return [bytes(first[: draw.randrange(len(first) + 1)]), *frames[1:]]
            case 1:
                return [bytes(first) + draw.randbytes(draw.randrange(1, 40)), *frames[1:]]
            case 2:
                return [draw.randbytes(draw.randrange(200))]
            case 3:
                return [b""] * draw.choice((1, 2, 17))
            case _:
                if first:
                    first[draw.randrange(len(first))] ^= 1 << draw.randrange(8)
                return [bytes(first), *frames[1:]]


CHANGES = (
    Fuzzer._nothing,
    Fuzzer._field,
    Fuzzer._fields,
    Fuzzer._twice,
    Fuzzer._descriptor,
    Fuzzer._raw_frames,
    Fuzzer._bomb,
    Fuzzer._prefix,
    Fuzzer._room,
    Fuzzer._flipped,
    Fuzzer._cut,
)
WEIGHTS = (8, 30, 6, 4, 20, 4, 5, 6, 3, 10, 4)

DESCRIPTORS: dict[str, tuple[Any, ...]] = {
    "d": ("|O", "|b1", "<f2", "<f16", ">f4", "<U9", "|V8", "f4", "", None, 5, ["<f4"], "<f4", "|u1", "<i8"),
    "s": (
        [0],
        [-1],
        [2**31],
        [2**31 - 1] * 8,
        [2**32, 2**32],
        [2**63 - 1, 2],
        [1] * 8,
        [1] * 9,
        [1] * 1025,
        [True],
        [1.0],
        [None],
        ["3"],
        [[1]],
        {},
        None,
        3,
        [],
    ),
    "b": (b"", b"\x00", bytes(65535), bytes(65536), b"\x00\x00\xc0\x7f" * 3, b"\xff" * 8, "text", None, [1, 2]),
    "f": (0, 1, 2, 15, 16, -1, True, None, "1"),
    "n": (0, 1, RAW_FRAME_BYTES - 1, RAW_FRAME_BYTES, 2**40, -1, None, 1.0),
    "c": (0, 2**32 - 1, 2**32, -1, None, b"c"),
}


def _framed(draft: Draft, sealed: bool) -> list[bytes]:
    header = msgpack.packb(draft.header) if draft.said is None else draft.said
    parts = len(draft.raws) if draft.count is None else draft.count
    fields = {
        "version": 1,
        "kind": draft.kind,
        "flags": 0,
        "parts": parts,
        "room": len(draft.room),
        "header": len(header),
        "sequence": 1,
        "session": draft.session,
        **(draft.prefix or {}),
    }
    limits = {"room": 2**16, "header": 2**32, "sequence": 2**32, "session": 2**64}
    values = [value % limits.get(name, 256) for name, value in fields.items()]
    start = PREFIX.pack(b"AL", *values, 0)[: PREFIX_SIZE - 4]
    checksum = crc32(draft.room + header, crc32(start)) ^ (not sealed)
    return [start + struct.pack("<I", checksum) + draft.room + header, *draft.raws]
