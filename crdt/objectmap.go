package crdt

import (
	"iter"
	"reflect"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

const kindObjectMap = "objectmap"

// ObjectMap is a handle of a map whose values are objects that are made and deleted: O is a handle type (Text, Counter,
// another ObjectMap[...], ...) or a struct of them, nested to any depth.
//
//   - Set makes a new, empty object under a key. It replaces the one that the writer saw there, which is deleted.
//   - Of concurrent sets of one key the greatest (Lamport, replica, seq) wins; the other objects stay alive but hidden,
//     see Conflicts, until the next set or delete of the key deletes them.
//   - Delete is final and beats everything that others do meanwhile to the object or to anything below it, objects that
//     they make there included, in whatever order and form these changes arrive. A later edit through a handle returns
//     runtime.ErrDeleted. A set that is concurrent with a delete stays: it made another object.
//   - An object may be made with arguments, a value that stays with it unchanged.
//
// Keys are any comparable type that CBOR encodes; equal keys are those with equal encodings. NaN is refused. Objects of
// another kind than O's, which another program may have put there, are not shown by Get, All and Conflicts.
//
// Cost: an object takes, beside its own state, its key and about 3 bytes in a saved document, and some 10 bytes and the
// key in the message that makes it; a deleted object leaves nothing. Like an observed-remove map (Almeida, Shoker,
// Baquero, "Delta state replicated data types", 2018), but without resurrection of what is deleted: see
// docs/types.md.
type ObjectMap[K comparable, O any] struct{ node *runtime.Node }

// NewObjectMap returns the map that is the root with this name. Errors: *ShapeError for an O that cannot describe
// objects, those of runtime.Runtime.Root.
func NewObjectMap[K comparable, O any](rt *runtime.Runtime, name string) (ObjectMap[K, O], error) {
	return Root[ObjectMap[K, O]](rt, name)
}

// Kind returns "objectmap".
func (ObjectMap[K, O]) Kind() string { return kindObjectMap }

// Bind makes the handle one of the object n, which must be of this kind.
func (m *ObjectMap[K, O]) Bind(n *runtime.Node) { m.node = n }

// Node returns the object's place in the document.
func (m ObjectMap[K, O]) Node() *runtime.Node { return m.node }

func (m ObjectMap[K, O]) element() reflect.Type { return reflect.TypeFor[O]() }

func (ObjectMap[K, O]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[K]()} }

func (m ObjectMap[K, O]) state() *objectMapState { return m.node.Object().(*objectMapState) }

func (m ObjectMap[K, O]) read(tx runtime.Tx) *objectMapState {
	tx.Read(m.node)
	return m.state()
}

// Set makes a new object under key, replacing what is there, and calls init, which may be nil, to fill it. It returns
// the object. Errors: those of a Tx, of init, a key that cannot be encoded, *runtime.LimitError (Depth),
// runtime.ErrUnknownKind. After an error of init the object is there, as far as init came, unless the transaction
// returns the error too. Cost: O(1), and O(what is replaced).
func (m ObjectMap[K, O]) Set(tx runtime.Tx, key K, init func(*O) error) (*O, error) {
	return m.Create(tx, key, nil, init)
}

// Create is Set for an object that is made with arguments: a value that Args returns as long as the object is there, and
// that never changes.
func (m ObjectMap[K, O]) Create(tx runtime.Tx, key K, args any, init func(*O) error) (*O, error) {
	k, err := appendKey(nil, &key)
	if err != nil {
		return nil, err
	}
	w, s, enc, err := beginChild[O](tx, m.node, args)
	if err != nil {
		return nil, err
	}
	st := m.state()
	if enc == nil {
		w.Byte(mapSet)
	} else {
		w.Byte(mapSetArgs)
	}
	w.Kind(s.kind)
	w.Bytes(k)
	if enc != nil {
		w.Bytes(enc)
	}
	writeRuns(w, st.dotsAt(string(k)))
	if err := w.Apply(1); err != nil {
		return nil, err
	}
	return finishChild(s, st.children[string(k)].node, init)
}

// GetOrSet returns the object under key, and makes one as Set does where there is none. Two replicas that do so at once
// make two objects, of which one wins; where both should be kept as one, use a LazyMap. Errors: those of Set.
func (m ObjectMap[K, O]) GetOrSet(tx runtime.Tx, key K, init func(*O) error) (*O, error) {
	if err := tx.Writable(m.node); err != nil {
		return nil, err
	}
	if o, ok := m.Get(tx, key); ok {
		return o, nil
	}
	return m.Set(tx, key, init)
}

// Get returns the object under key; false if there is none. Cost: O(1), one allocation, and a look-up for each field.
func (m ObjectMap[K, O]) Get(tx runtime.Tx, key K) (*O, bool) {
	c, ok := m.find(tx, key)
	if !ok {
		return nil, false
	}
	o := BindTo[O](c.node)
	return o, o != nil
}

func (m ObjectMap[K, O]) find(tx runtime.Tx, key K) (mapChild, bool) {
	st := m.read(tx)
	var buf [64]byte
	k, err := appendKey(buf[:0], &key)
	if err != nil {
		return mapChild{}, false
	}
	c, ok := st.children[string(k)]
	return c, ok
}

