// The last answers as chips: what was answered, whether it is saved, and a press to correct it. Knows entries; sends nothing.
import { decisionSaid, decisionWord } from "./classes.js";
import { icon } from "./icons.js";
import { thumbOf } from "./stages.js";
import { byId, h, show } from "./tree.js";

const SIGNS = {
  saved: ["check", "saved"], sending: ["dots", "being saved"], kept: ["dots", "kept by the service, not confirmed yet"],
  unsent: ["cloudOff", "kept here, not sent yet"], refused: ["cross", "not taken"],
};

export class History {
  #due = false;

  constructor(session, names, size) {
    Object.assign(this, { session, names, size });
  }

  // Several changes in one decision are one drawing, after the question has been drawn.
  paint() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#paint();
    });
  }

  #paint() {
    const list = byId("history");
    const held = document.activeElement?.dataset?.past;
    const { past } = this.session;
    show(list, Array.from({ length: this.size }, (_, i) => (past[i] ? this.#chip(past[i]) : empty())));
    byId("history-note").textContent = past.length ? "Press one to correct it" : "None yet";
    if (held) [...list.querySelectorAll("[data-past]")].find((one) => one.dataset.past === held)?.focus();
  }

  #chip(entry) {
    const word = decisionWord(entry, this.names);
    const [sign, said] = SIGNS[entry.save] ?? SIGNS.saved;
    const open = this.session.correcting === entry ? " open" : "";
    return h("li", {}, h("button", { class: `past${open}`, type: "button", "data-save": entry.save, "data-past": entry.question.id, onclick: () => this.session.open(entry) },
      h("span", { class: "thumb", "aria-hidden": "true" }, thumbOf(entry.question)),
      h("span", { class: "vh" }, `Answered ${decisionSaid(entry, this.names)}, `),
      h("span", { class: `given${[...word].length > 2 ? " small" : ""}`, "aria-hidden": "true" }, h("span", {}, word)),
      h("span", { class: "tick" }, icon(sign, 12)),
      h("span", { class: "vh" }, `${said}${entry.text && entry.save === "refused" ? `: ${entry.text}` : ""}. Correct it.`)));
  }
}

const empty = () => h("li", { "aria-hidden": "true" }, h("div", { class: "past empty" }));
