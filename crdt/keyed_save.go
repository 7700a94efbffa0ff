package crdt

import (
	"math/bits"

	"github.com/seed1312cc15/weft/runtime"
)

// The state of a Map or Set is the number of keys, then for each key, in byte order:
//
//	key      one byte: in its upper half how many bytes it shares with the key before, in its lower half how many follow;
//	         15 in either says that the rest is a number of its own after this byte; then what follows
//	entries  in dot order, each
//	         a number: bit 0, another one follows; bit 1, lamport - seq differs from this replica's last; above, the replica
//	         seq as a signed distance from this replica's last, where the first stands at 0
//	         if bit 1: lamport - seq - 1 as a signed distance from this replica's last, where the first stands at 0
//	         Map: the value, one CBOR item

// lastSeen holds, for each replica in a state's table, the last seq and lamport - seq - 1.
type lastSeen struct{ list []seqLag }

type seqLag struct{ seq, lag uint64 }

func (l *lastSeen) of(i int) *seqLag {
	for i >= len(l.list) {
		l.list = append(l.list, seqLag{})
	}
	return &l.list[i]
}

// Save implements runtime.Object.
func (k *keyedState) Save(w *runtime.StateWriter) {
	t := &k.table
	var outside []uint32
	var one [1]writeEntry
	if !w.Delta() {
		outside = t.sorted()
	} else {
		for s := range t.slots {
			if t.slots[s].state == slotFree {
				continue
			}
			for _, e := range t.at(uint32(s), &one) {
				if w.Outside(e.Dot) {
					outside = append(outside, uint32(s))
					break
				}
			}
		}
		t.sortSlots(outside)
	}
	if len(outside) == 0 {
		return
	}
	w.Uvarint(uint64(len(outside)))
	var last []byte
	var seen lastSeen
	for _, s := range outside {
		key := t.key(s)
		saveKey(w, last, key)
		k.saveEntries(w, t.ordered(k.node.Runtime(), s, &one), &seen)
		last = key
	}
}

func saveKey(w *runtime.StateWriter, last, key []byte) {
	shared := 0
	for shared < len(last) && shared < len(key) && last[shared] == key[shared] {
		shared++
	}
	rest := len(key) - shared
	w.Byte(byte(min(shared, 15)<<4 | min(rest, 15)))
	if shared >= 15 {
		w.Uvarint(uint64(shared - 15))
	}
	if rest >= 15 {
		w.Uvarint(uint64(rest - 15))
	}
	w.Raw(key[shared:])
}

func (k *keyedState) saveEntries(w *runtime.StateWriter, entries []writeEntry, seen *lastSeen) {
	last := len(entries) - 1
	for !w.Outside(entries[last].Dot) {
		last--
	}
	for i := range entries[:last+1] {
		e := &entries[i]
		if !w.Outside(e.Dot) {
			continue
		}
		n := w.Number(e.Dot.Rep)
		at := seen.of(n)
		lag := e.Lamport - e.Dot.Seq - 1
		head := uint64(n) << 2
		if i < last {
			head |= 1
		}
		if lag != at.lag {
			head |= 2
		}
		w.Uvarint(head)
		w.Varint(int64(e.Dot.Seq - at.seq))
		if lag != at.lag {
			w.Varint(int64(lag - at.lag))
		}
		w.Raw(e.val)
		*at = seqLag{e.Dot.Seq, lag}
	}
}

// keyedReader reads what Save wrote.
type keyedReader struct {
	*runtime.StateReader
	rt      *runtime.Runtime
	values  bool
	key     []byte // of the last key, reused
	entries []writeEntry
	seen    lastSeen
}

// next reads one key and its entries into r.key and r.entries; values alias the input.
func (r *keyedReader) next() error {
	if err := r.readKey(); err != nil {
		return err
	}
	r.entries = r.entries[:0]
	for more := true; more && r.Err() == nil; {
		head := r.Uvarint("entry")
		n := int(min(head>>2, 1<<31-1))
		rep, ok := r.RepAt(n)
		if !ok {
			r.Fail("entry", runtime.ErrCorrupt)
			break
		}
		at := r.seen.of(n)
		at.seq += uint64(r.Varint("seq"))
		if head&2 != 0 {
			at.lag += uint64(r.Varint("lamport"))
		}
		e := writeEntry{runtime.Stamp{Lamport: at.lag + at.seq + 1, Dot: runtime.LocalDot{Rep: rep, Seq: at.seq}}, nil}
		if r.values {
			e.val = r.Value("value")
		}
		if k := len(r.entries); !r.Listed(e.Dot) || e.Lamport-1 >= 1<<53-1 || k > 0 && r.rt.CompareDots(r.entries[k-1].Dot, e.Dot) >= 0 {
			r.Fail("entry", runtime.ErrCorrupt)
		}
		r.entries = append(r.entries, e)
		more = head&1 != 0
	}
	return r.Err()
}

