// Bars: labels a minute of one person, and waiting times on a log axis. Knows numbers; not where they come from.
import { chart, line, px, text } from "./chart-frame.js";
import { h } from "./tree.js";
import { quantile } from "./words.js";

// One scale (`top`) for all people: their bars may be compared.
export function pace({ width, height = 44, values, top, title }) {
  const wide = width / values.length;
  const tall = (value) => Math.max(value ? 1.5 : 0, (value / Math.max(top, 1)) * (height - 4));
  const bar = (value, i) => (value ? h("rect", { x: px(i * wide + 1), y: px(height - 1 - tall(value)), width: px(wide - 2), height: px(tall(value)), rx: 1.5, class: "cell" }) : null);
  return chart(width, height, title, line(0, height - 0.5, width, height - 0.5, "grid"), values.map(bar));
}

const [FROM, TO, BINS] = [4, 1000, 24]; // ms
const at = (ms) => (Math.log(Math.min(TO, Math.max(FROM, ms))) - Math.log(FROM)) / (Math.log(TO) - Math.log(FROM));

// How long each of `waits` (ms) took; beyond `limit` is too slow.
export function waitsChart({ width, height, waits, limit }) {
  const box = { left: 4, right: width - 4, top: 30, bottom: height - 28 };
  const x = (ms) => box.left + at(ms) * (box.right - box.left);
  const [p50, p99] = [quantile(waits, 0.5), quantile(waits, 0.99)];
  const title = `Key press to next question: half within ${Math.round(p50)} ms, 99 of 100 within ${Math.round(p99)} ms.`;
  const over = h("rect", { x: px(x(limit)), y: box.top - 26, width: px(box.right - x(limit)), height: box.bottom - box.top + 26, class: "over" });
  return chart(width, height, title, over, bars(box, waits), line(box.left, box.bottom, box.right, box.bottom, "grid"), mark(box, x, p50, "p50", 4), mark(box, x, p99, "p99", 17),
    text(box.right - 4, box.top - 15, "tick", "too slow", "end"), [5, 10, 20, 50, 100, 500].map((ms) => text(x(ms), height - 12, "tick", ms === 500 ? "500 ms" : String(ms), "middle")));
}

function bars(box, waits) {
  const counts = new Array(BINS).fill(0);
  for (const ms of waits) counts[Math.min(BINS - 1, Math.floor(at(ms) * BINS))] += 1;
  const [wide, most] = [(box.right - box.left) / BINS, Math.max(...counts)];
  const tall = (count) => (count / most) * (box.bottom - box.top - 4);
  return counts.map((count, i) => (count ? h("rect", { x: px(box.left + i * wide + 1), y: px(box.bottom - tall(count)), width: px(wide - 2), height: px(tall(count)), rx: 1.5, class: "cell" }) : null));
}

function mark(box, x, ms, name, up) {
  const late = at(ms) > 0.6;
  return [line(x(ms), up, x(ms), box.bottom, "mark"), text(x(ms) + (late ? -5 : 5), up + 9, "note", `${name} ${Math.round(ms)}`, late ? "end" : "start")];
}
