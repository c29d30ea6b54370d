// The rendered sound of the questions that are held: made ahead, so that a key press plays at once. Knows what to keep; plays nothing.
import { featuresOf } from "./features.js";
import { notes } from "./genome.js";
import { render } from "./synth.js";

export class Sounds {
  #made = new Map(); // question id -> { question, buffers: speed -> promise of a buffer }

  constructor(instrument) {
    this.instrument = instrument;
  }

  buffer(question, speed) {
    if (!this.#made.has(question.id)) this.#made.set(question.id, new Map());
    const buffers = this.#made.get(question.id);
    if (!buffers.has(speed)) buffers.set(speed, render(notes(featuresOf(question).data), this.instrument, speed));
    return buffers.get(speed);
  }

  // 15 s are 2.6 MB: only what may be played soon is kept.
  prepare(questions, speed) {
    const wanted = new Set(questions.map((one) => one.id));
    for (const id of this.#made.keys()) if (!wanted.has(id)) this.#made.delete(id);
    for (const question of questions) void this.buffer(question, speed);
  }
}
