// The array of a question: base64, dtype and shape to numbers. Knows no media.
const READERS = new Map(Object.entries({
  bool: Uint8Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
  float32: Float32Array, float64: Float64Array, uint64: BigUint64Array, int64: BigInt64Array,
}));
const read = new WeakMap(); // question -> its array: decoded once

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// { data, shape, dtype }; whole numbers of 64 bits become doubles, exact to 2^53.
export function featuresOf(question) {
  if (!read.has(question)) read.set(question, decode(question.features));
  return read.get(question);
}

export function decode({ dtype, shape, base64 }) {
  const Reader = READERS.get(dtype);
  if (!Reader) throw new RangeError(`no reader for ${dtype}`);
  const raw = new Reader(bytesOf(base64).buffer);
  const data = raw instanceof BigInt64Array || raw instanceof BigUint64Array ? Float64Array.from(raw, Number) : raw;
  return { data, shape: shape.length ? shape : [data.length], dtype };
}
