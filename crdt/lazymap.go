package crdt

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft/runtime"
)

const kindLazyMap = "lazymap"

// LazyMap is a handle of a map in which every key holds an object without its being made: O is a handle type (Counter,
// Text, ObjectMap[...], ...) or a struct of them. It is the map for counters by name, texts by language and the like.
//
//   - Concurrent first uses of a key meet in one object: nothing is lost, nobody wins.
//   - Taking a key for reading or writing changes nothing of the document.
//   - A key counts as present while its object holds state, whatever its value: a Counter that was reset stays, as 0, and
//     so do a Text and a List that were emptied, since they remember what was taken away. A cleared Register or flag, an
//     emptied Set or Map, and a struct of such, go.
//   - A key cannot be deleted: empty its object instead. Who needs deletion, or objects with an identity, uses ObjectMap.
//
// Keys are any comparable type that CBOR encodes; equal keys are those with equal encodings. NaN is refused.
//
// Cost: a key costs what its object costs, and its bytes once in a saved document and in each message. Every key ever
// asked for with At stays in memory (some 200 bytes) until the document is closed, present or not; Get and Has leave
// nothing behind. The idea is that of
// CLazyMap in Weidner, Miller and Meiklejohn, "Composing and decomposing op-based CRDTs with semidirect products" (2020)
// and its library Collabs.
type LazyMap[K comparable, O any] struct{ node *runtime.Node }

// NewLazyMap returns the map that is the root with this name. Errors: *ShapeError for an O that cannot describe objects,
// those of runtime.Runtime.Root.
func NewLazyMap[K comparable, O any](rt *runtime.Runtime, name string) (LazyMap[K, O], error) {
	return Root[LazyMap[K, O]](rt, name)
}

// Kind returns "lazymap".
func (LazyMap[K, O]) Kind() string { return kindLazyMap }

// Bind makes the handle one of the object n, which must be of this kind.
func (m *LazyMap[K, O]) Bind(n *runtime.Node) { m.node = n }

// Node returns the object's place in the document.
func (m LazyMap[K, O]) Node() *runtime.Node { return m.node }

func (m LazyMap[K, O]) element() reflect.Type { return reflect.TypeFor[O]() }

func (LazyMap[K, O]) values() []reflect.Type { return []reflect.Type{reflect.TypeFor[K]()} }

// At returns the object of a key, which always exists. It changes nothing of the document and may be used inside View
// and Transact. Errors: a key that cannot be encoded, *runtime.LimitError (NameBytes, Depth), runtime.ErrUnknownKind, and
// those of a Tx. Cost: O(1).
func (m LazyMap[K, O]) At(tx runtime.Tx, key K) (*O, error) {
	if err := tx.Err(m.node); err != nil {
		return nil, err
	}
	k, err := appendKey(nil, &key)
	if err != nil {
		return nil, err
	}
	s, err := shapeFor[O]()
	if err != nil {
		return nil, err
	}
	if err := m.node.CheckDepth(1 + s.depth); err != nil {
		return nil, err
	}
	n, err := m.node.Implicit(string(k), s.kind)
	if err != nil {
		return nil, err
	}
	return bindNew[O](s, n)
}

// Get returns the object of a key that is present, else false: it is At for reads, which leaves nothing in memory of keys
// that are not there. Cost: O(1), for structs O(fields).
func (m LazyMap[K, O]) Get(tx runtime.Tx, key K) (*O, bool) {
	if n := m.find(tx, key); n != nil {
		return BindTo[O](n), true
	}
	return nil, false
}

// Has reports whether a key is present. Cost: O(1), for structs O(fields).
func (m LazyMap[K, O]) Has(tx runtime.Tx, key K) bool { return m.find(tx, key) != nil }

// find returns the object of a key that is present, else nil.
func (m LazyMap[K, O]) find(tx runtime.Tx, key K) *runtime.Node {
	tx.Read(m.node)
	var few [32]byte
	k, err := appendKey(few[:0], &key)
	if err != nil {
		return nil
	}
	s, err := shapeFor[O]()
	if err != nil {
		return nil
	}
	if n := m.node.LookUp(string(k), s.kind); n != nil && n.Holds() {
		return n
	}
	return nil
}

// Keys yields the keys that are present, in the order of their encodings. Cost: O(n log n).
func (m LazyMap[K, O]) Keys(tx runtime.Tx) iter.Seq[K] {
	tx.Read(m.node)
	return func(yield func(K) bool) {
		tx.Read(m.node)
		for _, c := range m.present() {
			if k, ok := childKey[K](c.key); ok && !yield(k) {
				return
			}
		}
	}
}

