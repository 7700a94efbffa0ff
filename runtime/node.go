package runtime

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

type nodeClass uint8

const (
	classRoot     nodeClass = iota // (name, kind)
	classDot                       // the dot of the operation that created it
	classImplicit                  // (parent, key bytes, kind): exists without being made
)

type nodeState uint8

const (
	alive nodeState = iota
	deleted
	rolledBack
)

// Node is the place of one object in its document: its identity, its kind and its state. Nodes are shared; handles of
// package crdt wrap them.
//
//  1. A root is identified by (name, kind), a made object by the dot that created it, an implicit one by (parent, key,
//     kind).
//  2. A node is in its runtime's table exactly while it is alive.
//  3. obj is nil exactly if the kind is not registered here.
//
// It is 48 bytes, 32 more for one that was made, and 64 more for one with a few implicit children: a document may have
// millions.
type Node struct {
	*nodeName
	parent *Node // implicit: its parent; made: its container once that is known; root: nil
	obj    Object
	more   atomic.Pointer[nodeMore] // set under the table's lock, or the write lock
	class  nodeClass
	state  nodeState
	// touched says that the open transaction has changed the object, so that it is committed once.
	touched bool
	// observed says that Runtime.observers has it; set under the table's lock.
	observed bool
	// inState is scratch of saving: number of the object in the state being written, plus 1.
	inState uint32
}

// nodeName is what nodes share that have the same name and kind: the fields of records, and all objects of a kind that
// were made. It never changes.
type nodeName struct {
	rt   *Runtime
	kind *kindInfo
	key  string // a root's name or an implicit object's key
}

// nodeMore is what only objects that were made, or that have implicit children, have.
type nodeMore struct {
	made LocalDot
	few  *[fewKids]*Node // the first implicit children, see kids.go; guarded by the table's lock
	rare atomic.Pointer[nodeRare]
}

type nodeRare struct {
	kids   []*Node          // implicit children once there are more than a few
	index  map[kidKey]*Node // of kids, see kids.go
	opaque *opaque
}

// maxShared bounds the names of fields that are shared.
const maxShared = 4096

type rootKey struct {
	name string
	kind *kindInfo
}

// Runtime returns the document that the object is part of.
func (n *Node) Runtime() *Runtime { return n.rt }

// Kind returns the name of the object's kind.
func (n *Node) Kind() string { return n.kind.name }

// Object returns the state; nil if the kind is not registered here. For the nil Node of a handle that is not bound it panics
// with ErrUnbound.
func (n *Node) Object() Object {
	if n == nil {
		panic(ErrUnbound)
	}
	return n.obj
}

// Parent returns the object that holds this one, nil for a root.
func (n *Node) Parent() *Node { return n.parent }

// Dot returns the dot that created the object; false for roots and implicit objects.
func (n *Node) Dot() (LocalDot, bool) {
	if n.class != classDot {
		return LocalDot{}, false
	}
	return n.dot(), true
}

// dot is Dot of a made object.
func (n *Node) dot() LocalDot { return n.more.Load().made }

// opaque returns what is known of an object that is kept without being understood, to be read; else nil.
func (n *Node) opaque() *opaque {
	if m := n.more.Load(); m != nil {
		if x := m.rare.Load(); x != nil && x.opaque != nil {
			return x.opaque
		}
	}
	if n.obj == nil {
		return &nothingOpaque
	}
	return nil
}

// ownOpaque is opaque for an object that is to learn something.
func (n *Node) ownOpaque() *opaque {
	if o := n.opaque(); o != &nothingOpaque {
		return o
	}
	n.setOpaque(new(opaque))
	return n.opaque()
}

func (n *Node) setOpaque(o *opaque) { n.rare().opaque = o }

// extra returns n.more, making it.
func (n *Node) extra() *nodeMore {
	m := n.more.Load()
	if m == nil {
		m = new(nodeMore)
		n.more.Store(m)
	}
	return m
}

func (n *Node) rare() *nodeRare {
	m := n.extra()
	x := m.rare.Load()
	if x == nil {
		x = new(nodeRare)
		m.rare.Store(x)
	}
	return x
}

// Name returns a root's name or an implicit object's key bytes.
func (n *Node) Name() string { return n.key }

// Err returns nil for an object that can be edited, else ErrDeleted, ErrRolledBack or ErrOpaque.
func (n *Node) Err() error {
	switch {
	case n == nil:
		return ErrUnbound
	case n.state == deleted:
		return ErrDeleted
	case n.state == rolledBack:
		return ErrRolledBack
	case n.opaque() != nil:
		return ErrOpaque
	}
	return nil
}

// String names the object for people: its path from the root.
func (n *Node) String() string {
	var b strings.Builder
	n.path(&b, 0)
	return b.String()
}

