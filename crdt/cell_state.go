package crdt

import (
	"fmt"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
)

// cellState is the state of a Register, an MVRegister or a flag: the writes that no other has replaced.
//
//  1. entries are in ascending dot order, each dot once.
//  2. Every value is one well-formed CBOR item; a flag's is a bool.
//
// A write names the entries that it replaces, and those alone go. What one side of a merge holds and the other has seen
// but lacks was replaced there. This is the multi-value register of Shapiro, Preguiça, Baquero and Zawirski (Inria
// RR-7506, section 3.2.2) with one dot instead of a version vector for each value, as in the optimised observed-remove
// set of Bieniusa and others (arXiv:1210.3368).
//
// It is 96 bytes: a document may have millions. What only an open transaction needs is apart.
type cellState struct {
	node    *runtime.Node
	entries []writeEntry
	open    *openCell     // set while a transaction has changed it
	one     [1]writeEntry // what entries lies in while it holds no more
	obs     runtime.Observers[rawCellChange]
}

// openCell has the entries as they were before the open transaction.
type openCell struct{ was []writeEntry }

var openCells = sync.Pool{New: func() any { return new(openCell) }}

// rawCellChange is an event of a cell before it is decoded.
type rawCellChange struct {
	runtime.Meta
	before, after rawValues
}

func newCell(n *runtime.Node) runtime.Object {
	c := &cellState{node: n}
	c.entries = c.one[:0]
	return c
}

// flag reports whether values are bools.
func (c *cellState) flag() bool {
	k := c.node.Kind()
	return k == kindFlag || k == kindFlagDW
}

// change notes the entries as they are before the first change of a transaction.
func (c *cellState) change() {
	if c.open == nil {
		c.open = openCells.Get().(*openCell)
		c.open.was = append(c.open.was[:0], c.entries...)
	}
}

// write makes the operation that replaces all entries by val.
func (c *cellState) write(tx runtime.Tx, val []byte) error {
	w, err := tx.Begin(c.node)
	if err != nil {
		return err
	}
	var few [4]runtime.LocalDot
	writeOver(w, opWrite, opWriteOver, c.dots(few[:0]))
	w.Raw(val)
	return w.Apply(1)
}

// erase makes the operation that removes all entries, if there are any.
func (c *cellState) erase(tx runtime.Tx) error {
	w, err := tx.Begin(c.node)
	if err != nil || len(c.entries) == 0 {
		return err
	}
	var few [4]runtime.LocalDot
	writeOver(w, 0, opErase, c.dots(few[:0]))
	return w.Apply(1)
}

func (c *cellState) dots(to []runtime.LocalDot) []runtime.LocalDot {
	for i := range c.entries {
		to = append(to, c.entries[i].Dot)
	}
	return to
}

// Apply implements runtime.Object.
func (c *cellState) Apply(op *runtime.Op) error {
	code := op.Byte("operation")
	var few [4]dotRun
	runs := few[:0]
	switch code {
	case opWrite:
	case opWriteOver, opErase:
		d := op.Reader.Dot("replaced")
		runs = append(runs, dotRun{d.Rep, d.Seq, d.Seq})
	case opWriteMany, opEraseMany:
		runs = readRuns(&op.Reader, runs)
	default:
		if op.Err() != nil {
			return op.Err()
		}
		return newerOp(c.node.Kind(), code)
	}
	var val []byte
	if code <= opWriteMany {
		val = c.readValue(&op.Reader)
	}
	if err := op.Done(); err != nil {
		return err
	}
	if op.Dots != 1 {
		return invalidOp("it takes one dot")
	}
	c.change()
	c.remove(op, runs)
	if code <= opWriteMany {
		c.insert(writeEntry{op.Stamp(), slices.Clone(val)})
	}
	return nil
}

// readValue reads one value; a flag's that is no bool is malformed.
func (c *cellState) readValue(r *runtime.Reader) []byte {
	val := r.Value("value")
	if r.Err() == nil && c.flag() && val[0]|1 != cborTrue {
		r.Fail("flag", runtime.ErrCorrupt)
	}
	return val
}

// remove removes the entries in runs.
func (c *cellState) remove(op *runtime.Op, runs []dotRun) {
	if len(runs) == 0 || len(c.entries) == 0 {
		return
	}
	var few [4]runtime.LocalDot
	gone := few[:0]
	kept := c.entries[:0]
	for _, e := range c.entries {
		if inRuns(runs, e.Dot) {
			gone = append(gone, e.Dot)
		} else {
			kept = append(kept, e)
		}
	}
	clear(c.entries[len(kept):])
	c.entries = kept
	if len(gone) > 0 {
		reportRemoved(op, gone)
	}
}

// insert puts e in its place; a dot that is there already changes nothing.
func (c *cellState) insert(e writeEntry) {
	i, there := findEntry(c.node.Runtime(), c.entries, e.Dot)
	if !there {
		c.entries = slices.Insert(c.entries, i, e)
	}
}

