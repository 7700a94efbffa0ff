// A text: a Fugue tree of code points (format-types.md, 6.8 and 6.9). Every element is an object of its own, linked to the
// next in list order, and finding an index walks the list: simple rather than fast.
import { FormatError, Unsupported, Writer, decodeText, encodeText } from "./bytes.js";
import { readDot } from "./dots.js";
import { readDelta, readState } from "./sequence.js";

const insertCode = 0;
const deleteCode = 1;
const leftBit = 8;

const bySiblings = (a, b) => (a.id !== b.id ? (a.id < b.id ? -1 : 1) : a.seq - b.seq);
const last = (list) => list[list.length - 1];

export class Text {
  kind = "text";

  // The start is the parent of the first elements. Its next is the first of the list.
  start = { left: [], right: [], next: undefined, visible: false };
  elements = new Map(); // "id seq" -> element {id, seq, char, visible, parent, side, left, right, prev, next}

  toString() {
    return [...this.visible()].map((e) => e.char).join("");
  }

  *visible() {
    for (let e = this.start.next; e; e = e.next) if (e.visible) yield e;
  }

  get({ id, seq }) {
    return this.elements.get(`${id} ${seq}`);
  }

  find(dot) {
    const e = this.get(dot);
    if (!e) throw new FormatError("an element that was never inserted");
    return e;
  }

  // add places a new element among its siblings. parent is an element or the start.
  add({ id, seq, char, visible }, parent, side) {
    const e = { id, seq, char, visible, parent, side, left: [], right: [] };
    const siblings = parent[side];
    const i = siblings.findLastIndex((s) => bySiblings(s, e) < 0) + 1;
    let prev; // the element before e in the list
    if (side === "right") {
      prev = i > 0 ? lastBelow(siblings[i - 1]) : parent;
    } else {
      prev = (i < siblings.length ? firstBelow(siblings[i]) : parent).prev;
    }
    siblings.splice(i, 0, e);
    e.prev = prev;
    e.next = prev.next;
    prev.next = e;
    if (e.next) e.next.prev = e;
    this.elements.set(`${id} ${seq}`, e);
    return e;
  }

  // insertion returns the payload that inserts s at a visible index, for a message with the given table.
  insertion(table, index, s) {
    const { own, first } = table;
    let x = this.start;
    for (const e of this.visible()) {
      if (index === 0) break;
      x = e;
      index--;
    }
    if (index > 0) throw new RangeError("index beyond the text");
    let parent = x;
    let side = "right";
    if (x.next && leftOrigin(x.next) === x) {
      parent = x.next;
      side = "left";
    }
    const head = insertCode | (side === "left" ? leftBit : 0);
    const w = new Writer();
    if (parent === this.start) w.byte(head | 0x10);
    else if (parent.id === own && parent.seq === first - 1) w.byte(head);
    else if (parent.id === own) w.byte(head | 0x20).uvarint(first - parent.seq);
    else table.write(w.byte(head | 0x30), parent);
    return w.raw(encodeText(s)).bytes();
  }

  // deletion returns the payload that deletes count code points from a visible index on.
  deletion(table, index, count) {
    const { own, first } = table;
    const runs = []; // {id, from, seq}: the dots from..seq
    let n = 0;
    for (const e of this.visible()) {
      if (n === index + count) break;
      if (n++ < index) continue;
      const run = last(runs);
      if (run?.id === e.id && run.seq + 1 === e.seq) run.seq++;
      else runs.push({ id: e.id, from: e.seq, seq: e.seq });
    }
    if (n < index + count || count < 1) throw new RangeError("range beyond the text");
    const w = new Writer();
    const [run] = runs;
    if (runs.length > 1 || run.id !== own) {
      w.byte(deleteCode | 0x18);
      for (const r of runs) table.write(w, r).uvarint(r.seq - r.from);
    } else if (run.from < run.seq) {
      w.byte(deleteCode | 0x10).uvarint(first - run.seq).uvarint(run.seq - run.from - 1);
    } else if (run.seq < first - 1) {
      w.byte(deleteCode | 0x08).uvarint(first - run.seq);
    } else {
      w.byte(deleteCode);
    }
    return w.bytes();
  }

