package plain

import "slices"

// Side says on which side of its parent an element stands.
type Side uint8

const (
	// Left children come before their parent.
	Left Side = iota
	// Right children come after it.
	Right
)

func (s Side) String() string {
	if s == Left {
		return "left"
	}
	return "right"
}

// tree is the order of a list: Fugue (Weidner, Gentle, Kleppmann 2023, arXiv:2305.00583), as the tree itself.
//
//  1. Every node but root, the start of the list, is in nodes and among its parent's children on its side.
//  2. Children on one side ascend by dot.
//  3. List order is the in-order walk: left children, the node, right children.
//
// A node is never removed.
type tree[T any] struct {
	root  *node[T]
	nodes map[Dot]*node[T]
}

type node[T any] struct {
	dot      Dot
	parent   *node[T] // nil for the start alone
	side     Side
	children [2][]*node[T] // by Side
	value    T
}

func newTree[T any]() *tree[T] {
	return &tree[T]{root: &node[T]{}, nodes: map[Dot]*node[T]{}}
}

// add hangs a new node under parent.
func (t *tree[T]) add(dot Dot, parent *node[T], side Side, value T) *node[T] {
	n := &node[T]{dot: dot, parent: parent, side: side, value: value}
	siblings := parent.children[side]
	at, _ := slices.BinarySearchFunc(siblings, dot, func(s *node[T], d Dot) int { return s.dot.Compare(d) })
	parent.children[side] = slices.Insert(siblings, at, n)
	t.nodes[dot] = n
	return n
}

// walk visits all nodes but the start in list order until visit returns false.
func (t *tree[T]) walk(visit func(*node[T]) bool) {
	t.walkFrom(t.root, visit)
}

func (t *tree[T]) walkFrom(n *node[T], visit func(*node[T]) bool) bool {
	for _, c := range n.children[Left] {
		if !t.walkFrom(c, visit) {
			return false
		}
	}
	if n != t.root && !visit(n) {
		return false
	}
	for _, c := range n.children[Right] {
		if !t.walkFrom(c, visit) {
			return false
		}
	}
	return true
}

// leftOrigin is the node that n was inserted directly after: the parent of a right child, the parent's left origin of
// a left child.
func (n *node[T]) leftOrigin() *node[T] {
	for n.side == Left {
		n = n.parent
	}
	return n.parent
}

// after returns the node that follows left in list order, or nil.
func (t *tree[T]) after(left *node[T]) (next *node[T]) {
	found := left == t.root
	t.walk(func(n *node[T]) bool {
		if found {
			next = n
			return false
		}
		found = n == left
		return true
	})
	return next
}

// position returns the parent and side of a new node that is to stand directly after left: it is a left child of the
// node that follows, if that has left as its left origin, else a right child of left.
func (t *tree[T]) position(left *node[T]) (*node[T], Side) {
	if next := t.after(left); next != nil && next.leftOrigin() == left {
		return next, Left
	}
	return left, Right
}

// union adds the nodes of other that t lacks, parents first, and calls both for every node of other with t's own.
func (t *tree[T]) union(other *tree[T], both func(mine, theirs *node[T])) {
	t.unionUnder(t.root, other.root, both)
}

func (t *tree[T]) unionUnder(mine, theirs *node[T], both func(mine, theirs *node[T])) {
	for side, children := range theirs.children {
		for _, c := range children {
			n := t.nodes[c.dot]
			if n == nil {
				n = t.add(c.dot, mine, Side(side), c.value)
			}
			if both != nil {
				both(n, c)
			}
			t.unionUnder(n, c, both)
		}
	}
}
