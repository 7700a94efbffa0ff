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
	p.shelfUndo = append(p.shelfUndo, shelfUndo{e, p.shelved[e]})
	p.putShelf(e, s)
}

// shelfUndo is the shelf of an element before the open transaction.
type shelfUndo struct {
	e   lid
	was *shelf
}

func (p *places) putShelf(e lid, s *shelf) {
	if p.shelved == nil {
		p.shelved = make(map[lid]*shelf)
	}
	if s == nil {
		delete(p.shelved, e)
	} else {
		p.shelved[e] = s
	}
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

// archive notes that the operation d archived a living element, and returns its shelf.
func (p *places) archive(e lid, d runtime.LocalDot) *shelf {
	s := p.shelved[e]
	if s == nil {
		s = &shelf{once: true, last: d}
		p.setShelf(e, s)
		return s
	}
	once, last := s.once, s.last
	p.Undo(func() { s.once, s.last = once, last })
	if !once || p.node.Runtime().CompareDots(d, last) > 0 {
		s.once, s.last = true, d
	}
	return s
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
