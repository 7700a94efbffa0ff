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
//	kinds   = run*: for the living elements that places list, in the order of their first places: uvarint: number; kind
//
// A run of kinds is as long as it can be. This is part of format version 1.

// Save implements runtime.Object.
func (st *objectListState) Save(w *runtime.StateWriter) {
	var shelves []lid
	for e, s := range st.shelved {
		if s.once && w.Outside(s.last) || slices.ContainsFunc(s.tokens, w.Outside) {
			shelves = append(shelves, e)
		}
	}
	st.sortByDot(shelves)
	out := st.save(w, len(shelves) > 0)
	if len(out)+len(shelves) == 0 {
		return
	}
	w.Uvarint(uint64(len(shelves)))
	for _, e := range shelves {
		st.shelved[e].write(w, st.dot(e))
	}
	kind, n := "", uint64(0)
	flush := func() {
		if n > 0 {
			w.Uvarint(n)
			w.Kind(kind)
		}
	}
	for _, l := range out {
		c := st.nodes[l]
		if c == nil {
			continue
		}
		if c.Kind() != kind {
			flush()
			kind, n = c.Kind(), 0
		}
		n++
	}
	flush()
}

func (s *shelf) write(w *runtime.StateWriter, e runtime.LocalDot) {
	w.Dot(e)
	head := uint64(0)
	for _, t := range s.tokens {
		if w.Outside(t) {
			head += 2
		}
	}
	if s.once && w.Outside(s.last) {
		w.Uvarint(head | 1)
		w.Dot(s.last)
	} else {
		w.Uvarint(head)
	}
	for _, t := range s.tokens {
		if w.Outside(t) {
			w.Dot(t)
		}
	}
}

// readShelves reads the shelves of a state, by element.
func readShelves(r *runtime.StateReader) (map[sequence.ID]shelf, error) {
	out := make(map[sequence.ID]shelf)
	for range r.Count("shelves", 3) {
		e := sequence.ID(r.Dot("element"))
		head := r.Uvarint("restores")
		s := shelf{once: head&1 != 0}
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
			s.tokens = append(s.tokens, t)
		}
		if _, twice := out[e]; twice || head == 0 {
			r.Fail("shelf", runtime.ErrCorrupt)
		}
		if r.Err() != nil {
			break
		}
		out[e] = s
	}
	return out, r.Err()
}

// Merge implements runtime.Object.
func (st *objectListState) Merge(r *runtime.StateReader) error {
	st.begin()
	var shelves map[sequence.ID]shelf
	if r.Len() > 0 {
		var err error
		if shelves, err = st.mergeListed(r); err != nil {
			return err
		}
	}
	if err := st.mergeDeleted(r, st.drop); err != nil {
		return err
	}
	st.mergeEnded(r, shelves)
	return nil
}

func (st *objectListState) mergeListed(r *runtime.StateReader) (map[sequence.ID]shelf, error) {
	x, err := readListing(r)
	if err != nil {
		return nil, err
	}
	x.seek()
	shelves, err := readShelves(r)
	if err != nil {
		return nil, err
	}
	kinds, err := x.readKinds(r, shelves)
	if err != nil {
		return nil, err
	}
	shelved := func(id sequence.ID) bool { _, ok := shelves[id]; return ok }
	fresh := func(e lid, i int) error {
		c, err := createChild(st.node, runtime.LocalDot(x.ids[i]), kinds[i])
		if err != nil {
			return err
		}
		st.grow()
		st.nodes[e] = c
		if s, ok := shelves[x.ids[i]]; ok {
			st.setShelf(e, &s)
		}
		return nil
	}
	if err := st.merge(r, x, shelved, st.drop, fresh); err != nil {
		return nil, err
	}
	st.grow()
	return shelves, st.mergeShelves(r, shelves)
}

// readKinds returns the kinds of the living elements by their place in x.ids.
func (x *listing) readKinds(r *runtime.StateReader, shelves map[sequence.ID]shelf) ([]string, error) {
	kinds := make([]string, len(x.ids))
	moved := make(map[sequence.ID]bool, len(x.moves))
	for i := range x.moves {
		if x.moves[i].stands {
			moved[x.moves[i].elem] = true
		}
	}
	kind, n := "", uint64(0)
	for i, f := range x.flags {
		if f&placeMove != 0 {
			continue
		}
		if _, archived := shelves[x.ids[i]]; f&placeHidden != 0 && !archived && !moved[x.ids[i]] {
			continue
		}
		if n == 0 {
			if n = r.Uvarint("kinds"); n == 0 {
				r.Fail("kinds", runtime.ErrCorrupt)
			}
			kind = r.Kind("kind")
		}
		if r.Err() != nil {
			break
		}
		kinds[i] = kind
		n--
	}
	if n > 0 {
		r.Fail("kinds", runtime.ErrCorrupt)
	}
	return kinds, r.Done()
}

// mergeShelves joins the shelves of elements.
func (st *objectListState) mergeShelves(r *runtime.StateReader, shelves map[sequence.ID]shelf) error {
	rt := st.node.Runtime()
	for id, theirs := range shelves {
		e, ok := st.places.find(id)
		if !ok {
			return fmt.Errorf("%w: an archived element is missing", runtime.ErrCorrupt)
		}
		if !st.alive(e) {
			continue
		}
		s := st.shelved[e]
		if theirs.once {
			s = s.archived(rt, theirs.last)
		}
		for _, t := range theirs.tokens {
			if !r.Known(t) {
				s = s.restored(rt, t)
			}
		}
		if s != nil {
			st.reshelve(e, s)
		}
	}
	return nil
}

// mergeEnded takes away the restores that the other side has seen ended.
func (st *objectListState) mergeEnded(r *runtime.StateReader, shelves map[sequence.ID]shelf) {
	for e, s := range st.shelved {
		theirs := shelves[st.seq.IDOf(e)].tokens
		gone := func(t runtime.LocalDot) bool { return !slices.Contains(theirs, t) && r.Deleted(t) }
		if slices.ContainsFunc(s.tokens, gone) {
			st.reshelve(e, s.without(gone))
		}
	}
}
