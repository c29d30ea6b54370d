// "Why this one?": what the service says about how a question was chosen. Knows words for it; not the strategy.
import { nounOf } from "./classes.js";
import { byId, h, show } from "./tree.js";
import { ago, number } from "./words.js";

export function paintWhy(open, question, me) {
  const box = byId("why");
  box.hidden = !open || !question;
  if (box.hidden) return;
  const facts = [["Score", scoreOf(question)], ["Rank", `${number(question.rank)} of ${number(question.pool)}`], ["Strategy", question.strategy || "none"], ["Model", modelOf(question)], ["Pool then", number(question.pool)]];
  show(box, h("p", {}, h("strong", {}, lead(question, me)), " ", reason(question)), h("dl", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("p", { class: "quiet" }, "What the model would answer is not shown: it would sway you."));
}

const isDrawn = (question) => question.strategy === "random" || question.model_version < 0;

function lead(question, me) {
  const [one, many] = nounOf(me);
  if (isDrawn(question)) return `Drawn at random from ${number(question.pool)} ${many}.`;
  if (question.rank === 1) return `Of ${number(question.pool)} ${many} waiting, this ${one} came first.`;
  return `Of ${number(question.pool)} ${many} waiting, this ${one} came ${ordinal(question.rank)}.`;
}

function reason(question) {
  if (isDrawn(question)) return "A model that has learned nothing yet has no doubts worth following.";
  if (question.score === 0) return "The model is sure of all that wait, this one too; an answer tells whether rightly.";
  return "The model is unsure of it, so that your answer should teach it more than most.";
}

const scoreOf = ({ score }) => (typeof score === "number" ? String(Number(score.toPrecision(3))) : "none");

function modelOf({ model_version: version, asked_at: at, stale }) {
  if (version < 0) return "none yet";
  const age = typeof at === "number" ? `, ${ago(Math.max(0, Date.now() / 1000 - at))}` : "";
  return `v${version}${age}${stale ? " (a newer one is here)" : ""}`;
}

function ordinal(rank) {
  const ending = rank % 100 >= 11 && rank % 100 <= 13 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[rank % 10] ?? "th";
  return `${number(rank)}${ending}`;
}
