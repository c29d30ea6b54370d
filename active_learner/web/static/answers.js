// The buttons: answers with their keys, and what else can be done with a question. Knows how they look; `act` knows what they do.
import { arrangement, endsOf, guideOf, namesOf } from "./classes.js";
import { icon } from "./icons.js";
import { byId, dom, h, show } from "./tree.js";

const HIT_MS = 140; // as long as a pressed button is seen

export class Answers {
  // `act`: { answer(index), undo, skip, cannot_tell, why }
  constructor(me, keymap, act) {
    Object.assign(this, { me, keymap, act, names: namesOf(me) });
    this.#build();
    this.#buildActions();
  }

  #build() {
    const { kind, cols, small } = arrangement(this.me, this.names);
    const box = byId("answers");
    box.className = `answers ${kind}${this.names.length < 5 ? " few" : ""}`;
    this.buttons = this.names.map((name, i) => dom(this.#button(name, i, kind)));
    this.legend = dom(h("legend", { class: "vh" }, "Your answer"));
    this.lock = dom(h("b", { hidden: true }));
    show(box, this.legend, h("div", { class: "grid", vars: { cols, "cols-s": small } }, this.buttons), this.#ends());
  }

  #button(name, i, kind) {
    const guide = Object.fromEntries(guideOf(this.me));
    const key = kind === "named" ? h("kbd", { class: "hint", "aria-hidden": "true" }, this.keymap.printedAnswer(i)) : null;
    const attrs = { class: "answer", type: "button", "data-answer": i, "aria-keyshortcuts": this.keymap.answers[i], title: guide[i], onclick: () => this.act.answer(i) };
    const other = kind !== "named" && this.keymap.printedAnswer(i) !== name.toUpperCase() ? h("kbd", { class: "hint", "aria-hidden": "true" }, this.keymap.printedAnswer(i)) : null;
    return h("button", attrs, key ?? other, h("span", {}, name));
  }

  #ends() {
    const ends = endsOf(this.me);
    const end = ([value, words]) => h("span", {}, `${this.names[value]} ${words}`);
    return h("p", { class: "ends" }, ends ? end(ends[0]) : h("span", {}), this.lock, ends ? end(ends[1]) : h("span", {}));
  }

  #buildActions() {
    const { printed, commands } = { printed: (name) => this.keymap.printed(name), commands: this.keymap.commands };
    const make = (name, symbol, words, attrs = {}) => dom(h("button", { class: "btn", type: "button", "data-action": name, "aria-keyshortcuts": commands[name], onclick: this.act[name], ...attrs }, symbol ? icon(symbol) : null, words, h("kbd", { "aria-hidden": "true" }, printed(name))));
    this.why = make("why", null, "Why this one?", { class: "btn push", "aria-expanded": "false", "aria-controls": "why" });
    show(byId("actions"), make("undo", "undo", "Undo"), make("skip", "skip", "Skip"), make("cannot_tell", null, "Can’t tell"), this.why);
  }

  // What is shown: `was` is the answer that is being corrected, or null; `locked` seconds are still to be heard.
  paint({ was = null, correcting = false, locked = 0, least = 0 }) {
    this.legend.textContent = correcting ? "The corrected answer" : "Your answer";
    this.buttons.forEach((button, i) => button.classList.toggle("was", i === was));
    this.#paintLock(locked, least);
  }

  #paintLock(locked, least) {
    byId("answers").toggleAttribute("data-locked", locked > 0);
    this.lock.hidden = locked <= 0;
    this.lock.textContent = locked > 0 ? `Listen ${least} s first` : "";
    for (const button of this.buttons) {
      if (locked > 0) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  flash(index) {
    const button = this.buttons[index];
    button?.classList.add("hit");
    setTimeout(() => button?.classList.remove("hit"), HIT_MS);
  }
}
