// Packed messages (format.md, section 3): the contents of messages, fresh frames and bundles.
import { FormatError, Reader, Writer, encodeText } from "./bytes.js";

const flag = { table: 0x01, lamport: 0x02, several: 0x04, dots: 0x08, document: 0x10, wall: 0x20, ext: 0x40, critical: 0x80 };

const classes = ["root", "made", "implicit"];
export const kinds = [
  null, "counter", "register", "mvregister", "flag", "flag-dw", "set", "map", "lazymap", "objectmap", "objectset", "list",
  "objectlist", "text", "record", "richtext", "tree",
];

// A message is {sender, start, dots, lamport, deps, table, objects, ops}: deps and table hold {id, seq}, the dependencies are
// the first entries of the table; objects are {kind, class, name}, name for roots only; ops are {object, first, dots, payload}.

// readMessage reads the content of a plain message (section 2), whose first byte has been read.
export function readMessage(r) {
  const m = { flags: flags(r), sender: r.id(), start: r.uvarint() };
  m.dots = m.flags & flag.dots ? r.uvarint() : 1;
  m.lamport = m.start + 1 + (m.flags & flag.lamport ? r.varint() : 0);
  details(r, m, true);
  const entry = () => ({ id: r.id(), seq: r.uvarint() });
  let refs = [];
  m.deps = [];
  if (m.flags & flag.table) {
    const d = r.count();
    const n = r.count();
    m.deps = Array.from({ length: d }, entry);
    refs = Array.from({ length: n }, entry);
  }
  m.table = [...m.deps, ...refs];
  if (m.flags & flag.ext) r.prefixed();
  m.objects = readObjects(r);
  m.ops = readOps(r, m);
  return m;
}

function flags(r) {
  const f = r.byte();
  if (f & flag.critical) throw new FormatError("critical features of a newer version");
  return f;
}

function details(r, m) {
  if (m.flags & flag.document) m.document = r.id();
  if (m.flags & flag.wall) r.uvarint();
}

function readObjects(r) {
  const out = [];
  for (let more = true; more; ) {
    const tag = r.uvarint();
    more = tag % 2 === 1;
    const code = Math.floor(tag / 8);
    const o = { kind: kinds[code] ?? `code ${code}`, class: classes[(tag >> 1) & 3] };
    if (code === 0) o.kind = `name ${r.prefixed()}`;
    if (o.class === "root") o.name = String.fromCharCode(...r.prefixed());
    else if (o.class === "made") r.uvarint(), r.uvarint();
    else if (o.class === "implicit") r.uvarint(), r.prefixed();
    else throw new FormatError("unknown class of object");
    out.push(o);
  }
  return out;
}

function readOps(r, m) {
  if (!(m.flags & flag.several)) return [{ object: m.objects.at(-1), first: m.start, dots: m.dots, payload: r.rest() }];
  let first = m.start;
  const ops = Array.from({ length: r.count() }, () => {
    const head = r.uvarint();
    const dots = head % 2 ? r.uvarint() : 1;
    const object = m.objects[Math.floor(head / 2)];
    if (!object) throw new FormatError("an operation on no object");
    const op = { object, first, dots, payload: r.prefixed() };
    first += dots;
    return op;
  });
  r.done();
  if (first !== m.start + m.dots) throw new FormatError("dots of the operations");
  return ops;
}

// packAlone packs a message as the only one of a stream: what a fresh frame carries. o is {kind, name} of a root; payload is
// that of the only operation.
export function packAlone({ sender, start, dots, lamport, document, deps, table, object, payload }) {
  const f =
    (table.length && flag.table) | (lamport !== start + 1 && flag.lamport) | (dots > 1 && flag.dots) | (document ? flag.document : 0);
  const w = new Writer().uvarint(start ? 1 : 0).id(sender).byte(f);
  let number = 1;
  const entries = (list) => {
    for (const { id, seq } of list) w.uvarint(2 * number++ + 1).id(id).uvarint(seq);
  };
  if (table.length) {
    w.uvarint(deps.length ? 1 : 0);
    if (deps.length) w.uvarint(deps.length);
    entries(deps);
    w.uvarint(table.length - deps.length);
    entries(table.slice(deps.length));
  }
  if (start) w.uvarint(start);
  if (dots > 1) w.uvarint(dots);
  if (f & flag.lamport) w.varint(lamport);
  if (document) w.id(document);
  const objects = new Writer().uvarint(kinds.indexOf(object.kind) * 8).prefixed(encodeText(object.name));
  return w.uvarint(0).prefixed(objects.bytes()).prefixed(payload).bytes();
}

