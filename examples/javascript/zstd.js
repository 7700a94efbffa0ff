// Decompression of Zstandard (RFC 8878; numbers in brackets are its sections), which states are packed with: browsers have no
// function for it, nor has Node.js before 22.15. Without dictionaries; checksums of frames are not looked at, since updates have
// one of their own.
import { FormatError } from "./bytes.js";

const corrupt = (what) => new FormatError(`Zstandard: ${what}`);
const log2 = (v) => 31 - Math.clz32(v);

// decompress returns the content of one frame, which has size bytes.
export function decompress(frame, size) {
  if (size > 1 << 28) throw corrupt("too large");
  const r = new Bytes(frame);
  if (r.number(4) !== 0xfd2fb528) throw corrupt("no frame");
  const descriptor = r.number(1);
  const single = descriptor & 0x20;
  if (!single) r.take(1);
  if (descriptor & 3) throw corrupt("a dictionary");
  r.take([single ? 1 : 0, 2, 4, 8][descriptor >> 6]);
  const d = new Decoder(size);
  for (let last = 0; !last; ) {
    const head = r.number(3);
    last = head & 1;
    const length = head >> 3;
    const type = (head >> 1) & 3;
    if (type === 0) d.put(r.take(length));
    else if (type === 1) d.put(new Uint8Array(Math.min(length, size + 1)).fill(r.number(1)));
    else if (type === 2) d.block(new Bytes(r.take(length)));
    else throw corrupt("type of a block");
  }
  if (d.at !== size) throw corrupt("another size than announced");
  return d.out;
}

class Bytes {
  constructor(bytes) {
    Object.assign(this, { bytes, at: 0 });
  }

  take(n) {
    if (n > this.bytes.length - this.at) throw corrupt("cut off");
    return this.bytes.subarray(this.at, (this.at += n));
  }

  rest() {
    return this.take(this.bytes.length - this.at);
  }

  number(n) {
    return this.take(n).reduceRight((v, b) => v * 256 + b, 0);
  }
}

// bitsAt returns n bits, at most 32, from bit i on, the least significant first.
function bitsAt(bytes, i, n) {
  let v = 0;
  for (let k = (i + n - 1) >> 3; k >= i >> 3; k--) v = v * 256 + (bytes[k] ?? 0);
  return Math.floor(v / 2 ** (i & 7)) % 2 ** n;
}

// Backward reads bits from the end, where a 1 stands behind the last; in front of the first come zeros.
class Backward {
  constructor(bytes) {
    if (!bytes.at(-1)) throw corrupt("end of a bit stream");
    this.bytes = bytes;
    this.left = bytes.length * 8 - 8 + log2(bytes.at(-1));
  }

  peek(n) {
    const real = Math.max(Math.min(n, this.left), 0);
    return real && bitsAt(this.bytes, this.left - real, real) * 2 ** (n - real);
  }

  read(n) {
    const v = this.peek(n);
    this.left -= n;
    return v;
  }
}

// An FSE table (4.1.1) is a list of states {symbol, bits, base}, with the number of bits of the first state in log.
function buildTable(probabilities, log) {
  const size = 1 << log;
  const symbols = new Array(size);
  let high = size;
  probabilities.forEach((p, s) => {
    if (p === -1) symbols[--high] = s;
  });
  let at = 0;
  probabilities.forEach((p, s) => {
    for (let i = 0; i < p; i++) {
      symbols[at] = s;
      do at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1);
      while (at >= high);
    }
  });
  const next = probabilities.map((p) => Math.abs(p));
  const states = symbols.map((symbol) => {
    const n = next[symbol]++;
    const bits = log - log2(n);
    return { symbol, bits, base: (n << bits) - size };
  });
  return { states, log };
}

