// The answers as chips, the last ones at first: what was answered, whether it is saved, and a press to correct it, or to take it
// back when the service cannot show it any more. Knows entries; sends nothing.
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
  #all = false; // that are known here, not the last ones alone
  #ends = false; // the service has no earlier ones

  // act: earlier() fetches more, and says whether there may be more still; takeBack(entry).
  constructor(session, names, size, act) {
    Object.assign(this, { session, names, size, act });
    byId("history-more").addEventListener("click", () => void this.more());
  }

  async more() {
    this.#all = true;
    this.#ends = !(await this.act.earlier());
    this.paint();
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
    const past = this.#all ? this.session.past : this.session.past.slice(0, this.size);
    show(list, Array.from({ length: Math.max(this.size, past.length) }, (_, i) => (past[i] ? this.#chip(past[i]) : empty())));
    byId("history-note").textContent = past.length ? "Press one to correct it" : "None yet";
    byId("history-more").hidden = past.length < this.size || this.#ends;
    if (held) [...list.querySelectorAll("[data-past]")].find((one) => one.dataset.past === held)?.focus();
  }

  #chip(entry) {
    const { features } = entry.question;
    const word = decisionWord(entry, this.names);
    const [sign, said] = SIGNS[entry.save] ?? SIGNS.saved;
    const open = this.session.correcting === entry ? " open" : "";
    return h("li", {}, h("button", { class: `past${open}`, type: "button", "data-save": entry.save, "data-past": entry.question.id, onclick: () => (features ? this.session.open(entry) : this.act.takeBack(entry)) },
      h("span", { class: "thumb", "aria-hidden": "true" }, features ? thumbOf(entry.question) : icon("undo", 16)),
      h("span", { class: "vh" }, `Answered ${decisionSaid(entry, this.names)}, `),
      h("span", { class: `given${[...word].length > 2 ? " small" : ""}`, "aria-hidden": "true" }, h("span", {}, word)),
      h("span", { class: "tick" }, icon(sign, 12)),
      h("span", { class: "vh" }, `${said}${entry.text && entry.save === "refused" ? `: ${entry.text}` : ""}. ${features ? "Correct it." : "Take it back: it is asked again."}`)));
  }
}

const empty = () => h("li", { "aria-hidden": "true" }, h("div", { class: "past empty" }));
