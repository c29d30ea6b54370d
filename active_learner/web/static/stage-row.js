// A table row: each number with its name, and a mark where it lies when the range is known. Knows arrays; not what is answered.
import { featuresOf } from "./features.js";
import { dom, h, show } from "./tree.js";

const MOST = 256; // cells; a longer row is cut, and says so

const said = (value, dtype) => (dtype.startsWith("float") ? String(Number(value.toPrecision(6))) : String(value));

// `me.columns`: names, or { name, unit, low, high }, when the configuration has them.
function cells(question, columns) {
  const { data, dtype } = featuresOf(question);
  return Array.from(data.slice(0, MOST), (value, i) => {
    const column = typeof columns[i] === "string" ? { name: columns[i] } : columns[i] ?? {};
    return { name: column.name ?? `Value ${i + 1}`, unit: column.unit, text: said(value, dtype), part: part(value, column), out: isOut(value, column) };
  });
}

function part(value, { low, high }) {
  return typeof low === "number" && high > low ? Math.max(0, Math.min(1, (value - low) / (high - low))) : null;
}

const isOut = (value, { low, high }) => (typeof low === "number" && value < low) || (typeof high === "number" && value > high);

function cell({ name, unit, text, part, out }) {
  const mark = part === null ? null : h("dd", { class: "r", "aria-hidden": "true", vars: { p: part.toFixed(3) } });
  const unusual = out ? h("span", { class: "vh" }, ", outside the usual range") : null;
  return h("div", { class: out ? "out" : null }, h("dt", {}, name), h("dd", { class: "v" }, text, unit ? h("small", {}, unit) : null, unusual), mark);
}

export class RowStage {
  static canShow = () => true;
  commands = {};
  nodes = [dom(h("dl", { class: "row", tabindex: "0", "aria-label": "The row" })), dom(h("p", { class: "row-note" }))];

  static thumb(question) {
    const values = Array.from(featuresOf(question).data.slice(0, 8));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const tall = (value) => (high > low ? 2 + (25 * (value - low)) / (high - low) : 14);
    const bar = (value, i) => h("rect", { x: 2 + i * 5.8, y: (30 - tall(value)).toFixed(1), width: 4, height: tall(value).toFixed(1), rx: 1 });
    return h("svg", { viewBox: "0 0 48 32", "aria-hidden": "true", class: "mini-roll" }, values.map(bar));
  }

  constructor({ me }, _, note = "") {
    Object.assign(this, { columns: me.columns ?? [], note });
  }

  show(question) {
    const all = cells(question, this.columns);
    show(this.nodes[0], all.map(cell));
    const total = featuresOf(question).data.length;
    const ranged = all.some((one) => one.part !== null);
    this.nodes[1].textContent = this.note || (total > MOST ? `The first ${MOST} of ${total} values.` : ranged ? "The mark shows where the value lies in its usual range; a value outside stands out." : "");
  }

  repaint() {}
  leave() {}
  locked() { return 0; }
  circumstances() { return {}; }
}
