"""A question as a picture of characters, as large as there is room: roll, half blocks, text, row. Knows sizes; no terminal.

What a candidate says is text and never markup or a control sequence: it goes through `screen.printable`.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

from active_learner.core.records import Features
from active_learner.oracles import screen

HALF = "▀"
"""Its upper half has the colour of the text, its lower half that of the ground: two pixels a character, and square ones."""

NOTE, REST = "█", "·"

LABEL_COLUMNS = 3


def drawing(features: Features, media: str, width: int, height: int, colours: bool) -> Text:
    """At most `width` columns wide; may be longer than `height`. What cannot be shown as its `media` says is shown as a row."""
    drawn = None
    if media == "melody":
        drawn = _roll(features, width)
    elif media == "image" and colours:
        drawn = _half_blocks(features, width, height)
    return drawn or Text("\n".join(screen.picture(features, media)), overflow="fold")


# --- a melody


def _roll(features: Features, width: int) -> Text | None:
    """A row a tone, highest first, a bar between "|": two columns a beat, or one, or half of the bars below the others."""
    from active_learner.errors import BadSample
    from active_learner.melody import genome

    try:
        beats = _pitches(genome.notes(features))
    except BadSample:
        return None
    for columns, bars in ((2, 8), (1, 8), (2, 4), (1, 4)):
        if LABEL_COLUMNS + 1 + bars * (columns * genome.BEATS_PER_BAR + 1) <= width:
            size = bars * genome.BEATS_PER_BAR
            parts = [beats[start : start + size] for start in range(0, len(beats), size)]
            return Text("\n\n".join(_system(part, columns) for part in parts), no_wrap=True)
    return None


def _pitches(notes: Any) -> list[int | None]:
    return [note.pitch for note in notes for _ in range(note.beats)]


def _system(beats: list[int | None], columns: int) -> str:
    from active_learner.melody import genome

    lines = []
    for pitch in reversed(genome.SCALE):
        cells = [NOTE * columns if beat == pitch else f"{REST:<{columns}}" for beat in beats]
        bars = ["".join(cells[i : i + genome.BEATS_PER_BAR]) for i in range(0, len(cells), genome.BEATS_PER_BAR)]
        lines.append(f"{genome.note_name(pitch):<{LABEL_COLUMNS}}|{'|'.join(bars)}|")
    return "\n".join(lines)


# --- an image


def _half_blocks(features: Features, width: int, height: int) -> Text | None:
    """Zoomed by a whole number, so that its pixels stay even; a larger one is shown smaller, by the mean of blocks."""
    pixels = _pixels(np.asarray(features, dtype=np.float64))
    if pixels is None:
        return None
    fitted = _fitted(pixels, width, 2 * max(1, height))
    rows = np.rint(fitted * 255).astype(np.int64)
    text = Text(no_wrap=True)
    for above in range(0, len(rows), 2):
        below = rows[above + 1] if above + 1 < len(rows) else [None] * rows.shape[1]
        for upper, lower in zip(rows[above], below, strict=True):
            text.append(HALF, Style(color=_colour(upper), bgcolor=None if lower is None else _colour(lower)))
        text.append("\n")
    text.right_crop(1)
    return text


def _colour(pixel: NDArray[np.int64]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel.tolist())


def _pixels(image: NDArray[Any]) -> NDArray[Any] | None:
    """(height, width, 3) within 0..1; None: it is no image."""
    if image.ndim == 3 and (image.shape[0] in (3, 4) or image.shape[-1] in (3, 4)):
        last = image if image.shape[-1] in (3, 4) else np.moveaxis(image, 0, -1)
        return _scaled(last[:, :, :3]) if last.size else None
    grey = screen.grey(image)
    return None if grey is None else np.repeat(_scaled(grey)[:, :, None], 3, axis=2)


def _scaled(image: NDArray[Any]) -> NDArray[Any]:
    """Colours keep what they are when they look like bytes or like shares; all else goes from its least to its greatest."""
    low, high = float(image.min()), float(image.max())
    if image.ndim == 3 and low >= 0 and high <= 255:
        low, high = 0.0, 255.0 if high > 1 else 1.0
    scaled: NDArray[Any] = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return scaled


def _fitted(pixels: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    rows, columns = pixels.shape[:2]
    zoom = min(width // columns, height // rows)
    if zoom >= 1:
        return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    size = max(ceil(columns / width), ceil(rows / height))
    if min(rows, columns) < size:
        return pixels[:height, :width]
    rows, columns = rows // size, columns // size
    blocks = pixels[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    mean: NDArray[Any] = blocks.mean(axis=(1, 3))
    return mean
