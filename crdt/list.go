package crdt

import (
	"iter"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

const kindList = "list"

// List is a handle of a list of values that many edit at once, in Fugue order (Weidner, Gentle, Kleppmann,
// arXiv:2305.00583), so that what two people insert at one place is not interleaved.
//
//   - A deleted element stays deleted whatever others do to it.
//   - Set gives an element another value: of concurrent sets the greatest (Lamport, replica, seq) wins; no loser is kept,
//     so that a set need not name what it replaces.
//   - Move gives an element another place: of concurrent moves the greatest (Lamport, replica, seq) wins, so that an
//     element is never in two places (Kleppmann, "Moving Elements in List CRDTs", PaPoC 2020). The place stays where it is
//     for what others insert there.
//
// Values are CBOR in the bytes of their author: what another version of T, or another program, put there stays as it is.
// One that is not a T gives a *TypeError where it is read, and stays.
//
// Cost: an edit near the last one O(1), elsewhere O(log n). An element takes 8 bytes and its value in memory, a byte or
// two and its value in a state; a deleted one keeps its dot as a tombstone, run-length coded, but no value; each move
// leaves a tombstone and some 100 bytes. At most 2^31-1 places and 4 GiB of values. The zero List is not bound to a
// document; a List is a small value to be copied freely.
type List[T any] struct{ node *runtime.Node }

// NewList returns the list that is the root with this name. Errors: *ShapeError for a T that CBOR cannot hold, those of
// runtime.Runtime.Root.
func NewList[T any](rt *runtime.Runtime, name string) (List[T], error) {
	n, err := newRoot[List[T]](rt, name, kindList)
	return List[T]{n}, err
}

// Kind returns "list".
func (List[T]) Kind() string { return kindList }

// Bind makes the handle one of the object n, which must be of this kind.
func (l *List[T]) Bind(n *runtime.Node) { l.node = n }

// Node returns the object's place in the document.
func (l List[T]) Node() *runtime.Node { return l.node }

func (List[T]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[T]()} }

func (l List[T]) state() *listState { return l.node.Object().(*listState) }

func (l List[T]) read(tx runtime.Tx) *listState {
	tx.Read(l.node)
	return l.state()
}

// Insert puts values before the element at index i, which may be the length: one operation. It returns
// *runtime.RangeError, ErrValue for a value that cannot be stored, or why the list cannot be edited, and then nothing has
// changed. Cost: O(1) near the last edit, else O(log n), and each value.
func (l List[T]) Insert(tx runtime.Tx, i int, values ...T) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	if err := checkRange("List.Insert", i, 0, st.len(), elementUnit); err != nil || len(values) == 0 {
		return err
	}
	st.begin(st.observers.Active())
	at := len(st.buf)
	var few [8]valueSpan
	spans := few[:0]
	for k := range values {
		from := len(st.buf)
		var buf []byte
		if buf, err = appendValue(st.buf, &values[k]); err == nil {
			st.buf = buf
			err = st.room(0)
		}
		if err != nil {
			st.buf = st.buf[:at]
			return err
		}
		spans = append(spans, valueSpan{uint32(from), uint32(len(st.buf) - from)})
	}
	o, first, err := st.insert(w, "List.Insert", i, len(values))
	if err != nil {
		st.buf = st.buf[:at]
		return err
	}
	for k, s := range spans {
		st.vals.set(first+lid(k), s)
	}
	writeOrigin(w, listInsert, o)
	w.Raw(st.buf[at:])
	w.Commit(len(values))
	return nil
}

// Append puts values at the end. Errors as in Insert.
func (l List[T]) Append(tx runtime.Tx, values ...T) error {
	if err := tx.Writable(l.node); err != nil {
		return err
	}
	return l.Insert(tx, l.state().len(), values...)
}

// Delete removes n elements from index i on: one operation. It returns *runtime.RangeError, or why the list cannot be
// edited, and then nothing has changed. Cost: O(log n) an element.
func (l List[T]) Delete(tx runtime.Tx, i, n int) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	if err := checkRange("List.Delete", i, n, st.len(), elementUnit); err != nil || n == 0 {
		return err
	}
	st.begin(st.observers.Active())
	st.take(i, n)
	writeSpans(w, listDelete, st.dots)
	st.killAll(w.Removed)
	w.Commit(1)
	return nil
}

