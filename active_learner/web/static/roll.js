// The piano roll: on a canvas while it plays, as a small picture in the history. Knows notes and a position; no sound.
import { BEATS, NAMES, tones } from "./genome.js";
import { h } from "./tree.js";

const LEFT = 28;
const RIGHT = 12;
const ROWS = NAMES.length;
const WANTED = ["roll-band", "grid", "ink", "ink-3", "note-ahead", "note-done", "sans"];
let colours = null; // of the theme; asked for again when it changes
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours = null; });

function colour(canvas, name) {
  if (!colours) {
    const style = getComputedStyle(canvas);
    colours = Object.fromEntries(WANTED.map((one) => [one, style.getPropertyValue(`--${one}`).trim()]));
  }
  return colours[name];
}

// The beat at a place of the canvas; null beside the roll.
export function beatAt(canvas, clientX) {
  const box = canvas.getBoundingClientRect();
  const beat = ((clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * BEATS;
  return beat >= 0 && beat < BEATS ? beat : null;
}

export function draw(canvas, notes, position, { moving = false, still = false } = {}) {
  const box = canvas.getBoundingClientRect();
  if (!box.width) return;
  const pen = sized(canvas, box);
  const wide = (box.width - LEFT - RIGHT) / BEATS;
  const tall = box.height / ROWS;
  const at = still ? Math.floor(position) : position;
  const place = { wide, tall, x: (beat) => LEFT + beat * wide, y: (degree) => (ROWS - 1 - degree) * tall, height: box.height };
  frame(pen, canvas, place);
  for (const note of tones(notes)) drawNote(pen, canvas, place, note, at, moving);
  if (at > 0 || moving) fill(pen, colour(canvas, "ink"), Math.round(place.x(at)) - 1, 0, 2, box.height);
}

function sized(canvas, box) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return pen;
}

function fill(pen, style, ...box) {
  pen.fillStyle = style;
  pen.fillRect(...box);
}

function frame(pen, canvas, { wide, tall, x, y, height }) {
  for (let degree = 1; degree < ROWS; degree += 2) fill(pen, colour(canvas, "roll-band"), LEFT, y(degree), BEATS * wide, tall);
  for (let beat = 0; beat <= BEATS; beat += 4) fill(pen, colour(canvas, "grid"), Math.round(x(beat)), 0, 1, height);
  Object.assign(pen, { fillStyle: colour(canvas, "ink-3"), font: `500 11px ${colour(canvas, "sans") || "sans-serif"}`, textBaseline: "middle", textAlign: "right" });
  NAMES.forEach((name, degree) => pen.fillText(name, LEFT - 9, y(degree) + tall / 2));
}

function drawNote(pen, canvas, { wide, tall, x, y }, note, at, moving) {
  const box = [x(note.start) + 1, y(note.degree) + 0.16 * tall, note.beats * wide - 2, 0.68 * tall];
  const radius = Math.min(5, box[3] / 2, box[2] / 2);
  const done = Math.max(0, Math.min(1, (at - note.start) / note.beats));
  pen.fillStyle = colour(canvas, "note-ahead");
  path(pen, box, radius);
  pen.fill();
  if (done > 0) drawDone(pen, colour(canvas, "note-done"), box, radius, done);
  if (moving && at >= note.start && at < note.start + note.beats) ring(pen, colour(canvas, "note-done"), box, radius);
}

function path(pen, box, radius) {
  pen.beginPath();
  pen.roundRect(...box, radius);
}

function drawDone(pen, style, box, radius, part) {
  pen.save();
  path(pen, box, radius);
  pen.clip();
  fill(pen, style, box[0], box[1], box[2] * part, box[3]);
  pen.restore();
}

function ring(pen, style, [left, top, width, height], radius) {
  Object.assign(pen, { strokeStyle: style, lineWidth: 2 });
  path(pen, [left - 2, top - 2, width + 4, height + 4], radius + 2);
  pen.stroke();
}

export function miniRoll(notes, width = 56, height = 32) {
  const [wide, tall] = [width / BEATS, height / ROWS];
  const bar = ({ start, beats, degree }) => h("rect", { x: (start * wide).toFixed(1), y: ((ROWS - 1 - degree + 0.15) * tall).toFixed(1), width: (beats * wide - 0.4).toFixed(1), height: (0.7 * tall).toFixed(1), rx: 1 });
  return h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "mini-roll", "aria-hidden": "true" }, tones(notes).map(bar));
}
