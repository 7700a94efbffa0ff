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

// listing is the part of a state that save wrote.
type listing struct {
	seq   *sequence.State // nil: empty
	ids   []sequence.ID   // of its places, in order
	flags []uint8
	moves []listedMove
	where map[sequence.ID]int // what of ids is named elsewhere
}

const (
	placeHidden = 1 << iota
	placeMove   // a move made it
	placeKnown  // it was here before
)

// listedMove is a place that a move made.
type listedMove struct {
	at      int  // in ids
	stands  bool // an element stands there:
	elem    sequence.ID
	lamport uint64
}

// save appends the places that lie outside of a delta's base and returns them in order; w is not changed if there are
// none and nothing else is to be written.
func (p *places) save(w *runtime.StateWriter, more bool) (out []lid) {
	var seq []byte
	w.Append(func(dst []byte, number func(runtime.Rep) int) []byte {
		seq = appendSequence(nil, p.seq, w, number)
		return dst
	})
	if len(seq) == 0 && !more {
		return nil
	}
	w.Bytes(seq)
	var moved []int
	for l := range p.seq.All() {
		if w.Delta() && !w.Outside(p.dot(l)) {
			continue
		}
		if _, ok := p.of[l]; ok {
			moved = append(moved, len(out))
		}
		out = append(out, l)
	}
	w.Uvarint(uint64(len(moved)))
	at := 0
	for _, i := range moved {
		l := out[i]
		e := p.of[l]
		head := uint64(i-at) << 1
		if at = i + 1; e == noElement {
			w.Uvarint(head)
			continue
		}
		w.Uvarint(head | 1)
		w.Dot(p.dot(e))
		w.Varint(int64(p.moved[e].lamport) - int64(p.dot(l).Seq) - 1)
	}
	return out
}

// readListing reads what save wrote.
func readListing(r *runtime.StateReader) (*listing, error) {
	x := &listing{where: make(map[sequence.ID]int)}
	data := r.Bytes("sequence")
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(data) > 0 {
		if err := x.decode(r, data); err != nil {
			return nil, err
		}
	}
	at := uint64(0)
	for range r.Count("moved", 1) {
		head := r.Uvarint("moved")
		m := listedMove{stands: head&1 != 0}
		if head >>= 1; head > uint64(len(x.ids)) || at+head >= uint64(len(x.ids)) {
			r.Fail("moved", runtime.ErrCorrupt)
			break
		}
		m.at = int(at + head)
		at += head + 1
		x.flags[m.at] |= placeMove
		if m.stands {
			m.elem = sequence.ID(r.Dot("element"))
			m.lamport = uint64(r.Varint("Lamport timestamp") + int64(x.ids[m.at].Seq) + 1)
			if m.lamport == 0 || m.lamport >= 1<<53 {
				r.Fail("Lamport timestamp", runtime.ErrCorrupt)
			}
			x.where[m.elem] = -1
		} else if x.flags[m.at]&placeHidden == 0 {
			r.Fail("moved", runtime.ErrCorrupt)
		}
		x.moves = append(x.moves, m)
	}
	return x, r.Err()
}

func (x *listing) decode(r *runtime.StateReader, data []byte) (err error) {
	if x.seq, err = decodeSequence(r, data); err != nil {
		return err
	}
	n := x.seq.Elements()
	x.ids, x.flags = make([]sequence.ID, 0, n), make([]uint8, 0, n)
	for span, hidden := range x.seq.Spans() {
		f := uint8(0)
		if hidden {
			f = placeHidden
		}
		known := r.KnownEnd(span.ID.Rep)
		for k := range span.N {
			id := sequence.ID{Rep: span.ID.Rep, Seq: span.ID.Seq + uint64(k)}
			x.ids = append(x.ids, id)
			if id.Seq < known {
				x.flags = append(x.flags, f|placeKnown)
			} else {
				x.flags = append(x.flags, f)
			}
		}
	}
	return nil
}

// seek fills in where.
func (x *listing) seek() {
	if len(x.where) == 0 {
		return
	}
	for i, id := range x.ids {
		if _, ok := x.where[id]; ok && x.flags[i]&placeMove == 0 {
			x.where[id] = i
		}
	}
}

