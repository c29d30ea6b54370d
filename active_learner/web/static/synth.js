// Notes to sound: a soft plucked tone, the same as active_learner/melody/wav.py makes. Knows WebAudio's nodes; plays nothing.
import { BEATS, tones } from "./genome.js";

export const RATE_HZ = 44_100;
const INSTRUMENT = { tempo: 128, wave: "pluck", partials: [1, 0.42, 0.2, 0.1, 0.05], attack_s: 0.008, decay_s: 0.3, sustain: 0.35, release_s: 0.06, level: 0.5 };
const PLAIN = new Set(["sine", "square", "sawtooth", "triangle"]);

// The configuration's instrument over the default one.
export const instrumentOf = (given) => ({ ...INSTRUMENT, ...Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== null)) });

export const beatSeconds = (instrument, speed) => 60 / instrument.tempo / speed;
export const seconds = (instrument, speed) => BEATS * beatSeconds(instrument, speed);
export const frequency = (pitch) => 440 * 2 ** ((pitch - 69) / 12);

// Rendered once for each melody and speed into a buffer: the loop has no gap, the pitch stays at any speed.
export function render(notes, instrument, speed) {
  const context = new OfflineAudioContext(1, Math.ceil(seconds(instrument, speed) * RATE_HZ), RATE_HZ);
  const beat = beatSeconds(instrument, speed);
  const wave = waveOf(context, instrument);
  for (const note of tones(notes)) tone(context, instrument, wave, note.pitch, note.start * beat, (note.start + note.beats) * beat);
  return context.startRendering();
}

function tone(context, instrument, wave, pitch, start, stop) {
  const oscillator = new OscillatorNode(context, { frequency: frequency(pitch), ...wave });
  const gain = new GainNode(context, { gain: 0 });
  shape(gain.gain, instrument, start, stop);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(stop);
}

// Once for all notes: a periodic wave takes 2 ms to make, in which no key is heard.
function waveOf(context, { wave, partials }) {
  if (PLAIN.has(wave)) return { type: wave };
  const sines = new Float32Array([0, ...partials]);
  return { type: "custom", periodicWave: context.createPeriodicWave(new Float32Array(sines.length), sines) };
}

// Up to the level, down to what is sustained, and to zero before the next note begins: no click, and pauses are silent.
function shape(gain, { attack_s: attack, decay_s: decay, sustain, release_s: release, level }, start, stop) {
  const peak = Math.min(start + attack, stop);
  const fall = Math.max(peak, stop - release);
  const left = level * (sustain + (1 - sustain) * Math.exp(-(fall - peak) / decay));
  gain.setValueAtTime(0, start);
  gain.linearRampToValueAtTime(level, peak);
  gain.setTargetAtTime(level * sustain, peak, decay);
  gain.setValueAtTime(left, fall);
  gain.linearRampToValueAtTime(0, stop);
}
