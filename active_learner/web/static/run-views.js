// The blocks of the run page. Each draws one block from facts; none asks the service.
import { pace, waitsChart } from "./chart-bars.js";
import { learningCurve } from "./chart-curve.js";
import { SMALL } from "./chart-frame.js";
import { uncertainty } from "./chart-pool.js";
import { icon } from "./icons.js";
import { curvesOf, linesOf, peersOf, peopleOf, phasesOf } from "./run-facts.js";
import { byId, dom, h, show } from "./tree.js";
import { isNumber, number, percent, plural, quantile } from "./words.js";

const EVENTS_KEPT = 100;
const GOALS = { p50: 30, p99: 100, saved: 50 }; // ms

const widthOf = (id) => Math.max(220, Math.floor(byId(id).getBoundingClientRect().width));
const nothing = (words) => h("p", { class: "nothing" }, words);

export function paintPhases(status) {
  const cell = ({ on, name, of, part, words }) => h("div", { class: `phase${on ? " on" : ""}` }, h("span", { class: "mark" }, icon(on ? "dot" : "check")), h("h2", {}, name, on ? h("span", { class: "vh" }, ", active") : null), h("span", { class: "of" }, of), h("span", { class: "bar", "aria-hidden": "true", vars: { p: part.toFixed(3) } }), h("p", {}, words));
  show(byId("phases"), phasesOf(status).map(cell));
}

export function paintCurve(body) {
  const { run, control, heldOut } = curvesOf(body);
  byId("curve-note").textContent = heldOut ? `right on ${number(heldOut)} held-out samples; band: 95 of 100` : "right on the held-out samples";
  byId("curve-table").hidden = run.length === 0;
  byId("no-control").hidden = run.length === 0 || control.length > 0;
  if (!run.length) return show(byId("curve"), nothing("The first point comes with the first trained round."));
  const width = widthOf("curve");
  show(byId("curve"), learningCurve({ width, height: width < SMALL ? 250 : 318, run, control }));
  return show(byId("curve-table").lastElementChild, curveTable(run, control));
}

function curveTable(run, control) {
  const known = new Map(control.map((one) => [one.x, percent(one.y)]));
  const heads = ["Labels", "This run", ...(control.length ? ["Random"] : [])];
  const rows = run.map((one) => [number(one.x), percent(one.y), ...(control.length ? [known.get(one.x) ?? "–"] : [])]);
  return h("table", {}, h("thead", {}, h("tr", {}, heads.map((word, i) => h("th", { scope: "col", class: i ? "num" : null }, word)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((word, i) => h("td", { class: i ? "num" : null }, word))))));
}

export function paintPool(body) {
  const { rounds } = curvesOf(body);
  if (!rounds.length) return show(byId("pool"), nothing("The first column comes with the first round."));
  return show(byId("pool"), uncertainty({ width: widthOf("pool"), height: 250, rounds }));
}

export function paintPace(status, rounds) {
  const people = peopleOf(status, linesOf(rounds));
  const top = Math.max(1, ...people.flatMap((one) => one.values));
  byId("pace-note").textContent = people.some((one) => one.values.length) ? `last ${plural(Math.max(...people.map((one) => one.values.length)), "minute")}` : "";
  const bars = ({ name, rate, values }) => (values.length ? h("div", { class: "plot" }, pace({ width: widthOf("pace"), values, top, title: `${name}: ${rate.toFixed(1)} labels a minute` })) : null);
  show(byId("pace"), people.length ? people.map((one) => h("li", {}, h("strong", { class: "person" }, one.name), h("span", {}, h("strong", {}, one.rate.toFixed(1)), " a minute"), bars(one))) : h("li", {}, nothing("Nobody has labeled yet.")));
}

// `own`: what this browser has measured; `status.answers`: what the service has.
export function paintWaits(own, status) {
  byId("wait-note").textContent = own.next.length ? `last ${number(own.next.length)} of this browser` : "";
  show(byId("waits"), own.next.length ? waitsChart({ width: widthOf("waits"), height: 190, waits: own.next, limit: GOALS.p99 }) : nothing("Measured in the browser that labels: answer something in the other tab."));
  const figures = [["Key press to next question, p50", quantile(own.next, 0.5), GOALS.p50], ["the same, p99", quantile(own.next, 0.99), GOALS.p99], ["Answer to saved, p99", quantile(own.saved, 0.99), GOALS.saved]];
  const missing = [h("dt", {}, "Question missing"), h("dd", {}, String(own.missing), sign(own.missing <= 0, 0))];
  show(byId("wait-figures"), figures.filter(([, value]) => value !== null).map(([words, value, goal]) => [h("dt", {}, words), h("dd", {}, `${Math.round(value)} ms`, sign(value <= goal, goal))]), missing, served(status.answers));
}

// From the coming of an answer to its receipt, of all people: upper bounds.
function served(answers) {
  const known = [["p50", answers?.p50_s], ["p99", answers?.p99_s]].filter(([, value]) => isNumber(value));
  return known.map(([name, value]) => [h("dt", {}, `Answer to receipt, all people, ${name}, at most`), h("dd", {}, `${Math.round(1000 * value)} ms`, name === "p99" ? sign(1000 * value <= GOALS.saved, GOALS.saved) : null)]);
}

const sign = (good, goal) => [icon(good ? "check" : "warn", 14), h("span", { class: "vh" }, good ? "within" : "beyond"), h("small", {}, `goal ${goal}`)];

export function paintPeers(status) {
  const peers = peersOf(status);
  const bad = peers.filter((one) => one.sign[1] !== "well").length;
  byId("peers-note").textContent = `${plural(peers.length, "peer")} joined${bad ? `, ${bad} not well` : ""}`;
  const head = [["Peer"], ["Role"], ["Last seen", "num"], ["Health", "num"]].map(([words, kind]) => h("th", { scope: "col", class: kind }, words));
  show(byId("peers"), h("thead", {}, h("tr", {}, head)), h("tbody", {}, peers.map(peer)));
}

function peer({ name, role, seen, sign: [shape, word, tone] }) {
  return h("tr", {}, h("td", { class: "peer" }, name), h("td", { class: "role" }, role), h("td", { class: "age num" }, seen), h("td", { class: "num health" }, h("span", { class: "sign", "data-tone": tone }, icon(shape, 14), word)));
}

export function addEvent(words, warns = false) {
  const list = byId("events");
  const time = new Date().toTimeString().slice(0, 8);
  list.prepend(dom(h("li", {}, h("time", {}, time), h("span", { class: warns ? "warn" : null }, warns ? h("span", { class: "vh" }, "Warning: ") : null, words))));
  while (list.children.length > EVENTS_KEPT) list.lastElementChild.remove();
}

export function paintLink(here) {
  byId("link").dataset.tone = here ? "good" : "warn";
  show(byId("link"), icon(here ? "dot" : "cloudOff", 14), h("span", {}, here ? "Live" : "Away"));
}

const MENU = [["Measures by round", "JSON", "/api/v1/rounds"], ["Questions now", "JSON", "/api/v1/queue"], ["Metrics", "Prometheus", "/api/v1/metrics"], ["The HTTP API", "OpenAPI", "/api/v1/openapi.json"]];

export function paintMenu(experiment) {
  show(document.querySelector("#export summary"), icon("export"), h("span", { class: "word" }, "Export"));
  const links = MENU.map(([name, kind, href]) => h("li", {}, h("a", { href }, name, h("small", {}, kind))));
  show(document.querySelector("#export ul"), h("li", { class: "by-hand" }, "Labels: in a terminal", h("code", {}, `active-learner labels export ${experiment} labels.csv`)), links);
}
