// Uncertainty over rounds: one column a round, one row a bin, dark is many; pool size above on the same axis.
// Knows counts; not where they come from.
import { SMALL, chart, px, stepOf, text } from "./chart-frame.js";
import { h } from "./tree.js";

const COLUMN = 4; // narrower columns could not be told apart: the last rounds that fit are shown

// `rounds`: [{ round, bins, pool }], bins from most certain to least.
export function uncertainty({ width, height, rounds }) {
  const box = { left: 38, right: width - 12, top: 46, bottom: height - 34 };
  const shown = rounds.slice(-Math.floor((box.right - box.left) / COLUMN));
  const column = (box.right - box.left) / shown.length;
  const x = (i) => box.left + i * column;
  return chart(width, height, titleOf(shown), poolLine(box, shown, x), cells(box, shown, x, column), scale(box), ticks(box, shown, x, column, width, height));
}

function titleOf(rounds) {
  const [first, last] = [rounds[0], rounds.at(-1)];
  return `Uncertainty of the pool over ${rounds.length} rounds: the middle goes from ${middle(first.bins)} to ${middle(last.bins)}. Pool size ${first.pool} to ${last.pool}.`;
}

// The bin in which the median lies, as a number from 0 to 1.
function middle(bins) {
  const half = bins.reduce((sum, one) => sum + one, 0) / 2;
  let sum = 0;
  const place = bins.findIndex((one) => (sum += one) >= half);
  return ((place + 0.5) / bins.length).toFixed(2);
}

function poolLine(box, shown, x) {
  const top = Math.max(1, ...shown.map((one) => one.pool));
  const y = (pool) => 36 - (pool / top) * 24;
  const steps = shown.map((one, i) => `L${px(x(i))} ${px(y(one.pool))}L${px(x(i + 1))} ${px(y(one.pool))}`).join("");
  return [h("path", { d: `M${box.left} 36${steps}L${px(box.right)} 36Z`, class: "band one" }), h("path", { d: `M${steps.slice(1)}`, class: "line one thin" }), text(box.left - 8, 17, "tick", String(top), "end"), text(box.left, 8, "axis", "in the pool")];
}

function cells(box, shown, x, column) {
  const most = Math.max(1, ...shown.flatMap((one) => one.bins));
  return shown.map(({ bins }, i) => bins.map((count, j) => {
    const tall = (box.bottom - box.top) / bins.length;
    return count ? h("rect", { x: px(x(i) + 0.5), y: px(box.bottom - (j + 1) * tall + 0.5), width: px(Math.max(1, column - 1)), height: px(tall - 1), rx: 1.5, class: "cell", "fill-opacity": (0.08 + 0.92 * Math.sqrt(count / most)).toFixed(2) }) : null;
  }));
}

const scale = (box) => [[0, "0", 0], [0.5, "0.5", 4], [1, "1", 10]].map(([value, words, down]) => text(box.left - 8, box.bottom - value * (box.bottom - box.top) + down, "tick", words, "end"));

function ticks(box, shown, x, column, width, height) {
  const step = Math.max(1, stepOf(shown.length, width < SMALL ? 4 : 8));
  return [shown.map(({ round }, i) => (round % step === 0 || shown.length === 1 ? text(x(i) + column / 2, height - 14, "tick", String(round), "middle") : null)), text(box.right, height - 1, "axis", "round", "end")];
}
