// Plays one melody at a time and knows where it is, how often and how long it was heard. Knows buffers; no question, no page.
import { BEATS } from "./genome.js";
import { beatSeconds, frequency } from "./synth.js";

export const SPEEDS = [1, 1.5, 2];
const LEAD_S = 0.01; // a start in the past would cut the first samples
const CHIME = [[72, 79], [72, 76, 79]];

// Event: "change" when it starts, stops or is set otherwise.
export class Player extends EventTarget {
  speed = 1;
  loop = false;
  playing = false;
  heard = 0; // seconds of sound of this melody
  plays = 0; // starts from the beginning
  #at = 0; // beats
  #token = 0;
  #source = null;
  #volume = 0.8;

  constructor(instrument) {
    super();
    this.instrument = instrument;
  }

  get started() {
    return this.context?.state === "running";
  }

  // Only from a gesture: before one the browser keeps it silent.
  async start() {
    this.context ??= this.#connect(new AudioContext({ latencyHint: "interactive" }));
    await this.context.resume();
  }

  #connect(context) {
    this.analyser = new AnalyserNode(context, { fftSize: 2048 });
    this.gain = new GainNode(context, { gain: this.#volume ** 2 });
    this.analyser.connect(this.gain).connect(context.destination);
    return context;
  }

  // 0 to 1; squared, because loudness is heard by its logarithm.
  set volume(value) {
    this.#volume = value;
    if (this.gain) this.gain.gain.setTargetAtTime(value ** 2, this.context.currentTime, 0.02);
  }

  get volume() {
    return this.#volume;
  }

  // `buffer`: speed -> promise of the sound.
  load(buffer) {
    this.stop();
    Object.assign(this, { buffer, heard: 0, plays: 0 });
  }

  // `after`: seconds of silence first, so that it does not fall into a tone that still sounds.
  async play(from = this.#at, after = 0, counts = from === 0 || from >= BEATS) {
    if (!this.started || !this.buffer) return;
    const token = ++this.#token;
    const buffer = await this.buffer(this.speed);
    if (token !== this.#token) return; // another key was faster
    this.plays += counts ? 1 : 0;
    this.#begin(buffer, from >= BEATS ? 0 : from, after, token);
  }

  #begin(buffer, from, after, token) {
    this.#silence();
    this.#source = new AudioBufferSourceNode(this.context, { buffer, loop: this.loop });
    this.#source.connect(this.analyser);
    this.#source.onended = () => token === this.#token && this.#ended();
    this.since = this.counted = this.context.currentTime + LEAD_S + after;
    this.from = from;
    this.#source.start(this.since, from * beatSeconds(this.instrument, this.speed));
    this.playing = true;
    this.#changed();
  }

  #ended() {
    this.#count();
    [this.playing, this.#at] = [false, 0];
    this.#changed();
  }

  #count() {
    const now = this.context.currentTime;
    if (now > this.counted) [this.heard, this.counted] = [this.heard + now - this.counted, now];
  }

  // Beats, as they are heard: less what the output still holds back.
  position() {
    if (!this.playing) return this.#at;
    this.#count();
    const lag = this.context.outputLatency || this.context.baseLatency || 0;
    const sounded = Math.max(0, this.context.currentTime - this.since - lag);
    return (this.from + sounded / beatSeconds(this.instrument, this.speed)) % BEATS;
  }

  pause() {
    this.#halt(this.position());
  }

  stop() {
    if (this.playing) this.#count();
    this.#halt(0);
  }

  #halt(at) {
    this.#token += 1;
    this.#silence();
    [this.playing, this.#at] = [false, at];
    this.#changed();
  }

  #silence() {
    if (!this.#source) return;
    this.#source.onended = null;
    this.#source.stop();
    this.#source.disconnect();
    this.#source = null;
  }

  // { speed, loop }: goes on from where it is.
  set(changes) {
    const [at, was] = [this.position(), this.playing];
    Object.assign(this, changes);
    this.#at = at;
    if (was) void this.play(at, 0, false);
    else this.#changed();
  }

  // A soft tone: that there is sound, and that the next question is here.
  tone(bright = false) {
    if (!this.started) return;
    CHIME[bright ? 1 : 0].forEach((pitch, i) => this.#ring(pitch, this.context.currentTime + 0.02 + 0.16 * i));
  }

  #ring(pitch, at) {
    const oscillator = new OscillatorNode(this.context, { type: "sine", frequency: frequency(pitch) });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.2, at + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    oscillator.connect(gain).connect(this.analyser);
    oscillator.start(at);
    oscillator.stop(at + 0.55);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
