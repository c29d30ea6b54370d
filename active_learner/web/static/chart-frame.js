// What the charts share: places in pixels, paths, words. Charts are data in, tree out, drawn at the real width, so that
// words keep their size on a phone.
import { h } from "./tree.js";

export const px = (value) => Number(value.toFixed(1));
export const text = (x, y, kind, words, anchor = "start") => h("text", { x: px(x), y: px(y), class: kind, "text-anchor": anchor }, words);
export const line = (x1, y1, x2, y2, kind) => h("line", { x1: px(x1), y1: px(y1), x2: px(x2), y2: px(y2), class: kind });
export const path = (points, x, y, key = "y") => points.map((one, i) => `${i ? "L" : "M"}${px(x(one.x))} ${px(y(one[key]))}`).join("");

export function area(points, x, y) {
  const back = [...points].reverse().map((one) => `L${px(x(one.x))} ${px(y(one.lo))}`).join("");
  return `${path(points, x, y, "hi")}${back}Z`;
}

export function chart(width, height, title, ...kids) {
  return h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "chart", role: "img", "aria-label": title }, ...kids);
}

// A step of 1, 2 or 5 times a power of ten that gives at most `most` ticks.
export function stepOf(top, most) {
  const raw = Math.max(top, 1) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= raw);
}

export const SMALL = 520; // narrower than this a chart leaves words out
