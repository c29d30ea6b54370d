"""A question as lines of text: melody, image, text, table. Knows no terminal and no keys.

Candidates are hostile text: nothing of them reaches a terminal but printable characters (`printable`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import Features, SampleSpec

WIDEST_IMAGE = 38
"""Pixels in a row, two characters each: fits 80 columns. Larger images are shown smaller, by the mean of blocks."""

MOST_CELLS = 64
"""Values of a table row that are shown."""

LONGEST_TEXT = 2000
"""Characters of a text that are shown."""

BLOCKS, ASCII_BLOCKS = " ░▒▓█", " .:*#"

NOTATION = "notes: C4 D4 ... C5 begin on a beat, - the note is held, . pause; | ends a bar of four beats"
"""Of a melody's lines, as melody/genome.py writes them."""

_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories that can move the cursor, turn the direction of text, hide or break lines: controls (C0, C1, DEL), formats
(bidi marks and embeddings, zero width), surrogates, private, unassigned, line and paragraph separators."""


def printable(text: str) -> str:
    """`text` on one line, with every character that a terminal could act on written as an escape: \\x1b, \\u202e."""
    return "".join(_escape(c) if unicodedata.category(c) in _ACTIVE else c for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def picture(features: Features, media: str, blocks: str = BLOCKS) -> list[str]:
    """The sample as lines, all of them printable. What cannot be shown as its `media` says is shown as a table."""
    show: Callable[[Features, str], list[str] | None] = {"melody": _melody, "image": _image, "text": _text}.get(
        media, _table
    )
    lines = show(features, blocks)
    return [printable(line) for line in (_table(features, blocks) if lines is None else lines)]


def meaning(spec: SampleSpec) -> str:
    """What the labels mean: class names, or the ends of a rating, or the range alone."""
    last = spec.classes - 1
    if spec.class_names:
        return ", ".join(f"{number} {printable(name)}" for number, name in enumerate(spec.class_names))
    return f"0 (worst) to {last} (best)" if spec.media == "melody" else f"0 to {last}"


def named(value: int, names: Sequence[str]) -> str:
    """A label with its class name."""
    return f"{value} {printable(names[value])}" if value < len(names) else str(value)


def _melody(features: Features, blocks: str) -> list[str] | None:
    from active_learner.errors import BadSample
    from active_learner.melody.genome import to_text

    try:
        return to_text(features).splitlines()
    except BadSample:
        return None


def _image(features: Features, blocks: str) -> list[str] | None:
    image = grey(np.asarray(features, dtype=np.float64))
    if image is None:
        return None
    small = _shrunk(image)
    low, high = float(small.min()), float(small.max())
    scaled = (small - low) / (high - low) if high > low else np.zeros_like(small)
    levels = np.rint(scaled * (len(blocks) - 1)).astype(np.int64)
    return ["".join(blocks[level] * 2 for level in row) for row in levels]


def grey(image: NDArray[Any]) -> NDArray[Any] | None:
    """(height, width) of a 2-D array, a square 1-D one, or one with up to 4 channels first or last; else None."""
    if image.size == 0:
        return None
    if image.ndim == 1:
        side = isqrt(image.size)
        return image.reshape(side, side) if side * side == image.size else None
    if image.ndim == 3 and min(image.shape[0], image.shape[-1]) <= 4:
        channels = 0 if image.shape[0] <= 4 else 2
        mean: NDArray[Any] = image.mean(axis=channels)
        return mean
    return image if image.ndim == 2 else None


def _shrunk(image: NDArray[Any]) -> NDArray[Any]:
    """By the mean of equal blocks, so that the longer side is at most WIDEST_IMAGE; a last partial block is left out."""
    size = -(-max(image.shape) // WIDEST_IMAGE)
    if size == 1 or min(image.shape) < size:
        return image[:WIDEST_IMAGE, :WIDEST_IMAGE]
    height, width = (length // size for length in image.shape)
    blocks = image[: height * size, : width * size].reshape(height, size, width, size)
    mean: NDArray[Any] = blocks.mean(axis=(1, 3))
    return mean


def _text(features: Features, blocks: str) -> list[str] | None:
    """uint8 is UTF-8, padded with zeros; wider integers are code points."""
    flat = np.asarray(features).ravel()
    if flat.dtype.kind not in "iu":
        return None
    if flat.dtype.itemsize == 1:
        text = flat.astype(np.uint8).tobytes().rstrip(b"\0").decode("utf-8", errors="replace")
    else:
        text = "".join(chr(point) if 0 <= point < 0x110000 else "\ufffd" for point in flat.tolist()).rstrip("\0")
    cut = f" ... ({len(text) - LONGEST_TEXT} more characters)" if len(text) > LONGEST_TEXT else ""
    return (text[:LONGEST_TEXT] + cut).split("\n")


def _table(features: Features, blocks: str) -> list[str]:
    flat = np.asarray(features).ravel()
    cells = [f"{float(value):.6g}" if flat.dtype.kind == "f" else str(value) for value in flat[:MOST_CELLS].tolist()]
    lines = [" ".join(f"{cell:>8}" for cell in cells[start : start + 8]) for start in range(0, len(cells), 8)]
    return [*lines, f"... and {flat.size - MOST_CELLS} more values"] if flat.size > MOST_CELLS else lines
