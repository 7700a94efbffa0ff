package sequence

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// # The delta form (normative)
//
// A delta is the elements whose dots lie outside a base clock, in list order, as runs: parts of the canonical
// spans of the state (see format.go), each with its origin stated.
//
//	delta   = head [ table run... ] [ text ]
//	head    = uvarint: number of runs * 2 + (1 if the sequence has content). 0 runs end the delta.
//	table   = as in a state, replicas numbered in the order of their first use by the runs, in each run first that
//	          of its dot, then that of its parent
//	run     = uvarint: (elements - 1) * 8 + (1 hidden) + (2 left child) + (4 the parent is the start of the list)
//	          uvarint: number of the replica, unless the table has one entry
//	          uvarint: zigzag code of seq - the end of that replica's last run before, or - 0
//	          unless the parent is the start of the list:
//	          uvarint: number of the parent's replica, unless the table has one entry
//	          uvarint: if that is the replica, seq - the parent's seq - 1; else the zigzag code of the parent's
//	          seq - the end of the last run of its replica before, or - 0
//	text    = the UTF-8 of the visible elements to the end of the input, only with content

// deltaState is what a decoded delta has beside a state: origins by dot.
type deltaState struct {
	origins []Origin
	sorted  []int32 // spans by dot
}

// deltaRun is a run of a delta as it is written.
type deltaRun struct {
	id     ID
	n      uint32
	origin Origin
	hidden bool
}

// AppendDelta appends the elements outside a base clock, to be merged by whoever has those inside: outside must
// hold a suffix of each replica's dots. rep is as for AppendState. Cost: O(spans).
func (s *Sequence) AppendDelta(dst []byte, rep func(uint32) int, outside func(ID) bool) []byte {
	runs, text := s.deltaRuns(outside)
	head := uint64(len(runs)) << 1
	if s.withText {
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	if len(runs) == 0 {
		return dst
	}
	var m numbering
	for i := range runs {
		m.of(runs[i].id.Rep)
		if o := &runs[i].origin; !o.Root {
			m.of(o.Parent.Rep)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.reps)))
	for _, r := range m.reps {
		dst = binary.AppendUvarint(dst, uint64(rep(r)))
	}
	ends := make([]uint64, len(m.reps))
	for i := range runs {
		dst = runs[i].append(dst, &m, ends)
	}
	return append(dst, text...)
}

func (r *deltaRun) append(dst []byte, m *numbering, ends []uint64) []byte {
	head := uint64(r.n-1) << 3
	for bit, set := range []bool{r.hidden, r.origin.Left, r.origin.Root} {
		if set {
			head |= 1 << bit
		}
	}
	number := m.of(r.id.Rep)
	dst = binary.AppendUvarint(dst, head)
	if len(ends) > 1 {
		dst = binary.AppendUvarint(dst, uint64(number))
	}
	dst = binary.AppendUvarint(dst, zigzag(int64(r.id.Seq-ends[number])))
	if !r.origin.Root {
		parent := r.origin.Parent
		other := m.of(parent.Rep)
		if len(ends) > 1 {
			dst = binary.AppendUvarint(dst, uint64(other))
		}
		if other == number {
			dst = binary.AppendUvarint(dst, r.id.Seq-parent.Seq-1)
		} else {
			dst = binary.AppendUvarint(dst, zigzag(int64(parent.Seq-ends[other])))
		}
	}
	ends[number] = r.id.Seq + uint64(r.n)
	return dst
}

// deltaRuns lists the runs outside the base, and their visible content.
func (s *Sequence) deltaRuns(outside func(ID) bool) (runs []deltaRun, text []byte) {
	last := root // the last element of the last run, if that is the element before
	s.eachPiece(func(p *piece) {
		k := prefix(p.id, p.n, func(id ID) bool { return !outside(id) })
		if k == p.n {
			last = root
			return
		}
		id := ID{p.id.Rep, p.id.Seq + uint64(k)}
		n := p.n - k
		if s.withText && !p.hidden {
			text = s.appendPart(text, p.first+k, n)
		}
		joins := k == 0 && !p.left && last != root && p.lorig == last
		if joins {
			r := &runs[len(runs)-1]
			joins = r.id.Rep == id.Rep && r.id.Seq+uint64(r.n) == id.Seq && r.hidden == p.hidden
		}
		if joins {
			runs[len(runs)-1].n += n
		} else {
			r := deltaRun{id: id, n: n, hidden: p.hidden}
			switch {
			case k > 0:
				r.origin.Parent = ID{id.Rep, id.Seq - 1}
			case p.parent == root:
				r.origin.Root = true
			default:
				r.origin = Origin{Parent: s.IDOf(p.parent), Left: p.left}
			}
			runs = append(runs, r)
		}
		last = p.first + p.n - 1
	})
	return runs, text
}

// appendPart appends the content of n visible elements of one span from lid on.
func (s *Sequence) appendPart(dst []byte, lid LID, n uint32) []byte {
	h, slot, k := s.locate(lid)
	sp := s.span(h, slot)
	from := sp.off + s.offset(sp, k)
	w := s.part(sp, k, n)
	return append(dst, s.content[from:from+w.vis+w.byt]...)
}

