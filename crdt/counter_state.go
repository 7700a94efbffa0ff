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
//  1. What one replica added, if no other did, nothing was reset and end has room, is in rep, end and total. Else there is
//     a row for each replica in more.rows, in no order; a row has an addition or a reset.
//  2. more.sum is the sum over rows of total less what resets took away.
//  3. more.at is nil up to plainBag rows, and has the place of each beyond. Between transactions more is nil unless there
//     are rows.
//
// Both pairs of a row join by the greater end. (Honest writers give equal ends equal totals; of others the greater total
// and then the smaller dot is taken, so that all agree even so.)
//
// It is 24 bytes: a document may have millions.
type counterState struct {
	more  *counterMore
	total int64
	rep   runtime.Rep
	end   uint32 // 0: nobody has added, or there are rows
}

// counterMore is what few counters have for long.
type counterMore struct {
	rows []counterRow
	at   map[runtime.Rep]int32
	sum  wide
	open bool
	was  wide          // the sum before the open transaction
	one  counterState  // the counter before it, if there were no rows
	undo []counterUndo // of it, if there were
}

var counterMores = sync.Pool{New: func() any { return new(counterMore) }}

// counterRow is what one replica added. An end is 1 + the seq of an addition; 0 means none.
type counterRow struct {
	rep   runtime.Rep
	end   uint64
	total int64         // of its additions up to the one before end
	reset *counterReset // nil: none; never changed once it is made
}

// counterReset is what the last reset took away of one replica's additions.
type counterReset struct {
	end   uint64
	total int64            // as of end
	by    runtime.LocalDot // the reset; of several that saw the same, the one with the smallest dot
}

type counterUndo struct {
	row counterRow
	new bool // there was none
}

func (r *counterRow) resetEnd() uint64 {
	if r.reset == nil {
		return 0
	}
	return r.reset.end
}

func (r *counterRow) resetTotal() int64 {
	if r.reset == nil {
		return 0
	}
	return r.reset.total
}

// fits reports whether the row, if it is the only one, needs no place in more.
func (r *counterRow) fits() bool { return r.reset == nil && r.end < 1<<32 }

// counts reports whether a reset has something to take away. That its sum is 0 does not matter: a concurrent reset may
// have seen a part of it.
func (r *counterRow) counts() bool { return r.end > r.resetEnd() }

func newCounterState(*runtime.Node) runtime.Object { return new(counterState) }

// all returns the rows, in one where there is only one. They must not be changed.
func (c *counterState) all(one *[1]counterRow) []counterRow {
	switch {
	case c.end > 0:
		one[0] = counterRow{rep: c.rep, end: uint64(c.end), total: c.total}
		return one[:]
	case c.more != nil:
		return c.more.rows
	}
	return nil
}

// value returns the sum.
func (c *counterState) value() wide {
	if c.more != nil && len(c.more.rows) > 0 {
		return c.more.sum
	}
	return wide{}.add(c.total)
}

// row returns the row of a replica; one without anything if there is none.
func (c *counterState) row(rep runtime.Rep) counterRow {
	if c.end > 0 && c.rep == rep {
		return counterRow{rep: rep, end: uint64(c.end), total: c.total}
	}
	if c.more != nil {
		if i := c.more.find(rep); i >= 0 {
			return c.more.rows[i]
		}
	}
	return counterRow{rep: rep}
}

// find returns the place of a replica's row; -1 if there is none.
func (m *counterMore) find(rep runtime.Rep) int {
	if m.at != nil {
		if i, ok := m.at[rep]; ok {
			return int(i)
		}
		return -1
	}
	return slices.IndexFunc(m.rows, func(r counterRow) bool { return r.rep == rep })
}

// begin opens the journal at the first change of a transaction.
func (c *counterState) begin() {
	if c.more == nil {
		c.more = counterMores.Get().(*counterMore)
	}
	if m := c.more; !m.open {
		m.open, m.was = true, c.value()
		if len(m.rows) == 0 {
			m.one = *c
		}
	}
}

