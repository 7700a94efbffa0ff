package sequence

import (
	"encoding/binary"
	"slices"
)

// # The delta form (normative)
//
// A delta is the elements whose dots lie outside a base clock, by replica (in their order) and then seq. A run of it is a
// longest run of elements with consecutive dots, each after the first the right child of the one before, all visible or
// all hidden.
//
//	delta   = head [ table group... ] [ text ]
//	head    = uvarint: number of runs * 2 + (1 if the sequence has content). 0 runs end the delta.
//	table   = as in a state, replicas numbered in the order of their first use by groups and parents
//	group   = uvarint: number of the replica, unless the table has one entry
//	          uvarint: its runs, 0 if no other group follows; then these
//	run     = uvarint: (elements - 1) * 16 + (8 if a gap is stated) + (4 hidden) + place of the first element
//	          if so, uvarint: gap between the first dot and the end of the run before in the group, at first of the base;
//	          not stated, it is 0, but with place 1 the length of the run before
//	          with place 2 its parent: uvarint: number of the replica, unless the table has one entry, * 2 + (1 if it is
//	          a left child); uvarint: if that is the group's, seq - the parent's - 1; else the zigzag code of the
//	          parent's seq - that of the parent of this replica that was stated before, or - 0
//	text    = the UTF-8 of the visible elements to the end of the input, only with content
//
//	place 0  right child of the dot before the gap
//	place 1  left child of the first element of the run before in the group; there is one
//	place 2  child of the parent that is stated
//	place 3  right child of the start of the list
//
// A place stands for what no place before it says.

const (
	placeAfter = iota
	placeBefore
	placeParent
	placeStart

	runHidden = 4
	runGap    = 8
	runLength = 4 // shift
)

// deltaState is what a decoded delta has beside a state. The parent of a run's first element is span.parent, a place in the
// delta; if that is root, it is origins[span.lorig], or if that is root too, the start of the list.
type deltaState struct {
	origins []ID
	groups  []deltaGroup
	byRep   map[uint32]int // place in groups; nil while they are few
}

// deltaGroup is the spans [from, to) of one replica, by seq.
type deltaGroup struct {
	rep      uint32
	from, to int
}

// fewGroups is up to where groups are searched one by one.
const fewGroups = 8

// part is a part of a span outside of a base, with its dots.
type part struct {
	id     ID
	lid    LID
	n      uint32
	parent LID // of the first element; root: the start
	left   bool
	hidden bool
	off    uint32 // content
	bytes  uint32
}

// joins says whether q continues p as elements of one run.
func (p *part) joins(q *part) bool {
	return q.id.Rep == p.id.Rep && q.id.Seq == p.id.Seq+uint64(p.n) && q.hidden == p.hidden && !q.left && q.parent == p.lid+p.n-1
}

// AppendDelta appends the elements outside a base clock, whose end for each replica base returns, to be merged by whoever has
// those inside. rep is as for AppendState. Cost: as EachOutside.
func (s *Sequence) AppendDelta(dst []byte, rep func(uint32) int, base func(rep uint32) uint64) []byte {
	parts := s.outside(base)
	runs := 0
	for i := range parts {
		if i == 0 || !parts[i-1].joins(&parts[i]) {
			runs++
		}
	}
	head := uint64(runs) << 1
	if s.withText {
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	if runs == 0 {
		return dst
	}
	w := deltaWriter{s: s, base: base}
	body := w.groups(parts)
	dst = binary.AppendUvarint(dst, uint64(len(w.reps.reps)))
	for _, r := range w.reps.reps {
		dst = binary.AppendUvarint(dst, uint64(rep(r)))
	}
	dst = append(dst, body...)
	if s.withText {
		for i := range parts {
			p := &parts[i]
			dst = append(dst, s.content[p.off:p.off+p.bytes]...)
		}
	}
	return dst
}

// deltaWriter writes the groups of a delta.
type deltaWriter struct {
	s       *Sequence
	base    func(uint32) uint64
	reps    numbering
	parents []uint64 // by number: seq of the last parent that was stated
	one     bool     // the table has one entry
	out     []byte
}

func (w *deltaWriter) groups(parts []part) []byte {
	w.one = true
	for i := range parts {
		w.one = w.one && parts[i].id.Rep == parts[0].id.Rep
	}
	for begin := w.one; ; begin = false { // again, if a parent is of another replica
		w.reps, w.parents, w.out = numbering{}, nil, w.out[:0]
		for rest := parts; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].id.Rep == rest[0].id.Rep {
				n++
			}
			w.group(rest[:n], n == len(rest))
			rest = rest[n:]
		}
		if w.one = len(w.reps.reps) == 1; w.one == begin || !begin {
			return w.out
		}
	}
}

