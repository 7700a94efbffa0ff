package crdt

import (
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
)

// Operation codes of Counter. These numbers are part of format version 1 and must not change; TestOperationBytes pins
// them.
const (
	opAdd   = 1 // n, signed
	opReset = 2 // count, then for each replica its last addition seen and its total then
)

// counterState is the state of a Counter.
//
//  1. rows are in ascending order of rep, each replica once; a row has an addition or a reset.
//  2. sum is the sum over rows of total - resetTotal.
//
// Both pairs of a row join by the greater end. (Honest writers give equal ends equal totals; of others the greater total
// and then the smaller dot is taken, so that all agree even so.)
type counterState struct {
	node *runtime.Node
	rows []counterRow
	sum  wide
	open *openCounter // set while a transaction has changed it
	obs  runtime.Observers[CounterEvent]
}

// openCounter is what an open transaction needs to be undone and told.
type openCounter struct {
	undo []counterUndo
	was  wide // the sum before
}

var openCounters = sync.Pool{New: func() any { return new(openCounter) }}

// counterRow is what one replica added. An end is 1 + the seq of an addition; 0 means none.
type counterRow struct {
	rep        runtime.Rep
	end        uint64
	total      int64 // of its additions up to the one before end
	resetEnd   uint64
	resetTotal int64            // total as of resetEnd, which the last reset took away
	resetBy    runtime.LocalDot // the reset; of several that saw the same, the one with the smallest dot
}

type counterUndo struct {
	row counterRow
	new bool // there was none
}

// counts reports whether a reset has something to take away. That its sum is 0 does not matter: a concurrent reset may
// have seen a part of it.
func (r *counterRow) counts() bool { return r.end > r.resetEnd }

func newCounterState(n *runtime.Node) runtime.Object { return &counterState{node: n} }

// find returns where the row of a replica stands, or belongs.
func (c *counterState) find(rep runtime.Rep) (int, bool) {
	return slices.BinarySearchFunc(c.rows, rep, func(r counterRow, rep runtime.Rep) int {
		return int(int64(r.rep) - int64(rep))
	})
}

// row returns the row of a replica to be changed, making it if it is new, and notes how it was.
func (c *counterState) row(rep runtime.Rep) *counterRow {
	if c.open == nil {
		c.open = openCounters.Get().(*openCounter)
		c.open.was = c.sum
	}
	i, ok := c.find(rep)
	if ok {
		c.open.undo = append(c.open.undo, counterUndo{row: c.rows[i]})
	} else {
		c.rows = slices.Insert(c.rows, i, counterRow{rep: rep})
		c.open.undo = append(c.open.undo, counterUndo{counterRow{rep: rep}, true})
	}
	return &c.rows[i]
}

// setTotal changes the additions of a row.
func (c *counterState) setTotal(r *counterRow, end uint64, total int64) {
	c.sum = c.sum.add(total).sub(r.total)
	r.end, r.total = end, total
}

// joinReset takes over a reset if it saw more than the present one.
func (c *counterState) joinReset(r *counterRow, end uint64, total int64, by runtime.LocalDot) {
	if end < r.resetEnd || end == r.resetEnd && total < r.resetTotal {
		return
	}
	if end == r.resetEnd && total == r.resetTotal && c.node.Runtime().CompareDots(by, r.resetBy) > 0 {
		return
	}
	c.sum = c.sum.add(r.resetTotal).sub(total)
	r.resetEnd, r.resetTotal, r.resetBy = end, total, by
}

// Apply implements runtime.Object.
func (c *counterState) Apply(op *runtime.Op) error {
	switch code := op.Byte("operation"); {
	case op.Err() != nil:
		return op.Err()
	case code == opAdd:
		return c.applyAdd(op)
	case code == opReset:
		return c.applyReset(op)
	default:
		return newerOp(kindCounter, code)
	}
}

