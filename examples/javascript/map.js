// A map from text to values, each a register: concurrent writes are kept, the winner shows (format-types.md, 6.4).
import { FormatError, Unsupported, Writer, fromHex, toHex } from "./bytes.js";
import { decode, encode, skip } from "./cbor.js";
import { readDot, readDots } from "./dots.js";

const code = { write: 1, writeOne: 2, writeSeveral: 3, eraseOne: 4, eraseSeveral: 5, clear: 6 };

const wins = (a, b) => a.lamport - b.lamport || (a.id < b.id ? -1 : a.id > b.id ? 1 : a.seq - b.seq);

export class RegisterMap {
  kind = "map";
  entries = []; // {id, seq, lamport, key, value}: key and value are CBOR, the key in hexadecimal digits

  // toJS returns a Map of what shows.
  toJS() {
    const winners = new Map();
    for (const e of this.entries) {
      const w = winners.get(e.key);
      if (!w || wins(w, e) < 0) winners.set(e.key, e);
    }
    return new Map([...winners].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, e]) => [decode(fromHex(k)), decode(e.value)]));
  }

  get(key) {
    return this.toJS().get(key);
  }

  // setting returns the payload that sets key, or deletes it if value is undefined.
  setting(table, key, value) {
    const keyBytes = encode(key);
    const old = this.entries.filter((e) => e.key === toHex(keyBytes));
    const w = new Writer();
    if (value !== undefined) {
      w.byte([code.write, code.writeOne][old.length] ?? code.writeSeveral);
    } else {
      if (old.length === 0) throw new RangeError(`no key ${key}`);
      w.byte(old.length === 1 ? code.eraseOne : code.eraseSeveral);
    }
    if (old.length === 1) table.write(w, old[0]);
    else if (old.length > 1) table.writeAll(w, old);
    w.raw(keyBytes);
    if (value !== undefined) w.raw(encode(value));
    return w.bytes();
  }

  apply(r, op) {
    const c = r.byte();
    if (c < code.write || c > code.clear) throw new Unsupported("an operation on the map that this client does not know");
    if (op.dots !== 1) throw new FormatError("dots of a write");
    let dots = [];
    if (c === code.writeOne || c === code.eraseOne) dots = [readDot(r, op)];
    else if (c !== code.write) dots = readDots(r, op);
    const key = c === code.clear ? undefined : toHex(skip(r));
    const value = c <= code.writeSeveral ? skip(r).slice() : undefined;
    r.done();
    const gone = new Set(dots.map((d) => `${d.id} ${d.seq}`));
    this.entries = this.entries.filter((e) => !gone.has(`${e.id} ${e.seq}`) || (key !== undefined && e.key !== key));
    if (value) this.entries.push({ id: op.sender, seq: op.first, lamport: op.lamport, key, value });
  }

  // merge takes over a state or delta: known is this side's clock, gone tells of the dots that the other side has deleted
  // if it does not list them.
  merge(r, { ids, known, gone }) {
    const listed = r.left ? readEntries(r, ids) : [];
    const there = new Set(listed.map((e) => `${e.id} ${e.seq}`));
    this.entries = this.entries.filter((e) => there.has(`${e.id} ${e.seq}`) || !gone(e));
    this.entries.push(...listed.filter((e) => e.seq >= (known.get(e.id) ?? 0)));
  }
}

function readEntries(r, ids) {
  const out = [];
  const last = new Map(); // replica -> {seq, d} of its entry before
  let key = new Uint8Array();
  for (let n = r.count(); n > 0; n--) {
    const b = r.byte();
    const shared = b >> 4 < 15 ? b >> 4 : 15 + r.uvarint();
    const more = (b & 15) < 15 ? b & 15 : 15 + r.uvarint();
    if (shared > key.length) throw new FormatError("a key that shares more than there is");
    key = Uint8Array.of(...key.subarray(0, shared), ...r.take(more));
    for (let another = true; another; ) {
      const v = r.uvarint();
      const id = ids[Math.floor(v / 4)];
      if (!id) throw new FormatError("number of a replica");
      const before = last.get(id) ?? { seq: 0, d: 0 };
      const seq = before.seq + r.varint();
      const d = before.d + (v & 2 ? r.varint() : 0);
      last.set(id, { seq, d });
      out.push({ id, seq, lamport: seq + 1 + d, key: toHex(key), value: skip(r).slice() });
      another = v % 2 === 1;
    }
  }
  return out;
}
