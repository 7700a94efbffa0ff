package crdt

import (
	"iter"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

const kindObjectSet = "objectset"

// ObjectSet is a handle of a set of objects that are made and deleted, each with an identity of its own and no key: O is a
// handle type (Text, Counter, ObjectMap[...], ...) or a struct of them, nested to any depth.
//
//   - Concurrent adds make two objects; both stay.
//   - Remove is final and beats everything that others do meanwhile to the object or to anything below it, objects that
//     they make there included. A later edit through a handle returns runtime.ErrDeleted.
//   - An object may be made with arguments, a value that stays with it unchanged.
//
// Objects of another kind than O's, which another program may have put there, are not shown by All.
//
// Cost: an object takes, beside its own state, about 2 bytes in a saved document and some 10 bytes in the message that
// makes it; a removed object leaves nothing. It is CSet of the library Collabs (Weidner et al., arXiv:2212.02618) with
// the deletion of ObjectMap.
type ObjectSet[O any] struct{ node *runtime.Node }

// NewObjectSet returns the set that is the root with this name. Errors: *ShapeError for an O that cannot describe
// objects, those of runtime.Runtime.Root.
func NewObjectSet[O any](rt *runtime.Runtime, name string) (ObjectSet[O], error) {
	return Root[ObjectSet[O]](rt, name)
}

// Kind returns "objectset".
func (ObjectSet[O]) Kind() string { return kindObjectSet }

// Bind makes the handle one of the object n, which must be of this kind.
func (s *ObjectSet[O]) Bind(n *runtime.Node) { s.node = n }

// Node returns the object's place in the document.
func (s ObjectSet[O]) Node() *runtime.Node { return s.node }

func (s ObjectSet[O]) element() reflect.Type { return reflect.TypeFor[O]() }

func (s ObjectSet[O]) state() *objectSetState { return s.node.Object().(*objectSetState) }

func (s ObjectSet[O]) read(tx runtime.Tx) *objectSetState {
	tx.Read(s.node)
	return s.state()
}

// Add makes a new object and calls init, which may be nil, to fill it. It returns the object. Errors: those of a Tx, of
// init, *runtime.LimitError (Depth), runtime.ErrUnknownKind. After an error of init the object is there, as far as init
// came, unless the transaction returns the error too. Cost: O(1).
func (s ObjectSet[O]) Add(tx runtime.Tx, init func(*O) error) (*O, error) {
	return s.Create(tx, nil, init)
}

// Create is Add for an object that is made with arguments: a value that Args returns as long as the object is there, and
// that never changes.
func (s ObjectSet[O]) Create(tx runtime.Tx, args any, init func(*O) error) (*O, error) {
	w, sh, enc, err := beginChild[O](tx, s.node, args)
	if err != nil {
		return nil, err
	}
	if enc == nil {
		w.Byte(setAdd)
		w.Kind(sh.kind)
	} else {
		w.Byte(setAddArgs)
		w.Kind(sh.kind)
		w.Raw(enc)
	}
	dot := w.Dot()
	if err := w.Apply(1); err != nil {
		return nil, err
	}
	return finishChild(sh, s.state().children[dot].node, init)
}

// Has reports whether o is an object of this set. Cost: O(1).
func (s ObjectSet[O]) Has(tx runtime.Tx, o *O) bool {
	return s.read(tx).has(NodeOf(o))
}

// Len returns the number of objects, of any kind. Cost: O(1).
func (s ObjectSet[O]) Len(tx runtime.Tx) int { return len(s.read(tx).children) }

// All yields the objects in the order in which they were added, concurrent ones by (Lamport, replica, seq). The set may
// be changed meanwhile: objects that are removed are no longer yielded, objects that are added not yet. Cost: O(n log n).
func (s ObjectSet[O]) All(tx runtime.Tx) iter.Seq[*O] {
	st := s.read(tx)
	return func(yield func(*O) bool) {
		tx.Read(s.node)
		for _, c := range st.sorted() {
			if c.node.Err() == runtime.ErrDeleted {
				continue
			}
			if o := BindTo[O](c.node); o != nil && !yield(o) {
				return
			}
		}
	}
}

// Args decodes the arguments with which o was made into v, a pointer. It returns false if o is not in this set, or was
// made without; an error if they do not fit v, or if the Tx may not be used.
func (s ObjectSet[O]) Args(tx runtime.Tx, o *O, v any) (bool, error) {
	if err := tx.Err(s.node); err != nil {
		return false, err
	}
	n := NodeOf(o)
	if st := s.state(); st.has(n) {
		d, _ := n.Dot()
		if args := st.children[d].args; args != "" {
			return true, runtime.DecodeValue([]byte(args), v)
		}
	}
	return false, nil
}

// Remove deletes an object of this set, and everything below it, for good. Errors: those of a Tx; runtime.ErrDeleted if o
// was removed before, ErrNotHere if it never was an object of this set. Cost: O(what is deleted).
func (s ObjectSet[O]) Remove(tx runtime.Tx, o *O) error { return s.RemoveNode(tx, NodeOf(o)) }

// RemoveNode is Remove for an object given by its place in the document, of whatever kind.
func (s ObjectSet[O]) RemoveNode(tx runtime.Tx, n *runtime.Node) error {
	w, err := tx.Begin(s.node)
	if err != nil {
		return err
	}
	st := s.state()
	if !st.has(n) {
		return notHere(s.node, n)
	}
	d, _ := n.Dot()
	w.Byte(setRemove)
	writeRuns(w, []runtime.LocalDot{d})
	return w.Apply(1)
}

// Clear deletes every object that is there, as one operation; adds that are concurrent stay. Errors: those of a Tx.
// Cost: O(what is deleted).
func (s ObjectSet[O]) Clear(tx runtime.Tx) error {
	w, err := tx.Begin(s.node)
	if err != nil {
		return err
	}
	st := s.state()
	if len(st.children) == 0 {
		return nil
	}
	dots := make([]runtime.LocalDot, 0, len(st.children))
	for d := range st.children {
		dots = append(dots, d)
	}
	w.Byte(setRemove)
	writeRuns(w, dots)
	return w.Apply(1)
}

// ObjectSetEvent tells how one transaction, state or delta changed an ObjectSet. What happens inside of an object is told
// by the object's own events.
type ObjectSetEvent[O any] struct {
	runtime.Meta
	Added   []*O // in the order of All
	Removed []*O // in the same order; they show their last state
}

// OnChange calls fn after each transaction or update that changed the set, until stop is called.
// Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (s ObjectSet[O]) OnChange(fn func(ObjectSetEvent[O])) (stop func()) {
	if s.node == nil {
		panic(runtime.ErrUnbound)
	}
	return s.state().observers.Add(s.node, func(raw setEvent) {
		e := ObjectSetEvent[O]{Meta: raw.meta, Added: bindAll[O](raw.added), Removed: bindAll[O](raw.removed)}
		if e.Added != nil || e.Removed != nil {
			fn(e)
		}
	})
}

func bindAll[O any](list []setChild) (out []*O) {
	for _, c := range list {
		if o := BindTo[O](c.node); o != nil {
			out = append(out, o)
		}
	}
	return out
}