// set puts r, which has something, in place of the row of its replica, and notes how that was. The journal is open.
func (c *counterState) set(r counterRow) {
	if m := c.more; m.one.more == nil {
		was := c.row(r.rep)
		m.undo = append(m.undo, counterUndo{was, was.end == 0 && was.reset == nil})
	}
	if r.fits() && len(c.more.rows) == 0 && (c.end == 0 || c.rep == r.rep) {
		c.rep, c.end, c.total = r.rep, uint32(r.end), r.total
		return
	}
	if c.end > 0 {
		c.put(c.row(c.rep))
		c.rep, c.end, c.total = 0, 0, 0
	}
	c.put(r)
}

// put is set within more.
func (c *counterState) put(r counterRow) {
	m := c.more
	i := m.find(r.rep)
	if i < 0 {
		i = len(m.rows)
		m.rows = append(m.rows, counterRow{rep: r.rep})
		switch {
		case m.at != nil:
			m.at[r.rep] = int32(i)
		case len(m.rows) > plainBag:
			m.at = make(map[runtime.Rep]int32, 2*len(m.rows))
			for i := range m.rows {
				m.at[m.rows[i].rep] = int32(i)
			}
		}
	}
	was := &m.rows[i]
	m.sum = m.sum.add(r.total).sub(r.resetTotal()).sub(was.total).add(was.resetTotal())
	*was = r
}

// joinReset takes a reset over into r if it saw more than the present one.
func (r *counterRow) joinReset(rt *runtime.Runtime, x counterReset) {
	if was := r.reset; was != nil {
		if x.end < was.end || x.end == was.end && x.total < was.total {
			return
		}
		if x.end == was.end && x.total == was.total && rt.CompareDots(x.by, was.by) >= 0 {
			return
		}
	}
	r.reset = &x
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
	r := c.row(op.Dot.Rep)
	if overflows(r.total, n) {
		return invalidOp("the total of one replica is out of range")
	}
	c.begin()
	r.end, r.total = op.Dot.Seq+1, r.total+n
	c.set(r)
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
	c.begin()
	for _, s := range list {
		r := c.row(s.dot.Rep)
		r.joinReset(op.Node().Runtime(), counterReset{s.dot.Seq + 1, s.total, op.Dot})
		c.set(r)
	}
	return nil
}

// Empty implements runtime.Object.
func (c *counterState) Empty() bool { return c.end == 0 && (c.more == nil || len(c.more.rows) == 0) }

// Save implements runtime.Object: for each replica, by ID, its number with two flags (additions, reset), then its end and
// total, then the reset as differences to those and the dot that made it.
func (c *counterState) Save(w *runtime.StateWriter) {
	var few [1]counterRow
	all := c.all(&few)
	var one [1]uint32
	rows := one[:0]
	if len(all) > 1 {
		rows = make([]uint32, 0, len(all))
	}
	for i := range all {
		r := &all[i]
		if r.end > 0 && w.Outside(runtime.LocalDot{Rep: r.rep, Seq: r.end - 1}) || r.reset != nil && w.Outside(r.reset.by) {
			rows = append(rows, uint32(i))
		}
	}
	if len(rows) > 1 {
		rt := w.Runtime()
		slices.SortFunc(rows, func(a, b uint32) int { return rt.CompareReplicas(all[a].rep, all[b].rep) })
	}
	for _, i := range rows {
		r := &all[i]
		head := uint64(w.Number(r.rep)) << 2
		if r.end > 0 {
			head |= 1
		}
		if r.reset != nil {
			head |= 2
		}
		w.Uvarint(head)
		if r.end > 0 {
			w.Uvarint(r.end - 1)
			w.Varint(r.total)
		}
		if x := r.reset; x != nil {
			w.Varint(int64(r.end) - int64(x.end))
			w.Varint(r.total - x.total) // wraps around, and back
			w.Dot(x.by)
		}
	}
}

// Dots implements runtime.Object: rows are joined, not deleted.
func (c *counterState) Dots(func(runtime.LocalDot, uint64)) {}