func (n *Node) path(b *strings.Builder, depth int) {
	if depth > 32 {
		b.WriteString("...")
		return
	}
	switch n.class {
	case classRoot:
		fmt.Fprintf(b, "%q", n.key)
	case classDot:
		if n.parent != nil {
			n.parent.path(b, depth+1)
		}
		fmt.Fprintf(b, "@%v", n.rt.Dot(n.dot()))
	case classImplicit:
		n.parent.path(b, depth+1)
		fmt.Fprintf(b, "/%q", n.key)
	}
	if depth == 0 {
		fmt.Fprintf(b, " (%s)", n.kind.name)
	}
}

// Root returns the object with this root name and kind, making its place on first use: that changes no byte of the
// document. Two kinds under one name are two objects, but registering both here is a mistake: ErrKindConflict.
func (r *Runtime) Root(name, kind string) (*Node, error) {
	if len(name) > r.limits.NameBytes {
		return nil, &LimitError{"NameBytes", uint64(len(name)), uint64(r.limits.NameBytes)}
	}
	r.table.Lock()
	defer r.table.Unlock()
	k := r.findKind(kind)
	if k == nil || k.new == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	if was := r.registered[name]; was != nil && was != k {
		return nil, fmt.Errorf("%w: %q is of kind %s, not %s", ErrKindConflict, name, was.name, kind)
	}
	r.registered[name] = k
	return r.root(name, k), nil
}

func (r *Runtime) root(name string, k *kindInfo) *Node {
	key := rootKey{name, k}
	n := r.roots[key]
	if n == nil {
		n = r.newNode(&nodeName{r, k, name}, classRoot)
		r.instantiate(n)
		r.roots[key] = n
	}
	return n
}

func (r *Runtime) newNode(name *nodeName, c nodeClass) *Node { return &Node{nodeName: name, class: c} }

// newMade makes the place of the object that d made.
func (r *Runtime) newMade(d LocalDot, k *kindInfo) *Node {
	if k.made == nil {
		k.made = &nodeName{r, k, ""}
	}
	n := r.newNode(k.made, classDot)
	n.extra().made = d
	r.instantiate(n)
	return n
}

// nameOf returns the name of a child of n: one for all records where n is one.
func (n *Node) nameOf(key string, k *kindInfo) *nodeName {
	if n.kind.code != recordCode {
		return &nodeName{n.rt, k, key}
	}
	id := kidKey{key, k}
	name := n.rt.fields[id]
	if name == nil {
		name = &nodeName{n.rt, k, key}
		if n.rt.fields == nil {
			n.rt.fields = make(map[kidKey]*nodeName)
		}
		if len(n.rt.fields) < maxShared {
			n.rt.fields[id] = name
		}
	}
	return name
}

func (r *Runtime) instantiate(n *Node) {
	if n.kind.new != nil {
		n.obj = n.kind.new(n)
		if _, ok := n.obj.(Overseer); ok && !n.kind.oversees {
			n.kind.oversees = true
			r.overseen.Store(true)
		}
	}
}

// Implicit returns the child with this key and kind, which exists without being made; taking it changes no byte of
// the document. It may be called inside View and Transact. A *LimitError says that the key is too long or the child too
// deep.
func (n *Node) Implicit(key, kind string) (*Node, error) {
	n.rt.table.Lock()
	defer n.rt.table.Unlock()
	k := n.rt.findKind(kind)
	if k == nil || k.new == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	if len(key) > n.rt.limits.NameBytes {
		return nil, &LimitError{"NameBytes", uint64(len(key)), uint64(n.rt.limits.NameBytes)}
	}
	return n.implicit(key, k)
}

// LookUp returns the child with this key and kind if it was ever named or holds something here, else nil: it is Implicit
// for reads that are to leave nothing in memory. The same rules hold.
func (n *Node) LookUp(key, kind string) *Node {
	n.rt.table.Lock()
	defer n.rt.table.Unlock()
	if k := n.rt.findKind(kind); k != nil {
		return n.kid(key, k)
	}
	return nil
}

// implicit finds or makes an implicit child; its only error is that of CheckDepth.
func (n *Node) implicit(key string, k *kindInfo) (*Node, error) {
	if c := n.kid(key, k); c != nil {
		return c, nil
	}
	if err := n.CheckDepth(1); err != nil {
		return nil, err
	}
	c := n.rt.newNode(n.nameOf(key, k), classImplicit)
	c.parent, c.state = n, n.state
	n.rt.instantiate(c)
	n.addKid(c)
	return c, nil
}

// ImplicitChildren calls yield for each implicit child of this kind, of any kind if it is empty, in no order. Children
// that hold nothing may or may not be among them.
func (n *Node) ImplicitChildren(kind string, yield func(key string, c *Node) bool) {
	for _, c := range n.children() {
		if (kind == "" || c.kind.name == kind) && !yield(c.key, c) {
			return
		}
	}
}

// children lists the implicit children; the caller must not change the slice.
func (n *Node) children() []*Node {
	n.rt.table.Lock()
	defer n.rt.table.Unlock()
	return n.kids()
}

// Holds reports whether the object or any object below it differs from its initial state.
func (n *Node) Holds() bool {
	if n.opaque() != nil || n.obj != nil && !n.obj.Empty() {
		return true
	}
	for _, c := range n.children() {
		if c.Holds() {
			return true
		}
	}
	return false
}

