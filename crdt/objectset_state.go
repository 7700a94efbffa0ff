package crdt

import (
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// Operation codes of an ObjectSet. These numbers are part of format version 1 and must not change.
//
//	add    := 1 kind
//	add    := 2 kind arguments
//	remove := 3 runs, see writeRuns
const (
	setAdd     = 1
	setAddArgs = 2
	setRemove  = 3
)

// objectSetState is the state of an ObjectSet.
//
//  1. children holds the living children by the dots that made them; this set is their parent.
//  2. undo is empty between transactions, and open is false.
//
// It is for one goroutine at a time, readers apart.
type objectSetState struct {
	node      *runtime.Node
	children  map[runtime.LocalDot]setChild
	open      bool // a transaction has changed it
	fresh     bool // it was empty before that, and nobody listens: no notes are needed
	undo      []setUndo
	observers runtime.Observers[setEvent]
}

type setChild struct {
	node    *runtime.Node
	lamport uint64
	args    string // CBOR, empty: none
}

type setUndo struct {
	child setChild
	added bool // else removed
}

// setEvent is an ObjectSetEvent without types.
type setEvent struct {
	meta           runtime.Meta
	added, removed []setChild
}

func newObjectSetState(n *runtime.Node) runtime.Object { return &objectSetState{node: n} }

func (c setChild) dot() runtime.LocalDot {
	d, _ := c.node.Dot()
	return d
}

func (c setChild) stamp() runtime.Stamp { return runtime.Stamp{Lamport: c.lamport, Dot: c.dot()} }

func (st *objectSetState) has(n *runtime.Node) bool {
	if n == nil {
		return false
	}
	d, made := n.Dot()
	return made && st.children[d].node == n
}

func (st *objectSetState) sort(list []setChild) []setChild {
	rt := st.node.Runtime()
	slices.SortFunc(list, func(a, b setChild) int { return rt.CompareStamps(a.stamp(), b.stamp()) })
	return list
}

// sorted returns the children in the order of All.
func (st *objectSetState) sorted() []setChild {
	list := make([]setChild, 0, len(st.children))
	for _, c := range st.children {
		list = append(list, c)
	}
	return st.sort(list)
}

// note notes a change that follows.
func (st *objectSetState) note(u setUndo) {
	if !st.open {
		st.open, st.fresh = true, len(st.children) == 0 && !st.observers.Active()
	}
	if !st.fresh {
		st.undo = append(st.undo, u)
	}
}

func (st *objectSetState) add(d runtime.LocalDot, c setChild) {
	st.note(setUndo{c, true})
	if st.children == nil {
		st.children = make(map[runtime.LocalDot]setChild)
	}
	st.children[d] = c
}

func (st *objectSetState) remove(d runtime.LocalDot) {
	c := st.children[d]
	st.note(setUndo{c, false})
	delete(st.children, d)
	st.node.Drop(c.node)
}

// Apply integrates one operation.
func (st *objectSetState) Apply(op *runtime.Op) error {
	code, err := beginOp(op, setRemove)
	if err != nil {
		return err
	}
	if code == setRemove {
		return st.applyRemove(op)
	}
	kind := op.Kind("kind")
	var args []byte
	if code == setAddArgs {
		args = op.Rest()
	}
	if err := doneOp(op); err != nil {
		return err
	}
	if code == setAddArgs {
		if err := runtime.ValidValue(args); err != nil {
			return err
		}
	}
	n, err := st.node.Create(op.Dot, kind)
	if err != nil {
		return err
	}
	st.add(op.Dot, setChild{n, op.Lamport, string(args)})
	return nil
}

func (st *objectSetState) applyRemove(op *runtime.Op) error {
	var few [4]dotRun
	gone := readRuns(&op.Reader, few[:0])
	if err := doneOp(op); err != nil {
		return err
	}
	total := uint64(0)
	for _, x := range gone {
		total += x.hi - x.lo + 1
	}
	var dots []runtime.LocalDot
	if total <= uint64(len(st.children)) {
		for _, x := range gone {
			for seq := x.lo; seq <= x.hi; seq++ {
				d := runtime.LocalDot{Rep: x.rep, Seq: seq}
				if st.children[d].node != nil {
					dots = append(dots, d)
				}
			}
		}
	} else {
		for d := range st.children {
			if inRuns(gone, d) {
				dots = append(dots, d)
			}
		}
	}
	slices.SortFunc(dots, st.node.Runtime().CompareDots)
	for _, d := range dots {
		op.Removed(d, 1)
		st.remove(d)
	}
	return nil
}

// Empty reports whether no child is alive.
func (st *objectSetState) Empty() bool { return len(st.children) == 0 }

// Save writes the children, see writeChildren.
func (st *objectSetState) Save(w *runtime.StateWriter) {
	list := make([]madeChild, 0, len(st.children))
	for d, c := range st.children {
		if w.Outside(d) {
			list = append(list, madeChild{node: c.node, dot: d, lamport: c.lamport, args: c.args})
		}
	}
	writeChildren(w, st.node.Runtime(), list, false)
}

// Dots yields the dots of the children.
func (st *objectSetState) Dots(yield func(runtime.LocalDot, uint64)) {
	for d := range st.children {
		yield(d, 1)
	}
}

// Children yields the children.
func (st *objectSetState) Children(yield func(*runtime.Node) bool) {
	for _, c := range st.children {
		if !yield(c.node) {
			return
		}
	}
}

// Merge joins another state or delta.
func (st *objectSetState) Merge(r *runtime.StateReader) error {
	var listed map[runtime.LocalDot]bool
	if len(st.children) > 0 {
		listed = make(map[runtime.LocalDot]bool)
	}
	err := readChildren(r, false, func(c *madeChild, _, args []byte) error {
		if listed != nil {
			listed[c.dot] = true
		}
		if r.Known(c.dot) {
			return nil // here, or deleted here
		}
		if args != nil {
			if err := runtime.ValidValue(args); err != nil {
				return err
			}
		}
		n, err := createChild(st.node, c.dot, c.kind)
		if err == nil {
			st.add(c.dot, setChild{n, c.lamport, string(args)})
		}
		return err
	})
	if err != nil || listed == nil {
		return err
	}
	for d := range st.children {
		if !listed[d] && r.Deleted(d) {
			st.remove(d)
		}
	}
	return nil
}

// Rollback undoes the open transaction.
func (st *objectSetState) Rollback() {
	if st.fresh {
		st.children = nil
	}
	for _, u := range slices.Backward(st.undo) {
		if d := u.child.dot(); u.added {
			delete(st.children, d)
		} else {
			st.children[d] = u.child
		}
	}
	st.forget()
}

func (st *objectSetState) forget() {
	if cap(st.undo) > 64 {
		st.undo = nil
	}
	clear(st.undo)
	st.undo, st.open, st.fresh = st.undo[:0], false, false
}

// Commit ends the transaction and tells who listens what has changed.
func (st *objectSetState) Commit(c *runtime.Commit) {
	if len(st.undo) > 0 && st.observers.Active() {
		e := setEvent{meta: c.Meta()}
		added := make(map[runtime.LocalDot]bool)
		for _, u := range st.undo {
			d := u.child.dot()
			switch {
			case u.added:
				added[d] = true
				if st.children[d].node != nil {
					e.added = append(e.added, u.child)
				}
			case !added[d]:
				e.removed = append(e.removed, u.child)
			}
		}
		if len(e.added)+len(e.removed) > 0 {
			st.sort(e.added)
			st.sort(e.removed)
			st.observers.Emit(c, e)
		}
	}
	st.forget()
}

// Export returns the children's values in the order of All; one that was made with arguments as {"$args": ..., "$value":
// ...}.
func (st *objectSetState) Export(x *runtime.Exporter) any {
	out := make([]any, 0, len(st.children))
	for _, c := range st.sorted() {
		out = append(out, exportChild(x, c.node, c.args))
	}
	return out
}

// Check tests the invariants.
func (st *objectSetState) Check() error {
	seen := make(map[runtime.LocalDot]bool)
	for d, c := range st.children {
		if c.node == nil || c.dot() != d {
			return fmt.Errorf("invariant 1: a child stands under another dot")
		}
		if err := checkChild(st.node, c.node, d, seen); err != nil {
			return fmt.Errorf("invariant 1: %w", err)
		}
	}
	if len(st.undo) != 0 || st.open {
		return fmt.Errorf("invariant 2: %d notes", len(st.undo))
	}
	return nil
}