// Has reports whether there is an object under key, of any kind. Cost: O(1).
func (m ObjectMap[K, O]) Has(tx runtime.Tx, key K) bool {
	_, ok := m.find(tx, key)
	return ok
}

// Len returns the number of keys. Cost: O(1).
func (m ObjectMap[K, O]) Len(tx runtime.Tx) int { return len(m.read(tx).children) }

// Keys yields the keys in the order of their encodings, those left out that are no K. Cost: O(n log n).
func (m ObjectMap[K, O]) Keys(tx runtime.Tx) iter.Seq[K] {
	st := m.read(tx)
	return func(yield func(K) bool) {
		tx.Read(m.node)
		for _, key := range st.sortedKeys() {
			if k, ok := childKey[K](key); ok && !yield(k) {
				return
			}
		}
	}
}

// All yields keys and objects in the order of the keys' encodings. The map may be changed meanwhile: keys that are
// deleted are no longer yielded, keys that are added not yet. Cost: O(n log n).
func (m ObjectMap[K, O]) All(tx runtime.Tx) iter.Seq2[K, *O] {
	st := m.read(tx)
	return func(yield func(K, *O) bool) {
		tx.Read(m.node)
		for _, key := range st.sortedKeys() {
			k, ok := childKey[K](key)
			if o := BindTo[O](st.children[key].node); ok && o != nil && !yield(k, o) {
				return
			}
		}
	}
}

// Args decodes the arguments with which the object under key was made into v, a pointer. It returns false if there is no
// object, or if it was made without; an error if they do not fit v, or if the Tx may not be used.
func (m ObjectMap[K, O]) Args(tx runtime.Tx, key K, v any) (bool, error) {
	if err := tx.Err(m.node); err != nil {
		return false, err
	}
	c, _ := m.find(tx, key)
	args := c.args()
	if args == "" {
		return false, nil
	}
	return true, runtime.DecodeValue([]byte(args), v)
}

// Conflicts returns the hidden objects under key, those that lost against the one that Get returns, the nearest to
// winning first; nil if there are none. They can be read and edited; the next set or delete of the key deletes them.
func (m ObjectMap[K, O]) Conflicts(tx runtime.Tx, key K) []*O {
	c, _ := m.find(tx, key)
	var out []*O
	hidden := slices.Clone(c.hidden())
	slices.SortFunc(hidden, func(a, b mapChild) int { return m.node.Runtime().CompareStamps(b.stamp(), a.stamp()) })
	for _, h := range hidden {
		if o := BindTo[O](h.node); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// Delete deletes the object under key, hidden ones included, and everything below it, for good. Without an object it
// does nothing. Errors: those of a Tx, a key that cannot be encoded. Cost: O(what is deleted).
func (m ObjectMap[K, O]) Delete(tx runtime.Tx, key K) error {
	k, err := appendKey(nil, &key)
	if err != nil {
		return err
	}
	w, err := tx.Begin(m.node)
	if err != nil {
		return err
	}
	dots := m.state().dotsAt(string(k))
	if len(dots) == 0 {
		return nil
	}
	w.Byte(mapDelete)
	w.Bytes(k)
	writeRuns(w, dots)
	return w.Apply(1)
}

// Clear deletes every object that is there, as one operation; sets that are concurrent stay. Errors: those of a Tx.
// Cost: O(what is deleted).
func (m ObjectMap[K, O]) Clear(tx runtime.Tx) error {
	w, err := tx.Begin(m.node)
	if err != nil {
		return err
	}
	st := m.state()
	var dots []runtime.LocalDot
	for _, c := range st.children {
		dots = c.appendDots(dots)
	}
	if len(dots) == 0 {
		return nil
	}
	w.Byte(mapClear)
	writeRuns(w, dots)
	return w.Apply(1)
}

// ObjectMapEvent tells how one transaction, state or delta changed which objects an ObjectMap shows. What happens inside
// of an object is told by the object's own events.
type ObjectMapEvent[K comparable, O any] struct {
	runtime.Meta
	// Changes has one entry for each key that shows another object than before, in the order of the keys' encodings.
	Changes []ObjectMapChange[K, O]
}

// ObjectMapChange is one key of an ObjectMapEvent. Set: Before is nil; deleted: After is nil; replaced: neither is. A
// deleted object shows its last state.
type ObjectMapChange[K comparable, O any] struct {
	Key           K
	Before, After *O
}

// OnChange calls fn after each transaction or update that changed which objects the map shows, until stop is called.
// Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (m ObjectMap[K, O]) OnChange(fn func(ObjectMapEvent[K, O])) (stop func()) {
	if m.node == nil {
		panic(runtime.ErrUnbound)
	}
	return m.state().observers.Add(m.node, func(raw mapEvent) {
		e := ObjectMapEvent[K, O]{Meta: raw.meta}
		for _, c := range raw.changes {
			k, ok := childKey[K](c.key)
			before, after := BindTo[O](c.before), BindTo[O](c.after)
			if ok && (before != nil || after != nil) {
				e.Changes = append(e.Changes, ObjectMapChange[K, O]{k, before, after})
			}
		}
		fn(e)
	})
}
