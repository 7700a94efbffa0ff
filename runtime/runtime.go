package runtime

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// Runtime is one replica of a document. It is safe for concurrent use: one writer at a time, readers see whole
// transactions only. It starts no goroutine.
//
//  1. next[rep] dots of each replica are applied, always whole transactions; the clock is next without zeros.
//  2. heads are the causally maximal dots among the applied ones.
//  3. lamport is the greatest Lamport timestamp applied; it is at most the sum of the clock.
//  4. A message waits only while the clock does not cover what it needs.
//  5. The canonical bytes are a function of the set of applied transactions.
type Runtime struct {
	mu     docLock
	opts   Options
	limits Limits
	log    *slog.Logger

	// Replicas. self is this runtime's own entry; entries are only ever added.
	replicas []uuid.UUID
	order    [][2]uint64 // the IDs as big-endian numbers, to compare
	repOf    map[uuid.UUID]Rep
	next     []uint64 // per replica: dots applied
	writers  int      // replicas with dots
	self     Rep
	// restoring says that the update at hand comes from the store that lent self; restored is the greatest end of such
	// messages of self that had to wait, and of what such messages of others lack of it.
	restoring bool
	firstHop  bool // of the update at hand, see FirstHop; answers: of the transaction or state that is being applied
	answers   bool
	restored  uint64
	lamport   uint64
	heads     headSet
	refused   map[Rep]error // senders that equivocated or jumped
	document  uuid.UUID

	// Objects. table guards the maps: handles are also made under the read lock.
	table      sync.Mutex
	kinds      map[string]*kindInfo // those without a code
	kindByCode []kindInfo           // by code; without a name: not met yet
	registered map[string]*kindInfo
	roots      map[rootKey]*Node
	made       madeTable
	observers  map[*Node]any        // *Observers of the object's events; see Observe
	fields     map[kidKey]*nodeName // names of fields that nodes share
	opaques    int                  // opaque objects that hold something
	orphans    map[*Node]struct{}   // living made objects whose container has not spoken up; it may be an opaque one
	places     uint64               // that the state at hand lists, see StateReader.Spend
	loaded     []uint64             // joined ends of the states and deltas that were loaded; never changed in place

	tx       txState
	journal  []undoRecord
	touched  []*Node
	overseen atomic.Bool // there was an Overseer
	commits  uint64      // transactions and loads so far; numbers events
	problems []Problem
	broken   error // set when a rollback failed: no more writes
	dec      decoder

	waiting   waitingRoom
	history   history
	deletions deletionRecord
	slab      []byte // messages are cut from it
	template  messageTemplate

	viewers sync.Pool
	events  eventQueue
	saving  sync.Mutex // one Save at a time: it numbers the objects
	ext     []byte     // extensions of the local section, kept as they came
}

// New makes an empty document, or one that holds the genesis transaction if there is one.
func New(o *Options) (*Runtime, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if err := opts.fill(); err != nil {
		return nil, err
	}
	r := &Runtime{
		opts: opts, limits: opts.Limits, log: opts.Logger, document: opts.Document,
		repOf:      make(map[uuid.UUID]Rep),
		registered: make(map[string]*kindInfo), roots: make(map[rootKey]*Node),
	}
	r.tx.ref.rt, r.tx.ref.write = r, true
	r.viewers.New = func() any { return &txRef{rt: r} }
	r.history.init(opts.History)
	r.deletions.init(opts.Deletions)
	if err := r.registerKinds(opts.Kinds); err != nil {
		return nil, err
	}
	id := opts.Replica
	if id == uuid.Nil {
		var err error
		if id, err = r.randomReplica(); err != nil {
			return nil, err
		}
	}
	r.self = r.rep(id)
	if opts.Genesis != nil {
		if err := r.genesis(opts.Genesis); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Runtime) randomReplica() (uuid.UUID, error) {
	id, err := uuid.NewRandomFromReader(r.opts.Rand)
	if err != nil {
		return uuid.Nil, fmt.Errorf("runtime: new replica ID: %w", err)
	}
	return id, nil
}

func (r *Runtime) genesis(fn func(Tx) error) error {
	self := r.self
	r.self = r.rep(GenesisReplica)
	err := r.Transact(fn)
	r.self = self
	if err != nil {
		return fmt.Errorf("runtime: genesis transaction: %w", inner{err})
	}
	return nil
}

// rep returns the index of a replica, adding it if it is new.
func (r *Runtime) rep(id uuid.UUID) Rep {
	if i, ok := r.repOf[id]; ok {
		return i
	}
	i := Rep(len(r.replicas))
	r.replicas = append(r.replicas, id)
	r.order = append(r.order, [2]uint64{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])})
	r.next = append(r.next, 0)
	r.heads.at = append(r.heads.at, -1)
	r.repOf[id] = i
	return i
}

