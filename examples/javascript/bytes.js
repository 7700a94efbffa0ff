// Integers and byte strings as format.md, section 1, defines them.

// FormatError: bytes that are not in the format.
export class FormatError extends Error {}

// Unsupported: bytes of a newer version, or of something that this example leaves out.
export class Unsupported extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toUTF8 = new TextEncoder();

export const encodeText = (s) => toUTF8.encode(s);

export function decodeText(bytes) {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new FormatError("invalid UTF-8");
  }
}

// Replica IDs are kept as 32 hexadecimal digits: their order as strings is the order of the bytes.
export const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
export const fromHex = (s) => Uint8Array.from(s.match(/../g) ?? [], (d) => parseInt(d, 16));

// newReplicaID returns a random UUID, version 4.
export function newReplicaID() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  return toHex(b);
}

export function unzigzag(v) {
  return v % 2 ? -(v + 1) / 2 : v / 2;
}

// A Reader reads from the front of bytes; beyond the end it throws a FormatError.
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  byte() {
    if (this.left < 1) throw new FormatError("cut off");
    return this.bytes[this.at++];
  }

  take(n) {
    if (n > this.left) throw new FormatError("cut off");
    return this.bytes.subarray(this.at, (this.at += n));
  }

  rest() {
    return this.take(this.left);
  }

  // Seqs, ends and timestamps stay below 2^53, so a Number holds whatever this client reads.
  uvarint() {
    let v = 0;
    for (let scale = 1; ; scale *= 128) {
      const b = this.byte();
      v += (b & 0x7f) * scale;
      if (v > Number.MAX_SAFE_INTEGER) throw new FormatError("number out of range");
      if (b < 0x80) {
        if (b === 0 && scale > 1) throw new FormatError("number longer than needed");
        return v;
      }
    }
  }

  varint() {
    return unzigzag(this.uvarint());
  }

  // count reads the number of items that follow, each of at least one byte.
  count() {
    const n = this.uvarint();
    if (n > this.left) throw new FormatError("more items than bytes");
    return n;
  }

  prefixed() {
    return this.take(this.uvarint());
  }

  id() {
    return toHex(this.take(16));
  }

  done() {
    if (this.left) throw new FormatError("trailing bytes");
  }
}

// A Writer collects bytes. Its methods return it, for chains.
export class Writer {
  out = [];

  byte(b) {
    this.out.push(b);
    return this;
  }

  raw(bytes) {
    for (const b of bytes) this.out.push(b);
    return this;
  }

  uvarint(v) {
    for (; v >= 128; v = Math.floor(v / 128)) this.out.push((v % 128) + 128);
    return this.byte(v);
  }

  varint(v) {
    return this.uvarint(v < 0 ? -2 * v - 1 : 2 * v);
  }

  prefixed(bytes) {
    return this.uvarint(bytes.length).raw(bytes);
  }

  id(id) {
    return this.raw(fromHex(id));
  }

  bytes() {
    return Uint8Array.from(this.out);
  }
}

// writeClock and readClock: clock-bytes of protocol.md, section 1. A clock is a Map from replica to exclusive end.
export function writeClock(clock) {
  const w = new Writer().uvarint(clock.size);
  const ids = [...clock.keys()].sort();
  for (const id of ids) w.id(id);
  for (const id of ids) w.uvarint(clock.get(id));
  return w.bytes();
}

export function readClock(bytes) {
  const r = new Reader(bytes);
  const ids = Array.from({ length: r.count() }, () => r.id());
  const clock = new Map(ids.map((id) => [id, r.uvarint()]));
  r.done();
  return clock;
}

const castagnoli = Uint32Array.from({ length: 256 }, (_, i) => {
  for (let k = 0; k < 8; k++) i = i & 1 ? (i >>> 1) ^ 0x82f63b78 : i >>> 1;
  return i >>> 0;
});

// crc32c continues the checksum sum, 0 at first, over bytes.
export function crc32c(bytes, sum = 0) {
  let c = ~sum;
  for (const b of bytes) c = castagnoli[(c ^ b) & 0xff] ^ (c >>> 8);
  return ~c >>> 0;
}

// checkSum reads a CRC32C of everything that r has read.
export function checkSum(r) {
  const sum = crc32c(r.bytes.subarray(0, r.at));
  const b = r.take(4);
  if (sum !== (b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)) >>> 0) throw new FormatError("wrong checksum");
}
