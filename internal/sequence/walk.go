package sequence

import (
	"math/bits"
	"slices"
)

// piece is a part of a span whose dots are those of one run.
type piece struct {
	id     ID
	first  LID
	n      uint32
	parent LID
	lorig  LID
	left   bool
	hidden bool
}

// walk goes through the pieces in list order.
type walk struct {
	piece
	s    *Sequence
	runs runTable
	next uint32 // leaf
	l    *leaf
	slot int
	run  int // of the piece
	end  LID // of the span that the piece is in
}

// start puts w before the first piece of s.
func (w *walk) start(s *Sequence) {
	*w = walk{s: s, runs: w.runs, next: s.tree.first}
	w.runs.build(s)
}

// forward goes to the next piece and says whether there is one.
func (w *walk) forward() bool {
	if w.first+w.n != w.end {
		w.first += w.n
		w.run++
		w.parent, w.lorig, w.left = w.first-1, w.first-1, false
	} else {
		for w.l == nil || w.slot == int(w.l.n) {
			if w.next == 0 {
				return false
			}
			w.l, w.slot = w.s.leaves[w.next], 0
			w.next = w.l.next
		}
		sp := &w.l.spans[w.slot]
		w.slot++
		w.first, w.parent, w.lorig, w.left, w.hidden = sp.first, sp.parent, sp.lorig, sp.flags&flagLeft != 0, sp.hidden()
		w.end = sp.first + sp.n
		w.run = w.runs.find(w.s.runs, sp.first)
	}
	r := &w.s.runs[w.run]
	w.n = min(w.s.runEnd(w.run), w.end) - w.first
	w.id = ID{r.rep, r.seq + uint64(w.first-r.lid)}
	return true
}

// eachPiece calls f for every piece in list order. The piece is reused.
func (s *Sequence) eachPiece(f func(p *piece)) {
	var w walk
	for w.start(s); w.forward(); {
		f(&w.piece)
	}
}

// runTable finds the runs of many elements that stand in no order: entry i is the run of element i<<shift.
type runTable struct {
	first []uint32
	shift uint8
}

// build makes t one of the runs of s. Cost: O(runs).
func (t *runTable) build(s *Sequence) {
	if s.count == 0 {
		return
	}
	t.shift = uint8(max(0, bits.Len32(s.count-1)-bits.Len(uint(8*len(s.runs)))))
	n := int(s.count-1)>>t.shift + 2
	t.first = slices.Grow(t.first[:0], n)[:n]
	clear(t.first)
	round := uint32(1)<<t.shift - 1
	for i := range s.runs {
		t.first[(s.runs[i].lid+round)>>t.shift] = uint32(i)
	}
	last := uint32(0)
	for at, i := range t.first {
		last = max(last, i)
		t.first[at] = last
	}
}

// find returns the run that holds lid. It has no branch that nothing could predict.
func (t *runTable) find(runs []run, lid LID) int {
	at := lid >> t.shift
	lo, hi := int(t.first[at]), int(t.first[at+1])
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); runs[mid].lid <= lid {
			lo = mid
		} else {
			hi = mid
		}
	}
	below := int((uint64(lid) - uint64(runs[hi].lid)) >> 63)
	return hi - below&(hi-lo)
}