  // apply applies an operation; a FormatError means that it makes no sense, and that nothing has changed.
  apply(r, op) {
    const head = r.byte();
    if ((head & 7) === insertCode && head < 0x40) this.applyInsert(r, op, head);
    else if ((head & 7) === deleteCode && head < 0x20) this.applyDelete(r, op, head >> 3);
    else throw new Unsupported("an operation on the text that this client does not know");
  }

  applyInsert(r, op, head) {
    const side = head & leftBit ? "left" : "right";
    const form = head >> 4;
    let parent;
    if (form === 0) parent = this.find({ id: op.sender, seq: op.first - 1 });
    else if (form === 1 && side === "right") parent = this.start;
    else if (form === 2) parent = this.find({ id: op.sender, seq: op.first - distance(r, 2) });
    else if (form === 3) parent = this.find(ofAnother(readDot(r, op), op));
    else throw new FormatError("left of the start");
    const chars = [...decodeText(r.rest())];
    if (chars.length !== op.dots) throw new FormatError("dots of an insert");
    chars.forEach((char, i) => {
      parent = this.add({ id: op.sender, seq: op.first + i, char, visible: true }, parent, i ? "right" : side);
    });
  }

  applyDelete(r, op, form) {
    if (op.dots !== 1) throw new FormatError("dots of a delete");
    const dots = [];
    if (form === 0) dots.push({ id: op.sender, seq: op.first - 1 });
    else if (form === 1) dots.push({ id: op.sender, seq: op.first - distance(r, 1) });
    else if (form === 2) dots.push(...run({ id: op.sender, seq: op.first - distance(r, 1) }, r.uvarint() + 1));
    else while (r.left) dots.push(...run(readDot(r, op), r.uvarint()));
    r.done();
    const elements = dots.map((d) => this.find(d));
    if (new Set(elements).size !== elements.length) throw new FormatError("an element twice");
    for (const e of elements) e.visible = false;
  }

  // merge takes over a state or a delta; gone tells which elements that a delta does not list the other side has deleted.
  merge(r, { ids, delta, base, gone }) {
    const listed = !r.left ? [] : delta ? readDelta(r, ids, base) : readState(r, ids);
    // Parents may come later than their children.
    const byDot = new Map(listed.map((e) => [`${e.id} ${e.seq}`, e]));
    for (const e of listed) {
      const missing = [];
      for (let m = e; m && !this.get(m); m = byDot.get(`${m.parent?.id} ${m.parent?.seq}`)) missing.push(m);
      for (const m of missing.reverse()) this.add(m, m.parent ? this.find(m.parent) : this.start, m.side);
      if (!e.visible) this.get(e).visible = false;
    }
    if (!delta) return;
    for (const e of this.visible()) if (!byDot.has(`${e.id} ${e.seq}`) && gone(e)) e.visible = false;
  }
}

function leftOrigin(e) {
  while (e.side === "left") e = e.parent;
  return e.parent;
}

function lastBelow(e) {
  while (e.right.length) e = last(e.right);
  return e;
}

function firstBelow(e) {
  while (e.left.length) e = e.left[0];
  return e;
}

function ofAnother(dot, op) {
  if (dot.id === op.sender) throw new FormatError("an own dot as that of another replica");
  return dot;
}

function distance(r, least) {
  const n = r.uvarint();
  if (n < least) throw new FormatError("distance");
  return n;
}

// run returns the dots of a run, which is named by the last, before which more dots belong to it.
function run({ id, seq }, more) {
  if (more > seq) throw new FormatError("a run from before the first dot");
  return Array.from({ length: more + 1 }, (_, i) => ({ id, seq: seq - more + i }));
}
