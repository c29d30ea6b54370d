// A picture: an array as grey or colour, every number a square pixel. Knows arrays; not what is answered.
import { featuresOf } from "./features.js";
import { dom, h, show } from "./tree.js";

const WIDE = 280; // CSS pixels that the longer side may take
const NARROW = 224;
const SMALL_SCREEN = 640;

// { width, height, planes: index of (channel, y, x), channels } of (h, w), (h, w, c), (c, h, w) or a square in one row; null: no picture.
function layout({ data, shape }) {
  if (shape.length === 1) return square(data.length);
  if (shape.length === 2) return { width: shape[1], height: shape[0], channels: 1, index: (_, y, x) => y * shape[1] + x };
  if (shape.length !== 3) return null;
  if (shape[0] <= 4) return { width: shape[2], height: shape[1], channels: shape[0], index: (c, y, x) => (c * shape[1] + y) * shape[2] + x };
  if (shape[2] <= 4) return { width: shape[1], height: shape[0], channels: shape[2], index: (c, y, x) => (y * shape[1] + x) * shape[2] + c };
  return null;
}

function square(length) {
  const side = Math.round(Math.sqrt(length));
  return side > 0 && side * side === length ? { width: side, height: side, channels: 1, index: (_, y, x) => y * side + x } : null;
}

// Bytes are shown as they are; other numbers are stretched from their least to their greatest.
function levels({ data, dtype }) {
  if (dtype === "uint8" && data.some((one) => one > 1)) return (value) => value;
  let [low, high] = [Infinity, -Infinity];
  for (const one of data) [low, high] = [Math.min(low, one), Math.max(high, one)];
  return (value) => (high > low ? (255 * (value - low)) / (high - low) : 0);
}

function paint(features) {
  const { width, height, channels, index } = layout(features);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  const level = levels(features);
  const planes = channels < 3 ? [0, 0, 0] : [0, 1, 2];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const rgb = planes.map((channel) => level(features.data[index(channel, y, x)]));
    image.data.set([...rgb, 255], 4 * (y * width + x));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Whole multiples only, in device pixels, or pixels would be uneven.
function zoom(canvas) {
  const room = window.innerWidth <= SMALL_SCREEN ? NARROW : WIDE;
  const ratio = window.devicePixelRatio || 1;
  const longest = Math.max(canvas.width, canvas.height);
  const times = Math.max(1, Math.floor((room * ratio) / longest)) / ratio;
  const scale = longest > room * ratio ? room / longest : times;
  canvas.style.setProperty("--w", `${canvas.width * scale}px`);
  canvas.style.setProperty("--h", `${canvas.height * scale}px`);
}

export class PictureStage {
  static canShow = (question) => layout(featuresOf(question)) !== null && featuresOf(question).data.length > 0;
  static thumb = (question) => paint(featuresOf(question));
  commands = {};
  nodes = [dom(h("div", { class: "picture" }))];

  show(question) {
    const features = featuresOf(question);
    this.canvas = paint(features);
    const kind = layout(features).channels < 3 ? "grey" : "colour";
    const size = `${this.canvas.width} × ${this.canvas.height} ${kind}`;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `The picture to name, ${size}`);
    zoom(this.canvas);
    show(this.nodes[0], h("div", { class: "mat" }, this.canvas), h("p", { class: "caption" }, `${size}, every pixel drawn as a square`));
  }

  repaint() {
    if (this.canvas) zoom(this.canvas);
  }

  leave() {}
  locked() { return 0; }
  circumstances() { return {}; }
}
