package crdt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
)

// cellState is the state of a Register, an MVRegister or a flag: the writes that no other has replaced.
//
//  1. one is the kind and, packed, the only entry if there is one and no more. Several are in more.many.
//  2. Every value is one well-formed CBOR item; a flag's is a bool.
//  3. Between transactions more is nil unless there are several entries, and more.on counts those that say true.
//
// A write names the entries that it replaces, and those alone go. What one side of a merge holds and the other has seen
// but lacks was replaced there. This is the multi-value register of Shapiro, Preguiça, Baquero and Zawirski (Inria
// RR-7506, section 3.2.2) with one dot instead of a version vector for each value, as in the optimised observed-remove
// set of Bieniusa and others (arXiv:1210.3368).
//
// It is 24 bytes, and 8 or so for the entry beside its value: a document may have millions.
type cellState struct {
	more *cellMore
	one  string
}

// cellMore is what few cells have for long.
type cellMore struct {
	node   *runtime.Node
	many   bag[writeEntry]
	on     int // entries of many that say true
	open   bool
	was    string      // cellState.one before the open transaction, if there were no several entries
	undo   []entryUndo // of the open transaction, if there were
	before rawValues   // as it was before the open transaction, if somebody listens
}

// entryUndo notes that an entry came or went.
type entryUndo struct {
	e    writeEntry
	came bool
}

var cellMores = sync.Pool{New: func() any { return new(cellMore) }}

// rawCellChange is an event of a cell before it is decoded. That of a flag has one value, or none where the flag is off.
type rawCellChange struct {
	runtime.Meta
	before, after rawValues
}

// The kinds of cell, as they stand in cellState.one.
const (
	cellRegister = iota
	cellMVRegister
	cellFlag
	cellFlagDW
)

// cellKinds has them as strings, which all empty cells share.
var cellKinds = [...]string{cellRegister: "\x00", cellMVRegister: "\x01", cellFlag: "\x02", cellFlagDW: "\x03"}

func newCell(n *runtime.Node) runtime.Object {
	kind := cellRegister
	switch n.Kind() {
	case kindMVRegister:
		kind = cellMVRegister
	case kindFlag:
		kind = cellFlag
	case kindFlagDW:
		kind = cellFlagDW
	}
	return &cellState{one: cellKinds[kind]}
}

func (c *cellState) kind() byte { return c.one[0] }

// flag reports whether values are bools.
func (c *cellState) flag() bool { return c.kind() >= cellFlag }

// pack makes e the only entry.
func (c *cellState) pack(e writeEntry) {
	var few [64]byte
	b := append(few[:0], c.kind())
	b = binary.AppendUvarint(b, uint64(e.Dot.Rep))
	b = binary.AppendUvarint(b, e.Dot.Seq)
	b = binary.AppendVarint(b, int64(e.Lamport-e.Dot.Seq))
	c.one = string(append(b, e.val...))
}

// unpack returns the stamp and the value of the only entry.
func (c *cellState) unpack() (s runtime.Stamp, val string) {
	rep, at := cutUvarint(c.one, 1)
	seq, at := cutUvarint(c.one, at)
	lag, at := cutUvarint(c.one, at)
	s.Dot = runtime.LocalDot{Rep: runtime.Rep(rep), Seq: seq}
	s.Lamport = seq + (lag>>1 ^ -(lag & 1))
	return s, c.one[at:]
}

// cutUvarint reads the number at place i of s and returns the place behind it.
func cutUvarint(s string, i int) (v uint64, end int) {
	for shift := 0; ; shift += 7 {
		b := s[i]
		i++
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v, i
		}
	}
}

// entry returns the only entry.
func (c *cellState) entry() writeEntry {
	s, val := c.unpack()
	return writeEntry{s, []byte(val)}
}

// len returns the number of entries.
func (c *cellState) len() int {
	switch {
	case len(c.one) > 1:
		return 1
	case c.more != nil:
		return len(c.more.many.list)
	}
	return 0
}

// entries returns the entries in no order, in one where there is only one. They must not be changed.
func (c *cellState) entries(one *[1]writeEntry) []writeEntry {
	switch {
	case len(c.one) > 1:
		one[0] = c.entry()
		return one[:]
	case c.more != nil:
		return c.more.many.list
	}
	return nil
}

// ordered is entries in the order of their dots.
func (c *cellState) ordered(one *[1]writeEntry) []writeEntry {
	entries := c.entries(one)
	if len(entries) < 2 {
		return entries
	}
	return inDotOrder(c.more.node.Runtime(), entries)
}

// winner returns the value of the entry with the greatest stamp; the cell has some.
func (c *cellState) winner() []byte {
	if len(c.one) > 1 {
		return c.entry().val
	}
	list := c.more.many.list
	return list[winnerOf(c.more.node.Runtime(), list)].val
}

// begin opens the journal at the first change of a transaction.
func (c *cellState) begin(n *runtime.Node) {
	if c.more == nil {
		c.more = cellMores.Get().(*cellMore)
		c.more.node = n
	}
	if m := c.more; !m.open {
		m.open = true
		if len(m.many.list) == 0 {
			m.was = c.one
		}
		if runtime.ObserversOf[rawCellChange](n).Active() {
			m.before = c.capture()
		}
	}
}