// allNodes lists every object that is alive, parents of implicit ones before them.
func (r *Runtime) allNodes() []*Node {
	r.table.Lock()
	defer r.table.Unlock()
	nodes := make([]*Node, 0, len(r.roots)+r.made.count)
	for _, n := range r.roots {
		nodes = append(nodes, n)
	}
	for n := range r.made.all {
		nodes = append(nodes, n)
	}
	for i := 0; i < len(nodes); i++ {
		nodes = append(nodes, nodes[i].kids()...)
	}
	return nodes
}

// Create makes (or finds) the child that the operation or entry with this dot creates. Only Apply and Merge may call it,
// Apply before it changes anything. It is undone when the transaction is. The error, which Apply and Merge return, says
// that the child would be nested beyond MaxDepth: a *LimitError that wraps ErrInvalidOp too. Cost: O(depth).
func (n *Node) Create(d LocalDot, kind string) (*Node, error) {
	r := n.rt
	r.table.Lock()
	defer r.table.Unlock()
	c := r.made.get(d)
	if c == nil || c.parent == nil {
		if err := n.CheckDepth(1); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidOp, inner{err})
		}
		if err := n.CheckDepth(1 + c.height()); err != nil {
			return nil, fmt.Errorf("%w: %w", errBuried, inner{err})
		}
	}
	if c == nil {
		c = r.newMade(d, r.kind(kind))
		r.made.put(c)
		c.parent = n
		r.journal = append(doubled(r.journal), undoRecord{node: c, create: true})
	}
	if c.parent == nil {
		c.parent = n
		delete(r.orphans, c)
		r.journal = append(doubled(r.journal), undoRecord{node: c, adopt: true})
	}
	return c, nil
}

// errBuried says that an object that came before its container has too much below it. Those who made it could not count,
// since the container was opaque to them.
var errBuried = fmt.Errorf("%w: made by a replica that does not know the kind of its container", ErrInvalidOp)

// Drop ends a child made by Create, and all below it. Only Apply and Merge may call it. It is undone when the
// transaction is.
func (n *Node) Drop(c *Node) {
	n.rt.table.Lock()
	n.rt.drop(c)
	n.rt.table.Unlock()
}

// drop works through an explicit stack: nesting is chosen by others.
func (r *Runtime) drop(top *Node) {
	stack := []*Node{top}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if c.state != alive {
			continue
		}
		c.state = deleted
		c.opaque().count(r, false)
		if c.class == classDot {
			r.made.remove(c.dot())
			delete(r.orphans, c)
		}
		r.journal = append(doubled(r.journal), undoRecord{node: c})
		stack = c.below(stack)
	}
}

// doubled returns s with room for one more: where append would grow it in small steps, by as much again, since what others
// choose the length of is to allocate little in all.
func doubled[T any](s []T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(8, len(s)))
	}
	return s
}

// undoRecord undoes what the runtime itself changed: the making, adopting and dropping of objects.
type undoRecord struct {
	node                    *Node
	create, adopt, unOpaque bool
}

func (u undoRecord) undo(r *Runtime) {
	c := u.node
	switch {
	case u.create:
		r.made.remove(c.dot())
		delete(r.orphans, c)
		r.markRolledBack(c)
	case u.adopt:
		c.parent = nil
		r.orphan(c)
	case u.unOpaque:
		c.setOpaque(nil)
	default:
		c.state = alive
		c.opaque().count(r, true)
		if c.class == classDot {
			r.made.put(c)
			if c.parent == nil {
				r.orphan(c)
			}
		}
		for _, k := range c.kids() { // those named first after the drop have no note of their own
			if k.state == deleted {
				undoRecord{node: k}.undo(r)
			}
		}
	}
}

func (r *Runtime) markRolledBack(top *Node) {
	stack := []*Node{top}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		c.state = rolledBack
		stack = append(stack, c.kids()...)
	}
}

// CheckDepth returns a *LimitError if there may not be so many levels of objects below n. An edit that makes objects asks
// before it changes anything. Cost: O(depth).
func (n *Node) CheckDepth(levels int) error {
	depth := levels
	for p := n.parent; p != nil; p = p.parent {
		depth++
	}
	if depth > MaxDepth {
		return &LimitError{"Depth", uint64(depth), MaxDepth}
	}
	return nil
}

// height returns how many levels of objects are below n. Only an object that came before its container has any when it
// is asked: one of a state that is being merged, or of an opaque container.
func (n *Node) height() int {
	if n == nil {
		return 0
	}
	level, h := n.below(nil), 0
	for ; len(level) > 0; h++ {
		var next []*Node
		for _, c := range level {
			next = c.below(next)
		}
		level = next
	}
	return h
}

// below appends the objects that n holds.
func (n *Node) below(list []*Node) []*Node {
	list = append(list, n.kids()...)
	if c, ok := n.obj.(Container); ok {
		c.Children(func(k *Node) bool { list = append(list, k); return true })
	}
	return list
}
