package crdt

// deltaBuilder composes edits, each told with its index in the list that the ones before left, into one delta. Its steps
// are a treap in the order of the list (Seidel and Aragon, Randomized search trees, Algorithmica 1996): an edit costs
// O(log n) after n others, wherever they were.
//
//  1. The width of a node is the number of elements that the steps below it retain and insert.
//  2. What no step tells is retained.
type deltaBuilder[E any] struct {
	root   *deltaNode[E]
	active bool   // an edit was told
	random uint32 // state of the generator of priorities
	steps  int    // nodes visited, for tests of cost
}

type deltaNode[E any] struct {
	deltaStep[E]
	left, right *deltaNode[E]
	width       int
	priority    uint32
}

type deltaStep[E any] struct {
	kind  uint8
	n     int
	items []E // stepInsert, n of them
}

const (
	stepRetain = iota
	stepInsert
	stepDelete
)

func (b *deltaBuilder[E]) reset() {
	if b.active {
		*b = deltaBuilder[E]{}
	}
}

// insert tells of the insert of items, which it keeps, at index i.
func (b *deltaBuilder[E]) insert(i int, items ...E) {
	b.active = true
	left, right := b.cut(b.root, i)
	left = b.push(left, deltaStep[E]{stepRetain, i - left.span(), nil})
	left = b.push(left, deltaStep[E]{stepInsert, len(items), items})
	b.root = b.join(left, right)
}

// delete tells of the delete of n elements from index i on.
func (b *deltaBuilder[E]) delete(i, n int) {
	b.active = true
	left, rest := b.cut(b.root, i)
	left = b.push(left, deltaStep[E]{stepRetain, i - left.span(), nil})
	middle, right := b.cut(rest, n)
	gone := n - middle.span()
	middle.each(func(s *deltaStep[E]) {
		if b.steps++; s.kind != stepInsert {
			gone += s.n
		}
	})
	left = b.push(left, deltaStep[E]{stepDelete, gone, nil})
	b.root = b.join(left, right)
}

func (d *deltaNode[E]) span() int {
	if d == nil {
		return 0
	}
	return d.width
}

func (d *deltaNode[E]) measure() {
	d.width = d.left.span() + d.right.span()
	if d.kind != stepDelete {
		d.width += d.n
	}
}

// each calls f for the steps in order.
func (d *deltaNode[E]) each(f func(s *deltaStep[E])) {
	if d != nil {
		d.left.each(f)
		f(&d.deltaStep)
		d.right.each(f)
	}
}

// cut returns what stands before and behind width i.
func (b *deltaBuilder[E]) cut(d *deltaNode[E], i int) (before, behind *deltaNode[E]) {
	if d == nil {
		return nil, nil
	}
	b.steps++
	at := d.left.span()
	own := d.width - at - d.right.span()
	switch {
	case i <= at:
		before, d.left = b.cut(d.left, i)
		d.measure()
		return before, d
	case i >= at+own:
		d.right, behind = b.cut(d.right, i-at-own)
		d.measure()
		return d, behind
	}
	head, tail := d.split(i - at)
	behind = b.join(b.node(tail), d.right)
	d.deltaStep, d.right = head, nil
	d.measure()
	return d, behind
}

// push appends a step, joining it to the last where it can.
func (b *deltaBuilder[E]) push(d *deltaNode[E], s deltaStep[E]) *deltaNode[E] {
	if s.n == 0 {
		return d
	}
	if b.extend(d, s) {
		return d
	}
	return b.join(d, b.node(s))
}

// maxJoined bounds the items of a step that are copied to join another to it.
const maxJoined = 64

// extend joins s to the last step if that is of its kind.
func (b *deltaBuilder[E]) extend(d *deltaNode[E], s deltaStep[E]) bool {
	if d == nil {
		return false
	}
	b.steps++
	if d.right != nil {
		if !b.extend(d.right, s) {
			return false
		}
	} else if d.kind != s.kind || len(d.items) >= maxJoined && cap(d.items)-len(d.items) < len(s.items) {
		return false
	} else {
		d.n += s.n
		d.items = append(d.items, s.items...)
	}
	d.measure()
	return true
}

func (b *deltaBuilder[E]) node(s deltaStep[E]) *deltaNode[E] {
	if b.random == 0 {
		b.random = 1
	}
	b.random ^= b.random << 13 // xorshift32 (Marsaglia, 2003)
	b.random ^= b.random >> 17
	b.random ^= b.random << 5
	d := &deltaNode[E]{deltaStep: s, priority: b.random}
	d.measure()
	return d
}

// join returns x followed by y.
func (b *deltaBuilder[E]) join(x, y *deltaNode[E]) *deltaNode[E] {
	switch {
	case x == nil:
		return y
	case y == nil:
		return x
	}
	b.steps++
	if x.priority > y.priority {
		x.right = b.join(x.right, y)
		x.measure()
		return x
	}
	y.left = b.join(x, y.left)
	y.measure()
	return y
}

// split cuts the step after n elements.
func (s deltaStep[E]) split(n int) (head, tail deltaStep[E]) {
	head, tail = deltaStep[E]{kind: s.kind, n: n}, deltaStep[E]{kind: s.kind, n: s.n - n}
	if s.kind == stepInsert {
		head.items, tail.items = s.items[:n:n], s.items[n:]
	}
	return head, tail
}

// take returns the steps in their shortest form, between two retains at most one insert and then one delete, and resets.
func (b *deltaBuilder[E]) take() []deltaStep[E] {
	var out []deltaStep[E]
	var insert []E
	retain, drop := 0, 0
	flush := func() {
		if retain > 0 && (len(insert) > 0 || drop > 0) {
			out = append(out, deltaStep[E]{kind: stepRetain, n: retain})
			retain = 0
		}
		if len(insert) > 0 {
			out = append(out, deltaStep[E]{stepInsert, len(insert), insert})
		}
		if drop > 0 {
			out = append(out, deltaStep[E]{kind: stepDelete, n: drop})
		}
		insert, drop = nil, 0
	}
	b.root.each(func(s *deltaStep[E]) {
		switch s.kind {
		case stepRetain:
			flush()
			retain += s.n
		case stepInsert:
			insert = append(insert, s.items...)
		case stepDelete:
			drop += s.n
		}
	})
	flush()
	*b = deltaBuilder[E]{}
	return out
}