// insert adds e, of which it keeps a copy; a dot that is there already changes nothing. The journal is open.
func (c *cellState) insert(e writeEntry) {
	m := c.more
	switch {
	case len(c.one) == 1 && len(m.many.list) == 0:
		c.pack(e)
	case len(c.one) > 1:
		was := c.entry()
		if was.Dot == e.Dot {
			return
		}
		c.one = cellKinds[c.kind()]
		c.put(was)
		c.put(writeEntry{e.Stamp, slices.Clone(e.val)})
	case m.many.find(e.Dot) >= 0:
		return
	default:
		c.put(writeEntry{e.Stamp, slices.Clone(e.val)})
	}
	m.note(writeEntry{Stamp: e.Stamp}, true)
}

// note notes that e came or went, unless it is known how to take all back.
func (m *cellMore) note(e writeEntry, came bool) {
	if m.was == "" {
		m.undo = append(m.undo, entryUndo{e, came})
	}
}

func (c *cellState) put(e writeEntry) {
	c.more.many.add(e)
	if e.val[0] == cborTrue {
		c.more.on++
	}
}

// remove removes the entry that d made; false if there is none. The journal is open.
func (c *cellState) remove(d runtime.LocalDot) bool {
	m := c.more
	if len(c.one) > 1 {
		if s, _ := c.unpack(); s.Dot != d {
			return false
		}
		if m.was == "" {
			m.note(c.entry(), false)
		}
		c.one = cellKinds[c.kind()]
		return true
	}
	i := m.many.find(d)
	if i < 0 {
		return false
	}
	e := m.many.removeAt(i)
	if e.val[0] == cborTrue {
		m.on--
	}
	m.note(e, false)
	if len(m.many.list) == 1 {
		c.pack(m.many.removeAt(0))
		m.on = 0
	}
	return true
}

// write makes the operation that replaces all entries by val.
func (c *cellState) write(tx runtime.Tx, n *runtime.Node, val []byte) error {
	w, err := tx.Begin(n)
	if err != nil {
		return err
	}
	var few [4]runtime.LocalDot
	writeOver(w, opWrite, opWriteOver, c.dots(few[:0]))
	w.Raw(val)
	return w.Apply(1)
}

// erase makes the operation that removes all entries, if there are any.
func (c *cellState) erase(tx runtime.Tx, n *runtime.Node) error {
	w, err := tx.Begin(n)
	if err != nil || c.len() == 0 {
		return err
	}
	var few [4]runtime.LocalDot
	writeOver(w, 0, opErase, c.dots(few[:0]))
	return w.Apply(1)
}

