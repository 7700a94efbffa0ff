package crdt

import (
	"cmp"
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
//  1. children has an entry for each key under which a child is alive: the child with the greatest stamp of them. The
//     others, if any, are in its more.hidden, a heap.
//  2. Each child is an object that is alive, made by the dot of its set, and this map is its parent. No two are the same.
//  3. undo is empty between transactions, and open is false.
//  4. keys, if it is there, has the key of every child.
//
// It is for one goroutine at a time, readers apart.
type objectMapState struct {
	node      *runtime.Node
	children  map[string]mapChild // by encoded key
	keys      map[runtime.LocalDot]string
	open      bool // a transaction has changed it
	fresh     bool // it was empty before that, and nobody listens: no notes are needed
	undo      []mapUndo
	observers runtime.Observers[mapEvent]
}

// mapChild is a child of a map. It is 24 bytes: what few children have is apart, in more.
type mapChild struct {
	node    *runtime.Node
	lamport uint64
	more    *mapMore
}

type mapMore struct {
	args   string         // CBOR, empty: none
	hidden *bag[mapChild] // the losers: a heap, the greatest first
}

type mapUndo struct {
	key   string
	child mapChild
	came  bool          // else it went
	shown *runtime.Node // under the key before
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
	if c.more == nil || c.more.hidden == nil {
		return nil
	}
	return c.more.hidden.list
}

func (c mapChild) madeBy() runtime.LocalDot {
	d, _ := c.node.Dot()
	return d
}

func (c mapChild) stamp() runtime.Stamp { return runtime.Stamp{Lamport: c.lamport, Dot: c.madeBy()} }

func (c mapChild) appendDots(dots []runtime.LocalDot) []runtime.LocalDot {
	if c.node == nil {
		return dots
	}
	dots = append(dots, c.madeBy())
	for _, h := range c.hidden() {
		dots = append(dots, h.madeBy())
	}
	return dots
}

// with returns the child with these hidden ones.
func (c mapChild) with(hidden *bag[mapChild]) mapChild {
	if args := c.args(); args != "" || hidden != nil {
		c.more = &mapMore{args, hidden}
	} else {
		c.more = nil
	}
	return c
}

func (st *objectMapState) dotsAt(key string) []runtime.LocalDot {
	return st.children[key].appendDots(nil)
}

func (st *objectMapState) sortedKeys() []string {
	return slices.Sorted(maps.Keys(st.children))
}

// note notes a change; the first note of a transaction comes before anything has gone.
func (st *objectMapState) note(u mapUndo) {
	if !st.open {
		st.open, st.fresh = true, u.came && len(st.children) == 0 && !st.observers.Active()
	}
	if !st.fresh {
		st.undo = append(st.undo, u)
	}
}

// put puts a child under a key: where it shows or among the hidden ones. Cost: O(log h) for h of those.
func (st *objectMapState) put(key string, c mapChild) {
	top := st.children[key]
	st.note(mapUndo{key, c, true, top.node})
	if st.keys != nil {
		st.keys[c.madeBy()] = key
	}
	if top.node == nil {
		if st.children == nil {
			st.children = make(map[string]mapChild)
		}
		st.children[key] = c
		return
	}
	hidden := new(bag[mapChild])
	if top.more != nil && top.more.hidden != nil {
		hidden = top.more.hidden
	}
	if st.above(c, top) {
		c, top = top.with(nil), c
	}
	hidden.add(c)
	st.up(hidden, len(hidden.list)-1)
	st.children[key] = top.with(hidden)
}

// take takes the child that d made from under a key; false if it is not there.
func (st *objectMapState) take(key string, d runtime.LocalDot) (c mapChild, ok bool) {
	top := st.children[key]
	if top.node == nil {
		return c, false
	}
	hidden := (*bag[mapChild])(nil)
	if top.more != nil {
		hidden = top.more.hidden
	}
	next := top
	if top.madeBy() == d {
		c = top.with(nil)
		if hidden == nil {
			delete(st.children, key)
			next.node = nil
		} else {
			next = st.pop(hidden, 0)
		}
	} else if hidden == nil {
		return c, false
	} else if i := hidden.find(d); i >= 0 {
		c = st.pop(hidden, i)
	} else {
		return c, false
	}
	if next.node != nil {
		if hidden != nil && len(hidden.list) == 0 {
			hidden = nil
		}
		st.children[key] = next.with(hidden)
	}
	delete(st.keys, d)
	st.note(mapUndo{key, c, false, top.node})
	return c, true
}

func (st *objectMapState) above(a, b mapChild) bool {
	return st.node.Runtime().CompareStamps(a.stamp(), b.stamp()) > 0
}

// up moves place i of a heap up to where it belongs.
func (st *objectMapState) up(h *bag[mapChild], i int) {
	for i > 0 && st.above(h.list[i], h.list[(i-1)/2]) {
		h.swap(i, (i-1)/2)
		h.steps++
		i = (i - 1) / 2
	}
}

// pop takes place i out of a heap.
func (st *objectMapState) pop(h *bag[mapChild], i int) mapChild {
	c := h.removeAt(i)
	if i >= len(h.list) {
		return c
	}
	st.up(h, i)
	for {
		k := 2*i + 1
		if k+1 < len(h.list) && st.above(h.list[k+1], h.list[k]) {
			k++
		}
		if k >= len(h.list) || !st.above(h.list[k], h.list[i]) {
			return c
		}
		h.swap(i, k)
		h.steps++
		i = k
	}
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
	st.removeAt(op, string(key), gone)
	if made != nil {
		c := mapChild{node: made, lamport: op.Lamport}
		if args != nil {
			c.more = &mapMore{args: string(args)}
		}
		st.put(string(key), c)
	}
	return nil
}

// removeAt drops those children of a key that are named.
func (st *objectMapState) removeAt(op *runtime.Op, key string, gone []dotRun) {
	top := st.children[key]
	if len(gone) == 0 || top.node == nil {
		return
	}
	var few [4]runtime.LocalDot
	dots := few[:0]
	if d := top.madeBy(); inRuns(gone, d) {
		dots = append(dots, d)
	}
	if len(top.hidden()) > 0 {
		dots = top.more.hidden.named(gone, dots)
	}
	slices.SortFunc(dots, st.node.Runtime().CompareDots)
	for _, d := range dots {
		st.remove(op, key, d)
	}
}

// remove drops the child that d made.
func (st *objectMapState) remove(op *runtime.Op, key string, d runtime.LocalDot) {
	if c, ok := st.take(key, d); ok {
		op.Removed(d, 1)
		st.node.Drop(c.node)
	}
}

// clear drops the children that are named. The first time it may look at each; if that was for little, an index by dot is
// kept from then on.
func (st *objectMapState) clear(op *runtime.Op, gone []dotRun) {
	n := uint64(len(st.children))
	if st.keys == nil {
		var hit []dotKey
		st.each(func(key string, c mapChild) bool {
			if d := c.madeBy(); inRuns(gone, d) {
				hit = append(hit, dotKey{d, key})
			}
			return true
		})
		st.removeAll(op, hit)
		if uint64(len(hit)) < n/8 {
			st.keys = make(map[runtime.LocalDot]string, len(st.children))
			st.each(func(key string, c mapChild) bool { st.keys[c.madeBy()] = key; return true })
		}
		return
	}
	var hit []dotKey
	if covered(gone) < uint64(len(st.keys)) {
		for _, r := range gone {
			for seq := r.lo; seq <= r.hi; seq++ {
				d := runtime.LocalDot{Rep: r.rep, Seq: seq}
				if key, ok := st.keys[d]; ok {
					hit = append(hit, dotKey{d, key})
				}
			}
		}
	} else {
		for d, key := range st.keys {
			if inRuns(gone, d) {
				hit = append(hit, dotKey{d, key})
			}
		}
	}
	st.removeAll(op, hit)
}

type dotKey struct {
	dot runtime.LocalDot
	key string
}

// removeAll drops children in an order that does not depend on that of a map, for the deletion record.
func (st *objectMapState) removeAll(op *runtime.Op, hit []dotKey) {
	rt := st.node.Runtime()
	slices.SortFunc(hit, func(a, b dotKey) int {
		return cmp.Or(strings.Compare(a.key, b.key), rt.CompareDots(a.dot, b.dot))
	})
	for _, x := range hit {
		st.remove(op, x.key, x.dot)
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
		if d := c.madeBy(); w.Outside(d) {
			list = append(list, madeChild{c.node, d, c.lamport, key, c.args(), ""})
		}
		return true
	})
	writeChildren(w, st.node.Runtime(), list, true)
}