// The log of a stream is cut in half when it has logLength entries; a dependency is looked for among lookBack entries.
const logLength = 4096;
const lookBack = 64;

// An Unpacker is the reading end of one stream.
export class Unpacker {
  ids = []; // numbered replica IDs
  tables = []; // numbered object tables
  last = new Map(); // replica -> {end, next, entry}: end and next timestamp of its last message, its newest entry
  log = []; // {id, place, end, next, seen, succeeded}
  first = 0; // the place of log[0]

  // read returns the next message.
  read(r) {
    const [sender, spelled] = this.numbered(r);
    const known = this.last.get(sender) ?? { end: 0, next: 0 };
    const m = { sender, flags: flags(r), deps: [] };
    let refs = [];
    if (m.flags & flag.table) {
      m.deps = this.dependencies(r, sender);
      refs = Array.from({ length: r.count() }, () => this.entry(r));
    }
    m.table = [...m.deps, ...refs];
    m.start = spelled ? r.uvarint() : known.end;
    m.dots = m.flags & flag.dots ? r.uvarint() : 1;
    const places = m.deps.map((d) => this.find(d)).filter((e) => e);
    const expected = Math.max(known.next, ...places.map((e) => e.next));
    m.lamport = m.flags & flag.lamport ? expected + r.varint() : m.start + 1;
    details(r, m);
    if (m.flags & flag.ext) r.prefixed();
    m.objects = readObjects(new Reader(this.table(r)));
    m.ops = readOps(new Reader(r.prefixed()), m);
    this.append(m, known, places);
    return m;
  }

  // numbered reads a numbered ID and the bit that goes with it.
  numbered(r) {
    const v = r.uvarint();
    const number = Math.floor(v / 2);
    if (number === this.ids.length) this.ids.push(r.id());
    if (number > this.ids.length) throw new FormatError("unknown replica number");
    return [this.ids[number], v % 2 === 1];
  }

  entry(r) {
    const [id, spelled] = this.numbered(r);
    if (spelled) return { id, seq: r.uvarint() };
    if (!this.last.has(id)) throw new FormatError("no message of this replica before");
    return { id, seq: this.last.get(id).end - 1 };
  }

  table(r) {
    const number = r.uvarint();
    if (number === this.tables.length) this.tables.push(r.prefixed());
    if (number > this.tables.length) throw new FormatError("unknown object table");
    return this.tables[number];
  }

  // dependencies returns the dots, in the order of replicas.
  dependencies(r, sender) {
    const h = r.uvarint();
    let deps = [];
    if (h === 1) {
      deps = Array.from({ length: r.count() }, () => this.entry(r));
    } else if (h === 2) {
      throw new FormatError("this stream follows none");
    } else if (h > 2) {
      deps = this.predict(sender, this.first + this.log.length - Math.floor((h - 3) / 2));
      if (h % 2 === 0) {
        let at = 0;
        for (let a = r.count(); a > 0; a--) {
          at += r.uvarint();
          if (at >= deps.length) throw new FormatError("no such dependency");
          deps.splice(at, 1);
        }
        for (let b = r.count(); b > 0; b--) deps.push(this.entry(r));
      }
    }
    return deps.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  // predict is P(place): what a replica depends on that has seen the log up to there and has written nothing since.
  predict(sender, place) {
    const seen = this.last.get(sender)?.entry.seen ?? this.first;
    return this.log
      .filter((e) => e.id !== sender && e.place >= seen && e.place < place && !(e.succeeded < place))
      .map((e) => ({ id: e.id, seq: e.end - 1 }));
  }

  // find returns the entry that ends at a dot, if the log has one.
  find({ id, seq }) {
    for (let i = this.log.length - 1, n = 0; i >= 0 && n < lookBack; i--) {
      if (this.log[i].id !== id) continue;
      if (this.log[i].end === seq + 1) return this.log[i];
      n++;
    }
  }

  append(m, known, places) {
    const end = m.start + m.dots;
    const next = m.lamport + m.dots;
    let entry = this.log.at(-1);
    if (entry?.id === m.sender && m.deps.length === 0) {
      Object.assign(entry, { end, next });
    } else {
      const place = this.first + this.log.length;
      const seen = Math.max(known.entry?.seen ?? this.first, ...places.map((e) => e.place + 1));
      entry = { id: m.sender, place, end, next, seen, succeeded: undefined };
      for (const e of [known.entry, ...places]) if (e) e.succeeded ??= place;
      this.log.push(entry);
    }
    this.last.set(m.sender, { end, next, entry });
    if (this.log.length === logLength) {
      this.log.splice(0, logLength / 2);
      this.first += logLength / 2;
    }
  }
}
