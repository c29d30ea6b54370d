"""The bytes of one message, from the specification alone: prefix, checksum, header, arrays; nothing of sessions or roles."""

import math
import struct
import sys
import zlib
from array import array
from typing import Any, NamedTuple

import msgpack

PREFIX = struct.Struct("<2sBBBBHIIQ")
CHECKSUM = struct.Struct("<I")
TYPECODES = {"|u1": "B", "|i1": "b", "<i2": "h", "<i4": "i", "<i8": "q", "<f4": "f", "<f8": "d"}
RAW_FROM, MAX_FRAMES, MAX_ROOM, MAX_HEADER, MAX_LIST = 65536, 16, 200, 1 << 20, 1024
STATUSES = ("train", "validate", "score")
ACTIONS = ("answer", "skip", "undo", "revise", "cannot_tell")

_PARTS = {
    "Member": "session:u63 name:str role:str",
    "PeerAge": "name:str role:str age_s:f64",
    "RoundLine": "round:u63 arm:str labels:u63 model_version:u63 accuracy:f64? loss:f64? held_out:u63? held_back:str at:f64? "
    "pool:u63? uncertainty:(u63,u63,u63,u63,u63,u63,u63,u63,u63,u63)",
}
_KINDS = """
1 HELLO protocol_min:u63 protocol_max:u63 experiment:str name:str role:str exclusive:bool instance:str software:str
2 WELCOME protocol:u63 session:u63 broker:str max_message_bytes:u63
3 REFUSED code:str text:text
4 JOIN room:str
5 JOINED room:str members:[Member]
6 LEAVE room:str
7 PRESENCE room:str member:Member event:str why:text
8 UNDELIVERED sequence:u63 room:str name:str why:text
9 UNKNOWN
10 PING id:str
11 PONG id:str software:str sessions:u63 counters:[(str,u63)]
12 PROBE
13 BYE why:text
16 CANDIDATES id:str purpose:str features:array embeddings:bool
17 SCORES re:str model_version:u63 probabilities:array fitness:array embeddings:array?
18 TAKEN re:str new:u63 known:u63 refused:u63 evicted:u63 text:text
19 SOURCE_ENDED source:str proposed:u63 dropped:u63
20 FORWARD term:u63 step:u63 status:Status ticket:str round:u63 epoch:u63 batch:u63 seed:u63 data:array
21 GRADIENT term:u63 step:u63 data:array?
22 STEP term:u63 step:u63 gradient:array round:u63 epoch:u63 batch:u63 seed:u63 data:array
23 POSITION_REQUEST term:u63 run:str
24 POSITION term:u63 run:str role:str applied:u63 model_version:u63 restorable:[u63] fused:bool width:u63 why:text
25 RESTORE term:u63 run:str role:str step:u63
26 PROMOTE term:u63 run:str round:u63 step:u63 weights_of:u63
27 PROMOTED term:u63 role:str round:u63 step:u63 digest:str
28 STEP_REFUSED term:u63 step:u63 ticket:str role:str code:str text:text
29 QUESTION id:str key:str features:array media:str classes:u63 round:u63 strategy:str score:f64 rank:u63 \
model_version:i64 stale:bool pool:u63 annotator:str asked_at:f64
30 QUESTION_CLOSED id:str why:text
31 ANSWER id:str question:str annotator:str revision:u63 action:Action value:i64? at:f64 circumstances:text
32 ANSWER_RECEIPT id:str question:str status:str text:text
33 CONTROL role:str command:str
34 STATUS_REQUEST id:str
35 STATUS_REPORT re:str number:u63 run:str asking:str training:str round:u63 epoch:u63 epochs:u63 batch:u63 \
batches:u63 step:u63 pool:u63 pool_size:u63 open_questions:u63 held:u63 labels:u63 model_version:u63 accuracy:f64? loss:f64? agreement:f64? \
text:text counters:[(str,u63)] peers:[PeerAge]
36 LOG_LINE number:u63 level:str text:text
37 LEASE annotator:str wants:u63 holds:[str] gives:[str]
38 LEASED annotator:str holds:[str] seconds:f64 waiting:u63 text:text
39 ROUNDS_REQUEST id:str
40 ROUNDS re:str run:str total:u63 rounds:[RoundLine]
"""


def _columns(text: str) -> dict[str, str]:
    return dict(field.split(":", 1) for field in text.split())


PARTS = {name: _columns(text) for name, text in _PARTS.items()}
KINDS: dict[int, tuple[str, dict[str, str]]] = {}
for _line in _KINDS.strip().splitlines():
    _number, _name, *_fields = _line.split()
    KINDS[int(_number)] = (_name, _columns(" ".join(_fields)))
NUMBERS = {name: number for number, (name, _) in KINDS.items()}


class Malformed(ValueError):
    """Bytes or fields that are not of this protocol."""


class Array(NamedTuple):
    """Numbers in C order with their dtype and shape."""

    dtype: str
    shape: tuple[int, ...]
    values: array

    @classmethod
    def of(cls, dtype: str, shape: tuple[int, ...], values: Any) -> "Array":
        return cls(dtype, shape, array(TYPECODES[dtype], values))

    def rows(self) -> list[list[float]]:
        """One flat list for each entry of the first dimension."""
        width = math.prod(self.shape[1:])
        return [list(self.values[i * width : (i + 1) * width]) for i in range(self.shape[0])]


class Message(NamedTuple):
    """One message as it was heard."""

    name: str
    room: str
    session: int
    sequence: int
    fields: dict[str, Any]


def little_endian(values: array) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _string(value: Any, limit: int) -> bool:
    return isinstance(value, str) and len(value.encode()) <= limit


