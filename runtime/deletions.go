package runtime

// deletion is a run in the deletion record: who deleted what. Its shape says how deleters and targets run along:
// one operation that deletes n consecutive dots, or n consecutive operations that each delete one dot, upwards (deleting
// forwards, overwriting a register) or downwards (backspacing).
type deletion struct {
	node   *Node
	by     LocalDot // the first deleting operation
	target LocalDot // the first target; for downwards the greatest
	n      uint64
	shape  uint8
}

const (
	shapeRange uint8 = iota
	shapeUp
	shapeDown
	shapes
)

// byEnd returns 1 + the last deleting seq.
func (d *deletion) byEnd() uint64 {
	if d.shape == shapeRange {
		return d.by.Seq + 1
	}
	return d.by.Seq + d.n
}

// targets returns what is deleted as an ascending run.
func (d *deletion) targets() dotRun {
	if d.shape == shapeDown {
		return dotRun{LocalDot{d.target.Rep, d.target.Seq + 1 - d.n}, d.n}
	}
	return dotRun{d.target, d.n}
}

// extend tries to let d hold e too.
func (d *deletion) extend(e *deletion) bool {
	if d.node != e.node || d.by.Rep != e.by.Rep || d.target.Rep != e.target.Rep {
		return false
	}
	if e.n == 1 && e.by.Seq == d.byEnd() && (d.n == 1 || d.shape != shapeRange) {
		switch {
		case (d.n == 1 || d.shape == shapeUp) && e.target.Seq == d.target.Seq+d.n:
			d.shape = shapeUp
		case (d.n == 1 || d.shape == shapeDown) && e.target.Seq+d.n == d.target.Seq:
			d.shape = shapeDown
		default:
			return false
		}
		d.n++
		return true
	}
	if e.by == d.by && (d.shape == shapeRange || d.n == 1) && (e.shape == shapeRange || e.n == 1) && e.target.Seq == d.target.Seq+d.n {
		d.shape = shapeRange
		d.n += e.n
		return true
	}
	return false
}

// after returns the part of d whose deleting operations are not below end; n is 0 if there is none.
func (d deletion) after(end uint64) deletion {
	if d.by.Seq >= end {
		return d
	}
	if d.shape == shapeRange || d.byEnd() <= end {
		d.n = 0
		return d
	}
	k := end - d.by.Seq
	d.by.Seq += k
	d.n -= k
	if d.shape == shapeUp {
		d.target.Seq += k
	} else {
		d.target.Seq -= k
	}
	return d
}

// deletionCoder is what reader and writer of the deletions in a delta remember of the one before.
type deletionCoder struct {
	by, target Rep
	end        uint64 // byEnd
	any        bool
}

// How much of a deletion is stated. These numbers are part of format version 1.
const (
	deletionNext  = 0 // of the dot before the deleting one, of the replicas of the deletion before
	deletionAlike = 1 // of the replicas of the deletion before
	deletionFull  = 2
)

func (c *deletionCoder) write(w *StateWriter, d *deletion) {
	back := int64(d.by.Seq) - int64(d.target.Seq)
	gap := zigzag(int64(d.by.Seq) - int64(c.end))
	switch alike := c.any && d.by.Rep == c.by && d.target.Rep == c.target; {
	case alike && d.n == 1 && back == 1:
		w.Uvarint(gap<<2 | deletionNext)
	case alike:
		w.Uvarint(gap<<2 | deletionAlike)
		d.writeExtent(w, back)
	default:
		w.Uvarint(uint64(w.Number(d.by.Rep))<<2 | deletionFull)
		w.Uvarint(uint64(w.Number(d.target.Rep)))
		w.Uvarint(d.by.Seq)
		d.writeExtent(w, back)
	}
	c.by, c.target, c.end, c.any = d.by.Rep, d.target.Rep, d.byEnd(), true
}

func (d *deletion) writeExtent(w *StateWriter, back int64) {
	w.Varint(back)
	if d.n == 1 {
		w.Uvarint(0)
	} else {
		w.Uvarint((d.n-1)*uint64(shapes) + uint64(d.shape))
	}
}

func (c *deletionCoder) read(r *StateReader, d *deletion) {
	head := r.Uvarint("deletion")
	back, n := int64(1), uint64(0)
	d.by.Seq = c.end + uint64(unzigzag(head>>2))
	switch kind := head & 3; {
	case kind == deletionNext && c.any:
	case kind == deletionAlike && c.any:
		back, n = r.Varint("deletion"), r.Uvarint("deletion")
	case kind == deletionFull:
		var ok1, ok2 bool
		c.by, ok1 = r.RepAt(int(min(head>>2, 1<<31-1)))
		c.target, ok2 = r.RepAt(int(min(r.Uvarint("deletion"), 1<<31-1)))
		if d.by.Seq = r.Uvarint("deletion"); !ok1 || !ok2 {
			r.Fail("deletion", ErrCorrupt)
		}
		back, n = r.Varint("deletion"), r.Uvarint("deletion")
	default:
		r.Fail("deletion", ErrCorrupt)
	}
	d.by.Rep, d.target = c.by, LocalDot{c.target, d.by.Seq - uint64(back)}
	d.n, d.shape = n/uint64(shapes)+1, uint8(n%uint64(shapes))
	if r.err == nil && (d.n == 1 && d.shape != 0 || !d.sane(r.end)) {
		r.Fail("deletion", ErrCorrupt)
	}
	c.end, c.any = d.byEnd(), true
}

