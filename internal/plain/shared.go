package plain

import (
	"fmt"
	"slices"
)

// Shared is a list that all replicas write, as one tree: where the other twins give each replica a state of its own and
// merge them, here each operation comes with what its writer had seen, and acts on the part of the tree that consists of
// it. That part is the writer's own tree, since parents are seen before their children. It is the oracle for lists of
// every kind, moves and archives included.
//
//  1. Places and elements are those of MoveList.
//  2. An element is archived if an archive took the token that it was inserted with, and each token that a restore put
//     there was taken by an archive that had seen it: a restore wins over a concurrent archive.
//  3. Operations come in an order that extends causality.
type Shared[T any] struct {
	places *tree[*shared[T]]
	byDot  map[Dot]*shared[T]
}

type shared[T any] struct {
	dot      Dot
	places   []Stamp
	sets     []Entry[T]
	deletes  []Dot
	archives []archive
	restores []Dot
}

type archive struct {
	dot  Dot
	took []Dot // restores
}

// Seen tells whether the writer of an operation had applied what a dot names. It must be true for what it wrote before.
type Seen func(Dot) bool

func everything(Dot) bool { return true }

// NewShared returns an empty list.
func NewShared[T any]() *Shared[T] {
	return &Shared[T]{places: newTree[*shared[T]](), byDot: map[Dot]*shared[T]{}}
}

// shown returns the places that a writer sees elements at, in list order.
func (l *Shared[T]) shown(seen Seen) []*node[*shared[T]] {
	var out []*node[*shared[T]]
	l.places.walk(func(n *node[*shared[T]]) bool {
		if seen(n.dot) && n.value.place(seen).Dot == n.dot && n.value.isShown(seen) {
			out = append(out, n)
		}
		return true
	})
	return out
}

// place returns where a writer sees the element stand.
func (e *shared[T]) place(seen Seen) (best Stamp) {
	for i, p := range e.places {
		if seen(p.Dot) && (i == 0 || best.Compare(p) < 0) {
			best = p
		}
	}
	return best
}

func (e *shared[T]) isShown(seen Seen) bool {
	return !slices.ContainsFunc(e.deletes, seen) && !e.isArchived(seen)
}

func (e *shared[T]) isArchived(seen Seen) bool {
	any := false
	taken := map[Dot]bool{}
	for _, a := range e.archives {
		if seen(a.dot) {
			any = true
			for _, d := range a.took {
				taken[d] = true
			}
		}
	}
	return any && !slices.ContainsFunc(e.restores, func(d Dot) bool { return seen(d) && !taken[d] })
}

// position is tree.position in a writer's part of the tree.
func (l *Shared[T]) position(seen Seen, left *node[*shared[T]]) (*node[*shared[T]], Side) {
	var next *node[*shared[T]]
	found := left == l.places.root
	l.places.walk(func(n *node[*shared[T]]) bool {
		if found && seen(n.dot) {
			next = n
			return false
		}
		found = found || n == left
		return true
	})
	if next != nil && next.leftOrigin() == left {
		return next, Left
	}
	return left, Right
}

func (l *Shared[T]) addPlaces(seen Seen, at Stamp, to int, elements func(i int, st Stamp) *shared[T], n int) error {
	shown := l.shown(seen)
	if to < 0 || to > len(shown) {
		return fmt.Errorf("%w: %d of %d", ErrRange, to, len(shown))
	}
	left := l.places.root
	if to > 0 {
		left = shown[to-1]
	}
	own := func(d Dot) bool {
		return seen(d) || d.Replica == at.Replica && d.Seq >= at.Seq && d.Seq < at.Seq+uint64(n)
	}
	for i := range n {
		st := Stamp{Dot{at.Replica, at.Seq + uint64(i)}, at.Lamport + uint64(i)}
		e := elements(i, st)
		parent, side := l.position(own, left)
		left = l.places.add(st.Dot, parent, side, e)
		e.places = append(e.places, st)
	}
	return nil
}

// Insert puts values before the element at index; the i-th takes the i-th dot and timestamp from at on.
func (l *Shared[T]) Insert(seen Seen, at Stamp, index int, values ...T) error {
	return l.addPlaces(seen, at, index, func(i int, st Stamp) *shared[T] {
		e := &shared[T]{dot: st.Dot, sets: []Entry[T]{{st, values[i]}}}
		l.byDot[st.Dot] = e
		return e
	}, len(values))
}

// Move moves n elements from index from on before the one at index to.
func (l *Shared[T]) Move(seen Seen, at Stamp, from, n, to int) error {
	moved, err := l.some(seen, from, n)
	if err != nil {
		return err
	}
	return l.addPlaces(seen, at, to, func(i int, _ Stamp) *shared[T] { return moved[i] }, n)
}

// MoveElement moves one element, archived or not, before the one at index to.
func (l *Shared[T]) MoveElement(seen Seen, at Stamp, element Dot, to int) error {
	return l.addPlaces(seen, at, to, func(int, Stamp) *shared[T] { return l.byDot[element] }, 1)
}

// some returns n elements from index on.
func (l *Shared[T]) some(seen Seen, index, n int) ([]*shared[T], error) {
	shown := l.shown(seen)
	if index < 0 || n < 0 || index > len(shown) || n > len(shown)-index {
		return nil, fmt.Errorf("%w: %d from %d of %d", ErrRange, n, index, len(shown))
	}
	var out []*shared[T]
	for _, p := range shown[index : index+n] {
		out = append(out, p.value)
	}
	return out, nil
}

// Set gives the element at index a value.
func (l *Shared[T]) Set(seen Seen, at Stamp, index int, v T) error {
	some, err := l.some(seen, index, 1)
	if err == nil {
		some[0].sets = append(some[0].sets, Entry[T]{at, v})
	}
	return err
}

// Delete deletes n elements from index on, with one dot.
func (l *Shared[T]) Delete(seen Seen, at Stamp, index, n int) error {
	some, err := l.some(seen, index, n)
	for _, e := range some {
		e.deletes = append(e.deletes, at.Dot)
	}
	return err
}

// DeleteElement deletes an element, archived or not.
func (l *Shared[T]) DeleteElement(at Stamp, element Dot) {
	l.byDot[element].deletes = append(l.byDot[element].deletes, at.Dot)
}

// Archive hides n elements from index on, with one dot.
func (l *Shared[T]) Archive(seen Seen, at Stamp, index, n int) error {
	some, err := l.some(seen, index, n)
	for _, e := range some {
		a := archive{dot: at.Dot}
		for _, d := range e.restores {
			if seen(d) {
				a.took = append(a.took, d)
			}
		}
		e.archives = append(e.archives, a)
	}
	return err
}

// Restore shows an element that is archived.
func (l *Shared[T]) Restore(at Stamp, element Dot) {
	l.byDot[element].restores = append(l.byDot[element].restores, at.Dot)
}

// Entries returns what is shown to one who has seen everything, in list order: the dots are those of the inserts, the
// values those of the greatest stamp.
func (l *Shared[T]) Entries() []Entry[T] {
	var out []Entry[T]
	for _, p := range l.shown(everything) {
		v, _ := winner(p.value.sets)
		out = append(out, Entry[T]{Stamp{Dot: p.value.dot}, v})
	}
	return out
}