// All yields the keys that are present with their objects, in the order of the keys'
// encodings. The map may be changed meanwhile: what is yielded was there at the start. Cost: O(n log n).
func (m LazyMap[K, O]) All(tx runtime.Tx) iter.Seq2[K, *O] {
	tx.Read(m.node)
	return func(yield func(K, *O) bool) {
		tx.Read(m.node)
		for _, c := range m.present() {
			k, ok := childKey[K](c.key)
			if o := BindTo[O](c.node); ok && o != nil && !yield(k, o) {
				return
			}
		}
	}
}

type keyedNode struct {
	key  string
	node *runtime.Node
}

// present lists the children of O's kind that hold something, by key.
func (m LazyMap[K, O]) present() []keyedNode {
	s, err := shapeFor[O]()
	if err != nil {
		return nil
	}
	var out []keyedNode
	m.node.ImplicitChildren(s.kind, func(key string, c *runtime.Node) bool {
		if c.Holds() {
			out = append(out, keyedNode{key, c})
		}
		return true
	})
	slices.SortFunc(out, func(a, b keyedNode) int { return strings.Compare(a.key, b.key) })
	return out
}

// LazyMapChange is one key of a LazyMapEvent.
type LazyMapChange[K comparable, O any] struct {
	Key     K
	Object  *O   // that of the key, which exists either way
	Present bool // it holds something now and did not before; false: the other way round
}

// LazyMapEvent tells which keys of a LazyMap came or went in one transaction, state or delta. What happens inside of an
// object is told by the object's own events.
type LazyMapEvent[K comparable, O any] struct {
	runtime.Meta
	Changes []LazyMapChange[K, O] // in the order of Keys
}

// OnChange calls fn after each transaction or update by which keys came or went, until stop is called. Inside a View it
// misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (m LazyMap[K, O]) OnChange(fn func(LazyMapEvent[K, O])) (stop func()) {
	if m.node == nil {
		panic(runtime.ErrUnbound)
	}
	return m.node.Object().(*lazyMapState).observers.Add(m.node, func(raw lazyEvent) {
		e := LazyMapEvent[K, O]{Meta: raw.meta}
		for _, c := range raw.changes {
			k, ok := childKey[K](c.key)
			if o := BindTo[O](c.node); ok && o != nil {
				e.Changes = append(e.Changes, LazyMapChange[K, O]{k, o, c.present})
			}
		}
		if e.Changes != nil {
			fn(e)
		}
	})
}

type lazyEvent struct {
	meta    runtime.Meta
	changes []lazyChange
}

type lazyChange struct {
	keyedNode
	present bool
}

// lazyMapState follows its children for those who observe it.
type lazyMapState struct {
	nameSpace
	observers runtime.Observers[lazyEvent]
	before    map[*runtime.Node]bool // what the open transaction may change: whether it held something
}

func newLazyMapState(n *runtime.Node) runtime.Object { return &lazyMapState{nameSpace: nameSpace{n}} }

// Below notes whether a child holds something.
func (s *lazyMapState) Below(child *runtime.Node) {
	if !s.observers.Active() {
		return
	}
	if _, ok := s.before[child]; !ok {
		if s.before == nil {
			s.before = make(map[*runtime.Node]bool)
		}
		s.before[child] = child.Holds()
	}
}

// Rollback forgets the notes.
func (s *lazyMapState) Rollback() { s.before = nil }

// Commit tells which children hold something now and did not before, or the other way round.
func (s *lazyMapState) Commit(c *runtime.Commit) {
	var changes []lazyChange
	for n, held := range s.before {
		if holds := n.Holds(); holds != held {
			changes = append(changes, lazyChange{keyedNode{n.Name(), n}, holds})
		}
	}
	s.before = nil
	if changes != nil {
		slices.SortFunc(changes, func(a, b lazyChange) int { return strings.Compare(a.key, b.key) })
		s.observers.Emit(c, lazyEvent{c.Meta(), changes})
	}
}

// Export returns the objects that hold something, by key.
func (s *lazyMapState) Export(x *runtime.Exporter) any {
	var kids []keyedNode
	s.node.ImplicitChildren("", func(key string, c *runtime.Node) bool {
		if c.Holds() {
			kids = append(kids, keyedNode{key, c})
		}
		return true
	})
	slices.SortFunc(kids, func(a, b keyedNode) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.node.Kind(), b.node.Kind())
	})
	out := make(map[string]any, len(kids))
	for i, c := range kids {
		name := keyText([]byte(c.key))
		if i > 0 && kids[i-1].key == c.key || i+1 < len(kids) && kids[i+1].key == c.key {
			name += " (" + c.node.Kind() + ")"
		}
		out[runtime.FreeName(out, name, c.key)] = x.Node(c.node)
	}
	return out
}
