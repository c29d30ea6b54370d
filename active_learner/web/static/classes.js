// The classes of the experiment as a person answers them: names, arrangement, what the ends mean. Knows the settings; no page.
const TITLES = new Map([["melody", "How good is this melody?"], ["text", "What is this text?"], ["table", "What is this row?"]]);
const NOUNS = new Map([["melody", ["melody", "melodies"]], ["image", ["picture", "pictures"]], ["text", ["text", "texts"]], ["table", ["row", "rows"]]]);

export const titleOf = (me) => me.title || (isRating(me) && me.media !== "melody" ? "How good is it?" : TITLES.get(me.media)) || "What is it?";
export const nounOf = (me) => NOUNS.get(me.media) ?? ["sample", "samples"];

// A rating has an order and a guide, and no names; its buttons are a scale.
export const isRating = (me) => me.media === "melody" || (guideOf(me).length > 0 && !me.class_names?.length);

export function namesOf(me) {
  return Array.from({ length: me.classes }, (_, i) => me.class_names?.[i] || String(i));
}

// [[class, what it means]], least first.
export function guideOf(me) {
  const known = Object.entries(me.guide ?? {}).map(([value, words]) => [Number(value), words]);
  return known.filter(([value]) => value >= 0 && value < me.classes).sort((a, b) => a[0] - b[0]);
}

// scale: a row of digits; letters: single characters; named: words with their keys.
export function arrangement(me, names) {
  const single = names.every((name) => [...name].length === 1);
  if (single && names.length <= 10) return { kind: "scale", cols: names.length, small: Math.min(names.length, 6) };
  if (single) return { kind: "letters", cols: 13, small: 7 };
  return { kind: "named", cols: names.length < 5 ? names.length : 5, small: 2 };
}

// Of a scale, or of two buttons: under the first and the last one.
export function endsOf(me) {
  const guide = guideOf(me);
  if (!isRating(me) && me.classes > 2) return null;
  if (guide.length) return [guide[0], guide.at(-1)];
  return me.media === "melody" ? [[0, "bad"], [me.classes - 1, "good"]] : null;
}

// A decision in a word or two.
export function decisionWord({ action, value }, names) {
  if (action === "skip") return "skip";
  return value === null || value === undefined ? "–" : names[value] ?? String(value);
}

export const decisionSaid = (entry, names) => (entry.action === "cannot_tell" ? "can’t tell" : entry.action === "skip" ? "skipped" : decisionWord(entry, names));
