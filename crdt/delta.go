package crdt

// deltaBuilder composes edits, each told with its index in the list that the ones before left, into one delta. It keeps
// the steps in two stacks around the place of the last edit, so that edits near each other cost O(1).
//
//  1. left holds the steps before the place, the nearest last; right those after it, the nearest last.
//  2. at is the index of the place: the elements that the steps of left retain and insert.
//  3. What no step tells is retained.
type deltaBuilder[E any] struct {
	left, right []deltaStep[E]
	at          int
	active      bool // an edit was told
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
	b.seek(i)
	b.push(deltaStep[E]{stepInsert, len(items), items})
}

// delete tells of the delete of n elements from index i on.
func (b *deltaBuilder[E]) delete(i, n int) {
	b.active = true
	b.seek(i)
	for n > 0 {
		k := len(b.right) - 1
		if k < 0 {
			b.push(deltaStep[E]{kind: stepDelete, n: n})
			return
		}
		s := b.right[k]
		b.right = b.right[:k]
		if s.kind == stepDelete {
			b.push(s)
			continue
		}
		if s.n > n {
			var rest deltaStep[E]
			s, rest = s.split(n)
			b.right = append(b.right, rest)
		}
		n -= s.n
		if s.kind == stepRetain {
			b.push(deltaStep[E]{kind: stepDelete, n: s.n})
		}
	}
}

// seek moves the place to index i.
func (b *deltaBuilder[E]) seek(i int) {
	for b.at > i {
		k := len(b.left) - 1
		s := b.left[k]
		b.left = b.left[:k]
		if s.kind == stepDelete {
			b.right = append(b.right, s)
			continue
		}
		if b.at-s.n < i {
			var head deltaStep[E]
			head, s = s.split(i - (b.at - s.n))
			b.left = append(b.left, head)
		}
		b.at -= s.n
		b.right = append(b.right, s)
	}
	for b.at < i {
		k := len(b.right) - 1
		if k < 0 {
			b.push(deltaStep[E]{kind: stepRetain, n: i - b.at})
			return
		}
		s := b.right[k]
		b.right = b.right[:k]
		if s.kind != stepDelete && b.at+s.n > i {
			var rest deltaStep[E]
			s, rest = s.split(i - b.at)
			b.right = append(b.right, rest)
		}
		b.push(s)
	}
}

// push appends a step to the left, joining it to the one before where it can.
func (b *deltaBuilder[E]) push(s deltaStep[E]) {
	if s.kind != stepDelete {
		b.at += s.n
	}
	if k := len(b.left); k > 0 && b.left[k-1].kind == s.kind {
		last := &b.left[k-1]
		last.n += s.n
		last.items = append(last.items, s.items...)
		return
	}
	b.left = append(b.left, s)
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
	for i := len(b.right) - 1; i >= 0; i-- {
		b.push(b.right[i])
	}
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
	for _, s := range b.left {
		switch s.kind {
		case stepRetain:
			flush()
			retain += s.n
		case stepInsert:
			insert = append(insert, s.items...)
		case stepDelete:
			drop += s.n
		}
	}
	flush()
	*b = deltaBuilder[E]{}
	return out
}
