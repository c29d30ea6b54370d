// What the service says about a run, as the views need it: points, people, peers, phases. Knows the API's fields; draws nothing.
import { ago, duration, interval, isNumber, number, percent, plural } from "./words.js";

const MINUTES = 20;
const LATE_S = 2; // a peer is heard every half second
const GONE_S = 10;

// { run, control, rounds } of the lines of metrics.jsonl.
export const linesOf = (body) => (Array.isArray(body) ? body : body.rounds ?? []);

export function curvesOf(body) {
  const lines = linesOf(body);
  const control = Array.isArray(body) ? lines.filter((line) => line.arm === "control") : body.control ?? [];
  const own = lines.filter((line) => line.arm !== "control");
  return { run: points(own), control: points(control), rounds: own.filter((line) => line.uncertainty?.length).map(({ round, uncertainty: bins, pool }) => ({ round, bins, pool: pool ?? sum(bins) })), heldOut: own.at(-1)?.held_out ?? null };
}

const sum = (values) => values.reduce((total, one) => total + one, 0);

function points(lines) {
  return lines.filter((line) => isNumber(line.accuracy) && !line.held_back).map((line) => {
    const [lo, hi] = line.held_out ? interval(line.accuracy, line.held_out) : [line.accuracy, line.accuracy];
    return { x: line.labels, y: line.accuracy, lo, hi };
  });
}

// [title, note]: the answer first, then its reasons.
export function leadOf(status, me, ended) {
  const { labels = 0, accuracy } = status;
  const now = isNumber(accuracy) ? `${percent(accuracy)} with ${plural(labels, "label")}` : plural(labels, "label");
  if (ended) return [`Done: ${now}`, ended];
  const left = me.labels_goal ? me.labels_goal - labels : 0;
  if (left <= 0) return [capital(now), status.text ?? ""];
  const rate = paceOf(status);
  return [`${plural(left, "more label")} to ${number(me.labels_goal)}`, `Now ${now}.${rate > 0 ? ` At the present pace: about ${duration((60 * left) / rate)}.` : ""}`];
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const COLLECTS = new Set(["collecting"]);
const ASKS = new Set(["selecting", "storing", "asking", "refreshing"]);

// [{ on, name, of, part, words }]: three cells that may all be active, as asking and training are two machines.
export function phasesOf(status) {
  const trains = status.training && status.training !== "idle";
  const { pool = 0, pool_size: wanted = 0, open_questions: open = 0, epoch = 0, epochs = 0, batch = 0, batches = 0 } = status;
  const done = epochs ? Math.min(1, (Math.max(0, epoch - 1) + (batches ? batch / batches : 0)) / epochs) : 0;
  return [
    { on: COLLECTS.has(status.asking), name: "Collecting", of: pool >= wanted ? plural(pool, "sample") : `${number(pool)} of ${number(wanted)}`, part: wanted ? Math.min(1, pool / wanted) : 0, words: pool >= wanted ? `Enough to ask from; it begins at ${number(wanted)}.` : "The pool fills." },
    { on: ASKS.has(status.asking), name: "Asking", of: plural(open, "open question"), part: open ? 1 : 0, words: [status.text || (open ? "Waiting for answers." : "Nothing is asked."), agreementOf(status)].filter(Boolean).join(" · ") },
    { on: trains, name: trains ? `Training v${number((status.model_version ?? 0) + 1)}` : "Training", of: trains ? `epoch ${epoch} of ${epochs}` : "idle", part: trains ? done : 0, words: trains ? `Batch ${batch} of ${batches}, step ${number(status.step ?? 0)}${isNumber(status.loss) ? `, loss ${status.loss.toFixed(3)}` : ""}` : `Model v${number(Math.max(0, status.model_version ?? 0))}, step ${number(status.step ?? 0)}` },
  ];
}

const agreementOf = ({ agreement }) => (isNumber(agreement) ? `people agree: ${agreement.toFixed(2)} (Krippendorff's alpha)` : "");

// [{ name, rate, values }]: labels a minute and minute by minute of each person at this service; of all together, when others label elsewhere too.
export function peopleOf(status, lines = []) {
  const people = (status.people ?? []).map((one) => ({ name: one.annotator, rate: one.rate ?? 0, values: one.minutes ?? [] }));
  const all = status.labels_per_minute;
  if (!isNumber(all) || (people.length && all <= sum(people.map((one) => one.rate)))) return people;
  return [{ name: "Everybody", rate: all, values: minutesOf(lines) }, ...people];
}

// Of all people, wherever they label.
const paceOf = (status) => Math.max(status.labels_per_minute ?? 0, sum((status.people ?? []).map((one) => one.rate ?? 0)));

// Labels in each of the last minutes, by the rounds that they were trained in: those of a round are spread over its time.
export function minutesOf(lines, now = Date.now() / 1000) {
  const timed = lines.filter((line) => isNumber(line.at));
  const values = new Array(MINUTES).fill(0);
  timed.slice(1).forEach((line, i) => spread(values, timed[i].at, line.at, line.labels - timed[i].labels, now - 60 * MINUTES));
  return timed.length > 1 ? values : [];
}

function spread(values, from, to, labels, start) {
  for (let minute = 0; minute < values.length; minute++) {
    const begin = start + 60 * minute;
    const common = Math.min(to, begin + 60) - Math.max(from, begin);
    if (common > 0 && to > from) values[minute] += (labels * common) / (to - from);
  }
}

const WELL = ["check", "well", "good"];
const HEALTH = new Map([["ok", WELL], ["here", WELL], ["late", ["clock", "late", "warn"]], ["gone", ["cross", "gone", "bad"]]]);

const SILENT = new Set(["monitor"]); // only listen; when they are gone the broker tells

const byAge = (age) => (!isNumber(age) || age < LATE_S ? "ok" : age < GONE_S ? "late" : "gone");

function seenOf(role, age, health, since) {
  if (health === "gone" && isNumber(since)) return ago(since);
  if (health === "here" && SILENT.has(role)) return "now";
  return isNumber(age) ? ago(age) : "now";
}

// [{ name, role, seen, sign: [shape, word, tone] }].
export function peersOf(status) {
  return (status.peers ?? []).map(({ name, role, age_s: age, health, since_s: since }) => ({ name, role, seen: seenOf(role, age, health, since), sign: HEALTH.get(health ?? byAge(age)) ?? HEALTH.get("late") }));
}
