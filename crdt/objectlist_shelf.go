package crdt

import (
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// shelf is what an ObjectList keeps of an element that was archived: an observed-remove set of tokens that show it, of
// which the first archive took the one that it was inserted with. It is never changed once it is made.
type shelf struct {
	once   bool               // an archive took the first token
	last   runtime.LocalDot   // the greatest dot of those archives, for deltas
	tokens []runtime.LocalDot // restores that no archive has seen, ascending
}

// hides reports whether the element is archived.
func (s *shelf) hides() bool { return s != nil && s.once && len(s.tokens) == 0 }

// setShelf notes what is kept of a living element, nil for nothing.
func (p *places) setShelf(e lid, s *shelf) {
	was := p.shelved[e]
	if p.shelved == nil {
		p.shelved = make(map[lid]*shelf)
	}
	put := func(s *shelf) {
		if s == nil {
			delete(p.shelved, e)
		} else {
			p.shelved[e] = s
		}
	}
	put(s)
	p.Undo(func() { put(was) })
}

// reshelve is setShelf for an element that stays alive: it is hidden or shown accordingly.
func (p *places) reshelve(e lid, s *shelf) {
	p.setShelf(e, s)
	if s.hides() {
		p.hide(p.place(e))
	} else {
		p.show(p.place(e))
	}
}

// archived returns s with the archive d; s may be nil.
func (s *shelf) archived(rt *runtime.Runtime, d runtime.LocalDot) *shelf {
	out := shelf{once: true, last: d}
	if s != nil {
		out.tokens = s.tokens
		if s.once && rt.CompareDots(d, s.last) < 0 {
			out.last = s.last
		}
	}
	return &out
}

// restored returns s with the token d; s may be nil.
func (s *shelf) restored(rt *runtime.Runtime, d runtime.LocalDot) *shelf {
	var out shelf
	if s != nil {
		out = *s
	}
	if i, found := slices.BinarySearchFunc(out.tokens, d, rt.CompareDots); !found {
		out.tokens = slices.Insert(slices.Clone(out.tokens), i, d)
	}
	return &out
}

// without returns s without the tokens for which gone says true.
func (s *shelf) without(gone func(runtime.LocalDot) bool) *shelf {
	out := *s
	out.tokens = slices.DeleteFunc(slices.Clone(s.tokens), gone)
	return &out
}
