package runtime

import "slices"

// StateWriter takes the state of one object, for a saved state or a delta. Replicas are coded as numbers in the
// object's own table, in order of first use: an object that writes in canonical order thus gives canonical bytes.
type StateWriter struct {
	rt   *Runtime
	buf  []byte
	base []uint64 // per replica: what the reader has; nil for a full state
	end  []uint64 // per replica: what the state holds
	reps []Rep    // the object's table
	num  []uint32 // per replica: 1 + its number in reps
}

func (r *Runtime) newStateWriter(base, end []uint64) *StateWriter {
	return &StateWriter{rt: r, base: base, end: end, num: make([]uint32, len(r.replicas))}
}

// Runtime returns the document.
func (w *StateWriter) Runtime() *Runtime { return w.rt }

// Delta reports whether the reader holds something already; see Outside.
func (w *StateWriter) Delta() bool { return w.base != nil }

// Outside reports whether the reader of the delta may lack the operation d: entries with such dots must be written,
// others need not. For a full state it is always true.
func (w *StateWriter) Outside(d LocalDot) bool { return !covers(w.base, d) }

// BaseOf returns how many dots of a replica the reader holds for sure.
func (w *StateWriter) BaseOf(r Rep) uint64 {
	if int(r) < len(w.base) {
		return w.base[r]
	}
	return 0
}

// Number returns the number of a replica in the object's table, adding it if it is new.
func (w *StateWriter) Number(r Rep) int {
	if w.num[r] == 0 {
		w.reps = append(w.reps, r)
		w.num[r] = uint32(len(w.reps))
	}
	return int(w.num[r] - 1)
}

// Byte appends one byte.
func (w *StateWriter) Byte(b byte) { w.buf = append(w.buf, b) }

// Uvarint appends an unsigned integer.
func (w *StateWriter) Uvarint(v uint64) { w.buf = appendUvarint(w.buf, v) }

// Varint appends a signed integer.
func (w *StateWriter) Varint(v int64) { w.Uvarint(zigzag(v)) }

// Bytes appends a length and b.
func (w *StateWriter) Bytes(b []byte) {
	w.Uvarint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

// Raw appends b without its length.
func (w *StateWriter) Raw(b []byte) { w.buf = append(w.buf, b...) }

// Append lets f append to the payload: for encoders that work on a buffer.
func (w *StateWriter) Append(f func(dst []byte, number func(Rep) int) []byte) {
	w.buf = f(w.buf, w.Number)
}

// Dot appends a dot: its replica's number and its seq.
func (w *StateWriter) Dot(d LocalDot) {
	w.Uvarint(uint64(w.Number(d.Rep)))
	w.Uvarint(d.Seq)
}

// Stamp appends a stamp: its dot, and its Lamport timestamp as a distance from seq + 1.
func (w *StateWriter) Stamp(s Stamp) {
	w.Dot(s.Dot)
	w.Varint(int64(s.Lamport) - int64(s.Dot.Seq) - 1)
}

// reset prepares for the next object.
func (w *StateWriter) reset() {
	for _, r := range w.reps {
		w.num[r] = 0
	}
	w.reps = w.reps[:0]
}

// section appends one object's section of a state without its table, or of a delta with what was deleted.
func (w *StateWriter) section(dst []byte, n *Node, d *deltaInfo) []byte {
	w.reset()
	w.buf = dst
	if d != nil {
		w.deletions(n, d)
	}
	if n.opaque() == nil {
		n.obj.Save(w)
	}
	dst, w.buf = w.buf, nil
	return dst
}

// deletions writes what happened to entries that the reader has: either the deletions since base, or all dots within
// base that are alive.
func (w *StateWriter) deletions(n *Node, d *deltaInfo) {
	if d.live {
		var live []dotRun
		n.obj.Dots(func(dot LocalDot, k uint64) {
			if base := w.BaseOf(dot.Rep); dot.Seq < base {
				live = append(live, dotRun{dot, min(k, base-dot.Seq)})
			}
		})
		w.runs(sortRuns(w.rt, live))
		return
	}
	w.Uvarint(uint64(len(d.byNode[n])))
	var c deletionCoder
	for i := range d.byNode[n] {
		c.write(w, &d.byNode[n][i])
	}
}

// dotRun is n consecutive dots of one replica.
type dotRun struct {
	dot LocalDot
	n   uint64
}

// sortRuns sorts runs by replica and seq and joins neighbours.
func sortRuns(r *Runtime, runs []dotRun) []dotRun {
	slices.SortFunc(runs, func(a, b dotRun) int { return r.CompareDots(a.dot, b.dot) })
	out := runs[:0]
	for _, x := range runs {
		if k := len(out); k > 0 && out[k-1].dot.Rep == x.dot.Rep && out[k-1].dot.Seq+out[k-1].n >= x.dot.Seq {
			out[k-1].n = max(out[k-1].n, x.dot.Seq+x.n-out[k-1].dot.Seq)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// runs writes sorted runs: by replica, gaps and lengths.
func (w *StateWriter) runs(runs []dotRun) {
	w.Uvarint(uint64(len(runs)))
	var last Rep
	var at uint64
	for i, x := range runs {
		if i == 0 || x.dot.Rep != last {
			at = 0
		}
		w.Uvarint(uint64(w.Number(x.dot.Rep)))
		w.Uvarint(x.dot.Seq - at)
		w.Uvarint(x.n - 1)
		last, at = x.dot.Rep, x.dot.Seq+x.n
	}
}
