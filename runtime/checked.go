package runtime

import "fmt"

// In builds with the tag check a program finds its faults, and this package's, where they happen: after each transaction and
// update of a small document all invariants are checked, what is broken panics instead of being an ErrInternal, and what was
// received is overwritten once Receive is done with it. Other builds pay nothing: checked is a constant.

// smallDocument is up to which Lamport timestamp a document is checked after each change; a larger one is every so many.
const smallDocument = 2000

// verify panics where an invariant does not hold; the write lock is held.
func (r *Runtime) verify() {
	if !checked || r.broken != nil || r.lamport > smallDocument && r.commits%smallDocument != 0 {
		return
	}
	if err := r.checkAll(); err != nil {
		panic(err)
	}
}

// internal returns an ErrInternal that says what is broken.
func internal(err error) error {
	err = fmt.Errorf("%w: %w", ErrInternal, inner{err})
	if checked {
		panic(err)
	}
	return err
}

// forget overwrites what was received, or rather a copy: an object that keeps a part of it shows.
func forget(data []byte) {
	for i := range data {
		data[i] = 0xdb
	}
}
