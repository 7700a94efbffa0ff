// A Document is one replica of a document: a text and a map, brought up to date by updates that come in any order.
import { FormatError, Reader, Unsupported, checkSum, newReplicaID } from "./bytes.js";
import { decode } from "./cbor.js";
import { Table } from "./dots.js";
import { RegisterMap } from "./map.js";
import { Unpacker, packAlone, readMessage } from "./packing.js";
import { openSection, readState } from "./state.js";
import { Text } from "./text.js";

const wefttag = 0x77656674;
const content = { message: 0x11, bundle: 0x12, state: 0x13, delta: 0x14 };

// Transactions are kept short, so that a message never needs to travel in chunks.
const maxInsert = 4096;
const maxDelete = 1000;

export class Document {
  replica = newReplicaID();
  clock = new Map(); // replica -> number of its dots applied
  heads = new Map(); // replica -> seq: the dots applied that no other one applied depends on
  lamport = 0; // the greatest timestamp applied
  waiting = new Map(); // "sender start" -> message that lacks something
  own = []; // {end, packed}: the own messages, for peers that lack them

  onMessage = () => {}; // hears {end, packed} of every local transaction
  onChange = () => {}; // hears that something was applied

  // text and map are the names of the roots.
  constructor({ text = "text", map = "map" } = {}) {
    this.text = new Text();
    this.map = new RegisterMap();
    this.roots = [
      { name: text, object: this.text },
      { name: map, object: this.map },
    ];
  }

  // insert inserts s before the code point with this index.
  insert(index, s) {
    const chars = [...s];
    for (let i = 0; i < chars.length; i += maxInsert) {
      const part = chars.slice(i, i + maxInsert);
      this.commit(this.text, part.length, (table) => this.text.insertion(table, index + i, part.join("")));
    }
  }

  // delete deletes count code points from index on.
  delete(index, count) {
    for (; count > 0; count -= maxDelete) {
      this.commit(this.text, 1, (table) => this.text.deletion(table, index, Math.min(count, maxDelete)));
    }
  }

  set(key, value) {
    this.commit(this.map, 1, (table) => this.map.setting(table, key, value));
  }

  // commit makes a transaction of one operation: it is applied as those of others are, and given to onMessage.
  commit(object, dots, build) {
    const sender = this.replica;
    const start = this.end(sender);
    const deps = [...this.heads].filter(([id]) => id !== sender).map(([id, seq]) => ({ id, seq }));
    deps.sort((a, b) => (a.id < b.id ? -1 : 1));
    const table = new Table(sender, start, deps);
    const payload = build(table);
    const root = { class: "root", kind: object.kind, name: this.roots.find((r) => r.object === object).name };
    const m = { sender, start, dots, lamport: this.lamport + 1, document: this.id, deps, table: table.entries };
    this.apply({ ...m, ops: [{ object: root, first: start, dots, payload }] });
    const made = { end: start + dots, packed: packAlone({ ...m, object: root, payload }) };
    this.own.push(made);
    this.onMessage(made);
    this.onChange();
  }

  // checkID takes over the document's ID, if an update has one.
  checkID(id) {
    if (id && this.id && id !== this.id) throw new FormatError("an update of another document");
    this.id ??= id;
  }

  end(id) {
    return this.clock.get(id) ?? 0;
  }

  // receive takes a message: it is applied, kept until what it depends on has come, or known already.
  receive(m) {
    this.checkID(m.document);
    if (m.start + m.dots <= this.end(m.sender)) return;
    if (m.start < this.end(m.sender)) throw new FormatError("a transaction in other pieces than before");
    this.waiting.set(`${m.sender} ${m.start}`, m);
    this.applyWaiting();
  }

  applyWaiting() {
    let changed = false;
    for (let again = true; again; ) {
      again = false;
      for (const [key, m] of this.waiting) {
        if (m.start > this.end(m.sender) || m.table.some((d) => d.seq >= this.end(d.id))) continue;
        this.waiting.delete(key);
        if (m.start < this.end(m.sender)) continue; // a state brought it
        this.apply(m);
        again = changed = true;
      }
    }
    if (changed) this.onChange();
  }

