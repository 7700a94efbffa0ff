// Package sequence is the core of every list-like type: the order of elements, which of them are visible, and,
// for text, their content. It knows dots, origins and bytes; it knows nothing of documents, transactions on the
// wire, or runtimes.
//
// The order is that of Fugue (Weidner, Gentle, Kleppmann 2023, arXiv:2305.00583): a tree in which each element is
// a left or a right child of another, walked in order, same-side siblings ascending by (replica, seq). Where this
// differs from the paper: elements are kept in spans that are split and joined on demand; an element's left
// origin is stored beside its parent, because it tells in constant time where a subtree ends.
//
// Where to start reading:
//
//	span.go       the unit of everything: a run of elements, 24 bytes
//	sequence.go   the Sequence, its invariants
//	tree.go       the B-tree of spans; place.go finds things in it
//	local.go      Insert and DeleteRange, the hot paths
//	integrate.go  remote inserts; siblings.go for places where many replicas wrote at once
//	visible.go    hiding and showing; journal.go undoes it all
//	ids.go        dots to local numbers and back; index.go local numbers to spans
//	format.go     the saved form, normatively; encode.go, decode.go, load.go, merge.go, delta.go
//	check.go      every invariant, tested
//
// Concurrency: writes need exclusive access. Reads may run concurrently with each other: what they build lazily
// is published atomically.
package sequence
