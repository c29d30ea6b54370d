// The icons: 16 px grid, 1.5 px line, one shape for each meaning. Knows only how to draw them.
import { h } from "./tree.js";

const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  cloudOff: "M2 2l12 12M5 5.3A3.2 3.2 0 0 0 4.6 12H11M7 4.2A4 4 0 0 1 11.6 7.4 2.4 2.4 0 0 1 13.6 11",
  replay: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  loop: "M4 5.5h6.5a2.5 2.5 0 0 1 0 5M12 10.5H5.5a2.5 2.5 0 0 1-2.2-3.7M8.6 3.5l2 2-2 2M7.4 8.5l-2 2 2 2",
  eye: "M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8zM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z",
  eyeOff: "M2.5 2.5l11 11M6.2 4A6.3 6.3 0 0 1 8 3.8C12 3.8 14.2 8 14.2 8a11 11 0 0 1-2 2.5M4.3 5A11 11 0 0 0 1.8 8S4 12.2 8 12.2a6 6 0 0 0 2.2-.4",
  skip: "M3 3.5l6 4.5-6 4.5zM12.5 3.5v9",
  undo: "M6 3L2.8 6.2 6 9.4M3 6.2h6.5a3.5 3.5 0 0 1 0 7H6.5",
  down: "M4 6.5l4 4 4-4",
  arrow: "M3 8h10M9 4l4 4-4 4",
  warn: "M8 2.2l6.2 11H1.8zM8 6.5v3M8 11.5v.01",
  bell: "M4 11.5V7a4 4 0 0 1 8 0v4.5M2.8 11.5h10.4M6.8 13.8h2.4",
  export: "M8 2.5v7.5M5 7l3 3 3-3M3 12.5v1h10v-1",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.5",
  cross: "M4 4l8 8M12 4l-8 8",
  sound: "M2.5 6.2v3.6H5l3.5 2.7v-9L5 6.2zM11 5.8a3 3 0 0 1 0 4.4M12.8 4a5.6 5.6 0 0 1 0 8",
};
const FILLED = { play: "M4.5 2.8v10.4L13 8z", pause: "M4 3h3v10H4zM9 3h3v10H9z", dot: "M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", square: "M4 4h8v8H4z", spark: "M8 1.5l1.6 4.9 4.9 1.6-4.9 1.6L8 14.5 6.4 9.6 1.5 8l4.9-1.6z" };

export function icon(name, size = 16) {
  const filled = FILLED[name];
  const pen = filled ? { fill: "currentColor", stroke: "none" } : { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return h("svg", { viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true", ...pen }, h("path", { d: filled ?? PATHS[name] }));
}
