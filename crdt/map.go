package crdt

import (
	"iter"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

// Map is a handle of a map from keys to values, both encoded as CBOR; keys in core deterministic form (RFC 8949 section
// 4.2.1), so that equal keys have equal bytes. NaN cannot be a key. Each key is a register:
//
//   - Set replaces the writes of its key that its writer saw. Of concurrent ones the winner is the greatest (Lamport
//     timestamp, replica, seq); Conflicts shows the others until the next Set or Delete of the key.
//   - Delete removes the writes of its key that its writer saw; a concurrent Set stays.
//   - Clear is one operation that removes all that its writer saw, whatever the number; concurrent writes stay.
//   - A value is kept, saved and relayed in its author's bytes: a struct field that this program does not know survives
//     until this program sets the key itself.
//
// Cost: a state holds each key and value with about 4 bytes beside them, and nothing of what was replaced or removed. In
// memory about 45 bytes a key beside its own. This is a map of the multi-value registers of Shapiro, Preguiça, Baquero and
// Zawirski (Inria RR-7506) without tombstones, as in the optimised observed-remove set (arXiv:1210.3368).
//
// The zero Map is not bound to a document: it is filled by weft.Open, or made by NewMap. It is a small value to be copied
// freely; who may use it when is said at runtime.Tx.
type Map[K comparable, V any] struct {
	node  *runtime.Node
	merge func(K, []V) V
}

// NewMap returns the map that is the root with this name. Errors: *ShapeError for a K or V that CBOR cannot hold, those of
// runtime.Runtime.Root.
func NewMap[K comparable, V any](rt *runtime.Runtime, name string) (Map[K, V], error) {
	n, err := newRoot[Map[K, V]](rt, name, kindMap)
	return Map[K, V]{node: n}, err
}

// Kind returns "map".
func (Map[K, V]) Kind() string { return kindMap }

// Bind makes the handle one of the object n, which must be of this kind.
func (m *Map[K, V]) Bind(n *runtime.Node) { m.node = n }

// Node returns the object's place in the document.
func (m Map[K, V]) Node() *runtime.Node { return m.node }

func (Map[K, V]) values() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[K](), reflect.TypeFor[V]()}
}

// WithMerge returns a handle that shows concurrent values of a key as what merge makes of them: Get, All, Each and events
// go through it. It is given all of them, two or more, in the same order on every replica (that of their dots); it must
// depend on nothing else and must not use the document. nil: the winner.
func (m Map[K, V]) WithMerge(merge func(key K, values []V) V) Map[K, V] {
	m.merge = merge
	return m
}

func (m Map[K, V]) state() *keyedState { return m.node.Object().(*keyedState) }

// Get returns the value under k, false if there is none. Errors: those of runtime.Tx.Err, ErrValue for a key that cannot
// be one, *TypeError. Cost: O(1) and decoding.
func (m Map[K, V]) Get(tx runtime.Tx, k K) (v V, ok bool, err error) {
	if err := tx.Err(m.node); err != nil {
		return v, false, err
	}
	var few [64]byte
	key, err := appendKey(few[:0], &k)
	if err != nil {
		return v, false, err
	}
	s, ok := m.state().table.find(key)
	if !ok {
		return v, false, nil
	}
	v, err = m.at(s, k)
	return v, err == nil, err
}

// at returns the value in a slot, whose key is k.
func (m Map[K, V]) at(s uint32, k K) (v V, err error) {
	t := &m.state().table
	if t.slots[s].state == slotOne {
		if err := decodeValue(t.value(s), &v); err != nil {
			return v, m.typeError(s, t.value(s), err)
		}
		return v, nil
	}
	if m.merge != nil {
		all, err := m.decode(s, false)
		if err != nil {
			return v, err
		}
		return m.merge(k, all), nil
	}
	entries := t.many[s].list
	e := &entries[winnerOf(m.node.Runtime(), entries)]
	if err := decodeValue(e.val, &v); err != nil {
		return v, m.typeError(s, e.val, err)
	}
	return v, nil
}

func (m Map[K, V]) typeError(s uint32, data []byte, err error) error {
	return typeError[V](m.node.String(), m.state().table.key(s), data, err)
}

