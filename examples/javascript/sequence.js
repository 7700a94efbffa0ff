// The states and deltas of sequences with content (format-types.md, 6.8.1 and 6.8.2). Both become a list, in their order, of
// elements {id, seq, char, visible, parent, side}; parent is a dot, undefined for the start; hidden elements have no char.
import { FormatError, decodeText, unzigzag } from "./bytes.js";

const defaults = {
  symbol0: "5 2 8 1 6 4 4 7 8 6 5 10 11 10 10 9 10 10 11 9 10 8 10",
  symbol1: "3 7 4 4 2 4 2 8 4 5 4 12 9 10 10 10 9 12 11 9 8 8 9",
  symbol2: "5 4 9 2 6 2 2 8 8 4 4 11 11 10 11 10 10 12 12 12 12 12 12",
  symbol3: "4 7 5 6 2 5 1 8 6 7 4 12 8 9 10 11 9 11 11 11 12 12 12",
  length: "2 3 3 3 3 3 4 6 6 7 10 6 11 11 11 11 11 11 11 11 12 12 12 12 12 12 12 12 12 12 12 12",
  seqSame:
    "8 4 2 3 4 4 4 5 4 4 4 4 6 6 7 7 7 6 7 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 11 11 11 11 11 11 11 11 11 11 11 11",
  seqOther:
    "1 9 6 5 5 5 5 6 6 8 12 12 4 3 5 12 5 4 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12",
  replica: "1 4 2 3 5 9 9 9 9 9 10 10 10 10 10 10 10 10 10 10 11 11 11 11 10 10 10 10 10 10 10 10 10 10",
  climb: "4 1 2 3 7 8 8 8 8 8 9 9 9 9 9 9 9 9 9 9 10 10 10 10 10 10 10 10 10 10 9 9 9",
  back: "1 4 2 6 6 7 7 7 7 7 8 8 8 7 7 7 7 7 7 7 8 8 8 8 8 8 8 8 8 8 8 8 8",
};

// The shapes of spans, by their numbers: kind, side, and how the first element gets its dot or its parent.
const shapes = "A right next,A right,A left new,B right next,B right,B left new,B left share,S left new,S left share," +
  "C right next,C right,C left new";
const shape = shapes.split(",").map((s) => {
  const [kind, side, how] = s.split(" ");
  return { kind, side, next: how === "next", share: how === "share" };
});

// Bits reads a bit stream.
class Bits {
  constructor(r) {
    this.r = r;
    this.unread = 0;
  }

  bit() {
    if (this.unread === 0) {
      this.byte = this.r.byte();
      this.unread = 8;
    }
    return (this.byte >> (8 - this.unread--)) & 1;
  }

  number(n) {
    let v = 0;
    for (let i = 0; i < n; i++) v += this.bit() * 2 ** i;
    return v;
  }
}

// A Column reads the numbers of one column by a canonical Huffman code.
class Column {
  constructor(bits, lengths) {
    this.bits = bits;
    if (bits.bit()) lengths = Array.from({ length: bits.number(6) + 1 }, () => bits.number(4));
    this.codes = new Map(); // "length code" -> symbol
    let code = 0;
    for (let n = 1; n <= 15; n++, code *= 2) {
      lengths.forEach((l, symbol) => {
        if (l === n) this.codes.set(`${n} ${code++}`, symbol);
      });
    }
  }

  symbol() {
    let code = 0;
    for (let n = 1; n <= 15; n++) {
      code = code * 2 + this.bits.bit();
      const symbol = this.codes.get(`${n} ${code}`);
      if (symbol !== undefined) return symbol;
    }
    throw new FormatError("no such code");
  }

  value() {
    const n = this.symbol();
    return n < 2 ? n : 2 ** (n - 1) + this.bits.number(n - 1);
  }
}

function header(r) {
  const head = r.uvarint();
  if (head % 2 === 0) throw new FormatError("a text without content");
  return Math.floor(head / 2);
}

function readTable(r, ids) {
  return Array.from({ length: r.count() }, () => {
    const id = ids[r.uvarint()];
    if (!id) throw new FormatError("number of a replica");
    return id;
  });
}

// content gives the visible elements their characters. What follows them is the fill.
function content(r, elements) {
  const chars = decodeText(r.rest())[Symbol.iterator]();
  for (const e of elements) {
    if (e.visible && (e.char = chars.next().value) === undefined) throw new FormatError("too little text");
  }
  return elements;
}

// readState reads a state. ids are the replicas of the section's table.
export function readState(r, ids) {
  const spans = header(r);
  if (spans === 0) return [];
  const table = readTable(r, ids);
  const bits = new Bits(r);
  const machine = new Machine(table);
  for (const [name, lengths] of Object.entries(defaults)) machine.columns[name] = new Column(bits, lengths.split(" ").map(Number));
  for (let i = 0; i < spans; i++) machine.span();
  if (machine.pending.length) throw new FormatError("left children without a parent");
  return content(r, machine.elements);
}

