// A melody to be heard: piano roll, transport, and how much of it was heard. Knows the player; not what is answered.
import { featuresOf } from "./features.js";
import { BEATS, describe, isGenome, notes } from "./genome.js";
import { icon } from "./icons.js";
import { SPEEDS } from "./player.js";
import { beatAt, draw, miniRoll } from "./roll.js";
import { seconds } from "./synth.js";
import { dom, h, show } from "./tree.js";

const TONE_S = 0.7; // the first melody begins after the start tone

export class MelodyStage {
  static canShow = (question) => isGenome(featuresOf(question).data);
  static thumb = (question) => miniRoll(notes(featuresOf(question).data));

  #frame = 0;
  #locked = false;
  #rollSeen = false;

  // `kit`: { me, keymap, player, sounds, choices, still }; `onlock` is called when answers open or close.
  constructor(kit, onlock) {
    Object.assign(this, kit, { onlock });
    this.roll = this.choices.get("roll", this.me.show_roll !== false);
    this.commands = {
      replay: () => this.#go(0), play: () => this.#toggle(), loop: () => this.player.set({ loop: !this.player.loop }), roll: () => this.#switchRoll(),
      slower: () => this.#step(-1), faster: () => this.#step(1),
    };
    this.#build();
    this.player.addEventListener("change", () => this.repaint());
  }

  #build() {
    this.canvas = dom(h("canvas", { class: "roll", role: "img" }));
    this.canvas.addEventListener("pointerdown", (event) => this.#seek(event));
    this.bar = dom(h("span", { class: "bar" }));
    this.hidden = dom(h("div", { class: "roll-hidden" }, h("p", {}, "Roll hidden: only listen"), this.bar));
    this.heard = dom(h("span", { class: "heard" }));
    this.buttons = this.#makeButtons();
    const { play, replay, loop, roll } = this.buttons;
    const speed = h("div", { class: "speed", role: "group", "aria-label": "Speed" }, SPEEDS.map((one) => this.buttons[one]));
    this.nodes = [dom(h("div", { class: "roll-wrap" }, this.canvas, this.hidden)), dom(h("div", { class: "transport" }, play, replay, loop, speed, roll, this.heard))];
  }

  #makeButtons() {
    const word = (text, key) => [h("span", { class: "word" }, text), h("kbd", { "aria-hidden": "true" }, key)];
    const make = (name, attrs, ...kids) => dom(h("button", { class: "btn", type: "button", "aria-keyshortcuts": attrs.command ? this.keymap.commands[attrs.command] : null, onclick: this.commands[attrs.command], ...attrs, command: null }, ...kids));
    const speeds = SPEEDS.map((one) => [one, make(one, { onclick: () => this.#speed(one) }, `${one}×`)]);
    return {
      play: make("play", { class: "btn main play", command: "play" }),
      replay: make("replay", { command: "replay", title: "From the start" }, icon("replay"), word("Replay", this.keymap.printed("replay"))),
      loop: make("loop", { command: "loop" }, icon("loop"), word("Loop", this.keymap.printed("loop"))),
      roll: make("roll", { command: "roll", title: "Piano roll" }, icon("eye"), word("Roll", this.keymap.printed("roll"))),
      ...Object.fromEntries(speeds),
    };
  }

  // `after`: seconds of silence first, when something else still sounds.
  show(question, after = 0) {
    this.notes = notes(featuresOf(question).data);
    this.canvas.setAttribute("aria-label", describe(this.notes));
    this.#rollSeen = this.roll;
    this.player.load((speed) => this.sounds.buffer(question, speed));
    void this.player.play(0, after);
  }

  // After the start button: the tone has told that there is sound.
  begin() {
    this.player.tone();
    void this.player.play(0, TONE_S);
  }

  leave() {
    this.player.stop();
  }

  // Seconds that are still to be heard before an answer is taken.
  locked() {
    return Math.max(0, (this.me.min_listen_s ?? 0) - this.player.heard);
  }

  circumstances() {
    this.player.position();
    const { heard, plays, speed } = this.player;
    return { heard_s: Number(heard.toFixed(2)), plays, speed, roll: this.#rollSeen };
  }

  // With the next frame: a key press changes much, and each look at sizes in between would lay the page out once more.
  repaint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paintAll());
  }

  #paintAll() {
    if (!this.nodes[0].isConnected) return;
    this.#paintButtons();
    this.#paint();
  }

  #paintButtons() {
    const { play, loop, roll } = this.buttons;
    const label = this.player.playing ? "Pause" : "Play";
    if (play.getAttribute("aria-label") !== label) {
      play.setAttribute("aria-label", label);
      show(play, icon(this.player.playing ? "pause" : "play", 18));
    }
    loop.setAttribute("aria-pressed", String(this.player.loop));
    roll.setAttribute("aria-pressed", String(this.roll));
    for (const one of SPEEDS) this.buttons[one].setAttribute("aria-pressed", String(this.player.speed === one));
    [this.canvas.hidden, this.hidden.hidden] = [!this.roll, this.roll];
  }

  #paint() {
    const at = this.player.position();
    if (this.roll) draw(this.canvas, this.notes, at, { moving: this.player.playing, still: this.still.matches });
    else this.bar.style.setProperty("--p", at / BEATS);
    const text = `heard ${this.player.heard.toFixed(0)} s of ${seconds(this.player.instrument, this.player.speed).toFixed(0)} s`;
    if (this.heard.textContent !== text) this.heard.textContent = text;
    this.#tellLock();
    if (this.player.playing) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #tellLock() {
    const locked = this.locked() > 0;
    if (locked === this.#locked) return;
    this.#locked = locked;
    this.onlock();
  }

  async #go(from) {
    await this.player.start();
    await this.player.play(from);
  }

  async #toggle() {
    await this.player.start();
    if (this.player.playing) this.player.pause();
    else await this.player.play();
  }

  #seek(event) {
    const beat = beatAt(this.canvas, event.clientX);
    if (beat !== null) void this.#go(beat);
  }

  #speed(speed) {
    this.player.set({ speed });
    this.choices.set("speed", speed);
  }

  #step(by) {
    const place = SPEEDS.indexOf(this.player.speed) + by;
    if (SPEEDS[place]) this.#speed(SPEEDS[place]);
  }

  #switchRoll() {
    this.roll = !this.roll;
    this.#rollSeen ||= this.roll;
    this.choices.set("roll", this.roll);
    this.repaint();
  }
}