function readTable(r, maxLog) {
  const bytes = r.bytes.subarray(r.at);
  let at = 4;
  const log = (bytes[0] & 15) + 5;
  if (log > maxLog) throw corrupt("accuracy of a table");
  const probabilities = [];
  for (let remaining = 1 << log; remaining > 0; ) {
    if (at > bytes.length * 8) throw corrupt("a table cut off");
    const n = log2(remaining + 1) + 1;
    const low = (1 << (n - 1)) - 1;
    const spare = (1 << n) - 1 - (remaining + 1);
    let v = bitsAt(bytes, at, n);
    if ((v & low) < spare) {
      v &= low;
      at += n - 1;
    } else {
      if (v > low) v -= spare;
      at += n;
    }
    const p = v - 1;
    remaining -= Math.abs(p);
    probabilities.push(p);
    for (let zeros = p === 0 ? 3 : 0; zeros === 3; at += 2) {
      zeros = bitsAt(bytes, at, 2);
      probabilities.push(...new Array(zeros).fill(0));
    }
    if (remaining < 0 || probabilities.length > 256) throw corrupt("probabilities of a table");
  }
  r.take((at + 7) >> 3);
  return buildTable(probabilities, log);
}

class State {
  constructor(table, bits) {
    Object.assign(this, { table, bits, now: table.states[bits.read(table.log)] });
  }

  get symbol() {
    return this.now.symbol;
  }

  advance() {
    this.now = this.table.states[this.now.base + this.bits.read(this.now.bits)];
  }
}

// readWeights reads the description of a Huffman code (4.2.1), all weights but the last.
function readWeights(r) {
  const head = r.number(1);
  if (head >= 128) {
    const bytes = r.take((head - 126) >> 1);
    return Array.from({ length: head - 127 }, (_, i) => (i % 2 ? bytes[i >> 1] & 15 : bytes[i >> 1] >> 4));
  }
  const part = new Bytes(r.take(head));
  const table = readTable(part, 6);
  const bits = new Backward(part.rest());
  let [a, b] = [new State(table, bits), new State(table, bits)];
  const weights = [];
  while (weights.length < 256) {
    weights.push(a.symbol);
    if (bits.left < a.now.bits) return [...weights, b.symbol];
    a.advance();
    [a, b] = [b, a];
  }
  throw corrupt("too many weights");
}

// A Huffman code is a list: what a number of log bits begins with, {symbol, bits}.
function readHuffman(r) {
  const weights = readWeights(r);
  const sum = weights.reduce((n, w) => n + (w && 2 ** (w - 1)), 0);
  if (sum === 0 || sum > 2048) throw corrupt("weights");
  const log = log2(sum) + 1;
  weights.push(log2(2 ** log - sum) + 1);
  const codes = [];
  for (let w = 1; w <= log; w++) {
    weights.forEach((weight, symbol) => {
      if (weight === w) for (let i = 0; i < 2 ** (w - 1); i++) codes.push({ symbol, bits: log + 1 - w });
    });
  }
  if (codes.length !== 2 ** log) throw corrupt("weights");
  return { codes, log };
}

function literalsOf(huffman, bytes, count) {
  const bits = new Backward(bytes);
  const out = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const c = huffman.codes[bits.peek(huffman.log)];
    out[i] = c.symbol;
    bits.left -= c.bits;
  }
  if (bits.left !== 0) throw corrupt("literals");
  return out;
}

