"""What is heard: no sound before a press, a signal after it, the pitches of the genome, and the notes that Python reads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from active_learner.melody.genome import notes
from active_learner.melody.wav import PARTIALS, frequency_hz
from tests.browser.desk import Desk, melodies, melody
from tests.browser.serving import Serving
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]

DRAWN = 300
HEARD = """
async ([bits, speed]) => {
  const [{ notes }, { render, instrumentOf, RATE_HZ, beatSeconds }] = await Promise.all([import("/static/genome.js"), import("/static/synth.js")]);
  const instrument = instrumentOf({});
  const all = notes(bits);
  const sound = (await render(all, instrument, speed)).getChannelData(0);
  const beat = beatSeconds(instrument, speed) * RATE_HZ;
  const part = ({ start, beats }) => sound.subarray(Math.ceil(start * beat) + 2, Math.floor((start + beats) * beat) - 2);
  const pitch = (wave) => {
    const rises = [];
    for (let i = 1; i < wave.length; i++) if (wave[i - 1] < 0 && wave[i] >= 0) rises.push(i - wave[i] / (wave[i] - wave[i - 1]));
    return ((rises.length - 1) * RATE_HZ) / (rises.at(-1) - rises[0]);
  };
  const peak = (wave) => wave.reduce((top, one) => Math.max(top, Math.abs(one)), 0);
  return { seconds: sound.length / RATE_HZ, parts: all.map((note) => ({ hz: note.pitch === null ? null : pitch(part(note)), peak: peak(part(note)) })) };
}
"""
"""Renders a genome, and measures each note: by its rising crossings of zero, one a period with these partials."""


def test_there_is_no_sound_before_the_press_and_one_after_it(serve: Serve, visit: Open) -> None:
    person = visit(serve())
    assert person.say("seen.early") == "suspended"  # this browser does ask for a press
    assert person.say("seen.contexts.length") == 0
    person.start()
    person.until("activeLearner.player.playing")
    assert person.say("[activeLearner.player.context.state, seen.contexts]") == ["running", [{"pressed": True}]]
    signal = "(() => { const wave = new Float32Array(2048); activeLearner.player.analyser.getFloatTimeDomainData(wave); return wave.some((one) => Math.abs(one) > 0.01); })()"
    person.until(signal)


MADE_AND_NO_MORE = """
Promise.all(activeLearner.session.ready.map((one) => activeLearner.sounds.buffer(one, 1))).then(() => {
  OfflineAudioContext.prototype.startRendering = () => new Promise(() => {});
})
"""
"""From here on no sound is ever finished; those of the questions that are ready are there."""


def test_the_next_melody_plays_by_itself_and_its_sound_was_made_before(serve: Serve, visit: Open) -> None:
    person = visit(serve(Desk([*melodies(3)]))).start()
    person.until("activeLearner.session.ready.length === 2")
    person.say(MADE_AND_NO_MORE)
    person.answer("3")
    person.until("activeLearner.player.playing && activeLearner.player.plays === 1")


@pytest.mark.parametrize("speed", [1, 2])
def test_the_sound_has_the_pitches_of_the_genome(serve: Serve, visit: Open, speed: int) -> None:
    person = visit(serve())
    for seed in (3, 4):
        heard = person.say(HEARD, [melody(seed).tolist(), speed])
        assert heard["seconds"] == pytest.approx(15 / speed, abs=0.001)
        for note, part in zip(notes(melody(seed)), heard["parts"], strict=True):
            if note.pitch is None:
                assert part["peak"] == 0
            else:
                assert part["hz"] == pytest.approx(frequency_hz(note.pitch), rel=0.003)
                assert part["peak"] > 0.1


def test_notes_are_read_as_python_reads_them(serve: Serve, visit: Open) -> None:
    draw = np.random.default_rng(5)
    genomes = [melody(seed) for seed in range(DRAWN)] + [
        draw.integers(0, 2, 128).astype(np.uint8) for _ in range(DRAWN)
    ]
    genomes += [np.zeros(128, np.uint8), np.ones(128, np.uint8)]
    person = visit(serve())
    script = "(all) => import('/static/genome.js').then(({ notes }) => all.map(notes))"
    read = person.say(script, [genome.tolist() for genome in genomes])
    for genome, found in zip(genomes, read, strict=True):
        assert [(one["start"], one["beats"], one["pitch"]) for one in found] == [
            (note.start, note.beats, note.pitch) for note in notes(genome)
        ]
        assert all(a["start"] + a["beats"] == b["start"] for a, b in pairwise(found))


def test_the_tone_is_the_one_of_the_wav_files(serve: Serve, visit: Open) -> None:
    person = visit(serve())
    partials = person.say("import('/static/synth.js').then(({ instrumentOf }) => instrumentOf({}).partials)")
    assert tuple(partials) == PARTIALS


def test_the_instrument_of_the_config_is_the_one_that_sounds(serve: Serve, visit: Open) -> None:
    serving = serve()
    serving.desk.me = {"instrument": {"wave": "square", "tempo": 240}}
    person = visit(serving).start()
    assert person.say("[activeLearner.player.instrument.wave, activeLearner.player.instrument.tempo]") == [
        "square",
        240,
    ]
    assert "of 8 s" in person.page.locator(".heard").inner_text()


def test_the_roll_moves_with_the_sound_and_stands_when_it_does(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    place = "activeLearner.player.position()"
    person.until(f"{place} > 1")
    person.page.keyboard.press("p")
    person.until("!activeLearner.player.playing")
    stands = person.say(place)
    picture = person.page.locator("canvas.roll").screenshot()
    person.page.keyboard.press("p")
    person.until(f"(at) => {place} > at + 1", stands)
    assert person.page.locator("canvas.roll").screenshot() != picture


def test_loop_goes_on_without_a_gap_and_volume_is_kept(serve: Serve, visit: Open) -> None:
    serving = serve()
    serving.desk.me = {"instrument": {"wave": "pluck", "tempo": 1920}}  # one second for the whole of it
    person = visit(serving).start()
    person.page.keyboard.press("l")
    person.page.keyboard.press(" ")  # its first second may be over
    person.until("activeLearner.player.heard > 2.5")
    assert person.say("activeLearner.player.playing")
    person.page.keyboard.press("?")
    person.page.locator("#help").get_by_label("Volume").fill("0.3")
    person.open("/")
    assert person.say("activeLearner.player.volume") == 0.3
