"""A melody as a standard MIDI file. Knows notes and mido; no sound of its own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mido
from numpy.typing import NDArray

from active_learner.melody.genome import BEATS, TEMPO_BPM, notes

TICKS_PER_BEAT = 480
VELOCITY = 80
"""Of 127: mezzo-forte, so that no player clips."""


def midi_bytes(genome: NDArray[Any]) -> bytes:
    """One genome (128,) as a MIDI file of type 0, always 32 beats long; the same genome gives the same bytes.

    Raises: BadSample when it is no genome.
    """
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO_BPM))])
    now = 0
    for note in notes(genome):
        if note.pitch is None:
            continue
        for kind, beat in (("note_on", note.start), ("note_off", note.start + note.beats)):
            tick = beat * TICKS_PER_BEAT
            track.append(mido.Message(kind, note=note.pitch, velocity=VELOCITY, time=tick - now))
            now = tick
    track.append(mido.MetaMessage("end_of_track", time=BEATS * TICKS_PER_BEAT - now))
    file = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track]).save(file=file)
    return file.getvalue()


def write_midi(genome: NDArray[Any], path: Path) -> None:
    """`midi_bytes` into a file, replacing one that is there."""
    path.write_bytes(midi_bytes(genome))