// forgetReplicas undoes the making of entries from number n on: a state that was refused named them.
func (r *Runtime) forgetReplicas(n int) {
	if int(r.self) >= n {
		return // one of them is in use now
	}
	for _, id := range r.replicas[n:] {
		delete(r.repOf, id)
	}
	r.replicas, r.order, r.next, r.heads.at = r.replicas[:n], r.order[:n], r.next[:n], r.heads.at[:n]
}

// CompareReplicas orders replicas by the bytes of their IDs.
func (r *Runtime) CompareReplicas(a, b Rep) int {
	if a == b {
		return 0
	}
	x, y := &r.order[a], &r.order[b]
	switch {
	case x[0] < y[0], x[0] == y[0] && x[1] < y[1]:
		return -1
	}
	return 1
}

// CompareDots orders dots by replica, then seq.
func (r *Runtime) CompareDots(a, b LocalDot) int {
	if a.Rep != b.Rep {
		return r.CompareReplicas(a.Rep, b.Rep)
	}
	switch {
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

// CompareStamps orders writes: the greater (Lamport, replica, seq) wins.
func (r *Runtime) CompareStamps(a, b Stamp) int {
	switch {
	case a.Lamport < b.Lamport:
		return -1
	case a.Lamport > b.Lamport:
		return 1
	}
	return r.CompareDots(a.Dot, b.Dot)
}

// Dot returns a dot in the form that means the same everywhere.
func (r *Runtime) Dot(d LocalDot) vclock.Dot {
	return vclock.Dot{Replica: r.replicas[d.Rep], Seq: d.Seq}
}

// LocalDot returns the local form of a dot; false if its replica never wrote here.
func (r *Runtime) LocalDot(d vclock.Dot) (LocalDot, bool) {
	i, ok := r.repOf[d.Replica]
	return LocalDot{i, d.Seq}, ok
}

// Covers reports whether the operation is applied.
func (r *Runtime) Covers(d LocalDot) bool { return d.Seq < r.next[d.Rep] }

// Replica returns the ID under which this runtime writes. It changes only when another copy of it is found to write
// under the same ID, see OnReplicaChange.
func (r *Runtime) Replica() vclock.Replica {
	r.rlock()
	defer r.mu.RUnlock()
	return r.replicas[r.self]
}

// Document returns the document ID, zero if none is known.
func (r *Runtime) Document() uuid.UUID {
	r.rlock()
	defer r.mu.RUnlock()
	return r.document
}

// Clock returns what has been applied; the caller owns it. Cost: O(replicas).
func (r *Runtime) Clock() vclock.Clock {
	r.rlock()
	defer r.mu.RUnlock()
	return r.clock()
}

func (r *Runtime) clock() vclock.Clock {
	c := make(vclock.Clock, len(r.next))
	for i, n := range r.next {
		if n > 0 {
			c[r.replicas[i]] = n
		}
	}
	return c
}

// Limits returns the limits in force.
func (r *Runtime) Limits() Limits { return r.limits }
