// Dots in payloads (format-types.md, 6.1). Elsewhere a dot is any object with id and seq.
import { FormatError } from "./bytes.js";

// A Table is the table of a message that is being written: its dependencies, and then the other replicas that payloads name,
// in the order of first use, each with the greatest seq named.
export class Table {
  constructor(own, first, deps) {
    Object.assign(this, { own, first, entries: deps.map((d) => ({ ...d })) });
  }

  write(w, { id, seq }) {
    if (id === this.own) return w.uvarint(0).uvarint(this.first - seq);
    let i = this.entries.findIndex((e) => e.id === id);
    if (i < 0) i = this.entries.push({ id, seq }) - 1;
    this.entries[i].seq = Math.max(this.entries[i].seq, seq);
    return w.uvarint(i + 1).uvarint(seq);
  }

  // writeAll writes dots as an operation that replaces them names them, the last of each replica first.
  writeAll(w, dots) {
    const ids = [...new Set(dots.map((d) => d.id))];
    w.uvarint(ids.length);
    for (const id of ids) {
      const runs = []; // {from, to}, descending
      for (const { seq } of dots.filter((d) => d.id === id).sort((a, b) => b.seq - a.seq)) {
        const r = runs.at(-1);
        if (r?.from === seq + 1) r.from = seq;
        else runs.push({ from: seq, to: seq });
      }
      this.write(w, { id, seq: runs[0].to });
      runs.forEach((r, i) => {
        if (i > 0) w.uvarint(runs[i - 1].from - r.to - 2);
        w.uvarint((r.to - r.from) * 2 + (i + 1 < runs.length ? 1 : 0));
      });
    }
    return w;
  }
}

// readDot reads a dot of the operation op, {sender, first, table}.
export function readDot(r, op) {
  const number = r.uvarint();
  const n = r.uvarint();
  if (number === 0) {
    if (n > op.first) throw new FormatError("distance of a dot");
    return { id: op.sender, seq: op.first - n };
  }
  const entry = op.table[number - 1];
  if (!entry || n > entry.seq) throw new FormatError("a dot beyond the table");
  return { id: entry.id, seq: n };
}

// readDots reads what writeAll writes.
export function readDots(r, op) {
  const out = [];
  for (let n = r.count(); n > 0; n--) {
    let { id, seq } = readDot(r, op);
    for (let more = true; more; ) {
      const v = r.uvarint();
      const length = Math.floor(v / 2) + 1;
      if (length > seq + 1) throw new FormatError("a run from before the first dot");
      for (let i = 0; i < length; i++) out.push({ id, seq: seq - i });
      seq -= length;
      more = v % 2 === 1;
      if (more) seq -= r.uvarint() + 1;
      if (more && seq < 0) throw new FormatError("a run from before the first dot");
    }
  }
  return out;
}
