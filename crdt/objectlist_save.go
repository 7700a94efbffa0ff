package crdt

import (
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// The state of an ObjectList is that of its places (list_save.go), then
//
//	shelves = uvarint: number, then for each in the order of the elements' dots: the element's dot;
//	          uvarint: restores * 2 + (1 if it was archived outside of a delta's base); if so the greatest dot of those
//	          archives; the dots of the restores outside of the base that no archive has ended, ascending
//	objects = run*: for the living elements that places list, in the order of their first places: uvarint: number; kind;
//	          for each: bytes, the creation arguments, empty: none
//
// A run of objects of one kind is as long as it can be. This is part of format version 1.

// Save implements runtime.Object.
func (st *objectListState) Save(w *runtime.StateWriter) {
	var shelves []lid
	for e, s := range st.shelved {
		if s.once && w.Outside(s.last) || slices.ContainsFunc(s.tokens.list, func(t token) bool { return w.Outside(t.madeBy()) }) {
			shelves = append(shelves, e)
		}
	}
	st.sortByDot(shelves)
	alive, wrote := st.save(w, len(shelves) > 0, func(l lid, _ bool) bool { return st.nodes.at(l) != nil })
	if !wrote {
		return
	}
	w.Uvarint(uint64(len(shelves)))
	for _, e := range shelves {
		st.shelved[e].write(w, st.dot(e))
	}
	for len(alive) > 0 {
		kind, n := st.nodes.at(alive[0]).Kind(), 1
		for n < len(alive) && st.nodes.at(alive[n]).Kind() == kind {
			n++
		}
		w.Uvarint(uint64(n))
		w.Kind(kind)
		for _, e := range alive[:n] {
			writeString(w, st.args[e])
		}
		alive = alive[n:]
	}
}

func (s *shelf) write(w *runtime.StateWriter, e runtime.LocalDot) {
	w.Dot(e)
	tokens := slices.DeleteFunc(s.restores(w.Runtime()), func(t runtime.LocalDot) bool { return !w.Outside(t) })
	head := uint64(len(tokens)) << 1
	if s.once && w.Outside(s.last) {
		w.Uvarint(head | 1)
		w.Dot(s.last)
	} else {
		w.Uvarint(head)
	}
	for _, t := range tokens {
		w.Dot(t)
	}
}

// readShelves reads the shelves of a state.
func (x *listing) readShelves(r *runtime.StateReader) error {
	for range r.Count("shelves", 3) {
		e := sequence.ID(r.Dot("element"))
		head := r.Uvarint("restores")
		s := &shelf{once: head&1 != 0}
		if s.once {
			s.last = r.Dot("archive")
		}
		if head>>1 > uint64(r.Len()) {
			r.Fail("restores", runtime.ErrCorrupt)
		}
		for i := uint64(0); i < head>>1 && r.Err() == nil; i++ {
			t := r.Dot("restore")
			if !r.Listed(t) {
				r.Fail("restore", runtime.ErrCorrupt)
			}
			s.tokens.add(token(t))
		}
		if head == 0 {
			r.Fail("shelf", runtime.ErrCorrupt)
		}
		if r.Err() != nil {
			break
		}
		x.named = append(x.named, listedElem{id: e, shelf: s})
	}
	return r.Err()
}

// Merge implements runtime.Object.
func (st *objectListState) Merge(r *runtime.StateReader) error {
	st.begin()
	x := &listing{}
	if r.Len() > 0 {
		var err error
		if x, err = st.mergeListed(r); err != nil {
			return err
		}
	}
	if err := st.mergeDeleted(r, st.drop); err != nil {
		return err
	}
	st.mergeEnded(r, x)
	return nil
}

func (st *objectListState) mergeListed(r *runtime.StateReader) (*listing, error) {
	x, err := readListing(r)
	if err != nil {
		return nil, err
	}
	if err := x.readShelves(r); err != nil {
		return nil, err
	}
	if err := x.seek(); err != nil {
		return nil, err
	}
	objects := listedObjects{r: r}
	listed := func(q *piece, _, n int, e lid) error {
		for i := range n {
			kind, args, err := objects.next()
			if err != nil {
				return err
			}
			if e == noElement {
				continue
			}
			l := e + lid(i)
			c, err := createChild(st.node, st.dot(l), kind)
			if err != nil {
				return err
			}
			if st.hold(l, c, args); q.elem != nil && q.elem.shelf != nil {
				st.setShelf(l, q.elem.shelf)
			}
		}
		return nil
	}
	if err := st.merge(r, x, st.drop, listed); err != nil {
		return nil, err
	}
	if err := objects.done(); err != nil {
		return nil, err
	}
	return x, st.mergeShelves(r, x)
}

// listedObjects reads the objects of a state one after the other.
type listedObjects struct {
	r    *runtime.StateReader
	kind string
	n    uint64 // left in the run
}

// next returns the kind of the next object and its arguments, which alias the input.
func (o *listedObjects) next() (kind string, args []byte, err error) {
	r := o.r
	if o.n == 0 {
		if o.n = r.Uvarint("objects"); o.n == 0 {
			r.Fail("objects", runtime.ErrCorrupt)
		}
		o.kind = r.Kind("kind")
	}
	o.n--
	if args = r.Bytes("arguments"); r.Err() == nil && len(args) > 0 && runtime.ValidValue(args) != nil {
		r.Fail("arguments", runtime.ErrCorrupt)
	}
	return o.kind, args, r.Err()
}

func (o *listedObjects) done() error {
	if o.n > 0 {
		o.r.Fail("objects", runtime.ErrCorrupt)
	}
	return o.r.Done()
}

// mergeShelves joins the shelves of elements.
func (st *objectListState) mergeShelves(r *runtime.StateReader, x *listing) error {
	for i := range x.named {
		theirs := x.named[i].shelf
		if theirs == nil {
			continue
		}
		e, ok := st.places.find(x.named[i].id)
		if !ok {
			return fmt.Errorf("%w: an archived element is missing", runtime.ErrCorrupt)
		}
		if !st.alive(e) {
			continue
		}
		if theirs.once {
			st.archive(e, theirs.last)
		}
		for _, t := range theirs.tokens.list {
			if d := t.madeBy(); !r.Known(d) {
				st.restore(st.shelf(e), d)
			}
		}
		st.reshelve(e)
	}
	return nil
}

// mergeEnded takes away the restores that the other side has seen ended.
func (st *objectListState) mergeEnded(r *runtime.StateReader, x *listing) {
	for e, s := range st.shelved {
		var theirs *shelf
		if told := x.find(st.seq.IDOf(e)); told != nil {
			theirs = told.shelf
		}
		var gone []runtime.LocalDot
		for _, t := range s.tokens.list {
			if d := t.madeBy(); (theirs == nil || theirs.tokens.find(d) < 0) && r.Deleted(d) {
				gone = append(gone, d)
			}
		}
		for _, d := range gone {
			st.end(s, d)
		}
		if len(gone) > 0 {
			st.reshelve(e)
		}
	}
}
