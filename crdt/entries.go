package crdt

import (
	"bytes"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// writeEntry is one write that no other has replaced: its stamp and the author's bytes, which never change.
type writeEntry struct {
	runtime.Stamp
	val []byte
}

func (e writeEntry) madeBy() runtime.LocalDot { return e.Dot }

// findEntry returns where the entry of d stands, or belongs, in entries, which are in dot order.
func findEntry(rt *runtime.Runtime, entries []writeEntry, d runtime.LocalDot) (int, bool) {
	if n := len(entries); n == 0 || rt.CompareDots(entries[n-1].Dot, d) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(entries, d, func(e writeEntry, d runtime.LocalDot) int { return rt.CompareDots(e.Dot, d) })
}

// winnerOf returns the index of the entry with the greatest stamp, -1 if there is none.
func winnerOf(rt *runtime.Runtime, entries []writeEntry) int {
	best := len(entries) - 1
	for i := range entries {
		if rt.CompareStamps(entries[i].Stamp, entries[best].Stamp) > 0 {
			best = i
		}
	}
	return best
}

// rawValues is a set of concurrent values as an event carries it: the bytes in dot order, and which one wins.
type rawValues struct {
	all    [][]byte
	winner int
}

func (v rawValues) equal(u rawValues) bool {
	return v.winner == u.winner && slices.EqualFunc(v.all, u.all, bytes.Equal)
}

// captureValues copies what entries hold, so that it outlives the transaction.
func captureValues(rt *runtime.Runtime, entries []writeEntry) rawValues {
	v := rawValues{winner: winnerOf(rt, entries)}
	for i := range entries {
		v.all = append(v.all, bytes.Clone(entries[i].val))
	}
	return v
}

// Operation codes of the types whose entries are made by dots. These numbers are part of format version 1 and must not
// change; TestOperationBytes pins them.
const (
	opWrite     = 1 // replaces nothing: [key] value
	opWriteOver = 2 // replaces one entry: dot [key] value
	opWriteMany = 3 // replaces several: runs [key] value
	opErase     = 4 // removes one entry: dot [key]
	opEraseMany = 5 // removes several: runs [key]
	opClear     = 6 // keyed types: removes entries of any keys: runs
)

// dotRun is the dots [lo, hi] of one replica.
type dotRun struct {
	rep    runtime.Rep
	lo, hi uint64
}

// writeOver writes the code and the dots that an operation replaces: one of the three codes from code0 on, where there is
// a form for none, or of the two from code1 on.
func writeOver(w *runtime.OpWriter, code0, code1 byte, dots []runtime.LocalDot) {
	switch len(dots) {
	case 0:
		w.Byte(code0)
	case 1:
		w.Byte(code1)
		w.Ref(dots[0])
	default:
		w.Byte(code1 + 1)
		writeRuns(w, dots)
	}
}

// writeRuns writes dots, which it sorts, run-length coded; it is how every operation names what it replaces or removes:
//
//	runs := uvarint(replicas) group*
//	group := last dot, run, (uvarint(gap - 1), run)*     from the last run of the replica to the first
//	run := uvarint((dots - 1)<<1 | another run follows)
//
// The last dot stands first so that the message's table tells how far the operation reaches.
func writeRuns(w *runtime.OpWriter, dots []runtime.LocalDot) {
	runs := runsOf(dots)
	groups := 0
	for i := range runs {
		if i == 0 || runs[i].rep != runs[i-1].rep {
			groups++
		}
	}
	w.Uvarint(uint64(groups))
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if last := i == len(runs)-1 || runs[i+1].rep != r.rep; last {
			w.Ref(runtime.LocalDot{Rep: r.rep, Seq: r.hi})
		} else {
			w.Uvarint(runs[i+1].lo - r.hi - 2)
		}
		more := uint64(0)
		if i > 0 && runs[i-1].rep == r.rep {
			more = 1
		}
		w.Uvarint((r.hi-r.lo)<<1 | more)
	}
}

// readRuns appends what writeRuns wrote to runs, which is empty: sorted by (Rep, Seq), and apart.
func readRuns(r *runtime.Reader, runs []dotRun) []dotRun {
	for range r.Count("replicas", 3) {
		d := r.Dot("last dot")
		top := d.Seq + 1
		for more := true; more && r.Err() == nil; {
			head := r.Uvarint("run")
			if more = head&1 != 0; head>>1 >= top {
				r.Fail("run", runtime.ErrCorrupt)
				break
			}
			runs = append(runs, dotRun{d.Rep, top - 1 - head>>1, top - 1})
			if top -= head>>1 + 1; more {
				gap := r.Uvarint("gap")
				if gap >= top {
					r.Fail("gap", runtime.ErrCorrupt)
					break
				}
				top -= gap + 1
			}
		}
	}
	slices.SortFunc(runs, func(a, b dotRun) int { return compareLocal(a.first(), b.first()) })
	for i := 1; i < len(runs); i++ {
		if runs[i].rep == runs[i-1].rep && runs[i].lo <= runs[i-1].hi {
			r.Fail("runs", runtime.ErrCorrupt)
		}
	}
	return runs
}

func (r dotRun) first() runtime.LocalDot { return runtime.LocalDot{Rep: r.rep, Seq: r.lo} }

// compareLocal orders dots within one runtime, for lookup only: replica numbers mean nothing elsewhere.
func compareLocal(a, b runtime.LocalDot) int {
	switch {
	case a.Rep < b.Rep, a.Rep == b.Rep && a.Seq < b.Seq:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// runsOf sorts dots and returns them as runs.
func runsOf(dots []runtime.LocalDot) []dotRun {
	slices.SortFunc(dots, compareLocal)
	runs := make([]dotRun, 0, min(len(dots), 16))
	for _, d := range dots {
		if k := len(runs) - 1; k >= 0 && runs[k].rep == d.Rep && runs[k].hi+1 >= d.Seq {
			runs[k].hi = d.Seq
		} else {
			runs = append(runs, dotRun{d.Rep, d.Seq, d.Seq})
		}
	}
	return runs
}

// inRuns reports whether d is in one of the runs, which are sorted and apart.
func inRuns(runs []dotRun, d runtime.LocalDot) bool {
	i, ok := slices.BinarySearchFunc(runs, d, func(r dotRun, d runtime.LocalDot) int { return compareLocal(r.first(), d) })
	return ok || i > 0 && runs[i-1].rep == d.Rep && d.Seq <= runs[i-1].hi
}

// reportRemoved reports the dots that an operation removed, which it sorts, to the deletion record.
func reportRemoved(op *runtime.Op, dots []runtime.LocalDot) {
	if len(dots) == 1 {
		op.Removed(dots[0], 1)
		return
	}
	for _, r := range runsOf(dots) {
		op.Removed(r.first(), r.hi-r.lo+1)
	}
}