// elements returns, for each place that is not hidden, the place in ids of the element that stands there, or -1 if
// that lies inside of the base.
func (x *listing) elements(yield func(i int) bool) {
	moves := x.moves
	for i, f := range x.flags {
		of := i
		if f&placeMove != 0 {
			of = x.where[moves[0].elem]
			moves = moves[1:]
		}
		if f&placeHidden == 0 && of >= 0 && !yield(of) {
			return
		}
	}
}

// merge joins the places of a state or delta. shelved tells which hidden elements are alive there, fresh is told of each
// living element that was not here, by its place in x.ids too, and kill ends one that was.
func (p *places) merge(r *runtime.StateReader, x *listing, shelved func(sequence.ID) bool, kill func(lid), fresh func(e lid, i int) error) error {
	if x.seq == nil {
		return nil
	}
	loaded := p.seq.Elements() == 0 && !r.Delta()
	if err := p.mergeSequence(x.seq, loaded, r); err != nil {
		return err
	}
	stands := make(map[sequence.ID]bool, len(x.moves))
	for i := range x.moves {
		if m := &x.moves[i]; m.stands {
			if stands[m.elem] {
				return fmt.Errorf("%w: an element stands at two places", runtime.ErrCorrupt)
			}
			stands[m.elem] = true
		}
	}
	for i, f := range x.flags {
		if f&placeMove != 0 || f&(placeKnown|placeHidden) == placeKnown {
			continue
		}
		there := f&placeHidden == 0 || stands[x.ids[i]] || shelved(x.ids[i])
		e, ok := lid(i), true
		if !loaded {
			e, ok = p.find(x.ids[i])
		}
		switch {
		case !ok:
			return fmt.Errorf("%w: an element is missing", runtime.ErrCorrupt)
		case f&placeKnown == 0 && there:
			if err := fresh(e, i); err != nil {
				return err
			}
		case f&placeKnown != 0 && !there && p.alive(e):
			kill(e)
		}
	}
	for i := range x.moves {
		m := &x.moves[i]
		if x.flags[m.at]&placeKnown != 0 {
			continue
		}
		if err := p.mergeMove(r, m, x.ids[m.at]); err != nil {
			return err
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
	out := st.save(w, len(sets) > 0)
	if len(out)+len(sets) == 0 {
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
	for _, l := range out {
		if e := st.element(l); e != noElement && w.Outside(st.dot(e)) && st.seq.Visible(l) {
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
	x.seek()
	values, err := x.readValues(r)
	if err != nil {
		return err
	}
	none := func(sequence.ID) bool { return false }
	fresh := func(e lid, i int) error {
		val := values.at(i)
		if len(val) == 0 {
			return fmt.Errorf("%w: an element has no value", runtime.ErrCorrupt)
		}
		if err := st.room(len(val)); err != nil {
			return err
		}
		if int(e) >= len(st.vals) {
			st.grow()
		}
		st.vals[e] = st.store(val)
		return nil
	}
	if err := st.merge(r, x, none, st.drop, fresh); err != nil {
		return err
	}
	st.grow()
	for _, s := range sets {
		if i, ok := x.where[s.elem]; ok && i >= 0 {
			s.val = values.at(i)
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
			x.where[s.elem] = -1
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

// listedValues are the values of a state, by the place in listing.ids of their elements.
type listedValues struct {
	data  []byte
	spans []valueSpan // of length 0: none
}

func (v *listedValues) at(i int) []byte {
	s := v.spans[i]
	return v.data[s.off : s.off+s.n : s.off+s.n]
}

func (x *listing) readValues(r *runtime.StateReader) (*listedValues, error) {
	v := &listedValues{r.Rest(), make([]valueSpan, len(x.ids))}
	bad := r.Err()
	at := 0
	x.elements(func(of int) bool {
		var n int
		if n, bad = valueLen(v.data[at:]); bad != nil {
			return false
		}
		v.spans[of] = valueSpan{uint32(at), uint32(n)}
		at += n
		return true
	})
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
