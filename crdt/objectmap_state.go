package crdt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft/runtime"
)

// Operation codes of an ObjectMap. These numbers are part of format version 1 and must not change.
//
//	set      := 1 kind bytes(key) runs
//	set      := 2 kind bytes(key) bytes(arguments) runs
//	delete   := 3 bytes(key) runs
//	clear    := 4 runs
//
// runs, see writeRuns, are the dots of the children that go.
const (
	mapSet     = 1
	mapSetArgs = 2
	mapDelete  = 3
	mapClear   = 4
)

// objectMapState is the state of an ObjectMap.
//
//  1. children has an entry for each key under which a child is alive, with the greatest stamp of them in front and the
//     others, if any, in descending order.
//  2. Each child is an object that is alive, made by the dot of its set, and this map is its parent. No two are the same.
//  3. undo is empty between transactions.
//
// It is for one goroutine at a time, readers apart.
type objectMapState struct {
	node      *runtime.Node
	children  map[string]mapChild // by encoded key
	undo      []mapUndo
	observers runtime.Observers[mapEvent]
}

// mapChild is the child that a key shows. It is 24 bytes: what few children have is apart, in more, which is never changed
// once it is made.
type mapChild struct {
	node    *runtime.Node
	lamport uint64
	more    *mapMore
}

type mapMore struct {
	args   string     // CBOR, empty: none
	hidden []mapChild // the losers, the greatest first; themselves without hidden
}

type mapUndo struct {
	key string
	was mapChild // node nil: there was none
}

// mapEvent is an ObjectMapEvent without types.
type mapEvent struct {
	meta    runtime.Meta
	changes []mapChange
}

type mapChange struct {
	key           string
	before, after *runtime.Node
}

func newObjectMapState(n *runtime.Node) runtime.Object { return &objectMapState{node: n} }

func (c mapChild) args() string {
	if c.more == nil {
		return ""
	}
	return c.more.args
}

func (c mapChild) hidden() []mapChild {
	if c.more == nil {
		return nil
	}
	return c.more.hidden
}

func (c mapChild) dot() runtime.LocalDot {
	d, _ := c.node.Dot()
	return d
}

func (c mapChild) stamp() runtime.Stamp { return runtime.Stamp{Lamport: c.lamport, Dot: c.dot()} }

func (c mapChild) appendDots(dots []runtime.LocalDot) []runtime.LocalDot {
	if c.node == nil {
		return dots
	}
	dots = append(dots, c.dot())
	for _, h := range c.hidden() {
		dots = append(dots, h.dot())
	}
	return dots
}

// with returns the child with other hidden ones.
func (c mapChild) with(hidden []mapChild) mapChild {
	args := c.args()
	c.more = nil
	if args != "" || len(hidden) > 0 {
		c.more = &mapMore{args, hidden}
	}
	return c
}

// list returns all children of a key, the greatest stamp first, in a new slice.
func (c mapChild) list() []mapChild {
	if c.node == nil {
		return nil
	}
	hidden := c.hidden()
	return append(append(make([]mapChild, 0, 1+len(hidden)), c.with(nil)), hidden...)
}

func (st *objectMapState) dotsAt(key string) []runtime.LocalDot {
	return st.children[key].appendDots(nil)
}

func (st *objectMapState) sortedKeys() []string {
	return slices.Sorted(maps.Keys(st.children))
}

// put makes list, in descending order of stamps, the children of a key.
func (st *objectMapState) put(key string, list []mapChild) {
	st.undo = append(st.undo, mapUndo{key, st.children[key]})
	if len(list) == 0 {
		delete(st.children, key)
		return
	}
	if st.children == nil {
		st.children = make(map[string]mapChild)
	}
	st.children[key] = list[0].with(list[1:])
}

// insert puts c into list where its stamp belongs.
func (st *objectMapState) insert(list []mapChild, c mapChild) []mapChild {
	rt := st.node.Runtime()
	i := 0
	for i < len(list) && rt.CompareStamps(list[i].stamp(), c.stamp()) > 0 {
		i++
	}
	return slices.Insert(list, i, c)
}