func (w *deltaWriter) group(parts []part, last bool) {
	rep := parts[0].id.Rep
	number := w.number(rep)
	if !w.one {
		w.out = binary.AppendUvarint(w.out, uint64(number))
	}
	runs := 0
	if !last {
		for i := range parts {
			if i == 0 || !parts[i-1].joins(&parts[i]) {
				runs++
			}
		}
	}
	w.out = binary.AppendUvarint(w.out, uint64(runs))
	before := part{id: ID{rep, w.base(rep)}} // no run, but an end
	for len(parts) > 0 {
		run := parts[0]
		k := 1
		for ; k < len(parts) && parts[k-1].joins(&parts[k]); k++ {
			run.n += parts[k].n
		}
		w.run(&run, &before, number)
		before = run
		parts = parts[k:]
	}
}

func (w *deltaWriter) run(r, before *part, number uint32) {
	end := before.id.Seq + uint64(before.n)
	place, expected := placeParent, uint64(0)
	var parent ID
	switch {
	case r.parent == root:
		place = placeStart
	case r.left && before.n > 0 && r.parent == before.lid:
		place, expected = placeBefore, uint64(before.n)
	default:
		if parent = w.s.IDOf(r.parent); !r.left && end > 0 && parent == (ID{r.id.Rep, end - 1}) {
			place = placeAfter
		}
	}
	head := uint64(r.n-1)<<runLength | uint64(place)
	if r.hidden {
		head |= runHidden
	}
	gap := r.id.Seq - end
	if gap == expected {
		w.out = binary.AppendUvarint(w.out, head)
	} else {
		w.out = binary.AppendUvarint(binary.AppendUvarint(w.out, head|runGap), gap)
	}
	if place != placeParent {
		return
	}
	other := w.number(parent.Rep)
	side := uint64(0)
	if r.left {
		side = 1
	}
	if !w.one {
		side |= uint64(other) << 1
	}
	w.out = binary.AppendUvarint(w.out, side)
	if other == number {
		w.out = binary.AppendUvarint(w.out, r.id.Seq-parent.Seq-1)
		return
	}
	w.out = binary.AppendUvarint(w.out, zigzag(int64(parent.Seq-w.parents[other])))
	w.parents[other] = parent.Seq
}

func (w *deltaWriter) number(rep uint32) uint32 {
	n := w.reps.of(rep)
	if int(n) == len(w.parents) {
		w.parents = append(w.parents, 0)
	}
	return n
}

// EachOutside calls f for the elements whose dots lie outside a base clock, as runs of dots, in the order of AppendDelta.
// Cost: in proportion to what there is outside, times log n, once the indexes are there that integrating builds; else O(runs
// of dots + spans) besides, without building any.
func (s *Sequence) EachOutside(base func(rep uint32) uint64, f func(lid LID, n int, id ID, visible bool)) {
	parts := s.outside(base)
	for i := range parts {
		p := &parts[i]
		f(p.lid, int(p.n), p.id, !p.hidden)
	}
}

// outside returns the elements outside a base clock, by replica and seq.
func (s *Sequence) outside(base func(rep uint32) uint64) []part {
	runs := s.runsOutside(base)
	if len(runs) == 0 {
		return nil
	}
	parts := s.partsOf(runs)
	slices.SortFunc(parts, func(a, b part) int { return s.compareIDs(a.id, b.id) })
	return parts
}

