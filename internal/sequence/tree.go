package sequence

// leafCap makes a leaf 760 bytes, which the allocator rounds to 768.
const leafCap = 31

// fan is the fan-out of inner nodes.
const fan = 32

// leaf holds spans that follow one another in the list. It has no pointers, so that the garbage collector never
// looks inside; nodes name each other by handle, 0 being none.
type leaf struct {
	spans              [leafCap]span
	parent, prev, next uint32
	pos                uint16 // in the parent
	n                  uint16 // spans in use
}

// inner holds the handles of leaves (atLeaves) or of other inner nodes, and the visible width of each.
type inner struct {
	kids     [fan]uint32
	vis      [fan]uint32
	u16      [fan]uint32
	byt      [fan]uint32
	parent   uint32
	pos      uint16
	n        uint16
	atLeaves bool
}

// tree is a B-tree of spans in list order. Nodes are split, and removed when empty, but not refilled: spans are
// removed only where neighbours join.
type tree struct {
	leaves      []*leaf // by handle; entry 0 is unused
	inners      []*inner
	freeLeaves  []uint32
	freeInners  []uint32
	top         uint32 // root inner node, or 0 with at most one leaf
	first, tail uint32 // leaves
	total       width
}

func (in *inner) add(pos uint16, w width) {
	in.vis[pos] += w.vis
	in.u16[pos] += w.u16
	in.byt[pos] += w.byt
}

func (in *inner) widthAt(pos int) width { return width{in.vis[pos], in.u16[pos], in.byt[pos]} }

// bump adds w to the sums above leaf l.
func (t *tree) bump(l *leaf, w width) {
	if w.u16|w.byt == 0 {
		t.bumpVisible(l, w.vis)
		return
	}
	t.total = t.total.plus(w)
	t.raise(l.parent, l.pos, w)
}

// bumpVisible is bump for a width that is n in each unit.
func (t *tree) bumpVisible(l *leaf, n uint32) {
	t.total.vis += n
	pos := l.pos
	for p := l.parent; p != 0; {
		in := t.inners[p]
		in.vis[pos] += n
		p, pos = in.parent, in.pos
	}
}

// raise adds w to entry pos of inner node p and to the entries above it.
func (t *tree) raise(p uint32, pos uint16, w width) {
	for p != 0 {
		in := t.inners[p]
		in.add(pos, w)
		p, pos = in.parent, in.pos
	}
}

// after returns the position of the span after slot of leaf h; h is 0 at the end of the list.
func (t *tree) after(h uint32, slot int) (uint32, int) {
	l := t.leaves[h]
	if slot+1 < int(l.n) {
		return h, slot + 1
	}
	return l.next, 0
}

// before returns the position of the span before slot of leaf h; h is 0 at the start of the list.
func (t *tree) before(h uint32, slot int) (uint32, int) {
	if slot > 0 {
		return h, slot - 1
	}
	h = t.leaves[h].prev
	if h == 0 {
		return 0, 0
	}
	return h, int(t.leaves[h].n) - 1
}

func (t *tree) span(h uint32, slot int) *span { return &t.leaves[h].spans[slot] }

// precedes says whether leaf a stands before leaf b, which is another.
func (t *tree) precedes(a, b uint32) bool {
	la, lb := t.leaves[a], t.leaves[b]
	p, q, i, j := la.parent, lb.parent, la.pos, lb.pos
	for p != q {
		x, y := t.inners[p], t.inners[q]
		p, q, i, j = x.parent, y.parent, x.pos, y.pos
	}
	return i < j
}

// startOf returns the number of visible elements before the span at slot of leaf h. Cost: O(log n).
func (t *tree) startOf(h uint32, slot int) uint32 {
	l := t.leaves[h]
	var sum uint32
	for i := range l.spans[:slot] {
		sum += l.spans[i].vis()
	}
	for p, pos := l.parent, l.pos; p != 0; {
		in := t.inners[p]
		for _, v := range in.vis[:pos] {
			sum += v
		}
		p, pos = in.parent, in.pos
	}
	return sum
}

// descend returns the span that holds visible element i, and the visible index of the span's first element. i
// must be below the visible length. Cost: O(log n).
func (t *tree) descend(i uint32) (h uint32, slot int, start uint32) {
	rest := i
	h = t.first
	if p := t.top; p != 0 {
		for {
			in := t.inners[p]
			k := 0
			for rest >= in.vis[k] {
				rest -= in.vis[k]
				k++
			}
			p = in.kids[k]
			if in.atLeaves {
				h = p
				break
			}
		}
	}
	l := t.leaves[h]
	for {
		v := l.spans[slot].vis()
		if rest < v {
			return h, slot, i - rest
		}
		rest -= v
		slot++
	}
}