func (c *counterState) applyAdd(op *runtime.Op) error {
	n := op.Varint("n")
	if err := op.Done(); err != nil {
		return err
	}
	if op.Dots != 1 {
		return invalidOp("an addition takes one dot")
	}
	if i, ok := c.find(op.Dot.Rep); ok && overflows(c.rows[i].total, n) {
		return invalidOp("the total of one replica is out of range")
	}
	r := c.row(op.Dot.Rep)
	c.setTotal(r, op.Dot.Seq+1, r.total+n)
	return nil
}

func (c *counterState) applyReset(op *runtime.Op) error {
	type seen struct {
		dot   runtime.LocalDot
		total int64
	}
	list := make([]seen, op.Count("replicas", 3))
	for i := range list {
		list[i] = seen{op.Reader.Dot("addition"), op.Varint("total")}
	}
	if err := op.Done(); err != nil {
		return err
	}
	if op.Dots != 1 || len(list) == 0 {
		return invalidOp("a reset takes one dot and names what it takes away")
	}
	for _, s := range list {
		c.joinReset(c.row(s.dot.Rep), s.dot.Seq+1, s.total, op.Dot)
	}
	return nil
}

// Empty implements runtime.Object.
func (c *counterState) Empty() bool { return len(c.rows) == 0 }

// Save implements runtime.Object: for each replica, by ID, its number with two flags (additions, reset), then its end and
// total, then the reset as differences to those and the dot that made it.
func (c *counterState) Save(w *runtime.StateWriter) {
	var rows []*counterRow
	for i := range c.rows {
		r := &c.rows[i]
		if r.end > 0 && w.Outside(runtime.LocalDot{Rep: r.rep, Seq: r.end - 1}) || r.resetEnd > 0 && w.Outside(r.resetBy) {
			rows = append(rows, r)
		}
	}
	rt := c.node.Runtime()
	slices.SortFunc(rows, func(a, b *counterRow) int { return rt.CompareReplicas(a.rep, b.rep) })
	for _, r := range rows {
		head := uint64(w.Number(r.rep)) << 2
		if r.end > 0 {
			head |= 1
		}
		if r.resetEnd > 0 {
			head |= 2
		}
		w.Uvarint(head)
		if r.end > 0 {
			w.Uvarint(r.end - 1)
			w.Varint(r.total)
		}
		if r.resetEnd > 0 {
			w.Varint(int64(r.end) - int64(r.resetEnd))
			w.Varint(r.total - r.resetTotal) // wraps around, and back
			w.Dot(r.resetBy)
		}
	}
}

// Dots implements runtime.Object: rows are joined, not deleted.
func (c *counterState) Dots(func(runtime.LocalDot, uint64)) {}

// Merge implements runtime.Object.
func (c *counterState) Merge(r *runtime.StateReader) error {
	for r.Len() > 0 {
		theirs := readRow(r)
		if r.Err() != nil {
			return r.Err()
		}
		ours := c.row(theirs.rep)
		if theirs.end > ours.end || theirs.end == ours.end && theirs.total > ours.total {
			c.setTotal(ours, theirs.end, theirs.total)
		}
		if theirs.resetEnd > 0 {
			c.joinReset(ours, theirs.resetEnd, theirs.resetTotal, theirs.resetBy)
		}
	}
	return nil
}

func readRow(r *runtime.StateReader) (row counterRow) {
	head := r.Uvarint("row")
	rep, ok := r.RepAt(int(min(head>>2, 1<<31-1)))
	if !ok || head&3 == 0 {
		r.Fail("row", runtime.ErrCorrupt)
		return row
	}
	row.rep = rep
	most := r.EndOf(rep)
	if head&1 != 0 {
		row.end = r.Uvarint("last addition") + 1
		row.total = r.Varint("total")
	}
	if head&2 != 0 {
		row.resetEnd = row.end - uint64(r.Varint("reset"))
		row.resetTotal = row.total - r.Varint("reset total")
		row.resetBy = r.Dot("reset by")
	}
	if row.end > most || row.resetEnd > most || head&1 != 0 && row.end == 0 || head&2 != 0 && row.resetEnd == 0 {
		r.Fail("row", runtime.ErrCorrupt)
	}
	return row
}

