package sequence

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Check tests the invariants that Sequence's comment numbers and returns the first violation, prefixed with its
// number. Cost: O(elements) but for sorting siblings and content; for tests and for users who suspect the worst.
func (s *Sequence) Check() error {
	for _, f := range []func() error{
		s.checkTree, s.checkLIDs, s.checkContent, s.checkOrigins, s.checkFlags, s.checkDots, s.checkOrder,
		s.checkIndexes,
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func broken(number int, format string, args ...any) error {
	return fmt.Errorf("sequence: invariant %d: %w", number, fmt.Errorf(format, args...))
}

// checkTree tests invariant 1.
func (s *Sequence) checkTree() error {
	var seen []uint32
	total, err := s.checkNode(s.top, 0, &seen)
	if err != nil {
		return err
	}
	if total != s.total {
		return broken(1, "total is %v, the tree has %v", s.total, total)
	}
	prev := uint32(0)
	h := s.tree.first
	for _, want := range seen {
		if h != want || s.leaves[h].prev != prev {
			return broken(1, "leaf %d is not linked in tree order", want)
		}
		prev, h = h, s.leaves[h].next
	}
	if h != 0 || s.tail != prev {
		return broken(1, "the leaf list does not end with the tree")
	}
	return nil
}

// checkNode tests what is below inner node p (0: the only leaf, if any), and lists its leaves.
func (s *Sequence) checkNode(p uint32, depth int, seen *[]uint32) (width, error) {
	if p == 0 {
		if s.tree.first == 0 {
			return width{}, nil
		}
		if s.leaves[s.tree.first].parent != 0 {
			return width{}, broken(1, "the only leaf has a parent")
		}
		return s.checkLeaf(s.tree.first, seen)
	}
	in := s.inners[p]
	if in.n == 0 || in.n > fan || p == s.top && (in.parent != 0 || in.n < 2) {
		return width{}, broken(1, "inner node %d has %d entries", p, in.n)
	}
	var sum width
	for i, kid := range in.kids[:in.n] {
		w, parent, pos, err := s.checkKid(in, kid, depth, seen)
		if err != nil {
			return sum, err
		}
		if parent != p || int(pos) != i {
			return sum, broken(1, "entry %d of inner node %d does not know its place", i, p)
		}
		if w != in.widthAt(i) {
			return sum, broken(1, "entry %d of inner node %d says %v, below it is %v", i, p, in.widthAt(i), w)
		}
		sum = sum.plus(w)
	}
	return sum, nil
}

func (s *Sequence) checkKid(in *inner, kid uint32, depth int, seen *[]uint32) (width, uint32, uint16, error) {
	if in.atLeaves {
		for p := s.top; !s.inners[p].atLeaves; p = s.inners[p].kids[0] {
			depth--
		}
		if depth != 0 {
			return width{}, 0, 0, broken(1, "leaf %d is at another depth", kid)
		}
		w, err := s.checkLeaf(kid, seen)
		l := s.leaves[kid]
		return w, l.parent, l.pos, err
	}
	w, err := s.checkNode(kid, depth+1, seen)
	k := s.inners[kid]
	return w, k.parent, k.pos, err
}

func (s *Sequence) checkLeaf(h uint32, seen *[]uint32) (width, error) {
	l := s.leaves[h]
	if l.n == 0 || l.n > leafCap {
		return width{}, broken(1, "leaf %d has %d spans", h, l.n)
	}
	*seen = append(*seen, h)
	var sum width
	for i := range l.spans[:l.n] {
		sum = sum.plus(l.spans[i].width())
	}
	return sum, nil
}

// spans lists all spans in list order.
func (s *Sequence) spans() []*span {
	var all []*span
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			all = append(all, &l.spans[i])
		}
	}
	return all
}

// checkLIDs tests invariant 2.
func (s *Sequence) checkLIDs() error {
	length := make([]uint32, s.count) // by its first element, of each span
	all := s.spans()
	for _, sp := range all {
		if sp.n == 0 || sp.first >= s.count || sp.n > s.count-sp.first || length[sp.first] != 0 {
			return broken(2, "a span has elements %d, %d more, of %d", sp.first, sp.n, s.count)
		}
		length[sp.first] = sp.n
	}
	spans := 0
	for next := LID(0); next < s.count; next += length[next] {
		if length[next] == 0 {
			return broken(2, "no span begins at element %d, where one ends", next)
		}
		spans++
	}
	if spans != len(all) {
		return broken(2, "%d of %d spans begin inside of others", len(all)-spans, len(all))
	}
	return nil
}

