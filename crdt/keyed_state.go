package crdt

import (
	"bytes"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// keyedState is the state of a Map, for each key the writes that no other replaced, and of a Set, the same without
// values.
//
//  1. The table's own claims hold, see keyTable.
//  2. Keys are CBOR in core deterministic form; values are one well-formed CBOR item, in a Set nothing.
//
// A write names the entries of its key that it replaces, a delete and a clear those that they remove, and those alone go:
// what is written concurrently stays. What one side of a merge holds and the other has seen but lacks was removed there;
// so no tombstones are needed. This is the optimised observed-remove set of Bieniusa and others (arXiv:1210.3368), with
// the document's clock in place of one for each set, and a value beside each dot.
type keyedState struct {
	node   *runtime.Node
	values bool
	table  keyTable
	deltas int8 // taken in so far, up to scansFirst
	fresh  bool // in the open transaction: the table was empty before
	undo   []keyUndo
	before map[string]rawValues // of the open transaction while somebody listens: keys that changed
	obs    runtime.Observers[rawKeyedChange]
}

// keyUndo notes that an entry came or went.
type keyUndo struct {
	key  []byte
	e    writeEntry
	came bool
}

// rawKeyedChange is an event of a Map or Set before it is decoded: the keys that changed, in byte order.
type rawKeyedChange struct {
	runtime.Meta
	keys []rawKeyChange
}

type rawKeyChange struct {
	key           []byte
	before, after rawValues
}

func newMapState(n *runtime.Node) runtime.Object { return &keyedState{node: n, values: true} }

func newSetState(n *runtime.Node) runtime.Object { return &keyedState{node: n} }

// begin opens the journal at the first change of a transaction.
func (k *keyedState) begin() {
	if len(k.undo) == 0 && !k.fresh && k.table.keys == 0 {
		k.fresh = true
	}
}

// touch notes a key as it is before its first change, while somebody listens.
func (k *keyedState) touch(key []byte) {
	if !k.obs.Active() {
		return
	}
	if _, ok := k.before[string(key)]; ok {
		return
	}
	if k.before == nil {
		k.before = make(map[string]rawValues)
	}
	k.before[string(key)] = k.capture(key)
}

func (k *keyedState) capture(key []byte) rawValues {
	s, ok := k.table.find(key)
	if !ok {
		return rawValues{winner: -1}
	}
	var one [1]writeEntry
	if !k.values {
		return rawValues{} // it is there
	}
	rt := k.node.Runtime()
	return captureValues(rt, k.table.ordered(rt, s, &one))
}

func (k *keyedState) note(key []byte, e writeEntry, came bool) {
	if !k.fresh {
		k.undo = append(k.undo, keyUndo{key, e, came})
	}
}

// write makes the operation that replaces what stands under key by val, which is empty in a Set.
func (k *keyedState) write(tx runtime.Tx, key, val []byte) error {
	w, err := tx.Begin(k.node)
	if err != nil {
		return err
	}
	var few [4]runtime.LocalDot
	writeOver(w, opWrite, opWriteOver, k.dotsAt(key, few[:0]))
	w.Raw(key)
	w.Raw(val)
	return w.Apply(1)
}

// erase makes the operation that removes what stands under key, if anything does.
func (k *keyedState) erase(tx runtime.Tx, key []byte) error {
	w, err := tx.Begin(k.node)
	if err != nil {
		return err
	}
	var few [4]runtime.LocalDot
	dots := k.dotsAt(key, few[:0])
	if len(dots) == 0 {
		return nil
	}
	writeOver(w, 0, opErase, dots)
	w.Raw(key)
	return w.Apply(1)
}

// eraseAll makes the operation that removes everything, if there is anything.
func (k *keyedState) eraseAll(tx runtime.Tx) error {
	w, err := tx.Begin(k.node)
	if err != nil || k.table.keys == 0 {
		return err
	}
	dots := make([]runtime.LocalDot, 0, k.table.entries)
	k.table.each(func(_ uint32, e writeEntry) { dots = append(dots, e.Dot) })
	w.Byte(opClear)
	writeRuns(w, dots)
	return w.Apply(1)
}

func (k *keyedState) dotsAt(key []byte, to []runtime.LocalDot) []runtime.LocalDot {
	s, ok := k.table.find(key)
	if !ok {
		return to
	}
	var one [1]writeEntry
	for _, e := range k.table.at(s, &one) {
		to = append(to, e.Dot)
	}
	return to
}

// Apply implements runtime.Object.
func (k *keyedState) Apply(op *runtime.Op) error {
	code := op.Byte("operation")
	var few [4]dotRun
	runs := few[:0]
	switch code {
	case opWrite:
	case opWriteOver, opErase:
		d := op.Reader.Dot("replaced")
		runs = append(runs, dotRun{d.Rep, d.Seq, d.Seq})
	case opWriteMany, opEraseMany, opClear:
		runs = readRuns(&op.Reader, runs)
	default:
		if op.Err() != nil {
			return op.Err()
		}
		return newerOp(k.node.Kind(), code)
	}
	var key, val []byte
	if code != opClear {
		key = op.Key("key")
	}
	if code <= opWriteMany && k.values {
		val = op.Value("value")
	}
	if err := op.Done(); err != nil {
		return err
	}
	if op.Dots != 1 {
		return invalidOp("it takes one dot")
	}
	k.begin()
	switch {
	case code == opClear:
		k.clear(op, runs)
	case code <= opWriteMany:
		k.touch(key)
		k.applyWrite(op, runs, key, val)
	default:
		k.touch(key)
		if s, ok := k.table.find(key); ok {
			k.removeAt(op, s, runs)
		}
	}
	return nil
}

// applyWrite replaces the entries of key in runs by one of val.
func (k *keyedState) applyWrite(op *runtime.Op, runs []dotRun, key, val []byte) {
	e := writeEntry{op.Stamp(), val}
	s, ok := k.table.find(key)
	if !ok {
		s = k.table.add(key, e)
		k.note(k.table.key(s), e, true)
		return
	}
	kept := k.table.key(s) // stays readable until the transaction ends
	if x := &k.table.slots[s]; x.state == slotOne && len(runs) == 1 {
		if old := k.table.entry(s); inRuns(runs, old.Dot) {
			k.table.replace(s, e)
			k.note(kept, old, false)
			k.note(kept, e, true)
			op.Removed(old.Dot, 1)
			return
		}
	}
	if len(runs) > 0 {
		k.removeAt(op, s, runs)
	}
	k.table.insert(kept, e)
	k.note(kept, e, true)
}

// removeAt removes the entries of a slot that lie in runs.
func (k *keyedState) removeAt(op *runtime.Op, s uint32, runs []dotRun) {
	var few [4]runtime.LocalDot
	gone := few[:0]
	if k.table.slots[s].state == slotMany {
		gone = k.table.many[s].named(runs, gone)
	} else if d := k.table.entry(s).Dot; inRuns(runs, d) {
		gone = append(gone, d)
	}
	if len(gone) == 0 {
		return
	}
	for _, d := range gone {
		k.remove(s, d)
	}
	reportRemoved(op, gone)
}

// clear removes the entries in runs, whatever their keys.
func (k *keyedState) clear(op *runtime.Op, runs []dotRun) {
	found := k.table.named(runs)
	if len(found) == 0 {
		return
	}
	gone := make([]runtime.LocalDot, len(found))
	for i, f := range found {
		k.touch(k.table.key(f.slot))
		gone[i] = f.dot
	}
	if len(found) == k.table.entries {
		k.table.each(func(s uint32, e writeEntry) { k.note(k.table.key(s), e, false) })
		k.table.reset()
	} else {
		for _, f := range found {
			k.remove(f.slot, f.dot)
		}
	}
	reportRemoved(op, gone)
}

// remove removes one entry from a slot.
func (k *keyedState) remove(s uint32, d runtime.LocalDot) {
	key := k.table.key(s)
	if e, ok := k.table.remove(s, d); ok {
		k.note(key, e, false)
	}
}

// Empty implements runtime.Object.
func (k *keyedState) Empty() bool { return k.table.keys == 0 }

// Dots implements runtime.Object.
func (k *keyedState) Dots(yield func(runtime.LocalDot, uint64)) {
	k.table.each(func(_ uint32, e writeEntry) { yield(e.Dot, 1) })
}

// Rollback implements runtime.Object.
func (k *keyedState) Rollback() {
	if k.fresh {
		k.table.reset()
	}
	for i := len(k.undo) - 1; i >= 0; i-- {
		u := &k.undo[i]
		if !u.came {
			k.table.insert(u.key, u.e)
		} else if s, ok := k.table.find(u.key); ok {
			k.table.remove(s, u.e.Dot)
		}
	}
	k.settle()
}

// Commit implements runtime.Object.
func (k *keyedState) Commit(c *runtime.Commit) {
	if len(k.before) > 0 && k.obs.Active() {
		k.emit(c)
	}
	k.settle()
}

// emit queues the event of a transaction that changed something.
func (k *keyedState) emit(c *runtime.Commit) {
	var keys []rawKeyChange
	for key, before := range k.before {
		after := k.capture([]byte(key))
		if !before.equal(after) {
			keys = append(keys, rawKeyChange{[]byte(key), before, after})
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.SortFunc(keys, func(a, b rawKeyChange) int { return bytes.Compare(a.key, b.key) })
	k.obs.Emit(c, rawKeyedChange{c.Meta(), keys})
}

// settle ends a transaction.
func (k *keyedState) settle() {
	if clear(k.undo); cap(k.undo) > 256 {
		k.undo = nil
	}
	k.undo, k.fresh, k.before = k.undo[:0], false, nil
	k.table.tidy()
}

// Export implements runtime.Object: a Map as an object, its keys rendered as text, with the winners; a Set as an array
// in the byte order of its elements.
func (k *keyedState) Export(x *runtime.Exporter) any {
	t := &k.table
	if !k.values {
		out := make([]any, 0, t.keys)
		for _, s := range t.sorted() {
			out = append(out, x.Value(t.key(s)))
		}
		return out
	}
	out := make(map[string]any, t.keys)
	var one [1]writeEntry
	for _, s := range t.sorted() {
		entries := t.at(s, &one)
		out[keyName(out, string(t.key(s)))] = x.Value(entries[winnerOf(k.node.Runtime(), entries)].val)
	}
	return out
}
