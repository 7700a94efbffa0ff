package plain

import (
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"
)

// Errors of Apply and of indexes.
var (
	ErrRange  = errors.New("plain: index out of range")
	ErrCausal = errors.New("plain: operation before one that it depends on")
	ErrOp     = errors.New("plain: operation that makes no sense")
)

// List is a text in Fugue order, one element a code point.
//
//  1. Insert of n code points takes n dots, a delete of any number of elements takes one.
//  2. A deleted element stays in the tree for ever, and stays deleted.
type List struct {
	site *Site
	history
	tree *tree[char]
}

type char struct {
	r       rune
	deleted bool
}

// Element is one element of a List as it stands in list order.
type Element struct {
	Dot     Dot
	Parent  Dot  // zero when AtStart
	AtStart bool // the parent is the start of the list
	Side    Side
	Deleted bool // not meant in an Op
	Rune    rune
}

// Op is one operation on a List. One of Insert and Delete is not empty.
type Op struct {
	Stamp
	After  uint64    // end of the author's operation before this one on this list
	Insert []Element // in order of their dots, which are consecutive from Stamp.Dot
	Delete []Dot     // in list order
}

// NewList returns an empty list that takes its dots from site.
func NewList(site *Site) *List {
	return &List{site: site, history: newHistory(), tree: newTree[char]()}
}

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (l *List) Clone(site *Site) *List {
	c := NewList(site)
	c.history = l.history.clone()
	c.tree.union(l.tree, nil)
	if site != nil {
		site.Observe(l.lamport)
	}
	return c
}

// Insert puts runes before the visible element at index and returns the operation. No runes: no operation, zero Op.
func (l *List) Insert(index int, runes ...rune) (Op, error) {
	visible := l.visible()
	if index < 0 || index > len(visible) {
		return Op{}, fmt.Errorf("%w: insert at %d of %d", ErrRange, index, len(visible))
	}
	if len(runes) == 0 {
		return Op{}, nil
	}
	op := Op{After: l.clock[l.site.ID]}
	op.Stamp = l.tick(l.site, len(runes))
	left := l.tree.root
	if index > 0 {
		left = visible[index-1]
	}
	for i, r := range runes {
		parent, side := l.tree.position(left)
		left = l.tree.add(Dot{op.Replica, op.Seq + uint64(i)}, parent, side, char{r: r})
		op.Insert = append(op.Insert, l.element(left))
	}
	return op, nil
}

// Delete deletes n visible elements from index on and returns the operation. n = 0: no operation, zero Op.
func (l *List) Delete(index, n int) (Op, error) {
	visible := l.visible()
	if index < 0 || n < 0 || index > len(visible) || n > len(visible)-index {
		return Op{}, fmt.Errorf("%w: delete %d at %d of %d", ErrRange, n, index, len(visible))
	}
	if n == 0 {
		return Op{}, nil
	}
	op := Op{After: l.clock[l.site.ID]}
	op.Stamp = l.tick(l.site, 1)
	for _, e := range visible[index : index+n] {
		e.value.deleted = true
		op.Delete = append(op.Delete, e.dot)
	}
	return op, nil
}

// Apply applies an operation of another replica. One that is applied already changes nothing. With an error, such as
// ErrCausal when something it depends on is not applied, the list is unchanged.
func (l *List) Apply(op Op) error {
	if len(op.Insert)+len(op.Delete) == 0 {
		return nil
	}
	if l.covers(op.Dot) {
		return nil
	}
	if have := l.clock[op.Replica]; have != op.After {
		return fmt.Errorf("%w: %v follows the author's %d, applied to %d", ErrCausal, op.Dot, op.After, have)
	}
	if err := l.check(op); err != nil {
		return err
	}
	for _, e := range op.Insert {
		parent := l.tree.root
		if !e.AtStart {
			parent = l.tree.nodes[e.Parent]
		}
		l.tree.add(e.Dot, parent, e.Side, char{r: e.Rune})
	}
	for _, d := range op.Delete {
		l.tree.nodes[d].value.deleted = true
	}
	l.see(op.Stamp, max(1, len(op.Insert)))
	if l.site != nil {
		l.site.Observe(op.Lamport)
	}
	return nil
}

// check tells whether op fits: its dots are consecutive, and what it names exists or comes earlier in it.
func (l *List) check(op Op) error {
	if len(op.Insert) > 0 && len(op.Delete) > 0 {
		return fmt.Errorf("%w: %v inserts and deletes", ErrOp, op.Dot)
	}
	for i, e := range op.Insert {
		if want := (Dot{op.Replica, op.Seq + uint64(i)}); e.Dot != want || e.Side > Right || e.AtStart && e.Side == Left {
			return fmt.Errorf("%w: element %v of %v", ErrOp, e.Dot, op.Dot)
		}
		inOp := e.Parent.Replica == op.Replica && e.Parent.Seq >= op.Seq && e.Parent.Seq < op.Seq+uint64(i)
		if !e.AtStart && !inOp && l.tree.nodes[e.Parent] == nil {
			return fmt.Errorf("%w: %v has parent %v", ErrCausal, e.Dot, e.Parent)
		}
	}
	for _, d := range op.Delete {
		if l.tree.nodes[d] == nil {
			return fmt.Errorf("%w: %v deletes %v", ErrCausal, op.Dot, d)
		}
	}
	return nil
}

// Merge joins the whole state of other into l: the elements that l lacks, and every deleted flag.
func (l *List) Merge(other *List) {
	l.tree.union(other.tree, func(mine, theirs *node[char]) {
		mine.value.deleted = mine.value.deleted || theirs.value.deleted
	})
	l.merge(l.site, &other.history)
}

// Text returns the visible code points.
func (l *List) Text() string {
	var out []rune
	for _, n := range l.visible() {
		out = append(out, n.value.r)
	}
	return string(out)
}

// Len counts the visible code points.
func (l *List) Len() int { return len(l.visible()) }

// Elements returns all elements in list order, deleted ones included. Equal states have equal Elements.
func (l *List) Elements() []Element {
	out := make([]Element, 0, len(l.tree.nodes))
	l.tree.walk(func(n *node[char]) bool {
		out = append(out, l.element(n))
		return true
	})
	return out
}

// Clock returns, for each replica, the end of its last operation on this list.
func (l *List) Clock() map[uuid.UUID]uint64 { return maps.Clone(l.clock) }

func (l *List) visible() []*node[char] {
	var out []*node[char]
	l.tree.walk(func(n *node[char]) bool {
		if !n.value.deleted {
			out = append(out, n)
		}
		return true
	})
	return out
}

func (l *List) element(n *node[char]) Element {
	return Element{
		Dot: n.dot, Parent: n.parent.dot, AtStart: n.parent == l.tree.root, Side: n.side,
		Deleted: n.value.deleted, Rune: n.value.r,
	}
}
