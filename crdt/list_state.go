package crdt

import (
	"fmt"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// listState is the state of a List: places, and a value for each element.
//
//  1. vals has the value of each living element, which lies inside of buf.
//  2. sets has exactly the living elements whose value is not that of their insert, with the stamp of the winning set.
//  3. dead counts the bytes of buf that no living element holds.
type listState struct {
	places
	vals      slots[valueSpan]
	buf       []byte // CBOR values, append only between compactions
	sets      map[lid]runtime.Stamp
	dead      int
	open      bool // a transaction is open: these are what they were before it
	before    int  // len(buf)
	beforeDie int  // dead
	observers runtime.Observers[rawListEvent]
}

type valueSpan struct{ off, n uint32 }

// rawListEvent is a ListEvent without types.
type rawListEvent struct {
	meta  runtime.Meta
	steps []deltaStep[[]byte]
}

func newListState(n *runtime.Node) runtime.Object { return &listState{places: newPlaces(n)} }

func (st *listState) begin(listened bool) {
	if !st.open {
		st.open, st.before, st.beforeDie = true, len(st.buf), st.dead
	}
	st.places.begin(listened)
}

// room returns an error if n more bytes of values would not fit.
func (st *listState) room(n int) error {
	if uint64(len(st.buf))+uint64(n) > 1<<32-1 {
		return sequence.ErrFull
	}
	return nil
}

// store keeps a copy of a value.
func (st *listState) store(val []byte) valueSpan {
	s := valueSpan{uint32(len(st.buf)), uint32(len(val))}
	st.buf = append(st.buf, val...)
	return s
}

// value returns the value of an element; it is valid until the next change.
func (st *listState) value(e lid) []byte {
	s := st.vals.at(e)
	return st.buf[s.off : s.off+s.n : s.off+s.n]
}

// set gives a living element a value, unless a greater stamp did.
func (st *listState) set(e lid, stamp runtime.Stamp, val []byte) {
	was, had := st.sets[e]
	if had && st.node.Runtime().CompareStamps(stamp, was) <= 0 {
		return
	}
	old := st.vals.at(e)
	st.Undo(func() {
		st.vals.set(e, old)
		if had {
			st.sets[e] = was
		} else {
			delete(st.sets, e)
		}
	})
	st.dead += int(old.n)
	st.vals.set(e, st.store(val))
	if st.sets == nil {
		st.sets = make(map[lid]runtime.Stamp)
	}
	st.sets[e] = stamp
	if p := st.place(e); st.active && st.seq.Visible(p) {
		i := st.seq.IndexOf(p)
		st.changes.delete(i, 1)
		st.changes.insert(i, p)
	}
}

// drop ends a living element.
func (st *listState) drop(e lid) {
	st.kill(e)
	st.dead += int(st.vals.at(e).n)
	if was, had := st.sets[e]; had {
		delete(st.sets, e)
		st.Undo(func() { st.sets[e] = was })
	}
}

func (st *listState) Empty() bool { return st.seq.Elements() == 0 }

func (st *listState) Rollback() {
	if !st.open {
		return
	}
	st.undo()
	st.vals.cut(lid(st.seq.Elements()))
	st.buf, st.dead, st.open = st.buf[:st.before], st.beforeDie, false
}

func (st *listState) Commit(c *runtime.Commit) {
	if !st.open {
		return
	}
	st.open = false
	if steps := st.keep(); len(steps) > 0 {
		st.observers.Emit(c, rawListEvent{c.Meta(), st.capture(steps)})
	}
	if st.dead > valueFloor && st.dead*2 > len(st.buf) {
		st.compact()
	}
}

// capture copies the values of what an event inserts.
func (st *listState) capture(steps []deltaStep[lid]) []deltaStep[[]byte] {
	out := make([]deltaStep[[]byte], len(steps))
	for i, s := range steps {
		out[i] = deltaStep[[]byte]{kind: s.kind, n: s.n}
		for _, place := range s.items {
			out[i].items = append(out[i].items, append([]byte(nil), st.value(st.element(place))...))
		}
	}
	return out
}

// valueFloor is the number of dead bytes of values that are always tolerated.
const valueFloor = 16 << 10

// compact rewrites the values in list order.
func (st *listState) compact() {
	fresh := make([]byte, 0, len(st.buf)-st.dead+64)
	st.living(func(e lid) {
		v := st.value(e)
		st.vals.set(e, valueSpan{uint32(len(fresh)), uint32(len(v))})
		fresh = append(fresh, v...)
	})
	st.buf, st.dead = fresh, 0
}

// Dots implements runtime.Object.
func (st *listState) Dots(yield func(d runtime.LocalDot, n uint64)) { st.livingDots(yield) }

// Export implements runtime.Object.
func (st *listState) Export(x *runtime.Exporter) any {
	out := make([]any, 0, st.len())
	for l := range st.seq.Live(0, st.len()) {
		out = append(out, x.Value(st.value(st.element(l))))
	}
	return out
}

// Check implements runtime.Object.
func (st *listState) Check() error {
	if err := st.check(); err != nil {
		return err
	}
	if len(st.shelved) > 0 {
		return fmt.Errorf("list invariant 1: %d elements of a list have a shelf", len(st.shelved))
	}
	live := 0
	var err error
	st.living(func(e lid) {
		s := st.vals.at(e)
		if uint64(s.off)+uint64(s.n) > uint64(len(st.buf)) || s.n == 0 {
			err = fmt.Errorf("list invariant 1: value of element %d", e)
		}
		live += int(s.n)
	})
	for e := range st.sets {
		if !st.alive(e) {
			err = fmt.Errorf("list invariant 2: element %d is dead", e)
		}
	}
	if err == nil && live+st.dead != len(st.buf) {
		err = fmt.Errorf("list invariant 3: %d bytes live, %d dead, %d in all", live, st.dead, len(st.buf))
	}
	return err
}
