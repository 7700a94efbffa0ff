package sequence

import (
	"sync"
	"sync/atomic"
)

// ID is the dot of an element in local form: Rep is an index in the owner's table of replicas.
type ID struct {
	Rep uint32
	Seq uint64
}

// IDSpan is the N dots ID.Seq, ID.Seq+1, ... of one replica.
type IDSpan struct {
	ID ID
	N  int
}

// Order compares replicas by their permanent identity (UUID order). Its answers never change.
type Order interface {
	// CompareReplicas returns a negative number, zero or a positive number. Zero only if a == b.
	CompareReplicas(a, b uint32) int
}

// Origin is the place of an insert in the tree: what an insert operation carries.
type Origin struct {
	Parent ID   // meaningless with Root
	Root   bool // the parent is the start of the list
	Left   bool // the first new element is a left child of the parent; never with Root
}

// Unit is the unit of an index.
type Unit uint8

// Units of an index. Elements of a sequence without content measure one in each.
const (
	CodePoints Unit = iota
	UTF16
	Bytes
)

// String returns the name of the unit.
func (u Unit) String() string {
	switch u {
	case CodePoints:
		return "code points"
	case UTF16:
		return "UTF-16 units"
	case Bytes:
		return "bytes"
	}
	return "unknown unit"
}

// Sequence is a list of elements in Fugue order, each visible or hidden (a tombstone), with or without UTF-8
// content of one code point an element.
//
//  1. The tree is well formed: leaves are linked in order, all at one depth, none empty; parent links and
//     positions agree; every node's sums are those of what stands below it.
//  2. The spans hold each LID from 0 to Elements()-1 exactly once.
//  3. A visible span's content lies inside the buffer, does not overlap another's, and has the widths that its
//     flags say; a wide span has at most maxWide elements. A hidden span has no offset and no extra width.
//  4. Origins agree: a right child's left origin is its parent, a left child's is its parent's left origin.
//  5. flagHasLeft and flagHasRight say exactly what the children are; only a span's first element has left
//     children.
//  6. The list is the in-order walk of the tree, same-side siblings ascending by (replica, seq).
//  7. Runs of dots ascend by LID, start at 0, each holds at least one element, and no dot occurs twice.
//  8. Where they are built: the index of dots, of spans, and of siblings agree with all that. The remembered
//     place is where it says.
//
// Check tests these. The zero value is not usable, see New. Writes need exclusive access; reads may run
// concurrently with each other.
type Sequence struct {
	tree
	order    Order
	withText bool

	runs    []run // LID to dot
	hint    int   // run of the last hit; only writers set it
	count   uint32
	content []byte // append only between compactions
	place   place
	journal journal

	loaded      uint32 // elements of a load into the empty sequence, with their visible length: see asLoaded
	loadedWidth width

	build sync.Mutex // serialises the builders of the two indexes below
	dots  atomic.Pointer[dotIndex]
	index atomic.Pointer[spanIndex]
	sibs  map[uint64]*siblings // by siblingKey; only crowded places are in it
	steps int                  // see Steps
}

// Steps returns the number of spans that scans for siblings have passed, for tests of cost.
func (s *Sequence) Steps() int { return s.steps }

// New returns an empty sequence whose siblings are ordered by order. With content set, every element is a code
// point of UTF-8 text; without, texts must be empty and the owner keeps values by LID.
func New(order Order, content bool) *Sequence {
	return &Sequence{order: order, withText: content}
}

// Len returns the length of the visible list in unit u. Cost: O(1).
func (s *Sequence) Len(u Unit) int { return s.total.in(u) }

// Elements returns the number of elements, hidden ones included. LIDs are those below it. Cost: O(1).
func (s *Sequence) Elements() int { return int(s.count) }

// compareIDs orders dots as siblings are: by replica, then seq.
func (s *Sequence) compareIDs(a, b ID) int {
	if a.Rep != b.Rep {
		return s.order.CompareReplicas(a.Rep, b.Rep)
	}
	switch {
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}
