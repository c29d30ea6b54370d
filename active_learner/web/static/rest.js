// The stage when nothing is asked: why, what is going on meanwhile, or that the run is over. Knows words; decides nothing.
import { icon } from "./icons.js";
import { partOf } from "./signs.js";
import { byId, h, show } from "./tree.js";
import { isNumber, percent, plural } from "./words.js";

export function paintRest({ ended, here, text, status, chime, onchime }) {
  if (ended) return over(ended, status, here);
  const training = status?.training && status.training !== "idle";
  return show(byId("stage"), h("div", { class: "rest" }, h("h1", {}, here ? "Nothing to ask right now" : "No more questions are here"), h("p", {}, text || (here ? "You will hear a chime when the next question is here." : "They come when the service is back. Your answers are kept.")),
    training ? work(status) : null, h("div", { class: "after" }, chimeButton(chime, onchime), h("a", { class: "btn line", href: "/run" }, "Watch the run"))));
}

function chimeButton(chime, onchime) {
  return h("button", { class: "btn line", type: "button", "aria-pressed": String(chime), onclick: onchime }, icon("bell"), chime ? "Chime on" : "Chime off");
}

function work(status) {
  const part = partOf(status);
  const bar = h("span", { class: "bar", role: "progressbar", "aria-label": "Training", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * part), vars: { p: part.toFixed(3) } });
  return h("div", { class: "work" }, bar, h("div", {}, h("span", {}, `Epoch ${status.epoch} of ${status.epochs}, batch ${status.batch} of ${status.batches}`)));
}

function over(text, status, here) {
  const result = isNumber(status?.accuracy) ? `Done: ${percent(status.accuracy)} after ${plural(status.labels, "label")}` : "Done";
  show(byId("stage"), h("div", { class: "rest" }, h("span", { class: "mark" }, icon("check", 36)), h("h1", {}, result), h("p", {}, text), here ? h("div", { class: "after" }, h("a", { class: "btn main", href: "/run" }, "See the run")) : h("p", {}, "Its curve is in report.html, in the run folder.")));
}