// lidRun is n elements from lid on with the dots from id on.
type lidRun struct {
	lid LID
	n   uint32
	id  ID
}

// runsOutside returns the runs of dots outside a base clock.
func (s *Sequence) runsOutside(base func(rep uint32) uint64) []lidRun {
	var out []lidRun
	take := func(i int, end uint64) {
		r := &s.runs[i]
		n := s.runEnd(i) - r.lid
		k := uint32(0)
		if r.seq < end {
			k = uint32(min(end-r.seq, uint64(n)))
		}
		if k < n {
			out = append(out, lidRun{r.lid + k, n - k, ID{r.rep, r.seq + uint64(k)}})
		}
	}
	if d := s.dots.Load(); d != nil {
		for rep, rr := range d.byRep {
			end := base(rep)
			for _, i := range rr.runs[max(0, s.floorRun(rr, end)):] {
				take(int(i), end)
			}
		}
	} else {
		var rep uint32
		end, known := uint64(0), false
		for i := range s.runs {
			if r := &s.runs[i]; !known || r.rep != rep {
				rep, end, known = r.rep, base(r.rep), true
			}
			take(i, end)
		}
	}
	slices.SortFunc(out, func(a, b lidRun) int { return int(int64(a.lid) - int64(b.lid)) })
	return out
}

// scanShare is how many spans a scan passes while an element is located.
const scanShare = 8

// partsOf cuts runs, which ascend by LID, into parts of spans.
func (s *Sequence) partsOf(runs []lidRun) []part {
	parts := make([]part, 0, len(runs)+len(runs)/8)
	cut := func(sp *span, r *lidRun) {
		k := max(sp.first, r.lid) - sp.first
		n := min(sp.first+sp.n, r.lid+r.n) - sp.first - k
		p := part{lid: sp.first + k, n: n, hidden: sp.hidden()}
		p.id = ID{r.id.Rep, r.id.Seq + uint64(p.lid-r.lid)}
		p.parent, _, p.left = sp.origin(k)
		if s.withText && !p.hidden {
			w := s.part(sp, k, n)
			p.off, p.bytes = sp.off+s.offset(sp, k), w.vis+w.byt
		}
		parts = append(parts, p)
	}
	if s.index.Load() != nil && len(runs) < len(s.leaves)*loadFill/scanShare {
		for i := range runs {
			for r := runs[i]; r.n > 0; {
				h, slot, k := s.locate(r.lid)
				sp := s.span(h, slot)
				cut(sp, &r)
				n := min(r.n, sp.n-k)
				r.lid, r.n, r.id.Seq = r.lid+n, r.n-n, r.id.Seq+uint64(n)
			}
		}
		return parts
	}
	first, end := runs[0].lid, runs[len(runs)-1].lid+runs[len(runs)-1].n
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			sp := &l.spans[i]
			if sp.first+sp.n <= first || sp.first >= end {
				continue
			}
			at, found := slices.BinarySearchFunc(runs, sp.first, func(r lidRun, lid LID) int { return int(int64(r.lid) - int64(lid)) })
			if !found && at > 0 && runs[at-1].lid+runs[at-1].n > sp.first {
				at--
			}
			for ; at < len(runs) && runs[at].lid < sp.first+sp.n; at++ {
				cut(sp, &runs[at])
			}
		}
	}
	return parts
}

// LiveRuns returns the dots of the visible elements that lie inside a base clock, whose end for each replica inside
// returns, joined and sorted by replica and seq. Cost: O(spans log spans).
func (s *Sequence) LiveRuns(inside func(rep uint32) uint64) []IDSpan {
	var all []IDSpan
	s.eachPiece(func(p *piece) {
		if end := inside(p.id.Rep); !p.hidden && p.id.Seq < end {
			n := min(uint64(p.n), end-p.id.Seq)
			all = append(all, IDSpan{p.id, int(n)})
		}
	})
	slices.SortFunc(all, func(a, b IDSpan) int { return s.compareIDs(a.ID, b.ID) })
	out := all[:0]
	for _, d := range all {
		out = joinDots(out, 0, d)
	}
	return out
}
