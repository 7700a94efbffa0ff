package crdt

import "github.com/seed1312cc15/weft/runtime"

// ListEvent tells how one transaction, state or delta changed a list.
type ListEvent[T any] struct {
	runtime.Meta
	// Delta turns the list before into the list after: read from the start, keep Retain elements, put in Insert, drop
	// Delete elements; what follows the last step is kept. Each step has exactly one of the three. A value that was set
	// is told as an insert and a delete, a moved element as a delete in one place and an insert in the other.
	Delta []ListDelta[T]
	// Err is a *TypeError if one of the inserted values is not a T, which is then zero.
	Err error
}

// ListDelta is one step of a ListEvent.
type ListDelta[T any] struct {
	Retain int
	Insert []T
	Delete int
}

// Apply returns what the steps make of the list before, in a new slice. Cost: O(length).
func (e ListEvent[T]) Apply(before []T) []T { return applyDelta(e.Delta, before) }

func applyDelta[T any](delta []ListDelta[T], before []T) []T {
	var out []T
	for _, d := range delta {
		switch {
		case d.Retain > 0:
			out = append(out, before[:d.Retain]...)
			before = before[d.Retain:]
		case d.Delete > 0:
			before = before[d.Delete:]
		default:
			out = append(out, d.Insert...)
		}
	}
	return append(out, before...)
}

// OnChange calls fn after each transaction or update that changed the list, until stop is called.
// Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (l List[T]) OnChange(fn func(ListEvent[T])) (stop func()) {
	if l.node == nil {
		panic(runtime.ErrUnbound)
	}
	return l.state().observers.Add(l.node, func(raw rawListEvent) {
		e := ListEvent[T]{Meta: raw.meta, Delta: make([]ListDelta[T], len(raw.steps))}
		for i, s := range raw.steps {
			d := &e.Delta[i]
			switch s.kind {
			case stepRetain:
				d.Retain = s.n
			case stepDelete:
				d.Delete = s.n
			case stepInsert:
				d.Insert = make([]T, s.n)
			}
			for k, val := range s.items {
				if err := decodeValue(val, &d.Insert[k]); err != nil {
					e.Err = typeError[T](shortName(l.node), nil, val, err)
				}
			}
		}
		fn(e)
	})
}
