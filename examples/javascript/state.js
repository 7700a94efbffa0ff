// Saved states and deltas (format.md, section 4).
import { FormatError, Reader, Unsupported, checkSum, decodeText, unzigzag } from "./bytes.js";
import { kinds } from "./packing.js";
import { decompress } from "./zstd.js";

const zstdFlag = 1;
const documentFlag = 2;

// readState reads the content of a state or a delta behind its first byte and the features: {document, ids, clock, heads,
// lamport, delta, mode, base, sections, opaque}: what it says of roots, as {kind, name, ids, bytes}, bytes being the section behind
// its table; and what it says of roots of kinds that its writer does not know, as {kind, name, parts, ops} (4.3).
export function readState(r, delta) {
  const flags = r.byte();
  if (flags > 3) throw new Unsupported("a state with unknown flags");
  const document = flags & documentFlag ? r.id() : undefined;
  let canonical;
  let local;
  if (flags & zstdFlag) {
    const size = r.uvarint();
    const frame = r.take(r.left - 4);
    checkSum(r);
    const both = new Reader(decompress(frame, size));
    canonical = both.prefixed();
    local = both.rest();
  } else {
    canonical = r.prefixed();
    checkSum(r);
    const own = new Reader(r.rest());
    local = own.prefixed();
    checkSum(own);
  }
  const s = { document, delta, ...readCanonical(new Reader(canonical), delta) };
  return { ...s, opaque: readLocal(new Reader(local), s) };
}

function readCanonical(r, delta) {
  const s = {};
  s.ids = Array.from({ length: r.count() }, () => r.id());
  const clock = s.ids.map(() => r.uvarint());
  s.clock = new Map(s.ids.map((id, i) => [id, clock[i]]));
  if (delta) {
    s.base = new Map(s.ids.map((id, i) => [id, clock[i] - r.uvarint()]));
    s.mode = r.byte();
    if (s.mode > 1) throw new Unsupported("mode of a delta");
  }
  let number = 0;
  s.heads = Array.from({ length: r.count() }, () => s.ids[(number += r.uvarint())]);
  s.lamport = r.uvarint();
  s.kinds = Array.from({ length: r.count() }, () => {
    const code = r.uvarint();
    return code ? kinds[code] ?? `code ${code}` : `name ${decodeText(r.prefixed())}`;
  });
  s.sections = readObjects(r, s);
  return s;
}

function readObjects(r, s) {
  const roots = [];
  for (let n = r.count(), keys = 0; n > 0; n--) {
    const tag = r.uvarint();
    const kind = s.kinds[Math.floor(tag / 8)];
    const root = (tag & 3) === 0;
    let name;
    if (root) {
      name = decodeText(r.prefixed());
    } else if ((tag & 3) === 1) {
      r.uvarint();
      r.uvarint();
    } else {
      r.uvarint();
      if (r.uvarint() === 0) r.prefixed();
    }
    const section = new Reader(tag & 4 ? new Uint8Array() : r.prefixed());
    const ids = section.left ? readTable(section, s.ids) : [];
    if (root) roots.push({ kind, name, ids, bytes: section.rest() });
  }
  r.done();
  return roots;
}

function readTable(r, ids) {
  return Array.from({ length: r.count() }, () => ids[r.uvarint()]);
}

const opaqueTag = 3;

// readLocal reads the record of opaque objects. The others are of no use here: what waits there comes later, as messages.
function readLocal(r, s) {
  const roots = [];
  while (r.left) {
    const tag = r.uvarint();
    const record = new Reader(r.prefixed());
    if (tag !== opaqueTag) continue;
    const clocks = Array.from({ length: record.count() }, () => {
      return new Map(Array.from({ length: record.count() }, () => [s.ids[record.uvarint()], record.uvarint()]));
    });
    for (let n = record.count(); n > 0; n--) {
      const { root, kind, name } = readPath(record);
      const parts = Array.from({ length: record.count() }, () => readPart(record, s, clocks));
      const ops = Array.from({ length: record.count() }, () => readOpaqueOp(record, s));
      if (root) roots.push({ kind, name, parts, ops });
    }
    record.done();
  }
  return roots;
}

function readPath(r) {
  const kind = () => {
    const code = r.uvarint();
    return code ? kinds[code] ?? `code ${code}` : `name ${decodeText(r.prefixed())}`;
  };
  const root = r.uvarint() === 0;
  const path = { root, kind: kind() };
  if (root) path.name = decodeText(r.prefixed());
  else r.uvarint(), r.uvarint();
  for (let depth = r.count(); depth > 0; depth--) {
    kind();
    r.prefixed();
    path.root = false;
  }
  return path;
}

function readPart(r, s, clocks) {
  const flags = r.uvarint();
  const base = clocks[r.uvarint()];
  const clock = clocks[r.uvarint()];
  const ids = readTable(r, s.ids);
  return { delta: flags % 2 === 1, mode: flags >> 1, base, clock, ids, bytes: r.prefixed() };
}

function readOpaqueOp(r, s) {
  const first = r.uvarint();
  const dots = r.uvarint();
  const lamport = r.uvarint();
  const ids = readTable(r, s.ids);
  const [, ...table] = ids.map((id) => ({ id, seq: r.uvarint() - 1 }));
  return { sender: ids[0], first, dots, lamport, table, payload: r.prefixed() };
}

// openSection reads what stands before the state of an object's own, in the section of a state or delta s. It returns where
// the state begins, and gone, which tells whether the other side has deleted what a dot made, if its section does not list that.
export function openSection({ ids, bytes }, s) {
  const section = new Reader(bytes);
  const covered = (e) => e.seq < (s.clock.get(e.id) ?? 0);
  if (!s.delta) return { section, ids, delta: false, gone: covered };
  const base = (id) => s.base.get(id) ?? 0;
  const inBase = (e) => e.seq < base(e.id);
  const deletions = s.mode === 0;
  const runs = !section.left ? [] : deletions ? readDeletions(section, ids) : readLive(section, ids);
  const listed = (e) => runs.some((run) => run.id === e.id && e.seq >= run.from && e.seq < run.to);
  return { section, ids, delta: true, base, gone: (e) => (inBase(e) ? listed(e) === deletions : covered(e)) };
}

function readDeletions(r, ids) {
  let id;
  let end = 0;
  return Array.from({ length: r.count() }, () => {
    const head = r.uvarint();
    const form = head % 4;
    const v = Math.floor(head / 4);
    let deleter = end + unzigzag(v);
    if (form > 2 || (form < 2 && !id)) throw new FormatError("deletion");
    if (form === 2) [id, deleter] = [ids[r.uvarint()], r.uvarint()];
    const target = deleter - (form ? r.varint() : 1);
    const extent = form ? r.uvarint() : 0;
    const length = Math.floor(extent / 3) + 1;
    const shape = extent % 3;
    const from = shape === 2 ? target - length + 1 : target;
    end = deleter + (shape === 0 ? 1 : length);
    return { id, from, to: from + length };
  });
}

function readLive(r, ids) {
  const ends = new Map();
  return Array.from({ length: r.count() }, () => {
    const id = ids[r.uvarint()];
    const from = (ends.get(id) ?? 0) + r.uvarint();
    const to = from + r.uvarint() + 1;
    ends.set(id, to);
    return { id, from, to };
  });
}
