package runtime

import (
	"slices"
	"sort"
)

// StateReader gives Merge the other side's state of one object, or the part of it that a delta carries.
type StateReader struct {
	Reader
	node *Node
	base []uint64 // per replica: what a delta presumes; nil for a full state
	end  []uint64 // per replica: what the other side has applied
	ours []uint64 // per replica: what this object held before
	live bool     // listed are the live dots within base, else the deleted ones
	list []dotRun // sorted by (Rep, Seq), for lookup
}

// Node returns the object's place in the document.
func (r *StateReader) Node() *Node { return r.node }

// Delta reports whether the payload lists only entries outside of a base; entries inside of it are told by Deleted.
func (r *StateReader) Delta() bool { return r.base != nil }

// Known reports whether this object has seen the operation: if it made an entry that is not here, that was deleted here.
func (r *StateReader) Known(d LocalDot) bool { return covers(r.ours, d) }

// KnownEnd returns how many dots of a replica this object has seen.
func (r *StateReader) KnownEnd(rep Rep) uint64 {
	if int(rep) < len(r.ours) {
		return r.ours[rep]
	}
	return 0
}

// EndOf returns how many dots of a replica the other side has applied.
func (r *StateReader) EndOf(rep Rep) uint64 {
	if int(rep) < len(r.end) {
		return r.end[rep]
	}
	return 0
}

// Listed reports whether the payload would list the entry made by d if the other side had it: d is outside of the base
// and the other side has seen it.
func (r *StateReader) Listed(d LocalDot) bool { return covers(r.end, d) && !covers(r.base, d) }

// Deleted reports whether the other side has deleted the entry made by d. The caller has seen to it that the payload does
// not list it.
func (r *StateReader) Deleted(d LocalDot) bool {
	switch {
	case !covers(r.end, d):
		return false
	case !covers(r.base, d):
		return true
	}
	return r.listed(d) != r.live
}

// DeletedRuns yields those of the n dots from d on, all inside of the base, that the other side has deleted, as runs. It
// is Deleted for runs.
func (r *StateReader) DeletedRuns(d LocalDot, n uint64, yield func(d LocalDot, n uint64)) {
	for n > 0 {
		k, in := r.stretch(d, n)
		if in != r.live {
			yield(d, k)
		}
		d.Seq += k
		n -= k
	}
}

// GoneRuns yields the dots that the other side says it has deleted inside of the base, as runs, whether there were entries
// here or not. It returns false if it says what is alive instead: then DeletedRuns tells, of what is here.
func (r *StateReader) GoneRuns(yield func(d LocalDot, n uint64)) bool {
	if r.live {
		return false
	}
	for _, x := range r.list {
		if base := r.Base(x.dot.Rep); x.dot.Seq < base {
			yield(x.dot, min(x.n, base-x.dot.Seq))
		}
	}
	return true
}

// Base returns the end of the base for a replica: dots below it are not listed in the payload.
func (r *StateReader) Base(rep Rep) uint64 {
	if int(rep) < len(r.base) {
		return r.base[rep]
	}
	return 0
}

// Spend takes n from what one state may list in places (Limits.Places), over all its objects. An object calls it before it
// makes anything of n elements that the payload names in fewer bytes than n. It returns *LimitError if that is too many:
// Merge must return it, and the whole state is refused.
func (r *StateReader) Spend(n int) error {
	rt := r.node.rt
	rt.places += uint64(n)
	if most := uint64(rt.bounds().Places); rt.places > most {
		return &LimitError{"Places", rt.places, most}
	}
	return nil
}

func compareRun(a, b LocalDot) int {
	switch {
	case a.Rep != b.Rep:
		return int(int64(a.Rep) - int64(b.Rep))
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

func (r *StateReader) listed(d LocalDot) bool {
	_, in := r.stretch(d, 1)
	return in
}

// stretch returns how many of the n dots from d on share d's being listed or not.
func (r *StateReader) stretch(d LocalDot, n uint64) (uint64, bool) {
	i := sort.Search(len(r.list), func(i int) bool {
		x := r.list[i]
		return x.dot.Rep > d.Rep || x.dot.Rep == d.Rep && x.dot.Seq+x.n > d.Seq
	})
	if i == len(r.list) || r.list[i].dot.Rep != d.Rep {
		return n, false
	}
	x := r.list[i]
	if x.dot.Seq > d.Seq {
		return min(n, x.dot.Seq-d.Seq), false
	}
	return min(n, x.dot.Seq+x.n-d.Seq), true
}

// readLive reads what StateWriter.runs wrote.
func (r *StateReader) readLive() {
	k := r.Count("live runs", 3)
	at := uint64(0)
	last := ^uint64(0)
	for range k {
		i := r.Uvarint("live run")
		rep, ok := r.RepAt(int(min(i, 1<<31-1)))
		if !ok {
			r.Fail("live run", ErrCorrupt)
			return
		}
		if i != last {
			at = 0
		}
		gap, n := r.Uvarint("live run"), r.Uvarint("live run")
		if end := r.Base(rep); gap > end-min(at, end) || n >= end-at-gap {
			r.Fail("live run", ErrCorrupt)
			return
		}
		r.list = append(r.list, dotRun{LocalDot{rep, at + gap}, n + 1})
		at, last = at+gap+n+1, i
	}
	r.sortList()
}

// readDeletions reads the deletions of a delta; they go to this runtime's own record too.
func (r *StateReader) readDeletions() {
	k := r.Count("deletions", 1)
	r.list = make([]dotRun, 0, k)
	var c deletionCoder
	for range k {
		var d deletion
		if c.read(r, &d); r.err != nil {
			return
		}
		r.list = append(r.list, d.targets())
		d.node = r.node
		r.node.rt.deletions.note(d)
	}
	r.sortList()
}

func (r *StateReader) sortList() {
	slices.SortFunc(r.list, func(a, b dotRun) int { return compareRun(a.dot, b.dot) })
	out := r.list[:0]
	for _, x := range r.list {
		if k := len(out); k > 0 && out[k-1].dot.Rep == x.dot.Rep && out[k-1].dot.Seq+out[k-1].n >= x.dot.Seq {
			out[k-1].n = max(out[k-1].n, x.dot.Seq+x.n-out[k-1].dot.Seq)
		} else {
			out = append(out, x)
		}
	}
	r.list = out
}
