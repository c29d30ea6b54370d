// A small tree and its writer. Knows no markup: text is only ever written as text, so hostile words stay words.
const SVG = "http://www.w3.org/2000/svg";
const HANDLER = /^on[a-z]+$/;

export function h(tag, attrs, ...kids) {
  return { tag, attrs: attrs ?? {}, kids: kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false) };
}

export function dom(node, ns) {
  if (node instanceof Node) return node;
  if (typeof node !== "object") return document.createTextNode(String(node));
  const space = node.tag === "svg" ? SVG : ns;
  const element = space ? document.createElementNS(space, node.tag) : document.createElement(node.tag);
  for (const [name, value] of Object.entries(node.attrs)) set(element, name, value);
  for (const kid of node.kids) element.append(dom(kid, space));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (HANDLER.test(name)) element.addEventListener(name.slice(2), value);
  else if (name === "vars") for (const [key, one] of Object.entries(value)) element.style.setProperty(`--${key}`, one); // CSSOM: a style attribute is blocked
  else element.setAttribute(name, value === true ? "" : value);
}

export function show(parent, ...nodes) {
  parent.replaceChildren(...nodes.flat(Infinity).filter(Boolean).map((node) => dom(node)));
}

export const byId = (id) => document.getElementById(id);
