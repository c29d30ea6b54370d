"""A melody as sound: a soft plucked tone, synthesised by numpy, in a WAV file. Knows notes; no player."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.melody.genome import BEATS, TEMPO_BPM, notes

RATE_HZ = 22_050
"""The highest partial of C5 is at 2.6 kHz: twice a telephone's rate is plenty, and halves the file to 660 kB."""
PARTIALS = (1.0, 0.42, 0.2, 0.1, 0.05)
ATTACK_S = 0.008
DECAY_S = 0.3
"""Time constant from the attack's peak down to the sustained level."""
SUSTAIN = 0.35
RELEASE_S = 0.06
LEVEL = 0.5
"""Peak of full scale; one tone sounds at a time, so nothing can clip."""


def frequency_hz(pitch: int) -> float:
    """Equal temperament, A4 (69) = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69) / 12))


def onset(beat: int) -> int:
    """Sample at which a beat begins."""
    return round(beat * 60 * RATE_HZ / TEMPO_BPM)


def samples(genome: NDArray[Any]) -> NDArray[np.int16]:
    """One genome (128,) as 15 s of mono sound, (330750,) int16; pauses are exact zeros.

    Raises: BadSample when it is no genome.
    """
    sound = np.zeros(onset(BEATS), np.float64)
    for note in notes(genome):
        if note.pitch is not None:
            start, stop = onset(note.start), onset(note.start + note.beats)
            sound[start:stop] = _tone(note.pitch, stop - start)
    return np.rint(sound * (LEVEL * 32_767)).astype(np.int16)


def wav_bytes(genome: NDArray[Any]) -> bytes:
    """`samples` as a 16-bit mono WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples(genome).astype("<i2").tobytes())
    return file.getvalue()


def write_wav(genome: NDArray[Any], path: Path) -> None:
    """`wav_bytes` into a file, replacing one that is there."""
    path.write_bytes(wav_bytes(genome))


def _tone(pitch: int, length: int) -> NDArray[np.float64]:
    """`length` samples within -1..1; begins and ends at zero, so that notes join without a click."""
    t = np.arange(length) / RATE_HZ
    phase = 2 * np.pi * frequency_hz(pitch) * t
    tone = sum((a * np.sin((k + 1) * phase) for k, a in enumerate(PARTIALS)), np.zeros(length)) / sum(PARTIALS)
    rise = np.minimum(t / ATTACK_S, 1.0)
    fall = np.minimum(t[::-1] / RELEASE_S, 1.0)
    decay = SUSTAIN + (1.0 - SUSTAIN) * np.exp(-t / DECAY_S)
    shaped: NDArray[np.float64] = tone * rise * fall * decay
    return shaped