// decode returns the values in a slot of several; with losers, all but the winner.
func (m Map[K, V]) decode(s uint32, losers bool) ([]V, error) {
	rt, but := m.node.Runtime(), -1
	entries := m.state().table.many[s].ordered(rt)
	if losers {
		but = winnerOf(rt, entries)
	}
	var out []V
	for i, e := range entries {
		if i == but {
			continue
		}
		var v V
		if err := decodeValue(e.val, &v); err != nil {
			return nil, m.typeError(s, e.val, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// Conflicts returns the values under k that were written concurrently to the winner, in an order that is the same on
// every replica; nil if there are none. Errors: as of Get.
func (m Map[K, V]) Conflicts(tx runtime.Tx, k K) ([]V, error) {
	if err := tx.Err(m.node); err != nil {
		return nil, err
	}
	var few [64]byte
	key, err := appendKey(few[:0], &k)
	if err != nil {
		return nil, err
	}
	t := &m.state().table
	s, ok := t.find(key)
	if !ok || t.slots[s].state == slotOne {
		return nil, nil
	}
	return m.decode(s, true)
}

// Set writes v under k in place of all values seen there. Errors: ErrValue, or why the map cannot be edited. Cost: O(1).
func (m Map[K, V]) Set(tx runtime.Tx, k K, v V) error {
	if err := tx.Writable(m.node); err != nil {
		return err
	}
	var few [128]byte
	key, err := appendKey(few[:0], &k)
	if err != nil {
		return err
	}
	both, err := appendValue(key, &v)
	if err != nil {
		return err
	}
	return m.state().write(tx, both[:len(key):len(key)], both[len(key):])
}

// Delete removes the values seen under k; without any it does nothing. Errors: ErrValue, or why the map cannot be edited.
// Cost: O(1).
func (m Map[K, V]) Delete(tx runtime.Tx, k K) error {
	if err := tx.Writable(m.node); err != nil {
		return err
	}
	var few [64]byte
	key, err := appendKey(few[:0], &k)
	if err != nil {
		return err
	}
	return m.state().erase(tx, key)
}

// Clear removes all keys, with one operation; without any it does nothing. The error says why the map cannot be edited.
// Cost: O(n), and for the message 3 bytes for each run of writes that one writer made without pause.
func (m Map[K, V]) Clear(tx runtime.Tx) error {
	if err := tx.Writable(m.node); err != nil {
		return err
	}
	return m.state().eraseAll(tx)
}

// Has reports whether there is a value under k. Cost: O(1).
func (m Map[K, V]) Has(tx runtime.Tx, k K) bool {
	tx.Read(m.node)
	var few [64]byte
	key, err := appendKey(few[:0], &k)
	if err != nil {
		return false
	}
	_, ok := m.state().table.find(key)
	return ok
}

// Len returns the number of keys, those that are not a K included. Cost: O(1).
func (m Map[K, V]) Len(tx runtime.Tx) int {
	tx.Read(m.node)
	return m.state().table.keys
}

// Keys returns the keys in the byte order of their encoded forms: integers from 0 upwards, then negative ones from -1
// downwards, then strings by length and bytes. Keys that are not a K are left out. For when to use the sequence, and its
// cost, see All.
func (m Map[K, V]) Keys(tx runtime.Tx) iter.Seq[K] {
	tx.Read(m.node)
	return func(yield func(K) bool) {
		tx.Read(m.node)
		t := &m.state().table
		for _, s := range t.sorted() {
			var k K
			if decodeValue(t.key(s), &k) == nil && !yield(k) {
				return
			}
		}
	}
}

// All returns keys and values in the order of Keys. Pairs that are not a K and a V, which others may have written, are
// left out; Each reports them. The sequence must be used in the same transaction, and no key must be set or deleted
// meanwhile. Cost: O(n) decodes; the first time after keys came or went O(n) more to merge k new ones into the order,
// O(n log n) after a load or large changes.
func (m Map[K, V]) All(tx runtime.Tx) iter.Seq2[K, V] {
	tx.Read(m.node)
	return func(yield func(K, V) bool) {
		tx.Read(m.node)
		t := &m.state().table
		for _, s := range t.sorted() {
			var k K
			if decodeValue(t.key(s), &k) != nil {
				continue
			}
			if v, err := m.at(s, k); err == nil && !yield(k, v) {
				return
			}
		}
	}
}

// Each calls fn for every key and value in the order of Keys, until it returns an error, which Each returns. What is not a
// K or a V is a *TypeError; see also runtime.Tx.Err.
func (m Map[K, V]) Each(tx runtime.Tx, fn func(K, V) error) error {
	if err := tx.Err(m.node); err != nil {
		return err
	}
	t := &m.state().table
	for _, s := range t.sorted() {
		var k K
		if err := decodeValue(t.key(s), &k); err != nil {
			return typeError[K](m.node.String(), t.key(s), t.key(s), err)
		}
		v, err := m.at(s, k)
		if err != nil {
			return err
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// MapEvent tells how one transaction, state or delta changed a map: the keys whose values changed, in the order of Keys.
type MapEvent[K comparable, V any] struct {
	runtime.Meta
	Changes []MapChange[K, V]
}

// MapChange tells how one key changed.
type MapChange[K comparable, V any] struct {
	Key       K
	Value     V    // as Get would have returned it
	Has       bool // there is a value; false: the key was deleted
	Old       V    // before
	Had       bool
	Conflicts []V   // as Conflicts would have returned them
	Err       error // a *TypeError if the key or one of the values is not of this type, which is then zero
}

// OnChange calls fn after every change of the map from now on; see runtime.Runtime for when. It returns the unsubscribe
// function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (m Map[K, V]) OnChange(fn func(MapEvent[K, V])) (stop func()) {
	return m.state().obs.Add(m.node, func(c rawKeyedChange) {
		e := MapEvent[K, V]{Meta: c.Meta, Changes: make([]MapChange[K, V], len(c.keys))}
		for i, k := range c.keys {
			e.Changes[i] = m.change(k)
		}
		fn(e)
	})
}

func (m Map[K, V]) change(raw rawKeyChange) (c MapChange[K, V]) {
	name := shortName(m.node)
	if err := decodeValue(raw.key, &c.Key); err != nil {
		c.Err = typeError[K](name, raw.key, raw.key, err)
	}
	var policy func([]V) V
	if m.merge != nil && c.Err == nil {
		policy = func(all []V) V { return m.merge(c.Key, all) }
	}
	var err error
	c.Value, c.Has, c.Conflicts, err = decideRaw(name, raw.key, raw.after, policy)
	if c.Err == nil {
		c.Err = err
	}
	c.Old, c.Had, _, err = decideRaw(name, raw.key, raw.before, policy)
	if c.Err == nil {
		c.Err = err
	}
	return c
}