func (c *cellState) dots(to []runtime.LocalDot) []runtime.LocalDot {
	if len(c.one) > 1 {
		s, _ := c.unpack()
		return append(to, s.Dot)
	}
	for _, e := range c.entries(nil) {
		to = append(to, e.Dot)
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
		return newerOp(op.Node().Kind(), code)
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
	c.begin(op.Node())
	if len(runs) > 0 {
		c.removeNamed(op, runs)
	}
	if code <= opWriteMany {
		c.insert(writeEntry{op.Stamp(), val})
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

// removeNamed removes the entries in runs.
func (c *cellState) removeNamed(op *runtime.Op, runs []dotRun) {
	if len(c.one) > 1 {
		if s, _ := c.unpack(); inRuns(runs, s.Dot) {
			c.remove(s.Dot)
			op.Removed(s.Dot, 1)
		}
		return
	}
	var few [4]runtime.LocalDot
	gone := c.more.many.named(runs, few[:0])
	for _, d := range gone {
		c.remove(d)
	}
	if len(gone) > 0 {
		reportRemoved(op, gone)
	}
}

// Empty implements runtime.Object.
func (c *cellState) Empty() bool { return c.len() == 0 }

// Save implements runtime.Object: the number of entries, then for each its stamp and its value, in dot order.
func (c *cellState) Save(w *runtime.StateWriter) {
	if len(c.one) > 1 {
		if s, val := c.unpack(); w.Outside(s.Dot) {
			w.Uvarint(1)
			w.Stamp(s)
			w.RawString(val)
		}
		return
	}
	entries := c.ordered(nil)
	n := 0
	for i := range entries {
		if w.Outside(entries[i].Dot) {
			n++
		}
	}
	if n == 0 {
		return
	}
	w.Uvarint(uint64(n))
	for i := range entries {
		if e := &entries[i]; w.Outside(e.Dot) {
			w.Stamp(e.Stamp)
			w.Raw(e.val)
		}
	}
}

// Dots implements runtime.Object.
func (c *cellState) Dots(yield func(runtime.LocalDot, uint64)) {
	var few [4]runtime.LocalDot
	for _, d := range c.dots(few[:0]) {
		yield(d, 1)
	}
}

// Merge implements runtime.Object.
func (c *cellState) Merge(r *runtime.StateReader) error {
	theirs, err := c.read(r)
	if err != nil {
		return err
	}
	rt := r.Node().Runtime()
	c.begin(r.Node())
	var few, has [4]runtime.LocalDot
	gone := few[:0]
	for _, d := range c.dots(has[:0]) {
		if _, listed := findEntry(rt, theirs, d); !listed && r.Deleted(d) {
			gone = append(gone, d)
		}
	}
	for _, d := range gone {
		c.remove(d)
	}
	for _, e := range theirs {
		if !r.Known(e.Dot) {
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
	rt := r.Node().Runtime()
	theirs := make([]writeEntry, 0, n)
	for range n {
		e := writeEntry{r.Stamp("entry"), c.readValue(&r.Reader)}
		if r.Err() != nil {
			return nil, r.Err()
		}
		if k := len(theirs); !r.Listed(e.Dot) || k > 0 && rt.CompareDots(theirs[k-1].Dot, e.Dot) >= 0 {
			r.Fail("entry", runtime.ErrCorrupt)
		}
		theirs = append(theirs, e)
	}
	return theirs, r.Done()
}

// Rollback implements runtime.Object.
func (c *cellState) Rollback() {
	m := c.more
	if m == nil || !m.open {
		return
	}
	if m.was != "" {
		c.one, m.many, m.on = m.was, bag[writeEntry]{}, 0
	}
	for i := len(m.undo) - 1; i >= 0; i-- {
		if u := m.undo[i]; u.came {
			c.remove(u.e.Dot)
		} else {
			c.insert(u.e)
		}
	}
	c.settle()
}

// Commit implements runtime.Object.
func (c *cellState) Commit(cm *runtime.Commit) {
	if c.more == nil || !c.more.open {
		return
	}
	if obs := runtime.ObserversOf[rawCellChange](cm.Node()); obs.Active() {
		e := rawCellChange{cm.Meta(), c.more.before, c.capture()}
		if !e.before.equal(e.after) {
			obs.Emit(cm, e)
		}
	}
	c.settle()
}

// capture copies what an event tells.
func (c *cellState) capture() rawValues {
	if c.flag() {
		if c.enabled() {
			return rawValues{all: [][]byte{{cborTrue}}}
		}
		return rawValues{winner: -1}
	}
	var one [1]writeEntry
	entries := c.ordered(&one)
	if len(entries) < 2 {
		return captureValues(nil, entries)
	}
	return captureValues(c.more.node.Runtime(), entries)
}

// settle ends a transaction; it gives back what only that, or many concurrent values, took.
func (c *cellState) settle() {
	m := c.more
	if clear(m.undo); cap(m.undo) > 64 {
		m.undo = nil
	}
	m.undo, m.open, m.was, m.before = m.undo[:0], false, "", rawValues{}
	if len(m.many.list) == 0 {
		c.more, m.node, m.many.steps = nil, nil, 0
		cellMores.Put(m)
	}
}

// Export implements runtime.Object.
func (c *cellState) Export(x *runtime.Exporter) any {
	switch c.kind() {
	case cellMVRegister:
		var one [1]writeEntry
		entries := c.ordered(&one)
		out := make([]any, len(entries))
		for i := range entries {
			out[i] = x.Value(entries[i].val)
		}
		return out
	case cellFlag, cellFlagDW:
		return c.enabled()
	}
	if c.len() == 0 {
		return nil
	}
	return x.Value(c.winner())
}

// enabled is the value of a flag: whether any of its entries, or for disable-wins all, say true.
func (c *cellState) enabled() bool {
	n, on := c.len(), 0
	if len(c.one) > 1 && c.one[len(c.one)-1] == cborTrue {
		on = 1
	} else if len(c.one) == 1 && c.more != nil {
		on = c.more.on
	}
	if c.kind() == cellFlagDW {
		return n > 0 && on == n
	}
	return on > 0
}

// Check implements runtime.Object.
func (c *cellState) Check() error {
	if m := c.more; m != nil && (!m.many.check() || len(m.many.list) == 1 || len(m.many.list) > 0 && len(c.one) > 1) {
		return fmt.Errorf("invariant 1: %d entries aside, %d bytes in place", len(m.many.list), len(c.one))
	}
	var one [1]writeEntry
	on := 0
	for _, e := range c.entries(&one) {
		if err := runtime.ValidValue(e.val); err != nil {
			return fmt.Errorf("invariant 2: entry of seq %d: %w", e.Dot.Seq, err)
		}
		if c.flag() && (len(e.val) != 1 || e.val[0]|1 != cborTrue) {
			return fmt.Errorf("invariant 2: entry of seq %d is no bool", e.Dot.Seq)
		}
		if e.val[0] == cborTrue {
			on++
		}
	}
	switch m := c.more; {
	case m == nil:
	case m.open:
		return fmt.Errorf("a transaction was left open")
	case len(m.many.list) == 0 || m.on != on:
		return fmt.Errorf("invariant 3: %d entries, %d that say true, not %d", len(m.many.list), on, m.on)
	}
	return nil
}
