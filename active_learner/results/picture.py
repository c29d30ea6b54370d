"""What a sample looks like in the report: a small grey PNG, a piano roll, or its first numbers. Knows arrays; no files."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from math import isqrt
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from active_learner.melody import genome
from active_learner.results.svg import element

LARGEST_SIDE = 64
"""Pixels; a larger picture is thinned out: sixty of them must still be one small file."""
FIRST_NUMBERS = 4


def picture(features: NDArray[Any], media: str, brightest: float, alt: str) -> Markup:
    """One sample as `media` says; what it cannot be shown as is shown as numbers. `brightest` is white."""
    if media == "image" and (pixels := as_grey(features)) is not None:
        return _image(pixels, brightest, alt)
    if media == "melody" and features.shape == (genome.BITS,) and np.isin(features, (0, 1)).all():
        return piano_roll(features, alt)
    return Markup('<span class="row">{}</span>').format(first_numbers(features))


def as_grey(features: NDArray[Any]) -> NDArray[np.float64] | None:
    """(h, w), (h, w, 1 or 3), (1 or 3, h, w) or a flat square -> (h, w) float64; None: no picture."""
    pixels = np.asarray(features, dtype=np.float64)
    if pixels.ndim == 1 and isqrt(pixels.size) ** 2 == pixels.size and pixels.size:
        return pixels.reshape(isqrt(pixels.size), -1)
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        return np.asarray(pixels.mean(axis=2))
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3):
        return np.asarray(pixels.mean(axis=0))
    return pixels if pixels.ndim == 2 and pixels.size else None


def grey_png(pixels: NDArray[Any], brightest: float) -> bytes:
    """(h, w) from 0 (black) to `brightest` as a PNG of 4 bits of grey: half the size of 8, and enough for a thumbnail."""
    step = -(-max(pixels.shape) // LARGEST_SIDE)
    small = np.clip(pixels[::step, ::step] / (brightest or 1.0), 0.0, 1.0)
    levels = np.floor(small * 15 + 0.5).astype(np.uint8)
    height, width = levels.shape
    even = np.pad(levels, ((0, 0), (0, width % 2)))
    rows = np.hstack([np.zeros((height, 1), np.uint8), (even[:, ::2] << 4) | even[:, 1::2]])
    head = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    body = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def piano_roll(bits: NDArray[Any], alt: str) -> Markup:
    """A genome (128,) of zeros and ones as bars of notes, low ones at the bottom. Raises: BadSample."""
    beats = genome.beat_values(bits[None])[0]
    bars = [
        element("line", x1=place, x2=place, y1=0, y2=genome.PAUSE * 4, class_="grid")
        for place in range(genome.BEATS_PER_BAR, len(beats), genome.BEATS_PER_BAR)
    ]
    sounding = [
        element("rect", x=place, y=(genome.PAUSE - 1 - int(value)) * 4, width=1, height=4, class_="cell")
        for place, value in enumerate(beats)
        if value < genome.PAUSE
    ]
    return element(
        "svg",
        [*bars, *sounding],
        viewBox=f"0 0 {len(beats)} {genome.PAUSE * 4}",
        preserveAspectRatio="none",
        class_="chart roll",
        role="img",
        aria_label=alt,
    )


def first_numbers(features: NDArray[Any]) -> str:
    """The first values, as many as fit below each other, and a sign that there are more."""
    flat = np.asarray(features).reshape(-1)
    shown = [f"{float(value):.4g}" for value in flat[:FIRST_NUMBERS]]
    return " ".join([*shown, "…"] if flat.size > FIRST_NUMBERS else shown)


def _image(pixels: NDArray[np.float64], brightest: float, alt: str) -> Markup:
    height, width = pixels.shape
    source = "data:image/png;base64," + b64encode(grey_png(pixels, brightest)).decode()
    # Safe: base64 has no markup, the text is escaped, the rest are numbers.
    return Markup(f'<img src="{source}" alt="{escape(alt)}" width="{width}" height="{height}">')  # nosec B704


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
