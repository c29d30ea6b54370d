"""Genome, notes, MIDI, WAV and the listener; the ears are zero crossings and silence."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import mido
import numpy as np
import pytest

from active_learner.errors import BadSample
from active_learner.melody import genome, listener, midi, wav
from active_learner.melody.genome import Note

SILENCE = [8] * 32


def melody(*values: int) -> np.ndarray:
    """A genome that begins with these beats; the rest is a pause."""
    return genome.genomes_of(np.array([[*values, *SILENCE[len(values) :]]]))[0]


def random_genomes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, 128), dtype=np.uint8)


def test_the_first_bit_of_a_beat_is_the_least_significant() -> None:
    bits = np.zeros((1, 128), np.uint8)
    bits[0, :4] = (1, 0, 0, 0)
    bits[0, 4:8] = (0, 1, 1, 0)
    bits[0, 8:12] = (0, 0, 0, 1)
    assert genome.beat_values(bits)[0, :4].tolist() == [1, 6, 8, 0]


def test_genomes_and_beat_values_are_each_others_inverse() -> None:
    genomes = random_genomes(50)
    assert np.array_equal(genome.genomes_of(genome.beat_values(genomes)), genomes)


def test_equal_neighbours_lengthen_a_note_also_over_the_bar_and_a_pause_breaks_it() -> None:
    assert genome.notes(melody(0, 7, 7, 7, 7, 9, 7)) == (
        Note(0, 1, 60),
        Note(1, 4, 72),
        Note(5, 1, None),
        Note(6, 1, 72),
        Note(7, 25, None),
    )


def test_a_c_after_a_pause_is_a_note_and_pauses_of_other_values_are_one() -> None:
    assert genome.notes(melody(8, 15, 0))[:2] == (Note(0, 2, None), Note(2, 1, 60))


def test_notes_fill_the_32_beats() -> None:
    for bits in random_genomes(20):
        found = genome.notes(bits)
        assert [note.start for note in found[1:]] == [note.start + note.beats for note in found[:-1]]
        assert sum(note.beats for note in found) == 32


def test_the_text_shows_bars_names_holds_and_pauses() -> None:
    lines = genome.to_text(melody(0, 0, 4, 9, 7, 7, 7, 7)).splitlines()
    assert lines[0] == "| C4 -  G4 .  | C5 -  -  -  | .  .  .  .  | .  .  .  .  |"
    assert [len(line) for line in lines] == [57, 57]


@pytest.mark.parametrize(
    ("genomes", "words"),
    [
        (np.zeros(128), "shape"),
        (np.zeros((1, 64)), r"\(1, 64\)"),
        (np.full((1, 128), 2), "other than 0 and 1"),
    ],
)
def test_what_is_no_genome_is_refused(genomes: np.ndarray, words: str) -> None:
    with pytest.raises(BadSample, match=words):
        listener.rate(genomes)


@pytest.mark.parametrize("values", [np.zeros((1, 8)), np.full((1, 32), 16), np.full((1, 32), -1)])
def test_beat_values_outside_the_bits_are_refused(values: np.ndarray) -> None:
    with pytest.raises(BadSample):
        genome.genomes_of(values)


def midi_notes(bits: np.ndarray) -> list[tuple[float, float, int]]:
    """(onset in seconds, end in seconds, pitch) as a player reads the file."""
    now, sounding, found = 0.0, {}, []
    for message in mido.MidiFile(file=io.BytesIO(midi.midi_bytes(bits))):
        now += message.time
        if message.type == "note_on":
            sounding[message.note] = now
        elif message.type == "note_off":
            found.append((sounding.pop(message.note), now, message.note))
    return found


def heard(bits: np.ndarray) -> np.ndarray:
    with wave.open(io.BytesIO(wav.wav_bytes(bits))) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, wav.RATE_HZ)
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(float)


def test_midi_has_each_note_at_its_time_and_lasts_fifteen_seconds() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi.midi_bytes(melody(0, 8, 4, 4))))
    assert file.length == pytest.approx(15.0)
    beat = 60 / 128
    assert midi_notes(melody(0, 8, 4, 4)) == [
        (pytest.approx(0), pytest.approx(beat), 60),
        (pytest.approx(2 * beat), pytest.approx(4 * beat), 67),
    ]


def test_wav_and_midi_have_the_same_onsets_and_pitches() -> None:
    for bits in (melody(0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 7, 8, 0, 0, 0, 2), random_genomes(1, 5)[0]):
        sound = heard(bits)
        for begin, end, pitch in midi_notes(bits):
            part = sound[round(begin * wav.RATE_HZ) : round(end * wav.RATE_HZ)]
            assert np.abs(part[: wav.RATE_HZ // 50]).max() > 1000  # it begins within 20 ms
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
            peak_hz = spectrum.argmax() * wav.RATE_HZ / (8 * len(part))
            assert 12 * np.log2(peak_hz / 440) + 69 == pytest.approx(pitch, abs=0.1)
        for note in genome.notes(bits):
            if note.pitch is None:
                assert not sound[wav.onset(note.start) : wav.onset(note.start + note.beats)].any()


def test_sound_is_fifteen_seconds_without_clipping_or_clicks() -> None:
    sound = heard(random_genomes(1)[0])
    assert len(sound) == 15 * wav.RATE_HZ
    assert 8_000 < np.abs(sound).max() <= 32_767 * wav.LEVEL
    assert np.abs(np.diff(sound)).max() < 6_000


def test_the_same_genome_gives_the_same_bytes_also_in_files(tmp_path: Path) -> None:
    bits = random_genomes(1)[0]
    midi.write_midi(bits, tmp_path / "a.mid")
    wav.write_wav(bits, tmp_path / "a.wav")
    assert (tmp_path / "a.mid").read_bytes() == midi.midi_bytes(bits)
    assert (tmp_path / "a.wav").read_bytes() == wav.wav_bytes(bits)


def test_silence_is_rated_lowest_and_a_song_by_the_rules_highest() -> None:
    song = melody(0, 2, 3, 4, 2, 3, 4, 8, 5, 6, 7, 6, 5, 6, 7, 8, 7, 6, 7, 5, 6, 7, 5, 8, 4, 3, 2, 3, 2, 1, 1, 0)
    assert listener.rate(np.array([melody(), song])).tolist() == [0, 5]
    assert listener.qualities(song[None]).tolist() == [[1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("quality", "better", "worse"),
    [
        (0, melody(*[3] * 22), melody(*[3] * 16)),
        (1, melody(3, 8, 8, 8, 3, 8, 8, 8, 3), melody(8, 3, 3, 3, 3)),
        (2, melody(*[3] * 7, 8, *[3] * 24), melody(*[3] * 32)),
        (3, melody(*SILENCE[:30], 1, 0), melody(*SILENCE[:30], 2, 7)),
        (4, melody(*SILENCE[:8], 7, 7, 7), melody(7, 7, 7)),
    ],
)
def test_each_quality_is_heard(quality: int, better: np.ndarray, worse: np.ndarray) -> None:
    graded = listener.qualities(np.array([better, worse]))[:, quality]
    assert graded[0] > graded[1]


def test_random_melodies_get_many_ratings_and_none_is_perfect_by_chance() -> None:
    shares = np.bincount(listener.rate(random_genomes(4000)), minlength=6) / 4000
    assert shares[:5].min() > 0.005
    assert shares.max() < 0.55
    assert shares[5] < 0.01
