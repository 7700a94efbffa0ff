// CBOR (RFC 8949), as much as frames and values need: integers, strings, arrays, maps, floats, and what is false, true or null.
// Items of indefinite length are refused, as the format does. Tags are kept as { tag, value }.
import { FormatError, Reader, Writer, decodeText, encodeText, toHex } from "./bytes.js";

const maxDepth = 64;

export function encode(value) {
  const w = new Writer();
  write(w, value);
  return w.bytes();
}

function write(w, v) {
  if (v === null || v === undefined) w.byte(0xf6);
  else if (v === false || v === true) w.byte(v ? 0xf5 : 0xf4);
  else if (Number.isSafeInteger(v)) v < 0 ? head(w, 1, -1 - v) : head(w, 0, v);
  else if (typeof v === "number") w.byte(0xfb).raw(float64(v));
  else if (typeof v === "string") head(w, 3, encodeText(v).length).raw(encodeText(v));
  else if (v instanceof Uint8Array) head(w, 2, v.length).raw(v);
  else if (Array.isArray(v)) {
    head(w, 4, v.length);
    for (const e of v) write(w, e);
  } else {
    const pairs = [...(v instanceof Map ? v : Object.entries(v))].map(([k, e]) => [encode(k), e]);
    pairs.sort(([a], [b]) => (toHex(a) < toHex(b) ? -1 : 1));
    head(w, 5, pairs.length);
    for (const [k, e] of pairs) write(w.raw(k), e);
  }
}

function head(w, major, n) {
  const m = major << 5;
  if (n < 24) return w.byte(m | n);
  const size = n < 2 ** 8 ? 0 : n < 2 ** 16 ? 1 : n < 2 ** 32 ? 2 : 3;
  w.byte(m | (24 + size));
  for (let i = 2 ** size - 1; i >= 0; i--) w.byte(Math.floor(n / 256 ** i) % 256);
  return w;
}

function float64(v) {
  const b = new Uint8Array(8);
  new DataView(b.buffer).setFloat64(0, v);
  return b;
}

// decode reads the one item that bytes are. Maps become Maps; integers beyond 2^53 become BigInts.
export function decode(bytes) {
  const r = new Reader(bytes);
  const v = read(r);
  r.done();
  return v;
}

// skip reads one item and returns its bytes.
export function skip(r) {
  const from = r.at;
  read(r);
  return r.bytes.subarray(from, r.at);
}

function read(r, depth = 0) {
  if (depth > maxDepth) throw new FormatError("nested too deep");
  const b = r.byte();
  const major = b >> 5;
  const info = b & 31;
  if (major === 7) return simple(r, info);
  const n = argument(r, info);
  switch (major) {
    case 0:
      return n;
    case 1:
      return typeof n === "bigint" ? -1n - n : -1 - n;
    case 2:
      return r.take(length(r, n)).slice();
    case 3:
      return decodeText(r.take(length(r, n)));
    case 4:
      return Array.from({ length: length(r, n) }, () => read(r, depth + 1));
    case 5: {
      const m = new Map();
      for (let i = length(r, n); i > 0; i--) {
        const k = read(r, depth + 1);
        m.set(k, read(r, depth + 1));
      }
      return m;
    }
    default:
      return { tag: n, value: read(r, depth + 1) };
  }
}

function argument(r, info) {
  if (info < 24) return info;
  if (info > 27) throw new FormatError("indefinite length");
  let n = 0n;
  for (const b of r.take(2 ** (info - 24))) n = (n << 8n) | BigInt(b);
  return n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n;
}

function length(r, n) {
  if (typeof n === "bigint" || n > r.left) throw new FormatError("longer than the input");
  return n;
}

function simple(r, info) {
  if (info === 20 || info === 21) return info === 21;
  if (info === 22 || info === 23) return null;
  if (info === 25) return half(r.take(2));
  if (info === 26 || info === 27) {
    const b = r.take(info === 26 ? 4 : 8).slice();
    const view = new DataView(b.buffer);
    return info === 26 ? view.getFloat32(0) : view.getFloat64(0);
  }
  if (info > 24) throw new FormatError("unknown kind of item");
  return { simple: info < 24 ? info : r.byte() };
}

function half([hi, lo]) {
  const exponent = (hi >> 2) & 31;
  const fraction = ((hi & 3) << 8) | lo;
  const sign = hi & 128 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
