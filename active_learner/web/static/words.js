// Numbers as a person says them. Knows no page and no run.
export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const number = (value) => Number(value).toLocaleString("en");
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function duration(seconds) {
  if (seconds < 1.5) return "1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const ago = (seconds) => (seconds < 1.5 ? "now" : `${duration(seconds)} ago`);

// The smallest value that at least `share` of the values do not exceed; null when there are none.
export function quantile(values, share) {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered.length ? ordered[Math.max(0, Math.ceil(share * ordered.length) - 1)] : null;
}

// Wilson's interval: in 95 of 100 cases the true share lies in it; holds near 0 and 1 too.
export function interval(share, rows) {
  const z2 = 1.959964 ** 2;
  const middle = (share + z2 / (2 * rows)) / (1 + z2 / rows);
  const half = (1.959964 / (1 + z2 / rows)) * Math.sqrt((share * (1 - share)) / rows + z2 / (4 * rows * rows));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
