package crdt

import (
	"fmt"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// The part of a state that List and ObjectList share:
//
//	places = bytes, the state or delta of the sequence; empty if nothing lies outside of a delta's base
//	         uvarint: number of moved, then for each, in the order of the sequence:
//	         uvarint: elements of the sequence since the one before, or since the start * 2 + (1 if an element stands there)
//	         if so: the dot of the element; varint: Lamport timestamp - seq of the place - 1
//
// moved are the places that moves made, among those that the sequence's part lists. This is part of format version 1.

// save appends the places that lie outside of a delta's base. It returns those for which keep says true, in order, and
// whether it wrote anything: it does not if there are no places and nothing else is to be written.
func (p *places) save(w *runtime.StateWriter, more bool, keep func(l lid, visible bool) bool) (kept []lid, wrote bool) {
	var seq []byte
	w.Append(func(dst []byte, number func(runtime.Rep) int) []byte {
		seq = appendSequence(nil, p.seq, w, number)
		return dst
	})
	if len(seq) == 0 && !more {
		return nil, false
	}
	w.Bytes(seq)
	var moves []lid
	var at []uint64 // of moves
	n := uint64(0)
	list := func(l lid, visible bool) {
		if len(p.of) > 0 {
			if _, ok := p.of[l]; ok {
				moves, at = append(moves, l), append(at, n)
			}
		}
		if n++; keep(l, visible) {
			kept = append(kept, l)
		}
	}
	if w.Delta() {
		p.seq.EachOutside(w.BaseOf, func(l lid, n int, _ sequence.ID, visible bool) {
			for k := range n {
				list(l+lid(k), visible)
			}
		})
	} else {
		for l, visible := range p.seq.All() {
			list(l, visible)
		}
	}
	p.saveMoves(w, moves, at)
	return kept, true
}

func (p *places) saveMoves(w *runtime.StateWriter, moves []lid, at []uint64) {
	w.Uvarint(uint64(len(moves)))
	next := uint64(0)
	for k, l := range moves {
		e := p.of[l]
		head := (at[k] - next) << 1
		if next = at[k] + 1; e == noElement {
			w.Uvarint(head)
			continue
		}
		w.Uvarint(head | 1)
		w.Dot(p.dot(e))
		w.Varint(int64(p.moved[e].lamport) - int64(p.dot(l).Seq) - 1)
	}
}

// merge joins the places of a state or delta. It calls listed for the elements that are alive there, in the order of their
// first places: n of them, from place k of the piece on, and if they were not here, e is the first and they are made now;
// else e is noElement. kill ends an element that was here.
func (p *places) merge(r *runtime.StateReader, x *listing, kill func(lid), listed func(x *piece, k, n int, e lid) error) error {
	if x.seq == nil {
		return nil
	}
	loaded := p.seq.Elements() == 0 && !r.Delta() && !x.known
	if err := p.mergeSequence(x.seq, loaded, r); err != nil {
		return err
	}
	for q := range x.pieces {
		if err := p.mergePiece(q, loaded, kill, listed); err != nil {
			return err
		}
	}
	for q := range x.pieces {
		if q.move != nil && !q.known {
			if err := p.mergeMove(r, q.move, q.id(0)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *places) mergePiece(q *piece, loaded bool, kill func(lid), listed func(q *piece, k, n int, e lid) error) error {
	if q.move != nil {
		return nil
	}
	if loaded {
		if q.alive() {
			return listed(q, 0, int(q.n), lid(q.at))
		}
		return nil
	}
	switch {
	case q.alive() && q.known:
		return listed(q, 0, int(q.n), noElement)
	case q.alive() || q.known:
		for k := range int(q.n) {
			e, ok := p.find(q.id(k))
			if !ok {
				return fmt.Errorf("%w: an element is missing", runtime.ErrCorrupt)
			}
			if !q.known {
				if err := listed(q, k, 1, e); err != nil {
					return err
				}
			} else if p.alive(e) {
				kill(e)
			}
		}
	}
	return nil
}

// mergeMove settles who stands at a place that was not here.
func (p *places) mergeMove(r *runtime.StateReader, m *listedMove, id sequence.ID) error {
	l, _ := p.seq.LIDOf(id)
	if !m.stands {
		p.setOf(l, noElement)
		return nil
	}
	e, ok := p.find(m.elem)
	if !ok {
		return fmt.Errorf("%w: an element is missing", runtime.ErrCorrupt)
	}
	p.arrive(l, m.lamport, e, !r.Known(runtime.LocalDot(m.elem)) || p.alive(e))
	return nil
}

func (p *places) mergeSequence(d *sequence.State, load bool, r *runtime.StateReader) error {
	if load {
		err := p.seq.Load(d)
		if err == nil && p.active {
			items := make([]lid, 0, p.len())
			for l := range p.seq.Live(0, p.len()) {
				items = append(items, l)
			}
			p.changes.insert(0, items...)
		}
		return stateError(err)
	}
	ev := sequence.Events{KeepVisibility: true}
	if p.active {
		ev.Inserted = func(l sequence.LID, n int, _ sequence.ID, _, index int, hidden bool) {
			if !hidden {
				p.insertedAt(index, l, n)
			}
		}
	}
	return stateError(p.seq.Merge(d, func(id sequence.ID) bool { return r.Known(runtime.LocalDot(id)) }, ev))
}

// mergeDeleted ends the living elements inside of a delta's base that were deleted there.
func (p *places) mergeDeleted(r *runtime.StateReader, kill func(lid)) error {
	if !r.Delta() {
		return nil
	}
	var gone []lid
	if r.GoneRuns(func(d runtime.LocalDot, n uint64) {
		p.seq.EachElement(sequence.ID(d), n, func(l lid, n int) {
			for k := range lid(n) {
				if _, move := p.of[l+k]; !move && p.alive(l+k) {
					gone = append(gone, l+k)
				}
			}
		})
	}) {
		for _, e := range gone {
			kill(e)
		}
		return nil
	}
	var err error
	p.livingDots(func(d runtime.LocalDot, n uint64) {
		base := r.Base(d.Rep)
		if d.Seq >= base {
			return
		}
		r.DeletedRuns(d, min(n, base-d.Seq), func(d runtime.LocalDot, n uint64) {
			for k := range n {
				e, ok := p.find(sequence.ID{Rep: d.Rep, Seq: d.Seq + k})
				if !ok {
					err = fmt.Errorf("%w: an element is missing", runtime.ErrCorrupt)
					return
				}
				gone = append(gone, e)
			}
		})
	})
	for _, e := range gone {
		kill(e)
	}
	return err
}

// The state of a List is places, then
//
//	sets   = uvarint: number, then for each in the order of the elements' dots: the element's dot, the stamp, and unless
//	         places list the element: bytes, the value
//	values = for each living element that places list, in the order of the places where they stand: its value
//
// sets are the elements whose value was set, by a set outside of a delta's base. This is part of format version 1.

// Save implements runtime.Object.
func (st *listState) Save(w *runtime.StateWriter) {
	sets := make([]lid, 0, len(st.sets))
	for e, s := range st.sets {
		if w.Outside(s.Dot) {
			sets = append(sets, e)
		}
	}
	st.sortByDot(sets)
	shown, wrote := st.save(w, len(sets) > 0, func(_ lid, visible bool) bool { return visible })
	if !wrote {
		return
	}
	w.Uvarint(uint64(len(sets)))
	for _, e := range sets {
		w.Dot(st.dot(e))
		w.Stamp(st.sets[e])
		if !w.Outside(st.dot(e)) {
			w.Bytes(st.value(e))
		}
	}
	for _, l := range shown {
		if e := st.element(l); w.Outside(st.dot(e)) {
			w.Raw(st.value(e))
		}
	}
}

// Merge implements runtime.Object.
func (st *listState) Merge(r *runtime.StateReader) error {
	st.begin(st.observers.Active())
	if r.Len() > 0 {
		if err := st.mergeListed(r); err != nil {
			return err
		}
	}
	return st.mergeDeleted(r, st.drop)
}

// listedSet is a set of a state.
type listedSet struct {
	elem  sequence.ID
	stamp runtime.Stamp
	val   []byte
}

func (st *listState) mergeListed(r *runtime.StateReader) error {
	x, err := readListing(r)
	if err != nil {
		return err
	}
	sets, err := x.readSets(r)
	if err != nil {
		return err
	}
	if err := x.seek(); err != nil {
		return err
	}
	values, err := x.readValues(r)
	if err != nil {
		return err
	}
	listed := func(q *piece, k, n int, e lid) error {
		if e == noElement {
			return nil
		}
		for i := range n {
			val := values.of(q, k+i)
			if len(val) == 0 {
				return fmt.Errorf("%w: an element has no value", runtime.ErrCorrupt)
			}
			if err := st.room(len(val)); err != nil {
				return err
			}
			st.vals.set(e+lid(i), st.store(val))
		}
		return nil
	}
	if err := st.merge(r, x, st.drop, listed); err != nil {
		return err
	}
	for _, s := range sets {
		if e := x.find(s.elem); e != nil && e.at >= 0 {
			s.val = values.bytes(e.value)
		}
		if err := st.mergeSet(s); err != nil {
			return err
		}
	}
	return nil
}

func (x *listing) readSets(r *runtime.StateReader) ([]listedSet, error) {
	var sets []listedSet
	for range r.Count("sets", 5) {
		s := listedSet{elem: sequence.ID(r.Dot("element")), stamp: r.Stamp("set")}
		if !r.Delta() || s.elem.Seq >= r.Base(s.elem.Rep) {
			x.named = append(x.named, listedElem{id: s.elem})
		} else if s.val = r.Bytes("value"); r.Err() == nil {
			if n, err := valueLen(s.val); err != nil || n != len(s.val) {
				r.Fail("value", runtime.ErrCorrupt)
			}
		}
		if r.Err() != nil {
			break
		}
		sets = append(sets, s)
	}
	return sets, r.Err()
}

// listedValues are the values of a state: of the elements that piece.visible counts. Those of elements that are named stand
// there.
type listedValues struct {
	data  []byte
	spans []valueSpan
}

// of returns the value of the living element whose first place is place k of a piece; none, if the state is not right.
func (v *listedValues) of(q *piece, k int) []byte {
	if q.elem != nil {
		return v.bytes(q.elem.value)
	}
	return v.bytes(v.spans[q.visible+k])
}

func (v *listedValues) bytes(s valueSpan) []byte { return v.data[s.off : s.off+s.n : s.off+s.n] }

func (x *listing) readValues(r *runtime.StateReader) (*listedValues, error) {
	v := &listedValues{data: r.Rest()}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if x.seq != nil {
		v.spans = make([]valueSpan, 0, x.seq.Len())
	}
	at := 0
	var bad error
	cut := func() (s valueSpan) {
		var n int
		if n, bad = valueLen(v.data[at:]); bad == nil {
			s = valueSpan{uint32(at), uint32(n)}
			at += n
		}
		return s
	}
	for q := range x.pieces {
		if q.hidden {
			continue
		}
		if e := q.standing(x); e != nil {
			if e.at >= 0 {
				e.value = cut()
			}
		} else {
			for k := uint32(0); k < q.n && bad == nil; k++ {
				v.spans = append(v.spans, cut())
			}
		}
		if bad != nil {
			break
		}
	}
	if bad != nil || at < len(v.data) || uint64(at) > 1<<32-1 {
		return nil, fmt.Errorf("%w: values", runtime.ErrCorrupt)
	}
	return v, nil
}

func (st *listState) mergeSet(s listedSet) error {
	e, ok := st.find(s.elem)
	switch {
	case !ok:
		return fmt.Errorf("%w: a set of a missing element", runtime.ErrCorrupt)
	case len(s.val) == 0:
		return fmt.Errorf("%w: a set of an element without a value", runtime.ErrCorrupt)
	}
	if err := st.room(len(s.val)); err != nil || !st.alive(e) {
		return err
	}
	st.set(e, s.stamp, s.val)
	return nil
}
