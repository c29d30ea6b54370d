"""Every limit of the wire, with its reason (SPEC.md, section 10). Knows numbers only."""

from __future__ import annotations

import re

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""All frames of a message together, unless WELCOME says otherwise: a batch of 256 RGB images of 128 x 128 float32 is 50 MB."""

MAX_RAW_FRAMES = 15
"""Raw frames behind the first: no kind has more than 3 arrays, and ZeroMQ itself bounds the number of parts by nothing."""

MAX_FRAMES = 1 + MAX_RAW_FRAMES

MAX_ROOM_BYTES = 200
"""`@experiment/name` takes at most 128; the rest is room for longer names in a later version."""

MAX_HEADER_BYTES = 1024 * 1024
"""Holds the longest STATUS_REPORT (below 900 KiB) and three inline arrays with it to spare."""

SMALL_HEADER_BYTES = 2048
"""Headers without text, list or array: at most five strings of 256 bytes, eight numbers and their names."""

CIRCUMSTANCES_BYTES = 1024
"""Of ANSWER.circumstances: a dozen facts of how an answer came about. What is longer is not kept, the answer is."""

TEXT_HEADER_BYTES = 32 * 1024
"""Headers with one text of 16 KiB, or a list of 1024 numbers beside it."""

ARRAY_HEADER_BYTES = 256 * 1024
"""Headers with arrays: at most three inline ones of 64 KiB."""

RAW_FRAME_BYTES = 64 * 1024
"""Arrays from this size on travel as raw frames: below it a copy costs less than a frame."""

MAX_STRING_BYTES = 256
"""Names, ids, digests and codes; the longest in use are 64 hex digits."""

MAX_TEXT_BYTES = 16 * 1024
"""Fields `text` and `why`: a paragraph for a person, or the end of a traceback."""

MAX_ELEMENTS = 1024
"""Elements of any list: four times the sessions that a broker takes by default."""

MAX_FIELDS = 64
"""Fields of a map; the largest kind has 22."""

MAX_CONTAINERS = 4096
"""Lists and maps in one header: stops a megabyte of empty lists at 4096, not after 64 MB of memory. The most that is
legal are 1024 counters, 1024 peers and a handful."""

MAX_DIMENSIONS = 8
"""Dimensions of an array: video batches have 5."""

MAX_DIMENSION = 2**31 - 1
"""Each dimension, at least 1: an empty array says nothing that leaving it out does not."""

MAX_INTEGER = 2**63 - 1
"""Integers fit in a signed 64-bit number in every language."""

MAX_SEQUENCE = 2**32 - 1

KIND_LIMITS: dict[int, tuple[int, int]] = {
    **dict.fromkeys((1, 2, 4, 6, 9, 10, 12, 19, 23, 25, 26, 27, 33, 34, 39), (SMALL_HEADER_BYTES, 0)),
    **dict.fromkeys((3, 7, 8, 13, 18, 24, 28, 30, 31, 32, 36), (TEXT_HEADER_BYTES, 0)),
    **dict.fromkeys((5, 11, 35, 37, 38, 40), (MAX_HEADER_BYTES, 0)),
    **dict.fromkeys((16, 20, 21, 29), (ARRAY_HEADER_BYTES, 1)),
    22: (ARRAY_HEADER_BYTES, 2),
    17: (ARRAY_HEADER_BYTES, 3),
}
"""Kind -> largest header and most raw frames: what its fields can hold, so that a HELLO of a megabyte is refused unread."""

LARGEST = tuple(KIND_LIMITS.get(kind, (MAX_HEADER_BYTES, MAX_RAW_FRAMES)) for kind in range(256))
"""The same for every number that the prefix can carry."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Experiments, rooms, roles and peers: no "/", "@" or blank, safe as a file name; 63 like a DNS label."""


def shortened(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """`text` cut to `limit` bytes of UTF-8, with " ..." where it was cut; what UTF-8 cannot say becomes "?"."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode("utf-8")
    return encoded[: limit - 4].decode("utf-8", "ignore") + " ..."