// checkContent tests invariant 3.
func (s *Sequence) checkContent() error {
	var used []*span
	for _, sp := range s.spans() {
		if sp.hidden() || !s.withText {
			if sp.off != 0 || sp.flags&extrasMask != 0 {
				return broken(3, "span %d without content has offset %d", sp.first, sp.off)
			}
			continue
		}
		used = append(used, sp)
		if uint64(sp.off)+uint64(sp.bytes()) > uint64(len(s.content)) {
			return broken(3, "span %d has content beyond the buffer", sp.first)
		}
		text := s.text(sp)
		if w := measure(text); w != sp.width() || !utf8.Valid(text) {
			return broken(3, "span %d says width %v, its content has %v", sp.first, sp.width(), w)
		}
		if sp.wide() && sp.n > maxWide {
			return broken(3, "wide span %d has %d elements", sp.first, sp.n)
		}
	}
	slices.SortFunc(used, func(a, b *span) int { return cmp.Compare(a.off, b.off) })
	for i := 1; i < len(used); i++ {
		if used[i-1].off+used[i-1].bytes() > used[i].off {
			return broken(3, "spans %d and %d share content", used[i-1].first, used[i].first)
		}
	}
	return nil
}

// checkOrigins tests invariant 4.
func (s *Sequence) checkOrigins() error {
	lorigs := make([]LID, s.count)
	all := s.spans()
	for _, sp := range all {
		lorigs[sp.first] = sp.lorig
		for k := uint32(1); k < sp.n; k++ {
			lorigs[sp.first+k] = sp.first + k - 1
		}
	}
	for _, sp := range all {
		if sp.parent != root && sp.parent >= s.count || sp.parent == root && sp.flags&flagLeft != 0 {
			return broken(4, "span %d has parent %d", sp.first, sp.parent)
		}
		want := sp.parent
		if sp.flags&flagLeft != 0 {
			want = lorigs[sp.parent]
		}
		if sp.lorig != want {
			return broken(4, "span %d has left origin %d, not %d", sp.first, sp.lorig, want)
		}
	}
	return nil
}

// children lists, for checks, the children that start spans, by parent and side.
type children struct {
	from []uint32 // where those of a slot begin in lids; the last entry is the end
	lids []LID
	root uint64
}

func (c *children) of(parent LID, side uint32) []LID {
	i := c.slot(parent, side)
	return c.lids[c.from[i]:c.from[i+1]]
}

func (c *children) slot(parent LID, side uint32) uint64 {
	if parent == root {
		return c.root | uint64(side&flagLeft)
	}
	return siblingKey(parent, side)
}

// children presumes invariants 2 and 4. Siblings ascend by dot. Cost: O(elements).
func (s *Sequence) children() *children {
	all := s.spans()
	c := &children{from: make([]uint32, 2*uint64(s.count)+4), lids: make([]LID, len(all)), root: 2 * uint64(s.count)}
	for _, sp := range all {
		c.from[c.slot(sp.parent, sp.flags)+1]++
	}
	for i := 1; i < len(c.from); i++ {
		c.from[i] += c.from[i-1]
	}
	for _, sp := range slices.Backward(all) {
		at := &c.from[c.slot(sp.parent, sp.flags)+1]
		*at--
		c.lids[*at] = sp.first
	}
	// Each entry now holds where its slot begins, one place too far to the right.
	copy(c.from, c.from[1:])
	c.from[len(c.from)-1] = uint32(len(all))
	for i := 1; i < len(c.from); i++ {
		if kids := c.lids[c.from[i-1]:c.from[i]]; len(kids) > 1 {
			s.sortByID(kids)
		}
	}
	return c
}

func (s *Sequence) sortByID(lids []LID) {
	slices.SortFunc(lids, func(a, b LID) int { return s.compareIDs(s.IDOf(a), s.IDOf(b)) })
}

// checkFlags tests invariant 5.
func (s *Sequence) checkFlags() error {
	kids := s.children()
	for _, sp := range s.spans() {
		hasLeft := len(kids.of(sp.first, flagLeft)) > 0
		hasRight := len(kids.of(sp.last(), 0)) > 0
		if hasLeft != (sp.flags&flagHasLeft != 0) || hasRight != (sp.flags&flagHasRight != 0) {
			return broken(5, "span %d: flags %b, left children %v, right children %v", sp.first, sp.flags&0xFF, hasLeft, hasRight)
		}
		for k := uint32(1); k < sp.n; k++ {
			if len(kids.of(sp.first+k, flagLeft)) > 0 {
				return broken(5, "element %d inside span %d has left children", sp.first+k, sp.first)
			}
		}
	}
	return nil
}