// Dots yields the dots of the children.
func (st *objectMapState) Dots(yield func(runtime.LocalDot, uint64)) {
	st.each(func(_ string, c mapChild) bool { yield(c.madeBy(), 1); return true })
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
		st.put(string(key), child)
		return nil
	})
	if err != nil || listed == nil {
		return err
	}
	var gone []dotKey
	st.each(func(key string, c mapChild) bool {
		if d := c.madeBy(); !listed[d] && r.Deleted(d) {
			gone = append(gone, dotKey{d, key})
		}
		return true
	})
	for _, x := range gone {
		c, _ := st.take(x.key, x.dot)
		st.node.Drop(c.node)
	}
	return nil
}

// Rollback undoes the open transaction.
func (st *objectMapState) Rollback() {
	if st.fresh {
		st.children, st.keys = nil, nil
	}
	for i := len(st.undo) - 1; i >= 0; i-- {
		if u := st.undo[i]; u.came {
			st.take(u.key, u.child.madeBy())
		} else {
			st.put(u.key, u.child)
		}
	}
	st.forget()
}

func (st *objectMapState) forget() {
	if cap(st.undo) > 64 {
		st.undo = nil
	}
	clear(st.undo)
	st.undo, st.open, st.fresh = st.undo[:0], false, false
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
		if now := st.children[u.key].node; now != u.shown {
			out = append(out, mapChange{u.key, u.shown, now})
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
	n := 0
	for key, c := range st.children {
		if c.node == nil {
			return fmt.Errorf("invariant 1: key %x has no child", key)
		}
		list := c.hidden()
		if c.more != nil && c.more.hidden != nil && (len(list) == 0 || !c.more.hidden.check()) {
			return fmt.Errorf("invariant 1: the hidden children of key %x", key)
		}
		for i, x := range list {
			above := c
			if i > 0 {
				above = list[(i-1)/2]
			}
			if rt.CompareStamps(above.stamp(), x.stamp()) <= 0 || x.hidden() != nil {
				return fmt.Errorf("invariant 1: children of key %x are not in order", key)
			}
		}
		for _, x := range append([]mapChild{c}, list...) {
			if err := checkChild(st.node, x.node, x.madeBy(), seen); err != nil {
				return fmt.Errorf("invariant 2: key %x: %w", key, err)
			}
			if n++; st.keys != nil && st.keys[x.madeBy()] != key {
				return fmt.Errorf("invariant 4: a child under key %x", key)
			}
		}
	}
	if st.keys != nil && len(st.keys) != n {
		return fmt.Errorf("invariant 4: %d keys of %d children", len(st.keys), n)
	}
	if len(st.undo) != 0 || st.open {
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