// sane checks a run from outside against the clock it came with.
func (d *deletion) sane(end []uint64) bool {
	by, target := end[d.by.Rep], end[d.target.Rep]
	switch {
	case d.n == 0 || d.by.Seq >= by || d.target.Seq >= target:
		return false
	case d.shape != shapeRange && d.n > by-d.by.Seq:
		return false
	case d.shape == shapeDown:
		return d.n <= d.target.Seq+1
	}
	return d.n <= target-d.target.Seq
}

// deletionRecord remembers the last deletions by the dots of the deleting operations, for deltas.
//
//  1. Every deletion by an applied operation is in runs, unless floor covers it.
//  2. There are at most max runs.
type deletionRecord struct {
	max   int
	runs  []deletion
	floor []uint64 // per replica: deletions below may be forgotten
	open  []deletion
	spilt []uint64 // raises floor when the open transaction is kept, which deletes more than the record holds
}

func (r *deletionRecord) init(max int) { r.max = max }

// noteDeletion adds to the open transaction's deletions.
func (r *Runtime) noteDeletion(n *Node, by, target LocalDot, k uint64) {
	if k == 0 {
		return
	}
	r.deletions.note(deletion{node: n, by: by, target: target, n: k})
}

func (d *deletionRecord) note(e deletion) {
	if l := len(d.open); l > 0 && d.open[l-1].extend(&e) {
		return
	}
	if len(d.open) >= 2*max(d.max, leastSpill) {
		d.spill()
	}
	d.open = append(d.open, e)
}

// leastSpill bounds how often spill is called.
const leastSpill = 64

// spill forgets the older half of the open transaction's deletions: the record would.
func (r *deletionRecord) spill() {
	gone := r.open[:len(r.open)/2]
	for i := range gone {
		r.spilt = raise(r.spilt, gone[i].by.Rep, gone[i].byEnd())
	}
	r.open = r.open[:copy(r.open, r.open[len(gone):])]
}

func (r *deletionRecord) discard() { r.open, r.spilt = r.open[:0], r.spilt[:0] }

// keep makes the open transaction's deletions part of the record.
func (r *deletionRecord) keep(rt *Runtime) {
	open := r.open
	if len(r.runs) == 0 && len(open) > 1 { // a load: its runs become the record's, in place
		r.runs, r.open = open[:0], nil
	}
	for i := range open { // in place: a copy of what was just written waits for it
		if l := len(r.runs); l > 0 && r.runs[l-1].extend(&open[i]) {
			continue
		}
		r.runs = append(r.runs, open[i])
	}
	r.open = r.open[:0]
	for rep, end := range r.spilt {
		r.raise(Rep(rep), end)
	}
	r.spilt = r.spilt[:0]
	if len(r.runs) > r.max {
		r.shrink(rt)
	}
}

// shrink forgets the oldest runs, a quarter more than it must, so that it is not called for each.
func (r *deletionRecord) shrink(rt *Runtime) {
	keep := max(0, r.max-r.max/4)
	gone := r.runs[:len(r.runs)-keep]
	for i := range gone {
		r.raise(gone[i].by.Rep, gone[i].byEnd())
	}
	n := copy(r.runs, r.runs[len(gone):])
	clear(r.runs[n:])
	r.runs = r.runs[:n]
}

func (r *deletionRecord) raise(rep Rep, end uint64) { r.floor = raise(r.floor, rep, end) }

func raise(floor []uint64, rep Rep, end uint64) []uint64 {
	for int(rep) >= len(floor) {
		floor = append(floor, 0)
	}
	floor[rep] = max(floor[rep], end)
	return floor
}

// deltaInfo is what a delta says of entries inside of its base.
type deltaInfo struct {
	live   bool
	byNode map[*Node][]deletion
}

// since collects the deletions that a holder of base may lack.
func (r *deletionRecord) since(base []uint64) *deltaInfo {
	if !within(r.floor, base) {
		return &deltaInfo{live: true}
	}
	info := &deltaInfo{byNode: make(map[*Node][]deletion)}
	for _, d := range r.runs {
		end := uint64(0)
		if int(d.by.Rep) < len(base) {
			end = base[d.by.Rep]
		}
		if d = d.after(end); d.n > 0 {
			info.byNode[d.node] = append(info.byNode[d.node], d)
		}
	}
	return info
}
