package crdt

import (
	"iter"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

// Set is a handle of a set of values of type T, encoded as CBOR in core deterministic form (RFC 8949 section 4.2.1), so
// that equal elements have equal bytes. NaN cannot be an element.
//
//   - Remove removes the additions of an element that its writer saw; an Add that is concurrent to it wins.
//   - Clear is one operation that removes all that its writer saw, whatever the number; concurrent additions stay.
//
// Cost: a state holds each element with about 4 bytes beside it, and nothing of what was removed; adding an element again
// replaces its entry. In memory about 45 bytes an element beside its own. This is the optimised observed-remove set of
// Bieniusa, Zawirski, Preguiça, Shapiro, Baquero, Balegas and Duarte (arXiv:1210.3368), under the document's clock.
//
// The zero Set is not bound to a document: it is filled by weft.Open, or made by NewSet. It is a small value to be copied
// freely; who may use it when is said at runtime.Tx.
type Set[T comparable] struct{ node *runtime.Node }

// NewSet returns the set that is the root with this name. Errors: *ShapeError for a T that CBOR cannot hold, those of
// runtime.Runtime.Root.
func NewSet[T comparable](rt *runtime.Runtime, name string) (Set[T], error) {
	n, err := newRoot[Set[T]](rt, name, kindSet)
	return Set[T]{n}, err
}

// Kind returns "set".
func (Set[T]) Kind() string { return kindSet }

// Bind makes the handle one of the object n, which must be of this kind.
func (s *Set[T]) Bind(n *runtime.Node) { s.node = n }

// Node returns the object's place in the document.
func (s Set[T]) Node() *runtime.Node { return s.node }

func (Set[T]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[T]()} }

func (s Set[T]) state() *keyedState { return s.node.Object().(*keyedState) }

// Add adds v, also one that is there: it then wins over a Remove that is concurrent now. Errors: ErrValue, or why the set
// cannot be edited. Cost: O(1).
func (s Set[T]) Add(tx runtime.Tx, v T) error {
	if err := tx.Writable(s.node); err != nil {
		return err
	}
	var few [64]byte
	key, err := appendKey(few[:0], &v)
	if err != nil {
		return err
	}
	return s.state().write(tx, key, nil)
}

// Remove removes v; one that is not there does nothing. Errors: ErrValue, or why the set cannot be edited. Cost: O(1).
func (s Set[T]) Remove(tx runtime.Tx, v T) error {
	if err := tx.Writable(s.node); err != nil {
		return err
	}
	var few [64]byte
	key, err := appendKey(few[:0], &v)
	if err != nil {
		return err
	}
	return s.state().erase(tx, key)
}

// Clear removes all elements, with one operation; without any it does nothing. The error says why the set cannot be
// edited. Cost: O(n), and for the message 3 bytes for each run of additions that one writer made without pause.
func (s Set[T]) Clear(tx runtime.Tx) error {
	if err := tx.Writable(s.node); err != nil {
		return err
	}
	return s.state().eraseAll(tx)
}

// Has reports whether v is in the set. Cost: O(1).
func (s Set[T]) Has(tx runtime.Tx, v T) bool {
	tx.Read(s.node)
	var few [64]byte
	key, err := appendKey(few[:0], &v)
	if err != nil {
		return false
	}
	_, ok := s.state().table.find(key)
	return ok
}

// Len returns the number of elements, those that are not a T included. Cost: O(1).
func (s Set[T]) Len(tx runtime.Tx) int {
	tx.Read(s.node)
	return s.state().table.keys
}

// All returns the elements in the byte order of their encoded forms: integers from 0 upwards, then negative ones from -1
// downwards, then strings by length and bytes. Elements that are not a T, which others may have added, are left out; Each
// reports them. The sequence must be used in the same transaction, and the set must not be edited meanwhile. Cost: O(n)
// decodes; the first time after elements came or went O(n) more to merge k new ones into the order, O(n log n) after a
// load or large changes.
func (s Set[T]) All(tx runtime.Tx) iter.Seq[T] {
	tx.Read(s.node)
	return func(yield func(T) bool) {
		tx.Read(s.node)
		t := &s.state().table
		for _, slot := range t.sorted() {
			var v T
			if decodeValue(t.key(slot), &v) == nil && !yield(v) {
				return
			}
		}
	}
}

// Each calls fn for every element in the order of All, until it returns an error, which Each returns. An element that is
// not a T is a *TypeError; see also runtime.Tx.Err.
func (s Set[T]) Each(tx runtime.Tx, fn func(T) error) error {
	if err := tx.Err(s.node); err != nil {
		return err
	}
	t := &s.state().table
	for _, slot := range t.sorted() {
		var v T
		if err := decodeValue(t.key(slot), &v); err != nil {
			return typeError[T](s.node.String(), t.key(slot), t.key(slot), err)
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	return nil
}

// SetEvent tells how one transaction, state or delta changed a set: the elements that were not there before and those
// that are not there now, each in the order of All.
type SetEvent[T comparable] struct {
	runtime.Meta
	Added, Removed []T
	Err            error // a *TypeError if elements that are not a T came or went; they are not listed
}

// OnChange calls fn whenever elements came or went, from now on; see runtime.Runtime for when. It returns the unsubscribe
// function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (s Set[T]) OnChange(fn func(SetEvent[T])) (stop func()) {
	return s.state().obs.Add(s.node, func(c rawKeyedChange) {
		e := SetEvent[T]{Meta: c.Meta}
		for _, k := range c.keys {
			had, has := k.before.winner >= 0, k.after.winner >= 0
			if had == has {
				continue
			}
			var v T
			if err := decodeValue(k.key, &v); err != nil {
				e.Err = typeError[T](shortName(s.node), k.key, k.key, err)
			} else if has {
				e.Added = append(e.Added, v)
			} else {
				e.Removed = append(e.Removed, v)
			}
		}
		if e.Err != nil || len(e.Added)+len(e.Removed) > 0 {
			fn(e)
		}
	})
}
