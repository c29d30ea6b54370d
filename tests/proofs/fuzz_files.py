"""Hostile files and texts: checkpoints, label files, pool snapshots, JSON lines of a source, requests to the metrics port.

Each reader gets valid inputs that were changed: bits, pieces, numbers; where the reader has a digest of its own, also with
the digest made right again, so that what lies behind it is reached.
"""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from active_learner.backends.checkpoint import BLANK, MARK, read_checkpoint, write_checkpoint
from active_learner.core.pool import Pool
from active_learner.core.records import SampleSpec
from active_learner.services.metrics_port import judged
from active_learner.sources import jsonl
from active_learner.stores.exchange import read_labels
from active_learner.stores.tuple_rows import parse_row
from tests.proofs.base import Tally

SPEC = SampleSpec((4,), "float32", 6)
CELLS = (
    *("0", "1", "3.0", "3.7", "-1", "6", "1e400", "1e-400", "nan", "inf", "-inf", "True", "", " ", "0x3", "1_0", "٣"),
    *(
        "9" * 400,
        "9" * 5000,
        "1" + "0" * 350 + ".5",
        "1e99999",
        "1e999999",
        "=1+1",
        "'1",
        '"',
        "\x00",
        "\u202e3",
        "null",
    ),
    *("[", "]" * 50, "{}", "[" * 200_000, "(0,", "1;2", "-0.0", "5e-324", "18446744073709551616", "1,2"),
)
BYTES = (b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"(", b"\x00", b"\x1b[2J", b"\xed\xa0\x80", b",", b"[" * 3000)

Inputs = Callable[[int, int, Tally], Iterator[object]]