// Empty implements runtime.Object.
func (c *cellState) Empty() bool { return len(c.entries) == 0 }

// Save implements runtime.Object: the number of entries, then for each its stamp and its value, in dot order.
func (c *cellState) Save(w *runtime.StateWriter) {
	n := 0
	for i := range c.entries {
		if w.Outside(c.entries[i].Dot) {
			n++
		}
	}
	if n == 0 {
		return
	}
	w.Uvarint(uint64(n))
	for i := range c.entries {
		if e := &c.entries[i]; w.Outside(e.Dot) {
			w.Stamp(e.Stamp)
			w.Raw(e.val)
		}
	}
}

// Dots implements runtime.Object.
func (c *cellState) Dots(yield func(runtime.LocalDot, uint64)) {
	for i := range c.entries {
		yield(c.entries[i].Dot, 1)
	}
}

// Merge implements runtime.Object.
func (c *cellState) Merge(r *runtime.StateReader) error {
	theirs, err := c.read(r)
	if err != nil {
		return err
	}
	c.change()
	rt := c.node.Runtime()
	c.entries = slices.DeleteFunc(c.entries, func(e writeEntry) bool {
		_, listed := findEntry(rt, theirs, e.Dot)
		return !listed && r.Deleted(e.Dot)
	})
	for _, e := range theirs {
		if !r.Known(e.Dot) {
			e.val = slices.Clone(e.val)
			c.insert(e)
		}
	}
	return nil
}

// read reads what Save wrote; values alias the input.
func (c *cellState) read(r *runtime.StateReader) ([]writeEntry, error) {
	if r.Len() == 0 {
		return nil, nil
	}
	n := r.Count("entries", 4)
	if n == 0 {
		r.Fail("entries", runtime.ErrCorrupt)
	}
	theirs := make([]writeEntry, 0, n)
	for range n {
		e := writeEntry{r.Stamp("entry"), c.readValue(&r.Reader)}
		if r.Err() != nil {
			return nil, r.Err()
		}
		if k := len(theirs); !r.Listed(e.Dot) || k > 0 && c.node.Runtime().CompareDots(theirs[k-1].Dot, e.Dot) >= 0 {
			r.Fail("entry", runtime.ErrCorrupt)
		}
		theirs = append(theirs, e)
	}
	return theirs, r.Done()
}

// Rollback implements runtime.Object.
func (c *cellState) Rollback() {
	if c.open != nil {
		clear(c.entries)
		c.entries = append(c.entries[:0], c.open.was...)
		c.settle()
	}
}

// Commit implements runtime.Object.
func (c *cellState) Commit(cm *runtime.Commit) {
	if c.open == nil {
		return
	}
	if c.obs.Active() {
		rt := c.node.Runtime()
		e := rawCellChange{cm.Meta(), captureValues(rt, c.open.was), captureValues(rt, c.entries)}
		if !e.before.equal(e.after) {
			c.obs.Emit(cm, e)
		}
	}
	c.settle()
}

// settle ends a transaction; it gives back what many concurrent values took.
func (c *cellState) settle() {
	clear(c.open.was)
	if cap(c.open.was) <= 64 {
		openCells.Put(c.open)
	}
	c.open = nil
	if len(c.entries) <= 1 && cap(c.entries) > 1 {
		c.one = [1]writeEntry{}
		c.entries = append(c.one[:0], c.entries...)
	}
}

// Export implements runtime.Object.
func (c *cellState) Export(x *runtime.Exporter) any {
	switch c.node.Kind() {
	case kindMVRegister:
		out := make([]any, len(c.entries))
		for i := range c.entries {
			out[i] = x.Value(c.entries[i].val)
		}
		return out
	case kindFlag, kindFlagDW:
		return c.enabled()
	}
	if i := winnerOf(c.node.Runtime(), c.entries); i >= 0 {
		return x.Value(c.entries[i].val)
	}
	return nil
}

// enabled is the value of a flag.
func (c *cellState) enabled() bool {
	return flagOf(c.node.Kind() == kindFlagDW, len(c.entries), func(i int) []byte { return c.entries[i].val })
}

// Check implements runtime.Object.
func (c *cellState) Check() error {
	rt := c.node.Runtime()
	for i, e := range c.entries {
		if i > 0 && rt.CompareDots(c.entries[i-1].Dot, e.Dot) >= 0 {
			return fmt.Errorf("invariant 1: entry %d of %v is out of order", i, rt.Dot(e.Dot))
		}
		if err := runtime.ValidValue(e.val); err != nil {
			return fmt.Errorf("invariant 2: entry of %v: %w", rt.Dot(e.Dot), err)
		}
		if c.flag() && (len(e.val) != 1 || e.val[0]|1 != cborTrue) {
			return fmt.Errorf("invariant 2: entry of %v is no bool", rt.Dot(e.Dot))
		}
	}
	if c.open != nil {
		return fmt.Errorf("a transaction was left open")
	}
	return nil
}
