// A text, as text: uint8 is UTF-8 padded with zeros, wider whole numbers are code points. Knows no markup.
import { featuresOf } from "./features.js";
import { dom, h, show } from "./tree.js";
import { plural } from "./words.js";

const LONGEST = 20_000; // characters; more would not be read
const texts = new WeakMap(); // question -> its text

export function textOf(question) {
  if (!texts.has(question)) texts.set(question, decode(featuresOf(question)));
  return texts.get(question);
}

function decode({ data, dtype }) {
  const bytes = dtype === "uint8" || dtype === "int8";
  const text = bytes ? new TextDecoder().decode(new Uint8Array(data.buffer)) : Array.from(data, point).join("");
  return text.replace(/\0+$/, "");
}

const point = (code) => (code >= 0 && code < 0x110000 ? String.fromCodePoint(code) : "\ufffd");

export class TextStage {
  static canShow = (question) => !featuresOf(question).dtype.startsWith("float");
  static thumb = (question) => h("q", { dir: "auto" }, [...textOf(question).slice(0, 120)].slice(0, 60).join(""));
  commands = {};
  nodes = [dom(h("div", { class: "words", tabindex: "0", role: "group", "aria-label": "The text" })), dom(h("p", { class: "caption words-note" }))];

  show(question) {
    const characters = [...textOf(question)];
    const cut = characters.length > LONGEST ? ` ... (${characters.length - LONGEST} more characters)` : "";
    show(this.nodes[0], h("blockquote", { dir: "auto" }, characters.slice(0, LONGEST).join("") + cut));
    this.nodes[0].scrollTop = 0;
    this.nodes[1].textContent = plural(characters.length, "character");
  }

  repaint() {}
  leave() {}
  locked() { return 0; }
  circumstances() { return {}; }
}