// newLeaf returns the handle of an empty leaf that is linked nowhere.
func (t *tree) newLeaf() uint32 {
	if k := len(t.freeLeaves); k > 0 {
		h := t.freeLeaves[k-1]
		t.freeLeaves = t.freeLeaves[:k-1]
		return h
	}
	if len(t.leaves) == 0 {
		t.leaves = append(t.leaves, nil)
	}
	t.leaves = append(t.leaves, new(leaf))
	return uint32(len(t.leaves) - 1)
}

func (t *tree) newInner(atLeaves bool) uint32 {
	if k := len(t.freeInners); k > 0 {
		h := t.freeInners[k-1]
		t.freeInners = t.freeInners[:k-1]
		*t.inners[h] = inner{atLeaves: atLeaves}
		return h
	}
	if len(t.inners) == 0 {
		t.inners = append(t.inners, nil)
	}
	t.inners = append(t.inners, &inner{atLeaves: atLeaves})
	return uint32(len(t.inners) - 1)
}

// setParent tells kid, a child of in at pos, where it is.
func (t *tree) setParent(in *inner, kid, parent uint32, pos int) {
	if in.atLeaves {
		l := t.leaves[kid]
		l.parent, l.pos = parent, uint16(pos)
		return
	}
	k := t.inners[kid]
	k.parent, k.pos = parent, uint16(pos)
}

// ensureTop puts a root above kid of width w, which is the root so far.
func (t *tree) ensureTop(kid uint32, w width, atLeaves bool) uint32 {
	h := t.newInner(atLeaves)
	in := t.inners[h]
	in.kids[0], in.n = kid, 1
	in.add(0, w)
	t.setParent(in, kid, h, 0)
	t.top = h
	return h
}

// addKid puts kid, a node of no width, at pos of inner node p, splitting that when it is full.
func (t *tree) addKid(p uint32, pos int, kid uint32) {
	in := t.inners[p]
	if in.n == fan {
		p, pos = t.splitInner(p, pos)
		in = t.inners[p]
	}
	n := int(in.n)
	copy(in.kids[pos+1:n+1], in.kids[pos:n])
	copy(in.vis[pos+1:n+1], in.vis[pos:n])
	copy(in.u16[pos+1:n+1], in.u16[pos:n])
	copy(in.byt[pos+1:n+1], in.byt[pos:n])
	in.kids[pos], in.vis[pos], in.u16[pos], in.byt[pos] = kid, 0, 0, 0
	in.n++
	for i := pos; i <= n; i++ {
		t.setParent(in, in.kids[i], p, i)
	}
}

// cut returns where to cut a full node of n entries that is to take another at pos: at an end when the new one
// goes there, so that nodes written in order become full, else in the middle.
func cut(pos, n int) int {
	if pos == 0 || pos == n {
		return pos
	}
	return n / 2
}

// splitInner makes room in inner node p for an entry at pos and returns where that is now.
func (t *tree) splitInner(p uint32, pos int) (uint32, int) {
	in := t.inners[p]
	q := t.newInner(in.atLeaves)
	to := t.inners[q]
	mid := cut(pos, fan)
	var moved, stays width
	for i := range mid {
		stays = stays.plus(in.widthAt(i))
	}
	for i := mid; i < fan; i++ {
		moved = moved.plus(in.widthAt(i))
		t.setParent(in, in.kids[i], q, i-mid)
	}
	copy(to.kids[:], in.kids[mid:])
	copy(to.vis[:], in.vis[mid:])
	copy(to.u16[:], in.u16[mid:])
	copy(to.byt[:], in.byt[mid:])
	to.n, in.n = uint16(fan-mid), uint16(mid)
	if in.parent == 0 {
		t.ensureTop(p, stays.plus(moved), false)
	}
	t.raise(in.parent, in.pos, moved.neg())
	t.addKid(in.parent, int(in.pos)+1, q)
	t.raise(to.parent, to.pos, moved)
	if mid < pos || mid == fan {
		return q, pos - mid
	}
	return p, pos
}