// What codes of lengths stand for (3.1.1.3.2.1.1): the least length, and how many bits are added.
function lengths(first, singles, bits) {
  const out = Array.from({ length: singles }, (_, i) => ({ base: first + i, bits: 0 }));
  let base = first + singles;
  for (const n of bits) {
    out.push({ base, bits: n });
    base += 2 ** n;
  }
  return out;
}
const literalLengths = lengths(0, 16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const matchLengths = lengths(3, 32, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

// The default distributions (3.1.1.3.2.2).
const repeat = (n, v) => new Array(n).fill(v);
const kinds = [
  { name: "literals", maxLog: 9, log: 6, p: [4, 3, ...repeat(11, 2), 1, 1, 1, ...repeat(9, 2), 3, 2, ...repeat(5, 1), ...repeat(4, -1)] },
  { name: "offsets", maxLog: 8, log: 5, p: [...repeat(6, 1), 2, 2, 2, ...repeat(15, 1), ...repeat(5, -1)] },
  { name: "matches", maxLog: 9, log: 6, p: [1, 4, 3, ...repeat(6, 2), ...repeat(37, 1), ...repeat(7, -1)] },
];

class Decoder {
  at = 0;
  tables = {};
  offsets = [1, 4, 8];

  constructor(size) {
    this.out = new Uint8Array(size);
  }

  put(bytes) {
    if (bytes.length > this.out.length - this.at) throw corrupt("more than announced");
    this.out.set(bytes, this.at);
    this.at += bytes.length;
  }

  block(r) {
    const literals = new Bytes(this.literals(r));
    this.sequences(r, literals);
    this.put(literals.rest());
  }

  literals(r) {
    const head = r.bytes[r.at];
    const type = head & 3;
    const format = (head >> 2) & 3;
    if (type < 2) {
      const size = format % 2 === 0 ? r.number(1) >> 3 : r.number(format === 1 ? 2 : 3) >> 4;
      return type === 0 ? r.take(size) : new Uint8Array(size).fill(r.number(1));
    }
    const width = [10, 10, 14, 18][format];
    const sizes = r.take([3, 3, 4, 5][format]);
    const size = bitsAt(sizes, 4, width);
    const part = new Bytes(r.take(bitsAt(sizes, 4 + width, width)));
    if (type === 2) this.huffman = readHuffman(part);
    if (!this.huffman) throw corrupt("no Huffman code");
    if (format === 0) return literalsOf(this.huffman, part.rest(), size);
    const ends = [part.number(2), part.number(2), part.number(2)];
    const quarter = (size + 3) >> 2;
    if (size < 3 * quarter) throw corrupt("size of literals");
    const streams = ends.map((n) => literalsOf(this.huffman, part.take(n), quarter));
    streams.push(literalsOf(this.huffman, part.rest(), size - 3 * quarter));
    return Uint8Array.from(streams.flatMap((s) => [...s]));
  }

  sequences(r, literals) {
    let count = r.number(1);
    if (count === 0) return;
    if (count === 255) count = r.number(2) + 0x7f00;
    else if (count > 127) count = (count - 128) * 256 + r.number(1);
    const modes = r.number(1);
    kinds.forEach((kind, i) => this.table(r, kind, (modes >> (6 - 2 * i)) & 3));
    const bits = new Backward(r.rest());
    const [ll, of, ml] = kinds.map(({ name }) => new State(this.tables[name], bits));
    for (let i = 0; i < count; i++) {
      const offset = 2 ** of.symbol + bits.read(of.symbol);
      const match = matchLengths[ml.symbol].base + bits.read(matchLengths[ml.symbol].bits);
      const literal = literalLengths[ll.symbol].base + bits.read(literalLengths[ll.symbol].bits);
      this.put(literals.take(literal));
      this.copy(this.offset(offset, literal), match);
      if (i + 1 < count) for (const s of [ll, ml, of]) s.advance();
    }
    if (bits.left !== 0) throw corrupt("sequences");
  }

  table(r, { name, maxLog, log, p }, mode) {
    if (mode === 0) this.tables[name] = buildTable(p, log);
    else if (mode === 1) this.tables[name] = { states: [{ symbol: r.number(1), bits: 0, base: 0 }], log: 0 };
    else if (mode === 2) this.tables[name] = readTable(r, maxLog);
    else if (!this.tables[name]) throw corrupt("no table to repeat");
  }

  // offset returns what an offset value stands for (3.1.1.5), and remembers it.
  offset(v, literal) {
    const [a, b, c] = this.offsets;
    if (v > 3) this.offsets = [v - 3, a, b];
    else if (v + (literal === 0) === 2) this.offsets = [b, a, c];
    else if (v + (literal === 0) === 3) this.offsets = [c, a, b];
    else if (v + (literal === 0) === 4) this.offsets = [a - 1, a, b];
    return this.offsets[0];
  }

  copy(offset, length) {
    if (offset < 1 || offset > this.at || length > this.out.length - this.at) throw corrupt("a match out of range");
    for (; length > 0; length--, this.at++) this.out[this.at] = this.out[this.at - offset];
  }
}