// Apply integrates one operation.
func (st *objectMapState) Apply(op *runtime.Op) error {
	code, err := beginOp(op, mapClear)
	if err != nil {
		return err
	}
	var kind string
	var key, args []byte
	if code == mapSet || code == mapSetArgs {
		kind = op.Kind("kind")
	}
	if code != mapClear {
		key = op.Bytes("key")
	}
	if code == mapSetArgs {
		args = op.Bytes("arguments")
	}
	var few [4]dotRun
	gone := readRuns(&op.Reader, few[:0])
	if err := doneOp(op); err != nil {
		return err
	}
	if code == mapSetArgs {
		if err := runtime.ValidValue(args); err != nil {
			return err
		}
	}
	if code == mapClear {
		st.clear(op, gone)
		return nil
	}
	if err := runtime.CanonicalKey(key); err != nil {
		return err
	}
	var made *runtime.Node
	if kind != "" {
		if made, err = st.node.Create(op.Dot, kind); err != nil {
			return err
		}
	}
	st.change(op, string(key), made, string(args), gone)
	return nil
}

// change removes the children of a key that are named, and adds made, if there is one.
func (st *objectMapState) change(op *runtime.Op, key string, made *runtime.Node, args string, gone []dotRun) {
	was := st.children[key]
	if made == nil && was.node == nil {
		return
	}
	rest := was.list()
	if len(gone) > 0 {
		rest = st.remove(op, rest, gone)
	}
	if made != nil {
		c := mapChild{node: made, lamport: op.Lamport}
		if args != "" {
			c.more = &mapMore{args: args}
		}
		rest = st.insert(rest, c)
	} else if len(rest) == 1+len(was.hidden()) {
		return
	}
	st.put(key, rest)
}

// remove drops those of list that are named and returns the others.
func (st *objectMapState) remove(op *runtime.Op, list []mapChild, gone []dotRun) []mapChild {
	return slices.DeleteFunc(list, func(c mapChild) bool {
		if !inRuns(gone, c.dot()) {
			return false
		}
		op.Removed(c.dot(), 1)
		st.node.Drop(c.node)
		return true
	})
}

func (st *objectMapState) clear(op *runtime.Op, gone []dotRun) {
	var hit []string
	for key, c := range st.children {
		if inRuns(gone, c.dot()) || slices.ContainsFunc(c.hidden(), func(h mapChild) bool { return inRuns(gone, h.dot()) }) {
			hit = append(hit, key)
		}
	}
	slices.Sort(hit) // so that the deletion record does not depend on the map's order
	for _, key := range hit {
		st.put(key, st.remove(op, st.children[key].list(), gone))
	}
}

// Empty reports whether no child is alive.
func (st *objectMapState) Empty() bool { return len(st.children) == 0 }

// each yields every child, hidden ones included, in no order.
func (st *objectMapState) each(yield func(key string, c mapChild) bool) {
	for key, c := range st.children {
		if !yield(key, c) {
			return
		}
		for _, h := range c.hidden() {
			if !yield(key, h) {
				return
			}
		}
	}
}

// Save writes the children, see writeChildren.
func (st *objectMapState) Save(w *runtime.StateWriter) {
	list := make([]madeChild, 0, len(st.children))
	st.each(func(key string, c mapChild) bool {
		if d := c.dot(); w.Outside(d) {
			list = append(list, madeChild{c.node, d, c.lamport, key, c.args(), ""})
		}
		return true
	})
	writeChildren(w, st.node.Runtime(), list, true)
}

// Dots yields the dots of the children.
func (st *objectMapState) Dots(yield func(runtime.LocalDot, uint64)) {
	st.each(func(_ string, c mapChild) bool { yield(c.dot(), 1); return true })
}

// Children yields the children, hidden ones included.
func (st *objectMapState) Children(yield func(*runtime.Node) bool) {
	st.each(func(_ string, c mapChild) bool { return yield(c.node) })
}

// Merge joins another state or delta.
func (st *objectMapState) Merge(r *runtime.StateReader) error {
	var listed map[runtime.LocalDot]bool
	if len(st.children) > 0 {
		listed = make(map[runtime.LocalDot]bool)
	}
	err := readChildren(r, true, func(c *madeChild, key, args []byte) error {
		if listed != nil {
			listed[c.dot] = true
		}
		if r.Known(c.dot) {
			return nil // here, or deleted here
		}
		if err := runtime.CanonicalKey(key); err != nil {
			return err
		}
		if args != nil {
			if err := runtime.ValidValue(args); err != nil {
				return err
			}
		}
		n, err := createChild(st.node, c.dot, c.kind)
		if err != nil {
			return err
		}
		child := mapChild{node: n, lamport: c.lamport}
		if args != nil {
			child.more = &mapMore{args: string(args)}
		}
		st.add(string(key), child)
		return nil
	})
	if err != nil || listed == nil {
		return err
	}
	for key, c := range st.children {
		gone := func(c mapChild) bool { return !listed[c.dot()] && r.Deleted(c.dot()) }
		if !gone(c) && !slices.ContainsFunc(c.hidden(), gone) {
			continue
		}
		st.put(key, slices.DeleteFunc(c.list(), func(c mapChild) bool {
			if gone(c) {
				st.node.Drop(c.node)
				return true
			}
			return false
		}))
	}
	return nil
}