// Merge implements runtime.Object.
func (c *counterState) Merge(r *runtime.StateReader) error {
	c.begin()
	for r.Len() > 0 {
		theirs := readRow(r)
		if r.Err() != nil {
			return r.Err()
		}
		ours := c.row(theirs.rep)
		if theirs.end > ours.end || theirs.end == ours.end && theirs.total > ours.total {
			ours.end, ours.total = theirs.end, theirs.total
		}
		if theirs.reset != nil {
			ours.joinReset(r.Node().Runtime(), *theirs.reset)
		}
		c.set(ours)
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
		row.reset = &counterReset{end: row.end - uint64(r.Varint("reset"))}
		row.reset.total = row.total - r.Varint("reset total")
		row.reset.by = r.Dot("reset by")
	}
	if row.end > most || row.resetEnd() > most || head&1 != 0 && row.end == 0 || head&2 != 0 && row.resetEnd() == 0 {
		r.Fail("row", runtime.ErrCorrupt)
	}
	return row
}

// Rollback implements runtime.Object.
func (c *counterState) Rollback() {
	m := c.more
	if m == nil || !m.open {
		return
	}
	if m.one.more != nil {
		*c = m.one
		m.rows, m.at, m.sum = nil, nil, wide{}
	}
	for i := len(m.undo) - 1; i >= 0; i-- {
		u := &m.undo[i]
		c.put(u.row)
		if u.new { // the last that came
			m.rows = m.rows[:len(m.rows)-1]
			delete(m.at, u.row.rep)
		}
	}
	c.settle()
}

// settle ends a transaction.
func (c *counterState) settle() {
	m := c.more
	if clear(m.undo); cap(m.undo) > 64 {
		m.undo = nil
	}
	m.undo, m.open, m.one = m.undo[:0], false, counterState{}
	if len(m.rows) == 0 {
		*m = counterMore{undo: m.undo}
		counterMores.Put(m)
		c.more = nil
	}
}

// Commit implements runtime.Object.
func (c *counterState) Commit(cm *runtime.Commit) {
	if c.more == nil || !c.more.open {
		return
	}
	obs := runtime.ObserversOf[CounterEvent](cm.Node())
	if was, is := c.more.was, c.value(); was != is && obs.Active() {
		e := CounterEvent{Meta: cm.Meta()}
		if e.Value, e.Err = is.value(); e.Err == nil {
			e.Delta, e.Err = is.minus(was).value()
		}
		if e.Err != nil {
			e.Value = 0
		}
		obs.Emit(cm, e)
	}
	c.settle()
}

// Export implements runtime.Object: the value as a number; one that is out of range as {"$int": decimal digits}.
func (c *counterState) Export(*runtime.Exporter) any {
	sum := c.value()
	if v, err := sum.value(); err == nil {
		return v
	}
	return map[string]any{"$int": sum.String()}
}

// Check implements runtime.Object.
func (c *counterState) Check() error {
	m := c.more
	if m == nil {
		if c.end == 0 && c.total != 0 {
			return fmt.Errorf("invariant 1: a total of %d without an addition", c.total)
		}
		return nil
	}
	if m.open {
		return fmt.Errorf("a transaction was left open")
	}
	var sum wide
	for i := range m.rows {
		r := &m.rows[i]
		if r.end == 0 && (r.reset == nil || r.total != 0) || r.reset != nil && r.reset.end == 0 {
			return fmt.Errorf("invariant 1: row %d: %+v", i, *r)
		}
		if m.find(r.rep) != i {
			return fmt.Errorf("invariant 3: row %d is not found", i)
		}
		sum = sum.add(r.total).sub(r.resetTotal())
	}
	switch {
	case c.end > 0 || len(m.rows) == 0 || len(m.rows) == 1 && m.rows[0].fits():
		return fmt.Errorf("invariant 1: %d rows, and %d in place", len(m.rows), c.end)
	case sum != m.sum:
		return fmt.Errorf("invariant 2: the sum is %v, kept is %v", sum, m.sum)
	case m.at == nil && len(m.rows) > plainBag, m.at != nil && len(m.at) != len(m.rows):
		return fmt.Errorf("invariant 3: %d of %d rows in the index", len(m.at), len(m.rows))
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