// Set gives the element at index i another value. It returns *runtime.RangeError, ErrValue, or why the list cannot be
// edited, and then nothing has changed. Cost: O(log n) and the value.
func (l List[T]) Set(tx runtime.Tx, i int, v T) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	if err := checkIndex("List.Set", i, st.len()); err != nil {
		return err
	}
	e, err := st.at(i)
	if err != nil {
		return err
	}
	var few [64]byte
	val, err := appendValue(few[:0], &v)
	if err == nil {
		err = st.room(len(val))
	}
	if err != nil {
		return err
	}
	st.begin(st.observers.Active())
	writeDot(w, listSet, st.dot(e))
	w.Raw(val)
	st.set(e, w.Stamp(), val)
	w.Commit(1)
	return nil
}

// Move moves the element at index from to the gap before the element that is at index to now, or to the end if to is the
// length. So Move(tx, 0, 2) makes b, a, c of a, b, c. A move to where the element is already does nothing. It returns
// *runtime.RangeError, or why the list cannot be edited, and then nothing has changed. Cost: O(log n).
func (l List[T]) Move(tx runtime.Tx, from, to int) error { return l.MoveRange(tx, from, 1, to) }

// MoveRange moves the n elements from index from on, in their order, to the gap before the element that is at index to
// now, or to the end: one operation. A move into itself does nothing. Errors and cost as in Move, for each element.
func (l List[T]) MoveRange(tx runtime.Tx, from, n, to int) error {
	if err := tx.Writable(l.node); err != nil {
		return err
	}
	st := l.state()
	return st.moveLocal(tx, "List.Move", from, n, to, st.observers.Active(), st.begin)
}

// Len returns the number of elements. Cost: O(1).
func (l List[T]) Len(tx runtime.Tx) int { return l.read(tx).len() }

// Get returns the element at index i, or *runtime.RangeError, or *TypeError if it is not a T. Cost: O(log n) and the value.
func (l List[T]) Get(tx runtime.Tx, i int) (v T, err error) {
	if err := tx.Err(l.node); err != nil {
		return v, err
	}
	st := l.state()
	if err := checkIndex("List.Get", i, st.len()); err != nil {
		return v, err
	}
	e, err := st.at(i)
	if err != nil {
		return v, err
	}
	if err := decodeValue(st.value(e), &v); err != nil {
		return v, typeError[T](l.node.String(), nil, st.value(e), err)
	}
	return v, nil
}

// All yields each element with its index, those left out that are not a T. The list must not be changed meanwhile. Cost:
// O(1) and the value, each.
func (l List[T]) All(tx runtime.Tx) iter.Seq2[int, T] {
	st := l.read(tx)
	return func(yield func(int, T) bool) {
		tx.Read(l.node)
		i := 0
		for place := range st.seq.Live(0, st.len()) {
			var v T
			if decodeValue(st.value(st.element(place)), &v) == nil && !yield(i, v) {
				return
			}
			i++
		}
	}
}

// Values returns the elements; *TypeError if one is not a T. Cost: O(n).
func (l List[T]) Values(tx runtime.Tx) ([]T, error) {
	if err := tx.Err(l.node); err != nil {
		return nil, err
	}
	st := l.state()
	out := make([]T, st.len())
	i := 0
	for place := range st.seq.Live(0, st.len()) {
		val := st.value(st.element(place))
		if err := decodeValue(val, &out[i]); err != nil {
			return nil, typeError[T](l.node.String(), nil, val, err)
		}
		i++
	}
	return out, nil
}

// CursorAt returns the cursor at index i, which may be the length, or *runtime.RangeError. It stays where it is when its
// element moves away. Cost: O(log n).
func (l List[T]) CursorAt(tx runtime.Tx, i int, b Bias) (Cursor, error) {
	if err := tx.Err(l.node); err != nil {
		return Cursor{}, err
	}
	return l.state().cursorAt("List.CursorAt", i, b)
}

// IndexOf returns where the cursor is now, from 0 to the length, or *CursorError. Cost: O(log n).
func (l List[T]) IndexOf(tx runtime.Tx, c Cursor) (int, error) {
	if err := tx.Err(l.node); err != nil {
		return 0, err
	}
	return c.indexOf(l.node.Runtime(), l.state().seq)
}

func (p *places) cursorAt(op string, i int, b Bias) (Cursor, error) {
	if err := checkRange(op, i, 0, p.len(), elementUnit); err != nil {
		return Cursor{}, err
	}
	return cursorAt(p.node.Runtime(), p.seq, i, b), nil
}

// checkIndex returns an error unless i is the index of an element.
func checkIndex(op string, i, size int) error {
	if i < 0 || i >= size {
		return rangeError(op, i, 1, size, elementUnit)
	}
	return nil
}