// Rollback implements runtime.Object.
func (c *counterState) Rollback() {
	if c.open == nil {
		return
	}
	for i := len(c.open.undo) - 1; i >= 0; i-- {
		u := &c.open.undo[i]
		at, _ := c.find(u.row.rep)
		if u.new {
			c.rows = slices.Delete(c.rows, at, at+1)
		} else {
			c.rows[at] = u.row
		}
	}
	c.sum = c.open.was
	c.settle()
}

// settle ends a transaction.
func (c *counterState) settle() {
	if cap(c.open.undo) <= 64 {
		c.open.undo = c.open.undo[:0]
		openCounters.Put(c.open)
	}
	c.open = nil
}

// Commit implements runtime.Object.
func (c *counterState) Commit(cm *runtime.Commit) {
	if c.open == nil {
		return
	}
	if c.open.was != c.sum && c.obs.Active() {
		e := CounterEvent{Meta: cm.Meta()}
		if e.Value, e.Err = c.sum.value(); e.Err == nil {
			e.Delta, e.Err = c.sum.minus(c.open.was).value()
		}
		if e.Err != nil {
			e.Value = 0
		}
		c.obs.Emit(cm, e)
	}
	c.settle()
}

// Export implements runtime.Object: the value as a number; one that is out of range as {"$int": decimal digits}.
func (c *counterState) Export(*runtime.Exporter) any {
	if v, err := c.sum.value(); err == nil {
		return v
	}
	return map[string]any{"$int": c.sum.String()}
}

// Check implements runtime.Object.
func (c *counterState) Check() error {
	var sum wide
	for i := range c.rows {
		r := &c.rows[i]
		if i > 0 && c.rows[i-1].rep >= r.rep {
			return fmt.Errorf("invariant 1: row %d is out of order", i)
		}
		if r.end == 0 && (r.resetEnd == 0 || r.total != 0) || r.resetEnd == 0 && r.resetTotal != 0 {
			return fmt.Errorf("invariant 1: row %d: %+v", i, *r)
		}
		sum = sum.add(r.total).sub(r.resetTotal)
	}
	if sum != c.sum {
		return fmt.Errorf("invariant 2: the sum is %v, kept is %v", sum, c.sum)
	}
	if c.open != nil {
		return fmt.Errorf("a transaction was left open")
	}
	return nil
}

// overflows reports whether a + b is not an int64.
func overflows(a, b int64) bool {
	sum := a + b
	return (a^sum)&(b^sum) < 0
}

// wide is a signed number of 128 bits: sums of int64 cannot leave it.
type wide struct {
	hi int64
	lo uint64
}

func (w wide) add(n int64) wide { return w.plus(wide{n >> 63, uint64(n)}) }

func (w wide) sub(n int64) wide { return w.minus(wide{n >> 63, uint64(n)}) }

func (w wide) plus(v wide) wide {
	lo, carry := bits.Add64(w.lo, v.lo, 0)
	return wide{w.hi + v.hi + int64(carry), lo}
}

func (w wide) minus(v wide) wide {
	lo, borrow := bits.Sub64(w.lo, v.lo, 0)
	return wide{w.hi - v.hi - int64(borrow), lo}
}

// value returns w as an int64, or ErrOverflow.
func (w wide) value() (int64, error) {
	if w.hi != int64(w.lo)>>63 {
		return 0, ErrOverflow
	}
	return int64(w.lo), nil
}

// String returns the decimal digits.
func (w wide) String() string {
	v := new(big.Int).Lsh(big.NewInt(w.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(w.lo)).String()
}
