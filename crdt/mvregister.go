package crdt

import (
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

// MVRegister is a handle of a register that shows all concurrent values and leaves the choice to the reader.
//
//   - A write replaces the writes that its writer saw, and no concurrent one.
//   - Clear removes the writes that its writer saw.
//
// Values, cost and source are those of Register.
type MVRegister[T any] struct{ node *runtime.Node }

// NewMVRegister returns the register that is the root with this name. Errors: *ShapeError for a T that CBOR cannot hold, those of
// runtime.Runtime.Root.
func NewMVRegister[T any](rt *runtime.Runtime, name string) (MVRegister[T], error) {
	n, err := newRoot[MVRegister[T]](rt, name, kindMVRegister)
	return MVRegister[T]{n}, err
}

// Kind returns "mvregister".
func (MVRegister[T]) Kind() string { return kindMVRegister }

// Bind makes the handle one of the object n, which must be of this kind.
func (r *MVRegister[T]) Bind(n *runtime.Node) { r.node = n }

// Node returns the object's place in the document.
func (r MVRegister[T]) Node() *runtime.Node { return r.node }

func (MVRegister[T]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[T]()} }

func (r MVRegister[T]) cell() *cellState { return r.node.Object().(*cellState) }

// Values returns all values that no write replaced, by the order of their dots, which is the same on every replica; nil
// if there are none. Equal values that were written concurrently are all there. Errors: those of runtime.Tx.Err,
// *TypeError.
func (r MVRegister[T]) Values(tx runtime.Tx) ([]T, error) {
	if err := tx.Err(r.node); err != nil {
		return nil, err
	}
	var one [1]writeEntry
	if entries := r.cell().ordered(&one); len(entries) > 0 {
		return decodeEntries[T](r.node, entries, -1)
	}
	return nil, nil
}

// Set writes v in place of all values seen. Errors: ErrValue, or why the register cannot be edited.
func (r MVRegister[T]) Set(tx runtime.Tx, v T) error { return setCell(tx, r.node, &v) }

// Clear removes all values seen; without any it does nothing. The error says why the register cannot be edited.
func (r MVRegister[T]) Clear(tx runtime.Tx) error { return clearCell(tx, r.node) }

// MVRegisterEvent tells how one transaction, state or delta changed an MVRegister.
type MVRegisterEvent[T any] struct {
	runtime.Meta
	Values []T   // as Values would have returned them
	Old    []T   // before
	Err    error // a *TypeError if one of the values is not a T, which is then zero
}

// OnChange calls fn after every change of the register from now on; see runtime.Runtime for when. It returns the
// unsubscribe function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (r MVRegister[T]) OnChange(fn func(MVRegisterEvent[T])) (stop func()) {
	return runtime.Observe(r.node, func(c rawCellChange) {
		e := MVRegisterEvent[T]{Meta: c.Meta}
		e.Values = decodeRaw[T](r.node, c.after, &e.Err)
		e.Old = decodeRaw[T](r.node, c.before, &e.Err)
		fn(e)
	})
}

func decodeRaw[T any](n *runtime.Node, raw rawValues, err *error) []T {
	var out []T
	for _, b := range raw.all {
		var v T
		if derr := decodeValue(b, &v); derr != nil && *err == nil {
			*err = typeError[T](shortName(n), nil, b, derr)
		}
		out = append(out, v)
	}
	return out
}