// DecodeDelta reads a delta that AppendDelta wrote; otherwise it is as Decode. The State is for Merge; Load takes
// it if it hangs from nothing outside itself.
func DecodeDelta(data []byte, rep func(int) (uint32, bool), lim Limits) (*State, error) {
	d := &decoder{st: &State{delta: &deltaState{}}, data: data}
	d.decodeDelta(rep, lim)
	if d.err != nil {
		return nil, d.err
	}
	return d.st, nil
}

func (d *decoder) decodeDelta(rep func(int) (uint32, bool), lim Limits) {
	head := d.uvarint("number of runs")
	d.st.content = head&1 != 0
	n := head >> 1
	switch {
	case d.err != nil:
		return
	case n == 0 && d.pos != len(d.data):
		d.fail("end", errCanonical)
		return
	case n == 0:
		return
	case n > uint64(len(d.data)-d.pos)/2 || n > maxElements: // a run takes at least two bytes
		d.fail("number of runs", errShort)
		return
	}
	if d.table(rep); d.err != nil {
		return
	}
	d.setLimits(lim)
	d.base = d.pos
	d.st.reserve(int(n))
	d.st.delta.origins = make([]Origin, 0, n)
	for i := range int(n) {
		if d.readRun(i); d.err != nil {
			return
		}
	}
	if d.seen != len(d.reps) {
		d.fail("replica", errors.New("not used"))
		return
	}
	if d.readText(d.data[d.pos:]); d.err != nil {
		return
	}
	for i := range d.st.runs {
		r := &d.st.runs[i]
		r.rep = d.reps[r.rep]
	}
	d.st.delta.sorted = d.st.byDot()
	if !d.st.distinct(d.st.delta.sorted) {
		d.fail("dots", errors.New("one occurs twice"))
	}
}

// replicaNumber reads the number of a replica.
func (d *decoder) replicaNumber() uint32 {
	if len(d.reps) == 1 {
		d.seen = 1
		return 0
	}
	v := d.uvarint("replica")
	if v > uint64(d.seen) || v >= uint64(len(d.reps)) {
		d.fail("replica", errCanonical)
		return 0
	}
	if v == uint64(d.seen) {
		d.seen++
	}
	return uint32(v)
}

// seqAfter reads a seq coded against the end of the last run of a replica.
func (d *decoder) seqAfter(number uint32) uint64 {
	v := d.uvarint("seq")
	seq := d.ends[number] + uint64(unzigzag(v))
	if seq >= maxSeq || v > 1<<55 {
		d.fail("seq", errors.New("out of range"))
		return 0
	}
	return seq
}

func (d *decoder) readRun(i int) {
	head := d.uvarint("run")
	n := head>>3 + 1
	if n > uint64(d.maxSum-d.st.count) {
		d.tooMany()
		return
	}
	number := d.replicaNumber()
	seq := d.seqAfter(number)
	o := Origin{Left: head&2 != 0, Root: head&4 != 0}
	if o.Left && o.Root {
		d.fail("origin", errors.New("a left child of the start"))
	}
	if !o.Root {
		parent := d.replicaNumber()
		o.Parent.Rep = d.reps[parent]
		if parent == number {
			delta := d.uvarint("parent")
			if delta >= seq {
				d.fail("parent", errors.New("out of range"))
			}
			o.Parent.Seq = seq - delta - 1
		} else {
			o.Parent.Seq = d.seqAfter(parent)
		}
	}
	if seq > maxSeq-n {
		d.fail("seq", errors.New("out of range"))
	}
	if d.err != nil {
		return
	}
	sp := d.st.at(i)
	*sp = span{first: d.st.count, n: uint32(n), parent: root, lorig: root, flags: uint32(head&1) * flagHidden}
	if o.Left {
		sp.flags |= flagLeft
	}
	d.st.record(sp, number, seq, i)
	d.ends[number] = seq + n
	d.st.delta.origins = append(d.st.delta.origins, o)
}

func compareRuns(x, y *run) int {
	return cmp.Or(cmp.Compare(x.rep, y.rep), cmp.Compare(x.seq, y.seq))
}

// parent is State.parent for a delta.
func (ds *deltaState) parent(st *State, i int) (id ID, in int, k uint32, isRoot bool) {
	o := &ds.origins[i]
	if o.Root {
		return ID{}, -1, 0, true
	}
	key := run{rep: o.Parent.Rep, seq: o.Parent.Seq}
	at, found := slices.BinarySearchFunc(ds.sorted, &key, func(a int32, x *run) int { return compareRuns(&st.runs[a], x) })
	if !found {
		at--
	}
	if at >= 0 {
		j := ds.sorted[at]
		if r := &st.runs[j]; r.rep == key.rep && key.seq-r.seq < uint64(st.at(int(j)).n) {
			return o.Parent, int(j), uint32(key.seq - r.seq), false
		}
	}
	return o.Parent, -1, 0, false
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
