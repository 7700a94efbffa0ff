package crdt

import (
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// shelf is what an ObjectList keeps of an element that was archived: an observed-remove set of tokens that show it, of
// which the first archive took the one that it was inserted with.
type shelf struct {
	once   bool             // an archive took the first token
	last   runtime.LocalDot // the greatest dot of those archives, for deltas
	tokens bag[token]       // restores that no archive has seen
}

// token is the dot of a restore.
type token runtime.LocalDot

func (t token) madeBy() runtime.LocalDot { return runtime.LocalDot(t) }

// hides reports whether the element is archived.
func (s *shelf) hides() bool { return s != nil && s.once && len(s.tokens.list) == 0 }

// restores returns the dots of the restores, ascending.
func (s *shelf) restores(rt *runtime.Runtime) []runtime.LocalDot {
	var out []runtime.LocalDot
	for _, t := range s.tokens.list {
		out = append(out, t.madeBy())
	}
	slices.SortFunc(out, rt.CompareDots)
	return out
}

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

// shelf returns what is kept of a living element, to be changed.
func (p *places) shelf(e lid) *shelf {
	s := p.shelved[e]
	if s == nil {
		s = new(shelf)
		p.setShelf(e, s)
	}
	return s
}

// archive notes on a shelf that the operation d archived its element.
func (p *places) archive(s *shelf, d runtime.LocalDot) {
	once, last := s.once, s.last
	p.Undo(func() { s.once, s.last = once, last })
	if !once || p.node.Runtime().CompareDots(d, last) > 0 {
		s.once, s.last = true, d
	}
}

// restore puts the restore d on a shelf.
func (p *places) restore(s *shelf, d runtime.LocalDot) {
	if s.tokens.add(token(d)) {
		p.Undo(func() { s.tokens.removeAt(s.tokens.find(d)) })
	}
}

// end takes restore d from a shelf; false if it is not there.
func (p *places) end(s *shelf, d runtime.LocalDot) bool {
	i := s.tokens.find(d)
	if i < 0 {
		return false
	}
	s.tokens.removeAt(i)
	p.Undo(func() { s.tokens.add(token(d)) })
	return true
}

// reshelve hides or shows an element, which stays alive, as its shelf says.
func (p *places) reshelve(e lid) {
	if p.shelved[e].hides() {
		p.hide(p.place(e))
	} else {
		p.show(p.place(e))
	}
}