// splitLeaf makes room in the full leaf h for a span at slot and returns where that is now. The index, if any, is
// told of the spans that moved.
func (t *tree) splitLeaf(h uint32, slot int, ix *spanIndex) (uint32, int) {
	l := t.leaves[h]
	mid := cut(slot, leafCap)
	g := t.newLeaf()
	if mid == 0 {
		t.linkBefore(g, h)
		t.addKid(t.above(h), int(l.pos), g)
		return g, 0
	}
	m := t.leaves[g]
	t.linkAfter(g, h)
	t.addKid(t.above(h), int(l.pos)+1, g)
	if mid == leafCap {
		return g, 0
	}
	var moved width
	for i := mid; i < leafCap; i++ {
		moved = moved.plus(l.spans[i].width())
		if ix != nil {
			ix.set(l.spans[i].first, g)
		}
	}
	copy(m.spans[:], l.spans[mid:])
	m.n, l.n = uint16(leafCap-mid), uint16(mid)
	t.raise(l.parent, l.pos, moved.neg())
	t.raise(m.parent, m.pos, moved)
	if slot > mid {
		return g, slot - mid
	}
	return h, slot
}

// above returns the parent of leaf h, making one if there is none.
func (t *tree) above(h uint32) uint32 {
	if p := t.leaves[h].parent; p != 0 {
		return p
	}
	return t.ensureTop(h, t.total, true)
}

func (t *tree) linkAfter(g, h uint32) {
	l, m := t.leaves[h], t.leaves[g]
	m.prev, m.next = h, l.next
	if l.next != 0 {
		t.leaves[l.next].prev = g
	} else {
		t.tail = g
	}
	l.next = g
}

func (t *tree) linkBefore(g, h uint32) {
	l, m := t.leaves[h], t.leaves[g]
	m.prev, m.next = l.prev, h
	if l.prev != 0 {
		t.leaves[l.prev].next = g
	} else {
		t.first = g
	}
	l.prev = g
}

// put inserts sp before slot of leaf h (h 0: the tree is empty) and returns where it landed. It does not touch
// the sums: the caller bumps.
func (t *tree) put(h uint32, slot int, sp span, ix *spanIndex) (uint32, int) {
	if h == 0 {
		h = t.newLeaf()
		t.first, t.tail = h, h
	}
	l := t.leaves[h]
	if l.n == leafCap {
		h, slot = t.splitLeaf(h, slot, ix)
		l = t.leaves[h]
	}
	n := int(l.n)
	copy(l.spans[slot+1:n+1], l.spans[slot:n])
	l.spans[slot] = sp
	l.n++
	if ix != nil {
		ix.set(sp.first, h)
	}
	return h, slot
}

// drop removes the span at slot of leaf h, and the leaf if it was the last. It does not touch the sums: the
// caller has bumped.
func (t *tree) drop(h uint32, slot int, ix *spanIndex) {
	l := t.leaves[h]
	if ix != nil {
		ix.unset(l.spans[slot].first)
	}
	copy(l.spans[slot:l.n], l.spans[slot+1:l.n])
	l.n--
	if l.n == 0 {
		t.dropLeaf(h)
	}
}

func (t *tree) dropLeaf(h uint32) {
	l := t.leaves[h]
	if l.prev != 0 {
		t.leaves[l.prev].next = l.next
	} else {
		t.first = l.next
	}
	if l.next != 0 {
		t.leaves[l.next].prev = l.prev
	} else {
		t.tail = l.prev
	}
	p, pos := l.parent, int(l.pos)
	*l = leaf{}
	t.freeLeaves = append(t.freeLeaves, h)
	if p != 0 {
		t.dropKid(p, pos)
	}
}

// dropKid removes entry pos, of no width, from inner node p, and nodes that become superfluous.
func (t *tree) dropKid(p uint32, pos int) {
	in := t.inners[p]
	n := int(in.n)
	copy(in.kids[pos:n], in.kids[pos+1:n])
	copy(in.vis[pos:n], in.vis[pos+1:n])
	copy(in.u16[pos:n], in.u16[pos+1:n])
	copy(in.byt[pos:n], in.byt[pos+1:n])
	in.n--
	for i := pos; i < n-1; i++ {
		t.setParent(in, in.kids[i], p, i)
	}
	if in.n == 0 && in.parent != 0 {
		t.freeInners = append(t.freeInners, p)
		t.dropKid(in.parent, int(in.pos))
		return
	}
	for p == t.top && in.n == 1 {
		kid := in.kids[0]
		t.setParent(in, kid, 0, 0)
		t.freeInners = append(t.freeInners, p)
		if in.atLeaves {
			t.top = 0
			return
		}
		p, in = kid, t.inners[kid]
		t.top = p
	}
}