// add puts a child under a key.
func (st *objectMapState) add(key string, c mapChild) {
	if was := st.children[key]; was.node != nil {
		st.put(key, st.insert(was.list(), c))
		return
	}
	st.put(key, []mapChild{c})
}

// Rollback undoes the open transaction.
func (st *objectMapState) Rollback() {
	for _, u := range slices.Backward(st.undo) {
		if u.was.node == nil {
			delete(st.children, u.key)
		} else {
			st.children[u.key] = u.was
		}
	}
	st.forget()
}

func (st *objectMapState) forget() {
	if cap(st.undo) > 64 {
		st.undo = nil
	}
	clear(st.undo)
	st.undo = st.undo[:0]
}

// Commit ends the transaction and tells who listens what has changed.
func (st *objectMapState) Commit(c *runtime.Commit) {
	if st.observers.Active() {
		if changes := st.changes(); len(changes) > 0 {
			st.observers.Emit(c, mapEvent{c.Meta(), changes})
		}
	}
	st.forget()
}

// changes compares what each key that the open transaction touched showed before and shows now.
func (st *objectMapState) changes() []mapChange {
	seen := make(map[string]bool, len(st.undo))
	var out []mapChange
	for _, u := range st.undo {
		if seen[u.key] {
			continue
		}
		seen[u.key] = true
		if now := st.children[u.key].node; now != u.was.node {
			out = append(out, mapChange{u.key, u.was.node, now})
		}
	}
	slices.SortFunc(out, func(a, b mapChange) int { return strings.Compare(a.key, b.key) })
	return out
}

// Export returns the children by key; one that was made with arguments as {"$args": ..., "$value": ...}.
func (st *objectMapState) Export(x *runtime.Exporter) any {
	out := make(map[string]any, len(st.children))
	for _, key := range st.sortedKeys() {
		c := st.children[key]
		out[keyName(out, key)] = exportChild(x, c.node, c.args())
	}
	return out
}

func exportChild(x *runtime.Exporter, n *runtime.Node, args string) any {
	v := x.Node(n)
	if args != "" {
		v = map[string]any{"$args": x.Value([]byte(args)), "$value": v}
	}
	return v
}

// Check tests the invariants.
func (st *objectMapState) Check() error {
	rt := st.node.Runtime()
	seen := make(map[runtime.LocalDot]bool)
	for key, c := range st.children {
		list := c.list()
		if c.node == nil {
			return fmt.Errorf("invariant 1: key %x has no child", key)
		}
		for i, x := range list {
			if i > 0 && rt.CompareStamps(list[i-1].stamp(), x.stamp()) <= 0 || i > 0 && x.hidden() != nil {
				return fmt.Errorf("invariant 1: children of key %x are not in order", key)
			}
			if err := checkChild(st.node, x.node, x.dot(), seen); err != nil {
				return fmt.Errorf("invariant 2: key %x: %w", key, err)
			}
		}
	}
	if len(st.undo) != 0 {
		return fmt.Errorf("invariant 3: %d notes", len(st.undo))
	}
	return nil
}

// checkChild tests that c is a living child of n, and of nothing that was seen.
func checkChild(n, c *runtime.Node, d runtime.LocalDot, seen map[runtime.LocalDot]bool) error {
	_, made := c.Dot()
	switch err := c.Err(); {
	case !made:
		return fmt.Errorf("object %s was not made by a dot", c)
	case c.Parent() != n:
		return fmt.Errorf("object %s has another parent", c)
	case seen[d]:
		return fmt.Errorf("object %s is listed twice", c)
	case err != nil && err != runtime.ErrOpaque:
		return fmt.Errorf("object %s: %w", c, err)
	}
	seen[d] = true
	return nil
}