// Machine is the reader of spans. An element on the chain also knows its place in its span, as do all of a span.
class Machine {
  columns = {};
  elements = [];
  chain = [undefined]; // undefined is the start
  pending = []; // {chain: its length, children: elements whose parent this is}
  ends = []; // of the last span of each replica
  before = undefined; // the span before: {hidden, left, replica}

  constructor(table) {
    this.table = table;
  }

  span() {
    const { columns, chain, pending, before } = this;
    const context = before ? (before.hidden ? 1 : 0) + (before.left ? 2 : 0) : 0;
    const symbol = columns[`symbol${context}`].symbol();
    if (symbol > 22 || (symbol === 0 && !before)) throw new FormatError("no such span");
    const { kind, side, next, share } = shape[Math.floor((symbol + 1) / 2)];
    const hidden = symbol === 0 ? !before.hidden : symbol % 2 === 0;

    let resolved;
    if (kind === "B" || kind === "S") {
      if (!pending.length) throw new FormatError("no parent is pending");
      chain.length = pending.at(-1).chain;
      if (kind === "B") resolved = pending.pop();
    } else if (kind === "C") {
      this.climb();
    }
    const origin = chain.at(-1);

    const replica = next ? origin?.replica : this.replica(origin);
    if (replica === undefined) throw new FormatError("nothing comes next to the start");
    const seq = next ? origin.seq + 1 : this.seq(replica, origin);
    const e = { replica, id: this.table[replica], seq, visible: !hidden, side };
    if (!e.id) throw new FormatError("number of a replica");
    if (side === "right") {
      e.parent = origin;
    } else {
      if (!share) pending.push({ chain: chain.length, children: [] });
      const parent = pending.at(-1);
      if (parent?.chain !== chain.length) throw new FormatError("a shared parent with another origin");
      parent.children.push(e);
    }
    for (const child of resolved?.children ?? []) child.parent = e;

    const first = this.elements.push(e) - 1;
    for (let n = columns.length.value(); n > 0; n--) {
      const parent = this.elements.at(-1);
      this.elements.push({ ...parent, seq: parent.seq + 1, side: "right", parent });
    }
    const last = this.elements.at(-1);
    this.ends[replica] = last.seq + 1;
    this.before = { hidden, left: side === "left", replica };
    for (let i = first; i < this.elements.length; i++) this.elements[i].index = i;
    chain.push(last);
  }

  // climb goes to another element of the chain, or of the span that it belongs to.
  climb() {
    const { chain, columns, pending } = this;
    const climb = columns.climb.value();
    chain.length = Math.max(chain.length - climb, 0);
    const back = columns.back.value() + (climb === 0 ? 1 : 0);
    const top = chain.pop();
    const to = back === 0 ? top : this.elements[(top?.index ?? 0) - back];
    if (to?.id !== top?.id || to?.seq !== (top && top.seq - back) || chain.length < (pending.at(-1)?.chain ?? 0)) {
      throw new FormatError("climb beyond the chain");
    }
    chain.push(to);
  }

  replica(origin) {
    if (this.table.length === 1 || !this.before) return 0;
    const v = this.columns.replica.value();
    return v > 0 ? v - 1 : (origin ?? this.before).replica;
  }

  seq(replica, origin) {
    if (origin?.replica === replica) return origin.seq + 1 + this.columns.seqSame.value();
    return (this.ends[replica] ?? 0) + unzigzag(this.columns.seqOther.value());
  }
}

// readDelta reads a delta; base tells how many dots of a replica lie inside of its base.
export function readDelta(r, ids, base) {
  const runs = header(r);
  if (runs === 0) return [];
  const table = readTable(r, ids);
  const replica = (i) => {
    if (i >= table.length) throw new FormatError("number of a replica");
    return i;
  };
  const stated = table.map(() => 0);
  const elements = [];
  for (let left = runs; left > 0; ) {
    const own = table.length === 1 ? 0 : replica(r.uvarint());
    const count = r.uvarint() || left;
    if (count > left) throw new FormatError("runs of a group");
    left -= count;
    const id = table[own];
    let end = base(id);
    let before; // the run before: its first and its last element
    for (let i = 0; i < count; i++) {
      const head = r.uvarint();
      const place = head & 3;
      if (place === 1 && !before) throw new FormatError("no run before");
      let gap = place === 1 ? before.length : 0;
      if (head & 8) gap = r.uvarint();
      const seq = end + gap;
      let parent;
      let side = "right";
      if (place === 0) parent = before ? before.last : { id, seq: end - 1 };
      if (place === 1) [parent, side] = [before.first, "left"];
      if (place === 2) {
        const v = r.uvarint();
        const p = replica(table.length === 1 ? 0 : Math.floor(v / 2));
        if (v % 2 === 1) side = "left";
        parent = { id: table[p], seq: p === own ? seq - 1 - r.uvarint() : (stated[p] += r.varint()) };
      }
      const length = Math.floor(head / 16) + 1;
      const from = elements.length;
      for (let n = 0; n < length; n++) {
        const e = { id, seq: seq + n, visible: !(head & 4), parent, side };
        elements.push(e);
        parent = e;
        side = "right";
      }
      before = { first: elements[from], last: parent, length };
      end = seq + length;
    }
  }
  return content(r, elements);
}
