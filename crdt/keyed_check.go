package crdt

import (
	"bytes"
	"fmt"

	"github.com/seed1312cc15/weft/runtime"
)

// Check implements runtime.Object.
func (k *keyedState) Check() error {
	if err := k.table.check(); err != nil {
		return err
	}
	var one [1]writeEntry
	for _, s := range k.table.sorted() {
		if err := runtime.CanonicalKey(k.table.key(s)); err != nil {
			return fmt.Errorf("invariant 2: key in slot %d: %w", s, err)
		}
		for _, e := range k.table.at(s, &one) {
			if k.values != (len(e.val) > 0) {
				return fmt.Errorf("invariant 2: value of %d bytes in slot %d", len(e.val), s)
			}
			if !k.values {
				continue
			}
			if err := runtime.ValidValue(e.val); err != nil {
				return fmt.Errorf("invariant 2: value in slot %d: %w", s, err)
			}
		}
	}
	if len(k.undo) > 0 || k.fresh || k.before != nil {
		return fmt.Errorf("a transaction was left open")
	}
	return nil
}

// check tests the claims of keyTable.
func (t *keyTable) check() error {
	for _, f := range []func() error{t.checkSlots, t.checkIndex, t.checkOrder, t.checkDots} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (t *keyTable) checkSlots() error {
	keys, entries, many := 0, 0, 0
	live := uint64(0)
	for s := range t.slots {
		x := &t.slots[s]
		switch x.state {
		case slotFree:
			continue
		case slotOne:
			entries++
		case slotMany:
			many++
			b := t.many[uint32(s)]
			if b == nil || len(b.list) < 2 || x.vlen != 0 || !b.check() {
				return fmt.Errorf("claim 2: slot %d has not several entries aside, or %d bytes in place", s, x.vlen)
			}
			entries += len(b.list)
		}
		keys++
		live += uint64(x.klen + x.vlen)
		if at, ok := t.find(t.key(uint32(s))); !ok || at != uint32(s) {
			return fmt.Errorf("claim 1: the key of slot %d is found in slot %d, %v", s, at, ok)
		}
	}
	if keys != t.keys || entries != t.entries || many != len(t.many) || keys+len(t.free) != len(t.slots) {
		return fmt.Errorf("claim 1: %d keys of %d, %d entries of %d, %d with several of %d, %d free of %d slots",
			keys, t.keys, entries, t.entries, many, len(t.many), len(t.free), len(t.slots))
	}
	if live+t.data.dead != t.data.used {
		return fmt.Errorf("claim 2: %d bytes live and %d dead of %d", live, t.data.dead, t.data.used)
	}
	return nil
}

func (t *keyTable) checkIndex() error {
	n := 0
	for _, w := range t.index {
		if w != 0 {
			n++
		}
	}
	switch {
	case t.index == nil && len(t.slots) > smallTable, t.index != nil && n != t.keys:
		return fmt.Errorf("claim 3: %d keys in the index of %d in %d slots", n, t.keys, len(t.slots))
	case len(t.index)&(len(t.index)-1) != 0, t.index != nil && len(t.slots) > len(t.index)/4*3:
		return fmt.Errorf("claim 3: %d words for %d slots", len(t.index), len(t.slots))
	}
	return nil
}

func (t *keyTable) checkOrder() error {
	order := t.sorted()
	for i := 1; i < len(order); i++ {
		if bytes.Compare(t.key(order[i-1]), t.key(order[i])) >= 0 {
			return fmt.Errorf("claim 4: key %d is out of order", i)
		}
	}
	if len(order) != t.keys {
		return fmt.Errorf("claim 4: %d keys in order of %d", len(order), t.keys)
	}
	return nil
}

func (t *keyTable) checkDots() (err error) {
	if t.dots == nil {
		return nil
	}
	type place struct {
		rep runtime.Rep
		at  dotSlot
	}
	listed := make(map[place]bool, t.entries)
	for rep, l := range t.dots {
		for i, x := range l.all {
			if listed[place{rep, x}] = true; i > 0 && i < l.sorted && l.all[i-1].seq > x.seq {
				return fmt.Errorf("claim 5: the index by dot is out of order at seq %d", x.seq)
			}
		}
	}
	t.each(func(s uint32, e writeEntry) {
		if !listed[place{e.Dot.Rep, dotSlot{e.Dot.Seq, s}}] {
			err = fmt.Errorf("claim 5: the entry in slot %d is not in the index by dot", s)
		}
	})
	return err
}