// checkOrder tests invariant 6, by walking the tree that the origins describe with an explicit stack.
func (s *Sequence) checkOrder() error {
	kids := s.children()
	type step struct {
		lid   LID
		visit bool // its left children are done
	}
	var stack []step
	push := func(lids []LID) {
		for _, c := range slices.Backward(lids) {
			stack = append(stack, step{lid: c})
		}
	}
	push(kids.of(root, 0))
	next := pull(s)
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if left := kids.of(top.lid, flagLeft); len(left) > 0 && !top.visit {
			stack = append(stack, step{top.lid, true})
			push(left)
			continue
		}
		got, inside, ok := next()
		if !ok || got != top.lid {
			return broken(6, "element %d stands where the tree has %d", got, top.lid)
		}
		right := kids.of(got, 0)
		if inside { // the next element of the span is a right child too
			if right = append(slices.Clone(right), got+1); len(right) > 1 {
				s.sortByID(right)
			}
		}
		push(right)
	}
	if got, _, ok := next(); ok {
		return broken(6, "element %d is not in the tree", got)
	}
	return nil
}

// pull returns an iterator over the elements in list order; inside says that the next one is of the same span.
func pull(s *Sequence) (next func() (lid LID, inside, ok bool)) {
	h, slot, k := s.tree.first, 0, uint32(0)
	return func() (LID, bool, bool) {
		if h == 0 {
			return 0, false, false
		}
		sp := s.span(h, slot)
		lid := sp.first + k
		if k++; k < sp.n {
			return lid, true, true
		}
		k = 0
		h, slot = s.tree.after(h, slot)
		return lid, false, true
	}
}

// checkDots tests invariant 7.
func (s *Sequence) checkDots() error {
	for i := range s.runs {
		if i == 0 && s.runs[i].lid != 0 || s.runs[i].lid >= s.runEnd(i) {
			return broken(7, "run %d has elements %d up to %d", i, s.runs[i].lid, s.runEnd(i))
		}
	}
	if len(s.runs) == 0 && s.count != 0 {
		return broken(7, "%d elements without dots", s.count)
	}
	order := make([]int, len(s.runs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return s.compareIDs(s.IDOf(s.runs[a].lid), s.IDOf(s.runs[b].lid))
	})
	for j := 1; j < len(order); j++ {
		a, b := &s.runs[order[j-1]], &s.runs[order[j]]
		if a.rep == b.rep && a.seq+uint64(s.runEnd(order[j-1])-a.lid) > b.seq {
			return broken(7, "dot %d of replica %d occurs twice", b.seq, b.rep)
		}
	}
	return nil
}

// checkIndexes tests invariant 8.
func (s *Sequence) checkIndexes() error {
	if err := s.checkSpanIndex(); err != nil {
		return err
	}
	if d := s.dots.Load(); d != nil {
		runs := 0
		for rep, rr := range d.byRep {
			for j, i := range rr.runs {
				if int(i) >= len(s.runs) || s.runs[i].rep != rep || j > 0 && s.runs[rr.runs[j-1]].seq >= s.runs[i].seq {
					return broken(8, "the index of dots has run %d at entry %d of replica %d", i, j, rep)
				}
			}
			runs += len(rr.runs)
		}
		if runs != len(s.runs) {
			return broken(8, "the index of dots has %d runs of %d", runs, len(s.runs))
		}
	}
	if p := s.place; p.h != 0 {
		if int(p.h) >= len(s.leaves) || p.slot >= int(s.leaves[p.h].n) || p.known && s.startOf(p.h, p.slot) != p.start {
			return broken(8, "the remembered place is wrong: %+v", p)
		}
	}
	return s.checkSiblings()
}

func (s *Sequence) checkSpanIndex() error {
	ix := s.index.Load()
	if ix == nil {
		return nil
	}
	spans := 0
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			sp := &l.spans[i]
			spans++
			for _, lid := range []LID{sp.first, sp.last()} {
				if first, g := ix.find(lid); first != sp.first || g != h {
					return broken(8, "the index has element %d in span %d of leaf %d", lid, first, g)
				}
			}
		}
	}
	if spans != ix.used {
		return broken(8, "the index has %d spans of %d", ix.used, spans)
	}
	return nil
}

func (s *Sequence) checkSiblings() error {
	if len(s.sibs) == 0 {
		return nil
	}
	kids := s.children()
	for key, b := range s.sibs {
		parent := LID(key >> 1)
		want := slices.Clone(kids.of(parent, uint32(key&flagLeft)))
		if key&flagLeft == 0 && parent != root {
			if h, slot, k := s.locate(parent); k+1 < s.span(h, slot).n {
				want = append(want, parent+1)
			}
		}
		s.sortByID(want)
		if got := slices.Concat(b.chunks...); !slices.Equal(got, want) {
			return broken(8, "the index of siblings of %d has %v, not %v", key>>1, got, want)
		}
	}
	return nil
}