func (r *keyedReader) readKey() error {
	head := r.Byte("key")
	shared, rest := uint64(head>>4), uint64(head&15)
	if shared == 15 {
		shared += r.Uvarint("shared")
	}
	if rest == 15 {
		rest += r.Uvarint("rest")
	}
	if shared > uint64(len(r.key)) || rest > uint64(r.Len()) || rest == 0 {
		r.Fail("key", runtime.ErrCorrupt)
		return r.Err()
	}
	tail := r.Take("key", int(rest))
	if shared < uint64(len(r.key)) && tail[0] <= r.key[shared] {
		r.Fail("key", runtime.ErrCorrupt) // out of order, or shares more
		return r.Err()
	}
	r.key = append(r.key[:shared], tail...)
	if runtime.CanonicalKey(r.key) != nil {
		r.Fail("key", runtime.ErrCorrupt)
	}
	return r.Err()
}

// scansFirst is how many deltas a map takes in by looking at every entry, before it keeps an index by dot for them.
const scansFirst = 3

// Merge implements runtime.Object. Cost: O(keys here and there); from the fourth delta on, in what the delta lists and
// what lies outside of its base.
func (k *keyedState) Merge(sr *runtime.StateReader) error {
	k.begin()
	r := &keyedReader{StateReader: sr, rt: k.node.Runtime(), values: k.values}
	n := 0
	if r.Len() > 0 {
		if n = r.Count("keys", 4); n == 0 {
			r.Fail("keys", runtime.ErrCorrupt)
		}
	}
	if sr.Delta() && k.table.entries > scansFirst {
		if k.deltas < scansFirst {
			k.deltas++
		} else {
			return k.mergeDelta(r, n)
		}
	}
	slots := len(k.table.slots)
	seen := make([]uint64, (slots+63)/64)
	k.table.expect(n)
	if err := k.mergeKeys(r, n, func(s uint32) {
		if int(s) < slots {
			seen[s/64] |= 1 << (s % 64)
		}
	}); err != nil {
		return err
	}
	// What is here and not listed there.
	for i, word := range seen {
		for word = ^word; word != 0; word &= word - 1 {
			s := i*64 + bits.TrailingZeros64(word)
			if s < slots && k.table.slots[s].state != slotFree {
				k.dropDeleted(r, uint32(s), nil)
			}
		}
	}
	return nil
}

// mergeDelta is Merge by the index of entries by dot: what may have to go are the dots that the delta says are deleted, and
// those outside of its base.
func (k *keyedState) mergeDelta(r *keyedReader, n int) error {
	var runs []dotRun
	k.table.needDots()
	for rep := range k.table.dots {
		base, end := r.Base(rep), r.EndOf(rep)
		r.DeletedRuns(runtime.LocalDot{Rep: rep}, base, func(d runtime.LocalDot, n uint64) {
			runs = append(runs, dotRun{rep, d.Seq, d.Seq + n - 1})
		})
		if end > base {
			runs = append(runs, dotRun{rep, base, end - 1})
		}
	}
	suspects := k.table.named(runs)
	seen := make(map[uint32]bool)
	if err := k.mergeKeys(r, n, func(s uint32) { seen[s] = true }); err != nil {
		return err
	}
	for _, x := range suspects {
		if !seen[x.slot] && k.table.holds(x.slot, x.dot) {
			k.touch(k.table.key(x.slot))
			k.remove(x.slot, x.dot)
		}
	}
	return nil
}

// mergeKeys joins n listed keys and tells their slots.
func (k *keyedState) mergeKeys(r *keyedReader, n int, slot func(uint32)) error {
	for range n {
		if err := r.next(); err != nil {
			return err
		}
		k.mergeKey(r, slot)
	}
	return r.Done()
}

// mergeKey joins the entries of one listed key and tells the slots that it has to do with.
func (k *keyedState) mergeKey(r *keyedReader, slot func(uint32)) {
	if s, ok := k.table.find(r.key); ok {
		slot(s)
		k.dropDeleted(r, s, r.entries)
	}
	for i := range r.entries {
		if e := &r.entries[i]; !r.Known(e.Dot) {
			k.touch(r.key)
			s := k.table.insert(r.key, *e)
			slot(s)
			k.note(k.table.key(s), *e, true)
		}
	}
}

// dropDeleted removes the entries of a slot that the other side does not list and has deleted.
func (k *keyedState) dropDeleted(r *keyedReader, s uint32, listed []writeEntry) {
	var one [1]writeEntry
	var few [4]runtime.LocalDot
	gone := few[:0]
	for _, e := range k.table.at(s, &one) {
		if _, ok := findEntry(r.rt, listed, e.Dot); !ok && r.Deleted(e.Dot) {
			gone = append(gone, e.Dot)
		}
	}
	for _, d := range gone {
		k.touch(k.table.key(s))
		k.remove(s, d)
	}
}