  apply(m) {
    for (const op of m.ops) {
      const root = this.roots.find((r) => r.name === op.object.name && r.object.kind === op.object.kind);
      const { sender, table } = m;
      // Of other objects the dots count, the content is not kept here.
      if (root) applyOp(root.object, { ...op, sender, table, lamport: m.lamport + op.first - m.start });
    }
    for (const { id, seq } of m.deps) if (this.heads.get(id) === seq) this.heads.delete(id);
    const end = m.start + m.dots;
    this.clock.set(m.sender, end);
    this.heads.set(m.sender, end - 1);
    this.lamport = Math.max(this.lamport, m.lamport + m.dots - 1);
  }

  // load takes any update that came as a whole. It returns false if it is a delta from a base that this document lacks.
  load(update) {
    const item = decode(update);
    if (item instanceof Uint8Array) {
      const r = new Reader(item);
      if (r.byte() !== content.message) throw new Unsupported("a message of another version");
      this.receive(readMessage(r));
      return true;
    }
    if (item?.tag !== wefttag || !(item.value instanceof Uint8Array)) throw new FormatError("no update");
    const r = new Reader(item.value);
    const kind = r.byte();
    if (kind >> 4 !== 1 || r.uvarint() !== 0) throw new Unsupported("an update of another version");
    if (kind === content.bundle) return this.loadBundle(r);
    if (kind !== content.state && kind !== content.delta) throw new FormatError("no update");
    return this.merge(readState(r, kind === content.delta));
  }

  loadBundle(r) {
    const unpacker = new Unpacker();
    const messages = Array.from({ length: r.count() }, () => unpacker.read(r));
    checkSum(r);
    r.done();
    for (const m of messages) this.receive(m);
    return true;
  }

  merge(s) {
    this.checkID(s.document);
    for (const [id, end] of s.base ?? []) if (end > this.end(id)) return false;
    for (const { name, object } of this.roots) {
      const own = (o) => o.name === name && o.kind === object.kind;
      const opaque = s.opaque.find(own);
      if (opaque) reveal(object, opaque, new Map(this.clock));
      else mergeSection(object, s.sections.find(own) ?? nothing, s, this.clock);
    }
    // A head stays one unless the other side knows it and has something after it.
    const theirs = new Map(s.heads.map((id) => [id, s.clock.get(id) - 1]));
    const heads = [...this.heads].filter(([id, seq]) => seq >= (s.clock.get(id) ?? 0) || theirs.get(id) === seq);
    for (const [id, seq] of theirs) if (seq >= this.end(id) || this.heads.get(id) === seq) heads.push([id, seq]);
    this.heads = new Map(heads);
    for (const [id, end] of s.clock) this.clock.set(id, Math.max(end, this.end(id)));
    this.lamport = Math.max(this.lamport, s.lamport);
    this.applyWaiting();
    this.onChange();
    return true;
  }
}

const nothing = { ids: [], bytes: new Uint8Array() };

// applyOp applies an operation. Of one that makes no sense, which is the same for everybody, nothing is applied.
function applyOp(object, op) {
  try {
    object.apply(new Reader(op.payload), op);
  } catch (e) {
    if (!(e instanceof FormatError)) throw e;
  }
}

function mergeSection(object, section, s, known) {
  const opened = openSection(section, s);
  object.merge(opened.section, { ...opened, known });
}

// reveal takes over what a side that does not know the object's kind has kept of it, known being what is known of it here
// (format.md, section 4.3).
function reveal(object, { parts, ops }, known) {
  const join = (clock) => {
    for (const [id, end] of clock) known.set(id, Math.max(end, known.get(id) ?? 0));
  };
  const covers = (clock, { sender, first }) => first < (clock.get(sender) ?? 0);
  const applyAll = (list) => {
    for (const op of list) {
      if (covers(known, op)) continue;
      applyOp(object, op);
      join([[op.sender, op.first + op.dots]]);
    }
  };
  for (const part of parts) {
    if (part.delta) {
      applyAll(ops.filter((op) => covers(part.base, op)));
      join(part.base);
    }
    if ([...part.clock].every(([id, end]) => end <= (known.get(id) ?? 0))) continue;
    mergeSection(object, part, part, known);
    join(part.clock);
  }
  applyAll(ops);
}