SCALARS = {
    "u63": lambda value: _integer(value, 0, 2**63 - 1),
    "i64": lambda value: _integer(value, -(2**63), 2**63 - 1),
    "f64": _number,
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: _string(value, 256),
    "text": lambda value: _string(value, 16384),
    "Status": lambda value: value in STATUSES,
    "Action": lambda value: value in ACTIONS,
    "array": lambda value: isinstance(value, Array),
}


def _fits(kind: str, value: Any) -> bool:
    if kind.endswith("?"):
        return value is None or _fits(kind[:-1], value)
    if kind.startswith("["):
        return isinstance(value, list) and len(value) <= MAX_LIST and all(_fits(kind[1:-1], one) for one in value)
    if kind.startswith("("):
        kinds = kind[1:-1].split(",")
        return isinstance(value, list) and len(value) == len(kinds) and all(map(_fits, kinds, value))
    if kind in PARTS:
        return isinstance(value, dict) and _complete(PARTS[kind], value)
    return SCALARS[kind](value)


def _complete(columns: dict[str, str], fields: dict[str, Any]) -> bool:
    return set(columns) == set(fields) and all(_fits(kind, fields[name]) for name, kind in columns.items())


def encode(
    name: str, room: str, fields: dict[str, Any], session: int = 0, sequence: int = 1, version: int = 1
) -> list[bytes]:
    """The frames of a message; the fields are written in the order of the specification."""
    number = NUMBERS[name]
    columns = KINDS[number][1]
    if not _complete(columns, fields):
        raise Malformed(f"fields of {name} do not fit: {sorted(fields)}")
    raws: list[bytes] = []
    body = msgpack.packb({key: _described(fields[key], raws) for key in columns})
    where = room.encode()
    start = PREFIX.pack(b"AL", version, number, 0, len(raws), len(where), len(body), sequence, session)
    return [start + CHECKSUM.pack(zlib.crc32(start + where + body)) + where + body, *raws]


def _described(value: Any, raws: list[bytes]) -> Any:
    if not isinstance(value, Array):
        return value
    data = little_endian(value.values)
    described: dict[str, Any] = {"d": value.dtype, "s": list(value.shape)}
    if len(data) < RAW_FROM:
        return described | {"b": data}
    raws.append(data)
    return described | {"f": len(raws), "n": len(data), "c": zlib.crc32(data)}


def decode(frames: list[bytes]) -> Message:
    """The message of these frames, checked in the order of the specification, or Malformed."""
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise Malformed("number of frames")
    first = frames[0]
    if len(first) < 28:
        raise Malformed("short prefix")
    magic, version, kind, flags, raw, room_size, size, sequence, session = PREFIX.unpack_from(first)
    if (magic, version, flags) != (b"AL", 1, 0) or room_size > MAX_ROOM or size > MAX_HEADER:
        raise Malformed("prefix")
    if len(first) != 28 + room_size + size or raw != len(frames) - 1 or kind not in KINDS:
        raise Malformed("lengths, raw frames or kind")
    if zlib.crc32(first[:24] + first[28:]) != CHECKSUM.unpack_from(first, 24)[0]:
        raise Malformed("checksum")
    name, columns = KINDS[kind]
    fields = _header(first[28 + room_size :])
    used: list[int] = []
    for key, wanted in columns.items():
        if wanted.startswith("array") and isinstance(fields.get(key), dict):
            fields[key] = _array(fields[key], frames, used)
    if not _complete(columns, fields) or sorted(used) != list(range(1, len(frames))):
        raise Malformed(f"fields of {name}")
    return Message(name, first[28 : 28 + room_size].decode(), session, sequence, fields)


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("a field twice")
    return result


def _header(body: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(body, object_pairs_hook=_once, max_array_len=MAX_LIST, max_map_len=64, max_ext_len=0)
    except Malformed:
        raise
    except Exception as error:
        raise Malformed(f"msgpack: {error}") from error
    if not isinstance(fields, dict):
        raise Malformed("the header is no map")
    return fields


def _array(described: dict[str, Any], frames: list[bytes], used: list[int]) -> Array:
    dtype, shape = described.get("d"), described.get("s")
    if dtype not in TYPECODES or not isinstance(shape, list) or len(shape) > 8:
        raise Malformed("dtype or shape")
    if not all(_integer(one, 1, 2**31 - 1) for one in shape):
        raise Malformed("dimension")
    data = _inline(described) if "b" in described else _raw(described, frames, used)
    if len(data) != math.prod(shape) * int(dtype[2:]):
        raise Malformed("bytes of an array")
    values = array(TYPECODES[dtype], data)
    if sys.byteorder == "big":
        values.byteswap()
    if dtype[1] == "f" and not all(map(math.isfinite, values)):
        raise Malformed("an array with NaN or infinity")
    return Array(dtype, tuple(shape), values)


def _inline(described: dict[str, Any]) -> bytes:
    data = described["b"]
    if set(described) != {"d", "s", "b"} or not isinstance(data, bytes) or len(data) >= RAW_FROM:
        raise Malformed("an inline array")
    return data


def _raw(described: dict[str, Any], frames: list[bytes], used: list[int]) -> bytes:
    frame = described.get("f")
    if set(described) != {"d", "s", "f", "n", "c"} or not _integer(frame, 1, len(frames) - 1):
        raise Malformed("a raw array")
    data = frames[frame]
    if len(data) < RAW_FROM or described["n"] != len(data) or described["c"] != zlib.crc32(data):
        raise Malformed("size or checksum of a raw frame")
    used.append(frame)
    return data
