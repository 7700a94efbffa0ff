package plain

import (
	"maps"
	"slices"
)

// Entry is a value with the stamp of the write that made it.
type Entry[T any] struct {
	Stamp
	Value T
}

// entries is the core of Register, Set and Map: entries made by dots, with no tombstones. An entry that one side
// lacks goes if that side covers its dot, for then it saw the entry and removed it.
type entries[T any] struct {
	site *Site
	history
	live map[Dot]Entry[T]
}

func newEntries[T any](site *Site) entries[T] {
	return entries[T]{site: site, history: newHistory(), live: map[Dot]Entry[T]{}}
}

// put removes the entries that replaced chooses and adds v. It takes one dot.
func (e *entries[T]) put(v T, replaced func(T) bool) {
	st := e.tick(e.site, 1)
	e.drop(replaced)
	e.live[st.Dot] = Entry[T]{st, v}
}

// remove removes the entries that removed chooses. It takes one dot, or none and returns false if there is none.
func (e *entries[T]) remove(removed func(T) bool) bool {
	if !e.drop(removed) {
		return false
	}
	e.tick(e.site, 1)
	return true
}

func (e *entries[T]) drop(chosen func(T) bool) (any bool) {
	for dot, entry := range e.live {
		if chosen(entry.Value) {
			delete(e.live, dot)
			any = true
		}
	}
	return any
}

func (e *entries[T]) join(other *entries[T]) {
	for dot := range e.live {
		if _, both := other.live[dot]; !both && other.covers(dot) {
			delete(e.live, dot)
		}
	}
	for dot, entry := range other.live {
		if !e.covers(dot) {
			e.live[dot] = entry
		}
	}
	e.merge(e.site, &other.history)
}

func (e *entries[T]) copyTo(site *Site) entries[T] {
	if site != nil {
		site.Observe(e.lamport)
	}
	return entries[T]{site, e.history.clone(), maps.Clone(e.live)}
}

// list returns the entries that chosen chooses, in dot order.
func (e *entries[T]) list(chosen func(T) bool) []Entry[T] {
	var out []Entry[T]
	for _, entry := range e.live {
		if chosen(entry.Value) {
			out = append(out, entry)
		}
	}
	slices.SortFunc(out, func(a, b Entry[T]) int { return a.Dot.Compare(b.Dot) })
	return out
}

func winner[T any](all []Entry[T]) (T, bool) {
	if len(all) == 0 {
		var zero T
		return zero, false
	}
	return slices.MaxFunc(all, func(a, b Entry[T]) int { return a.Stamp.Compare(b.Stamp) }).Value, true
}

func every[T any](T) bool { return true }

// Register holds the writes that no other replaced. It is the twin of the register with a winner and of the one with
// many values.
type Register[T any] struct{ e entries[T] }

// NewRegister returns a register that was never written.
func NewRegister[T any](site *Site) *Register[T] { return &Register[T]{newEntries[T](site)} }

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (r *Register[T]) Clone(site *Site) *Register[T] { return &Register[T]{r.e.copyTo(site)} }

// Set replaces all values seen by v.
func (r *Register[T]) Set(v T) { r.e.put(v, every[T]) }

// Clear removes all values seen; false, and no dot, if there is none.
func (r *Register[T]) Clear() bool { return r.e.remove(every[T]) }

// Entries returns all concurrent values in dot order.
func (r *Register[T]) Entries() []Entry[T] { return r.e.list(every[T]) }

// Get returns the value of the greatest stamp.
func (r *Register[T]) Get() (T, bool) { return winner(r.Entries()) }

// Merge joins the whole state of other into r.
func (r *Register[T]) Merge(other *Register[T]) { r.e.join(&other.e) }

// Set is an observed-remove set: an add wins over a concurrent remove.
type Set[T comparable] struct{ e entries[T] }

// NewSet returns an empty set.
func NewSet[T comparable](site *Site) *Set[T] { return &Set[T]{newEntries[T](site)} }

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (s *Set[T]) Clone(site *Site) *Set[T] { return &Set[T]{s.e.copyTo(site)} }

// Add adds v under a new dot in place of those seen.
func (s *Set[T]) Add(v T) { s.e.put(v, func(x T) bool { return x == v }) }

// Remove removes v; false, and no dot, if it is not there.
func (s *Set[T]) Remove(v T) bool { return s.e.remove(func(x T) bool { return x == v }) }

// Clear removes all elements; false, and no dot, if there is none.
func (s *Set[T]) Clear() bool { return s.e.remove(every[T]) }

// Has tells whether v is in the set.
func (s *Set[T]) Has(v T) bool { return len(s.e.list(func(x T) bool { return x == v })) > 0 }

// Entries returns the elements in dot order, one more than once if it was added concurrently.
func (s *Set[T]) Entries() []Entry[T] { return s.e.list(every[T]) }

// Values returns the elements.
func (s *Set[T]) Values() map[T]bool {
	out := map[T]bool{}
	for _, e := range s.Entries() {
		out[e.Value] = true
	}
	return out
}

// Merge joins the whole state of other into s.
func (s *Set[T]) Merge(other *Set[T]) { s.e.join(&other.e) }

// Pair is what an Entry of a Map holds.
type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

// Map is a multi-value register for each key: a set beats a concurrent delete.
type Map[K comparable, V any] struct{ e entries[Pair[K, V]] }

// NewMap returns an empty map.
func NewMap[K comparable, V any](site *Site) *Map[K, V] {
	return &Map[K, V]{newEntries[Pair[K, V]](site)}
}

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (m *Map[K, V]) Clone(site *Site) *Map[K, V] { return &Map[K, V]{m.e.copyTo(site)} }

func (m *Map[K, V]) at(k K) func(Pair[K, V]) bool {
	return func(p Pair[K, V]) bool { return p.Key == k }
}

// Set replaces all values seen under k by v.
func (m *Map[K, V]) Set(k K, v V) { m.e.put(Pair[K, V]{k, v}, m.at(k)) }

// Delete removes the values seen under k; false, and no dot, if there is none.
func (m *Map[K, V]) Delete(k K) bool { return m.e.remove(m.at(k)) }

// Clear removes the values seen under all keys; false, and no dot, if there is none.
func (m *Map[K, V]) Clear() bool { return m.e.remove(every[Pair[K, V]]) }

// Get returns the value of the greatest stamp under k.
func (m *Map[K, V]) Get(k K) (V, bool) {
	p, ok := winner(m.At(k))
	return p.Value, ok
}

// At returns the concurrent values under k in dot order.
func (m *Map[K, V]) At(k K) []Entry[Pair[K, V]] { return m.e.list(m.at(k)) }

// Entries returns the values under all keys in dot order.
func (m *Map[K, V]) Entries() []Entry[Pair[K, V]] { return m.e.list(every[Pair[K, V]]) }

// Keys returns the keys that have a value.
func (m *Map[K, V]) Keys() map[K]bool {
	out := map[K]bool{}
	for _, e := range m.Entries() {
		out[e.Value.Key] = true
	}
	return out
}

// Merge joins the whole state of other into m.
func (m *Map[K, V]) Merge(other *Map[K, V]) { m.e.join(&other.e) }
