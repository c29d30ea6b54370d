// What is not the question: saved or not, the service away, notices, progress. Normal is quiet. Knows words and shapes; decides nothing.
import { icon } from "./icons.js";
import { byId, h, show } from "./tree.js";
import { isNumber, percent, plural } from "./words.js";

// One polite line for each decision; never the training's progress.
export const say = (text) => { byId("live").textContent = text; };

const WAYS = {
  away: ["cloudOff", "warn", (unsent) => `${unsent} unsent`], sending: ["dots", "", () => "Saving"], kept: ["dots", "", () => "Kept, not confirmed"],
  shut: ["cross", "bad", () => "Not let in"], saved: ["check", "good", () => "All saved"],
};

export function paintSaved(way, unsent) {
  const [shape, tone, words] = WAYS[way];
  byId("saved").dataset.tone = tone;
  byId("saved").dataset.way = way;
  show(byId("saved"), icon(shape), h("span", {}, words(unsent)));
}

export function paintAway(here, { unsent, left, retry }) {
  const box = byId("offline");
  if (box.hidden === here && here) return;
  box.hidden = here;
  if (here) return box.replaceChildren();
  const words = `Go on: ${plural(unsent, "answer is", "answers are")} kept in this browser and ${unsent === 1 ? "is" : "are"} sent in order when it is back. ${plural(left, "more question is", "more questions are")} here.`;
  show(box, icon("cloudOff"), h("p", {}, h("strong", {}, "The service is away. "), words), h("button", { class: "btn line", type: "button", onclick: retry }, "Try now"));
}

// A notice stays until it is closed; the last one counts.
export function notice(text, level = "warning") {
  const box = byId("notice");
  box.hidden = false;
  box.dataset.level = level === "info" ? "info" : "warn";
  show(box, icon(level === "info" ? "spark" : "warn"), h("p", {}, text), h("button", { class: "btn line", type: "button", onclick: clearNotice }, "Close"));
}

export function clearNotice() {
  byId("notice").hidden = true;
  byId("notice").replaceChildren();
}

// --- progress: one quiet line

const TRAINS = (status) => status?.training && status.training !== "idle" && status.epochs > 0;

export function paintProgress({ status, me, done, open, rating, news }) {
  show(byId("progress"), labels(status, me), model(status, rating, news), h("div", {}, h("span", {}, h("strong", {}, String(done)), h("span", { class: "extra" }, ` ${done === 1 ? "answer" : "answers"} this session`), open ? h("span", { class: "extra open" }, ` · ${plural(open, "question")} open`) : null, h("span", { class: "short" }, " done"))));
}

function labels(status, me) {
  const count = status?.labels ?? 0;
  if (!me.labels_goal) return h("div", {}, h("span", {}, h("strong", {}, plural(count, "label")), h("span", { class: "extra" }, " in all")));
  const part = Math.min(1, count / me.labels_goal);
  return h("div", {}, h("span", { class: "bar", "aria-hidden": "true", vars: { p: part.toFixed(3) } }), h("span", {}, h("strong", {}, `${count} of ${me.labels_goal}`), " labels"));
}

export function partOf({ epoch, epochs, batch, batches }) {
  return Math.min(1, (Math.max(0, epoch - 1) + (batches ? batch / batches : 0)) / Math.max(1, epochs));
}

function model(status, rating, news) {
  if (TRAINS(status)) {
    return h("div", { class: "model busy" }, h("span", { class: "bar", "aria-hidden": "true", vars: { p: partOf(status).toFixed(3) } }), h("span", {}, "learning", h("span", { class: "extra" }, ` v${status.model_version + 1}, epoch ${status.epoch} of ${status.epochs}`)));
  }
  const accuracy = isNumber(status?.accuracy) ? percent(status.accuracy) : "not measured";
  return h("div", { class: "model" }, icon("spark", 14), h("span", {}, h("span", { class: "extra" }, `Model v${Math.max(0, status?.model_version ?? 0)}: `), h("strong", {}, accuracy), news ? h("span", { class: "up" }, ` ${news}`) : null, h("span", { class: "extra" }, isNumber(status?.accuracy) ? (rating ? " exactly right" : " right") : "")));
}
