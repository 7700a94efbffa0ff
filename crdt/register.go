package crdt

import (
	"reflect"
	"strconv"

	"github.com/seed1312cc15/weft/runtime"
)

// Register is a handle of one value of type T, encoded as CBOR.
//
//   - A write replaces the writes that its writer saw. Of concurrent ones the winner is the greatest (Lamport timestamp,
//     replica, seq); Conflicts shows the others, until the next write replaces them all.
//   - Clear removes the writes that its writer saw; a concurrent write stays.
//   - The value is kept, saved and relayed in its author's bytes: a struct field that this program does not know
//     survives until this program writes the register itself.
//
// Cost: a state holds each concurrent value with 3 bytes or so beside it, and nothing of what was replaced. This is the
// multi-value register of Shapiro, Preguiça, Baquero and Zawirski (Inria RR-7506) with a winner at read.
//
// The zero Register is not bound to a document: it is filled by weft.Open, or made by NewRegister. It is a small value to
// be copied freely; who may use it when is said at runtime.Tx.
type Register[T any] struct {
	node   *runtime.Node
	policy func([]T) T
}

// NewRegister returns the register that is the root with this name. Errors: *ShapeError for a T that CBOR cannot hold, those of
// runtime.Runtime.Root.
func NewRegister[T any](rt *runtime.Runtime, name string) (Register[T], error) {
	n, err := newRoot[Register[T]](rt, name, kindRegister)
	return Register[T]{node: n}, err
}

// Kind returns "register".
func (Register[T]) Kind() string { return kindRegister }

// Bind makes the handle one of the object n, which must be of this kind.
func (r *Register[T]) Bind(n *runtime.Node) { r.node = n }

// Node returns the object's place in the document.
func (r Register[T]) Node() *runtime.Node { return r.node }

func (Register[T]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[T]()} }

// WithPolicy returns a handle that decides between concurrent values by policy: Get and events then show what it returns.
// It is given all of them, two or more, in the same order on every replica (that of their dots); it must depend on
// nothing else and must not use the document. nil: the winner.
func (r Register[T]) WithPolicy(policy func(values []T) T) Register[T] {
	r.policy = policy
	return r
}

func (r Register[T]) cell() *cellState { return r.node.Object().(*cellState) }

// Value returns the value, the zero T if there is none or if it is not a T; see Get for the difference. It is for
// weft.Read: weft.Read(doc, doc.Root.Title.Value).
func (r Register[T]) Value(tx runtime.Tx) T {
	tx.Read(r.node)
	v, ok, err := r.Get(tx)
	if !ok || err != nil {
		var zero T
		return zero
	}
	return v
}

// Get returns the value, false if there is none. Errors: those of runtime.Tx.Err, *TypeError. Cost: decoding; a string,
// integer or bool costs no allocation but a string's own.
func (r Register[T]) Get(tx runtime.Tx) (v T, ok bool, err error) {
	if err := tx.Err(r.node); err != nil {
		return v, false, err
	}
	c := r.cell()
	if r.policy != nil && c.len() > 1 {
		all, err := decodeEntries[T](r.node, c.ordered(nil), -1)
		if err != nil {
			return v, false, err
		}
		return r.policy(all), true, nil
	}
	switch {
	case c.len() == 0:
		return v, false, nil
	case len(c.one) > 1:
		_, val := c.unpack()
		err = decodeValue(val, &v)
	default:
		err = decodeValue(c.winner(), &v)
	}
	if err != nil {
		return v, false, typeError[T](r.node.String(), nil, c.winner(), err)
	}
	return v, true, nil
}

// Conflicts returns the values that were written concurrently to the winner, in an order that is the same on every
// replica; nil if there are none. Errors: those of runtime.Tx.Err, *TypeError.
func (r Register[T]) Conflicts(tx runtime.Tx) ([]T, error) {
	if err := tx.Err(r.node); err != nil {
		return nil, err
	}
	c := r.cell()
	if c.len() < 2 {
		return nil, nil
	}
	entries := c.ordered(nil)
	return decodeEntries[T](r.node, entries, winnerOf(r.node.Runtime(), entries))
}

// Set writes v in place of all values seen. Errors: ErrValue, or why the register cannot be edited.
func (r Register[T]) Set(tx runtime.Tx, v T) error { return setCell(tx, r.node, &v) }

// Clear removes all values seen; without any it does nothing. The error says why the register cannot be edited.
func (r Register[T]) Clear(tx runtime.Tx) error { return clearCell(tx, r.node) }

// setCell writes *v to a register.
func setCell[T any](tx runtime.Tx, n *runtime.Node, v *T) error {
	if err := tx.Writable(n); err != nil {
		return err
	}
	var few [64]byte
	val, err := appendValue(few[:0], v)
	if err != nil {
		return err
	}
	return n.Object().(*cellState).write(tx, n, val)
}

func clearCell(tx runtime.Tx, n *runtime.Node) error {
	if err := tx.Writable(n); err != nil {
		return err
	}
	return n.Object().(*cellState).erase(tx, n)
}

// decodeEntries decodes the values of all entries but one; -1: of all.
func decodeEntries[T any](n *runtime.Node, entries []writeEntry, but int) ([]T, error) {
	out := make([]T, 0, len(entries))
	for i := range entries {
		if i == but {
			continue
		}
		var v T
		if err := decodeValue(entries[i].val, &v); err != nil {
			return nil, typeError[T](n.String(), nil, entries[i].val, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// RegisterEvent tells how one transaction, state or delta changed a register.
type RegisterEvent[T any] struct {
	runtime.Meta
	Value     T    // as Get would have returned it
	Has       bool // there is a value
	Old       T    // before
	Had       bool
	Conflicts []T   // as Conflicts would have returned them
	Err       error // a *TypeError if one of the values is not a T, which is then zero
}

// OnChange calls fn after every change of the register from now on; see runtime.Runtime for when. It returns the
// unsubscribe function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (r Register[T]) OnChange(fn func(RegisterEvent[T])) (stop func()) {
	return runtime.Observe(r.node, func(c rawCellChange) {
		e := RegisterEvent[T]{Meta: c.Meta}
		name := shortName(r.node)
		var err error
		if e.Value, e.Has, e.Conflicts, e.Err = decideRaw(name, nil, c.after, r.policy); e.Err != nil {
			e.Conflicts = nil
		}
		if e.Old, e.Had, _, err = decideRaw(name, nil, c.before, r.policy); e.Err == nil {
			e.Err = err
		}
		fn(e)
	})
}

// shortName names an object without looking at its document, for use outside of a transaction.
func shortName(n *runtime.Node) string { return n.Kind() + " " + strconv.Quote(n.Name()) }

// decideRaw decodes what an event holds: the value, whether there is one, and the losers.
func decideRaw[T any](object string, key []byte, raw rawValues, policy func([]T) T) (v T, ok bool, rest []T, err error) {
	if raw.winner < 0 {
		return v, false, nil, nil
	}
	var all []T
	for i, b := range raw.all {
		var x T
		if derr := decodeValue(b, &x); derr != nil {
			err = typeError[T](object, key, b, derr)
		}
		if all = append(all, x); i == raw.winner {
			v = x
		} else {
			rest = append(rest, x)
		}
	}
	if policy != nil && len(all) > 1 && err == nil {
		v = policy(all)
	}
	return v, true, rest, err
}
