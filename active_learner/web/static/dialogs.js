// The start and the help. Knows what they say; `begin` and the choices know what follows.
import { guideOf, nounOf } from "./classes.js";
import { icon } from "./icons.js";
import { byId, dom, h, show } from "./tree.js";

const key = (text) => h("kbd", {}, text);

function range(keymap) {
  const last = keymap.answers.length - 1;
  if (!keymap.answers.every((one, i) => i === 0 || one?.charCodeAt(0) === keymap.answers[i - 1]?.charCodeAt(0) + 1)) return "its key"; // A, B, O: no range
  return [key(keymap.printedAnswer(0)), last > 1 ? " to " : " ", key(keymap.printedAnswer(last))];
}

function volume(player, ontry) {
  const slider = dom(h("input", { type: "range", min: 0, max: 1, step: 0.05, value: player.volume, "aria-label": "Volume" }));
  slider.addEventListener("input", () => { player.volume = Number(slider.value); });
  slider.addEventListener("change", () => ontry(Number(slider.value)));
  return h("label", { class: "volume" }, icon("sound"), h("span", {}, "Volume"), slider);
}

function guide(me) {
  const entries = guideOf(me);
  if (!entries.length) return null;
  return h("dl", { class: "guide", "aria-label": "What the answers mean" }, entries.map(([value, words]) => h("div", {}, h("dt", {}, key(me.class_names?.[value] || String(value))), h("dd", {}, words))));
}

// A browser makes no sound before a press: this is the press.
export function openStart({ me, keymap, player, sound, ontry, begin }) {
  const [one, many] = nounOf(me);
  const words = sound ? `Short ${many}, one at a time. Rate each from 0 to ${me.classes - 1}. The model asks about those it is least sure of.` : `One ${one} at a time: those the model is least sure of.`;
  const lines = [[range(keymap), "answers, and the next one comes"], ...(sound ? [[key(keymap.printed("replay")), "plays it again"]] : []), [key(keymap.printed("undo")), "takes the last answer back"], [key(keymap.printed("help")), "shows all keys"]];
  const button = h("button", { class: "btn main big", autofocus: true }, sound ? icon("sound", 20) : null, "Start");
  show(byId("start"), h("h2", { id: "start-title" }, sound ? "Listen and rate" : "Ready?"), h("p", {}, words), guide(me), h("form", { method: "dialog" }, button, sound ? volume(player, ontry) : null),
    h("ul", {}, lines.map(([keys, text]) => h("li", {}, h("span", { class: "keys" }, keys), text))));
  byId("start").addEventListener("cancel", (event) => event.preventDefault());
  byId("start").addEventListener("close", begin, { once: true });
  byId("start").showModal();
}

const rows = (keymap, heard) => [
  ["Answer and go on", range(keymap)], ...["cannot_tell", "skip", "undo", "why"].map((name) => [WORDS[name], [key(keymap.printed(name))]]),
  ...(heard ? ["replay", "play", "loop", "slower", "faster", "roll"].map((name) => [WORDS[name], [key(keymap.printed(name))]]) : []),
];
const WORDS = {
  cannot_tell: "Can’t tell", skip: "Skip", undo: "Undo the last answer", why: "Why this one?", replay: "Play from the start", play: "Play, pause", loop: "Loop",
  slower: "Slower", faster: "Faster", roll: "Show or hide the piano roll",
};

function tick(words, checked, onchange) {
  return h("label", {}, h("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked) }), words);
}

export function openHelp({ me, keymap, player, sound, choices, ontry }) {
  const meant = guide(me);
  const close = h("form", { method: "dialog" }, h("button", { class: "btn icon", "aria-label": "Close" }, icon("cross")));
  show(byId("help"), h("div", { class: "help-head" }, h("h2", { id: "help-title" }, "Keys"), close), h("dl", {}, rows(keymap, sound).map(([what, keys]) => [h("dt", {}, what), h("dd", {}, keys)])),
    meant ? h("h3", {}, "What the answers mean") : null, meant,
    sound ? volume(player, ontry) : null,
    tick("Single keys answer (off: only Tab and Enter)", choices.get("single-keys", true), (on) => choices.set("single-keys", on)),
    tick("Chime when the next question is ready", choices.get("chime", true), (on) => choices.set("chime", on)));
  byId("help").showModal();
}
