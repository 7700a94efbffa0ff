package plain

import (
	"fmt"
)

// MoveList is a list of values whose elements can be set and moved.
//
//  1. Every insert and every move makes a place, named by its dot, in Fugue order; places stay for ever.
//  2. An element is named by the dot of its insert, its first place. It stands at the place of the greatest stamp
//     among its places, and holds the value of the greatest stamp among its writes.
//  3. A deleted element is not shown, whatever is moved or set concurrently.
//  4. Insert and move of n elements take n dots, set takes one, delete of any number takes one.
type MoveList[T any] struct {
	site *Site
	history
	places   *tree[Dot] // value: the element that the place was made for
	elements map[Dot]*element[T]
}

type element[T any] struct {
	place   Stamp
	written Stamp
	value   T
	deleted bool
}

// Place is one place of a MoveList as it stands in list order.
type Place struct {
	Dot     Dot
	Parent  Dot  // zero when AtStart
	AtStart bool // the parent is the start of the list
	Side    Side
	Element Dot
	Shown   bool // its element stands here and is not deleted
}

// NewMoveList returns an empty list that takes its dots from site.
func NewMoveList[T any](site *Site) *MoveList[T] {
	return &MoveList[T]{site: site, history: newHistory(), places: newTree[Dot](), elements: map[Dot]*element[T]{}}
}

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (l *MoveList[T]) Clone(site *Site) *MoveList[T] {
	c := NewMoveList[T](site)
	c.Merge(l)
	return c
}

// Insert puts values before the element at index.
func (l *MoveList[T]) Insert(index int, values ...T) error {
	shown := l.shown()
	if index < 0 || index > len(shown) {
		return fmt.Errorf("%w: insert at %d of %d", ErrRange, index, len(shown))
	}
	if len(values) == 0 {
		return nil
	}
	st := l.tick(l.site, len(values))
	left := l.before(shown, index)
	for _, v := range values {
		l.elements[st.Dot] = &element[T]{place: st, written: st, value: v}
		left = l.addPlace(st.Dot, left, st.Dot)
		st.Seq++
	}
	return nil
}

// Move puts the n elements from index from, in their order, before the element that is at index to now, or at the end
// if to is the length.
func (l *MoveList[T]) Move(from, n, to int) error {
	shown := l.shown()
	if from < 0 || n < 0 || from > len(shown) || n > len(shown)-from || to < 0 || to > len(shown) {
		return fmt.Errorf("%w: move %d from %d to %d of %d", ErrRange, n, from, to, len(shown))
	}
	if n == 0 {
		return nil
	}
	st := l.tick(l.site, n)
	left := l.before(shown, to)
	for _, place := range shown[from : from+n] {
		left = l.addPlace(st.Dot, left, place.value)
		l.elements[place.value].place = st
		st.Seq++
	}
	return nil
}

// Set gives the element at index a new value.
func (l *MoveList[T]) Set(index int, v T) error {
	shown := l.shown()
	if index < 0 || index >= len(shown) {
		return fmt.Errorf("%w: set %d of %d", ErrRange, index, len(shown))
	}
	e := l.elements[shown[index].value]
	e.written, e.value = l.tick(l.site, 1), v
	return nil
}

// Delete deletes n elements from index on.
func (l *MoveList[T]) Delete(index, n int) error {
	shown := l.shown()
	if index < 0 || n < 0 || index > len(shown) || n > len(shown)-index {
		return fmt.Errorf("%w: delete %d at %d of %d", ErrRange, n, index, len(shown))
	}
	if n == 0 {
		return nil
	}
	l.tick(l.site, 1)
	for _, place := range shown[index : index+n] {
		l.elements[place.value].deleted = true
	}
	return nil
}

// Merge joins the whole state of other into l.
func (l *MoveList[T]) Merge(other *MoveList[T]) {
	l.places.union(other.places, nil)
	for dot, theirs := range other.elements {
		mine := l.elements[dot]
		if mine == nil {
			c := *theirs
			l.elements[dot] = &c
			continue
		}
		if mine.place.Compare(theirs.place) < 0 {
			mine.place = theirs.place
		}
		if mine.written.Compare(theirs.written) < 0 {
			mine.written, mine.value = theirs.written, theirs.value
		}
		mine.deleted = mine.deleted || theirs.deleted
	}
	l.merge(l.site, &other.history)
}

// Values returns the values shown, in list order.
func (l *MoveList[T]) Values() []T {
	var out []T
	for _, place := range l.shown() {
		out = append(out, l.elements[place.value].value)
	}
	return out
}

// Len counts the elements shown.
func (l *MoveList[T]) Len() int { return len(l.shown()) }

// Places returns all places in list order. Equal states have equal Places.
func (l *MoveList[T]) Places() []Place {
	var out []Place
	l.places.walk(func(n *node[Dot]) bool {
		out = append(out, Place{
			Dot: n.dot, Parent: n.parent.dot, AtStart: n.parent == l.places.root, Side: n.side,
			Element: n.value, Shown: l.isShown(n),
		})
		return true
	})
	return out
}

// Deleted returns the elements that are deleted.
func (l *MoveList[T]) Deleted() map[Dot]bool {
	out := map[Dot]bool{}
	for dot, e := range l.elements {
		if e.deleted {
			out[dot] = true
		}
	}
	return out
}

func (l *MoveList[T]) isShown(place *node[Dot]) bool {
	e := l.elements[place.value]
	return !e.deleted && e.place.Dot == place.dot
}

func (l *MoveList[T]) shown() []*node[Dot] {
	var out []*node[Dot]
	l.places.walk(func(n *node[Dot]) bool {
		if l.isShown(n) {
			out = append(out, n)
		}
		return true
	})
	return out
}

func (l *MoveList[T]) before(shown []*node[Dot], index int) *node[Dot] {
	if index == 0 {
		return l.places.root
	}
	return shown[index-1]
}

func (l *MoveList[T]) addPlace(dot Dot, left *node[Dot], elem Dot) *node[Dot] {
	parent, side := l.places.position(left)
	return l.places.add(dot, parent, side, elem)
}
