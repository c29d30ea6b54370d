"""What the 128 bits of a melody mean. Knows notes and their names; no sound, no file, no rating.

A genome is 8 bars of 4 beats of 4 bits, least significant bit first. A beat's value 0..7 is a degree of C major from C4
to C5; 8 and more is a pause. A note equal to the one right before it lengthens that one; a pause between them breaks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.errors import BadSample

BARS = 8
BEATS_PER_BAR = 4
BITS_PER_BEAT = 4
BEATS = BARS * BEATS_PER_BAR
BITS = BEATS * BITS_PER_BEAT
PAUSE = 8
"""Least value of a beat that is silent."""
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
"""MIDI numbers of the degrees 0..7: C4 D4 E4 F4 G4 A4 B4 C5."""
TEMPO_BPM = 128
"""The tutorial's tempo: 32 beats are 15 s."""

_WEIGHTS = 1 << np.arange(BITS_PER_BEAT)
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_BARS_PER_LINE = 4
"""Four bars of text are 53 columns: two lines fit every terminal."""


@dataclass(frozen=True, slots=True)
class Note:
    """A tone or a pause; the notes of a melody lie end to end and fill its 32 beats."""

    start: int
    """Beats from the beginning."""
    beats: int
    pitch: int | None
    """MIDI number; None: a pause."""


def beat_values(genomes: NDArray[Any]) -> NDArray[np.int64]:
    """(n, 128) zeros and ones -> (n, 32) int64, each 0..15.

    Raises: BadSample when the shape or a bit is another.
    """
    bits = np.asarray(genomes)
    if bits.ndim != 2 or bits.shape[1] != BITS:
        raise BadSample(f"genomes have shape {bits.shape}, must be (n, {BITS})")
    if not np.isin(bits, (0, 1)).all():
        raise BadSample("a genome has values other than 0 and 1")
    values: NDArray[np.int64] = bits.reshape(-1, BEATS, BITS_PER_BEAT).astype(np.int64) @ _WEIGHTS
    return values


def genomes_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(n, 32) beat values 0..15 -> (n, 128) uint8: the inverse of `beat_values`.

    Raises: BadSample when the shape or a value is another.
    """
    beats = np.asarray(values)
    if beats.ndim != 2 or beats.shape[1] != BEATS:
        raise BadSample(f"beat values have shape {beats.shape}, must be (n, {BEATS})")
    if ((beats < 0) | (beats > 15)).any():
        raise BadSample("a beat's value is outside 0..15")
    bits = (beats.astype(np.int64)[:, :, None] >> np.arange(BITS_PER_BEAT)) & 1
    return bits.reshape(-1, BITS).astype(np.uint8)


def notes(genome: NDArray[Any]) -> tuple[Note, ...]:
    """One genome (128,) as notes in order.

    Raises: BadSample as `beat_values`.
    """
    found: list[Note] = []
    for beat, value in enumerate(beat_values(np.asarray(genome)[None])[0]):
        pitch = SCALE[value] if value < PAUSE else None
        if found and found[-1].pitch == pitch:
            last = found.pop()
            found.append(Note(last.start, last.beats + 1, pitch))
        else:
            found.append(Note(beat, 1, pitch))
    return tuple(found)


def note_name(pitch: int) -> str:
    """Scientific name of a MIDI number: 60 is C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def to_text(genome: NDArray[Any]) -> str:
    """Two lines of four bars, one word a beat: a note's name, "-" while it is held, "." in a pause.

    Raises: BadSample as `beat_values`.
    """
    words: list[str] = []
    for note in notes(genome):
        first = "." if note.pitch is None else note_name(note.pitch)
        held = "." if note.pitch is None else "-"
        words += [first] + [held] * (note.beats - 1)
    bars = [" ".join(f"{word:<2}" for word in words[i : i + BEATS_PER_BAR]) for i in range(0, BEATS, BEATS_PER_BAR)]
    lines = (bars[i : i + _BARS_PER_LINE] for i in range(0, BARS, _BARS_PER_LINE))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
