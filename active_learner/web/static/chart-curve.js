// Accuracy against labels: the run with its band, and the control arm. Knows points; not where they come from.
import { SMALL, area, chart, line, path, px, stepOf, text } from "./chart-frame.js";
import { h } from "./tree.js";
import { percent } from "./words.js";

const LEAST = 0.1; // height of the axis, in accuracy: a flat run must not look like a rising one

// `run`, `control`: [{ x, y, lo, hi }]; lo and hi are y where the rows behind it are not known.
export function learningCurve({ width, height, run, control }) {
  const small = width < SMALL;
  const box = { left: 46, right: width - (small ? 12 : 92), top: 14, bottom: height - 34 };
  const all = [...run, ...control];
  const low = Math.max(0, Math.min(1 - LEAST, Math.floor(10 * Math.min(...all.map((one) => one.lo))) / 10));
  const most = Math.max(1, ...all.map((one) => one.x));
  const x = (value) => box.left + (value / most) * (box.right - box.left);
  const y = (value) => box.top + ((1 - value) / (1 - low)) * (box.bottom - box.top);
  return chart(width, height, titleOf(run, control), grid(box, y, low, small), ticks(box, x, most, small, height), lines(run, control, x, y), words(run, control, x, y, small));
}

function titleOf(run, control) {
  const said = (points) => `${percent(points.at(-1).y)} at ${points.at(-1).x} labels`;
  return `Accuracy by labels: this run ${said(run)}${control.length ? `, random control ${said(control)}` : ""}.`;
}

function grid(box, y, low, small) {
  const values = [];
  for (let tenth = Math.ceil(10 * low); tenth <= 10; tenth += small && low < 0.5 ? 2 : 1) values.push(tenth / 10);
  return values.map((value) => [line(box.left, y(value), box.right, y(value), "grid"), text(box.left - 8, y(value) + 4, "tick", `${Math.round(100 * value)}${value === 1 ? " %" : ""}`, "end")]);
}

function ticks(box, x, most, small, height) {
  const step = stepOf(most, small ? 4 : 6);
  const values = Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
  return [values.map((value) => text(x(value), height - 14, "tick", String(value), "middle")), text(box.right, height - 1, "axis", "labels", "end")];
}

function lines(run, control, x, y) {
  const one = (points, kind) => [h("path", { d: area(points, x, y), class: `band ${kind}` }), h("path", { d: path(points, x, y), class: `line ${kind}` })];
  const last = run.at(-1);
  return [control.length ? one(control, "muted") : null, one(run, "one"), h("circle", { cx: px(x(last.x)), cy: px(y(last.y)), r: 4.5, class: "dot one" })];
}

function words(run, control, x, y, small) {
  const place = (points) => points.at(-1);
  const [last, end] = [place(run), place(control)];
  if (small) return [text(x(last.x) - 8, y(last.y) - 10, "word one", "this run", "end"), end ? text(x(end.x) - 8, y(end.y) + 20, "word muted", "random", "end") : null];
  const near = end && Math.abs(y(end.y) - y(last.y)) < 18 && Math.abs(x(end.x) - x(last.x)) < 60;
  return [text(x(last.x) + 9, y(last.y) + (near ? -6 : 4), "word one", "this run"), end ? text(x(end.x) + 9, y(end.y) + (near ? 14 : 4), "word muted", "random") : null];
}