def _tried(
    read: Callable[[], object],
    refusals: tuple[type[Exception], ...],
    name: str,
    place: tuple[int, int],
    tally: Tally,
) -> None:
    from tests.proofs.fuzz import tried

    tried(read, refusals, f"{name} {place[0]} of seed {place[1]}", f"{name} ", tally)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Bits flipped, a piece doubled, left out, replaced or cut off."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 3, 10))):
        place = draw.randrange(len(changed) + 1)
        end = min(len(changed), place + draw.choice((1, 2, 8, 100)))
        match draw.randrange(6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << draw.randrange(8)
            case 1:
                changed[place:place] = draw.choice(BYTES)
            case 2:
                changed[place:place] = changed[place:end]
            case 3:
                del changed[place:end]
            case 4 if draw.random() < 0.2:
                del changed[place:]
            case _:
                changed[place:end] = draw.randbytes(end - place)
    return bytes(changed)


# --- checkpoints --------------------------------------------------------------------------------------------------


def checkpoints(count: int, seed: int, tally: Tally) -> Iterator[object]:
    draw = random.Random(f"checkpoints {seed}")
    in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would take most of the time
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        path = Path(folder) / "evaluator-0000000001.safetensors"
        write_checkpoint(
            path, {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}, {"run": "ab", "step": 1}
        )
        whole = path.read_bytes()
        for number in range(count):
            path.write_bytes(_forged(whole, draw))
            _tried(lambda: read_checkpoint(path), (ValueError,), "checkpoint", (number, seed), tally)
            yield None


def _forged(whole: bytes, draw: random.Random) -> bytes:
    """Changed; two in three with the digest of what it is now, one in two of these in its header only."""
    size = int.from_bytes(whole[:8], "little")
    if draw.random() < 0.5:
        header = json.loads(whole[8 : 8 + size])
        text = json.dumps(_changed(header, draw), separators=(",", ":")).encode()
        changed = struct.pack("<Q", len(text)) + text + whole[8 + size :]
    else:
        changed = mutated(whole, draw)
    return _sealed(changed) if draw.random() < 0.67 else changed


def _sealed(content: bytes) -> bytes:
    place = content.find(MARK) + len(MARK)
    if place < len(MARK) or place + 64 > len(content):
        return content
    blanked = content[:place] + BLANK + content[place + 64 :]
    return blanked[:place] + sha256(blanked).hexdigest().encode() + blanked[place + 64 :]


def _changed(value: Any, draw: random.Random) -> Any:
    """One thing in a JSON value says something else."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if key == "sha256":
            return value
        return {**value, key: _changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        place = draw.randrange(len(value))
        return [*value[:place], _changed(value[place], draw), *value[place + 1 :]]
    return draw.choice(
        (None, True, -1, 0, 2**63, 2**64, 1.5, "", "F32", "F64", "BF16", "U8", "{}", "[]", [], {}, [2**40, 2**40])
    )


# --- labels and candidates ------------------------------------------------------------------------------------------


def labels(count: int, seed: int, tally: Tally) -> Iterator[object]:
    """The three formats of `labels import`."""
    draw = random.Random(f"labels {seed}")
    makers = {"csv": _columns, "jsonl": _object, "tutorial": _tuple}
    for number in range(count):
        name = draw.choice(list(makers))
        content = "\n".join(makers[name](draw) for _ in range(draw.choice((1, 2, 3)))).encode("utf-8", "replace")
        content = mutated(content, draw) if draw.random() < 0.5 else content
        chosen = name if draw.random() < 0.8 else None
        _tried(lambda content=content, chosen=chosen: _imported(content, chosen), (), "labels", (number, seed), tally)  # type: ignore[misc]
        yield None


def _imported(content: bytes, format_name: str | None) -> None:
    reading = read_labels(io.BytesIO(content), SPEC, format_name)
    for row in reading.rows:
        assert type(row.value) is int, row
        assert 0 <= row.value < SPEC.classes, row
        assert row.features.shape == SPEC.shape, row
        assert np.isfinite(row.features).all(), row


def _cells(draw: random.Random, number: int = 5) -> list[str]:
    cells = [str(draw.randrange(6)) for _ in range(number)]
    for _ in range(draw.choice((0, 1, 1, 2))):
        cells[draw.randrange(number)] = draw.choice(CELLS)
    return cells


def _columns(draw: random.Random) -> str:
    header = draw.choice(("", "", "f0,f1,f2,f3,label\n", "label,f0,f1,f2,f3\n", "f0,f1,f2,f3,label,annotator,at\n"))
    return header + ",".join(_cells(draw, draw.choice((5, 5, 5, 4, 7))))


def _object(draw: random.Random) -> str:
    *features, label = _cells(draw)
    extra = draw.choice(
        ("", "", ', "annotator": "a"', ', "at": 1e400', ', "at": true', ', "label": 2', ', "annotator": "\\ud800"')
    )
    return f'{{"features": [{", ".join(features)}], "label": {label}{extra}}}'


def _tuple(draw: random.Random) -> str:
    *features, label = _cells(draw)
    return f'"({", ".join(features)})",{label}'


def rows(count: int, seed: int, tally: Tally) -> Iterator[object]:
    """A row of the tutorial's file, whose reader may say no by ValueError only."""
    draw = random.Random(f"rows {seed}")
    for number in range(count):
        text = _tuple(draw)
        line = (
            mutated(text.encode("utf-8", "replace"), draw).decode("utf-8", "replace") if draw.random() < 0.7 else text
        )
        _tried(lambda line=line: parse_row(line, SPEC), (ValueError,), "row", (number, seed), tally)  # type: ignore[misc]
        yield None


def candidates(count: int, seed: int, tally: Tally) -> Iterator[object]:
    """A line of a JSON source."""
    draw = random.Random(f"candidates {seed}")
    for number in range(count):
        cells = ", ".join(_cells(draw, 4))
        text = draw.choice((f"[{cells}]", f'{{"features": [{cells}]}}', f"[[{cells}]]")).encode("utf-8", "replace")
        line = mutated(text, draw) if draw.random() < 0.5 else text
        refusals = (ValueError, RecursionError, OverflowError)  # what its caller answers
        _tried(lambda line=line: jsonl._sample(line, SPEC), refusals, "candidate", (number, seed), tally)  # type: ignore[misc]
        yield None


# --- snapshots and requests -----------------------------------------------------------------------------------------


def pools(count: int, seed: int, tally: Tally) -> Iterator[object]:
    draw = random.Random(f"pools {seed}")
    full = Pool(8, SPEC.classes)
    for number in range(3):
        full.add(f"{number:032x}", np.full(SPEC.shape, number, np.float32))
    full.score(f"{0:032x}", np.full(SPEC.classes, 1 / 6, np.float32), 3)
    whole = full.dump()
    for number in range(count):
        content = mutated(whole, draw)
        _tried(
            lambda content=content: Pool(8, SPEC.classes).restore(content), (ValueError,), "pool", (number, seed), tally
        )  # type: ignore[misc]
        yield None


def requests(count: int, seed: int, tally: Tally) -> Iterator[object]:
    draw = random.Random(f"requests {seed}")
    whole = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9400\r\nAccept: */*\r\n\r\n"
    for number in range(count):
        _tried(lambda: judged(mutated(whole, draw), True), (), "request", (number, seed), tally)
        yield None


READERS: dict[str, Inputs] = {
    "checkpoint": checkpoints,
    "labels": labels,
    "row": rows,
    "candidate": candidates,
    "pool": pools,
    "request": requests,
}
"""Name -> inputs, read as they are drawn."""
