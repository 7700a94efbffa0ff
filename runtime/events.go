package runtime

import (
	"sync"
	"sync/atomic"

	"github.com/seed1312cc15/weft/vclock"
)

// UpdateKind says what an update consists of.
type UpdateKind uint8

// The kinds of update.
const (
	MessageUpdate UpdateKind = iota + 1
	BundleUpdate
	StateUpdate
	DeltaUpdate
)

func (k UpdateKind) String() string {
	switch k {
	case MessageUpdate:
		return "message"
	case BundleUpdate:
		return "bundle"
	case StateUpdate:
		return "state"
	case DeltaUpdate:
		return "delta"
	}
	return "invalid"
}

// Update is one change of the document as its subscribers see it: a transaction, or a state or delta that brought
// something new. The messages of a bundle are one Update each.
type Update struct {
	// Data holds the bytes of the message, state or delta. They are immutable and shared.
	Data []byte
	Kind UpdateKind
	// Origin is the tag given with From, nil for none.
	Origin any
	// Sender, Start and End are the dots of a message.
	Sender     vclock.Replica
	Start, End uint64
	// Local says that this runtime wrote it.
	Local bool
	rt    *Runtime
}

// Clock returns the clock of what the update depends on and brings, as far as its bytes tell: for a message its
// dependencies and its own dots, for a state or delta its end clock.
func (u Update) Clock() vclock.Clock {
	info, err := Inspect(u.Data)
	if err != nil {
		return nil
	}
	return info.Clock
}

// Redundant reports whether a replica with this clock needs nothing of the update.
func (u Update) Redundant(c vclock.Clock) bool {
	if u.Kind == MessageUpdate {
		return c.Get(u.Sender) >= u.End
	}
	return c.CoversClock(u.Clock())
}

// Problem reports what was ignored or refused although the document goes on.
type Problem struct {
	Dot    vclock.Dot // of the operation or transaction
	Object string     // path of the object, if any
	Err    error
}

// ReplicaChange reports that this runtime took a new replica ID because another copy writes under the old one.
type ReplicaChange struct{ Old, New vclock.Replica }

// eventQueue delivers events after the lock is released, in commit order, one at a time, in the goroutine that finds
// nobody else delivering. Another goroutine's commit may therefore return before its events ran.
type eventQueue struct {
	mu       sync.Mutex
	queue    []queuedEvent
	draining bool
	pending  atomic.Int32 // len(queue) and more: lets a commit without subscribers skip the mutex
	updates  []*subscriber[Update]
	problems []*subscriber[Problem]
	replica  []*subscriber[ReplicaChange]
}

type queuedEvent struct {
	number   uint64 // of the commit
	update   Update
	posts    []func()
	problems []Problem
	change   *ReplicaChange
}

// push queues what one commit has to tell; the write lock is held.
func (q *eventQueue) push(r *Runtime, u Update, posts []func()) {
	if len(q.updates) == 0 && len(posts) == 0 && len(r.problems) == 0 {
		return
	}
	u.rt = r
	e := queuedEvent{number: r.commits, update: u, posts: posts}
	if len(r.problems) > 0 {
		e.problems = append(e.problems, r.problems...)
		r.problems = r.problems[:0]
	}
	q.put(e)
}

func (q *eventQueue) put(e queuedEvent) {
	q.mu.Lock()
	q.queue = append(q.queue, e)
	q.mu.Unlock()
	q.pending.Add(1)
}

// drain delivers what is queued unless somebody else is at it.
func (r *Runtime) drain() {
	q := &r.events
	if q.pending.Load() == 0 {
		return
	}
	q.mu.Lock()
	if q.draining {
		q.mu.Unlock()
		return
	}
	q.draining = true
	for i := 0; ; i++ {
		if i == len(q.queue) {
			clear(q.queue)
			q.queue = q.queue[:0]
			break
		}
		e := q.queue[i]
		q.queue[i] = queuedEvent{}
		if i > 1024 {
			q.queue = append(q.queue[:0:0], q.queue[i+1:]...)
			i = -1
		}
		q.mu.Unlock()
		r.deliver(e)
		q.pending.Add(-1)
		q.mu.Lock()
	}
	q.draining = false
	q.mu.Unlock()
}

func (r *Runtime) deliver(e queuedEvent) {
	q := &r.events
	if e.update.Kind != 0 {
		send(r, &q.updates, e.update, e.number)
	}
	for _, f := range e.posts {
		f()
	}
	for _, p := range e.problems {
		send(r, &q.problems, p, e.number)
	}
	if e.change != nil {
		send(r, &q.replica, *e.change, e.number)
	}
}

func send[E any](r *Runtime, subs *[]*subscriber[E], e E, number uint64) {
	r.events.mu.Lock()
	list := *subs
	r.events.mu.Unlock()
	for _, s := range list {
		r.events.mu.Lock()
		gone := s.gone || s.from > number
		r.events.mu.Unlock()
		if !gone {
			callHandler(r, s.fn, e)
		}
	}
}

func callHandler[E any](r *Runtime, fn func(E), e E) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("weft: event handler panicked", "panic", v)
		}
	}()
	fn(e)
}

// call runs f; a panic in it is logged and ends there.
func (r *Runtime) call(where string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("weft: panic in "+where, "panic", v)
		}
	}()
	f()
}

// OnUpdate calls fn for every transaction from now on, own and others', and for every state or delta that brought
// something new. See Runtime for when handlers run. It returns the unsubscribe function.
func (r *Runtime) OnUpdate(fn func(Update)) (stop func()) {
	return subscribe(r, &r.events.updates, fn)
}

// OnProblem calls fn for what is ignored or refused from now on: operations that make no sense, senders that
// equivocate or whose timestamps jump.
func (r *Runtime) OnProblem(fn func(Problem)) (stop func()) {
	return subscribe(r, &r.events.problems, fn)
}

// OnReplicaChange calls fn when this runtime takes a new replica ID.
func (r *Runtime) OnReplicaChange(fn func(ReplicaChange)) (stop func()) {
	return subscribe(r, &r.events.replica, fn)
}

func subscribe[E any](r *Runtime, subs *[]*subscriber[E], fn func(E)) func() {
	if err := r.lock(); err != nil {
		panic(err)
	}
	defer r.unlock()
	return subscribeLocked(r, subs, fn)
}

// subscribeLocked adds a handler for what is committed from now on; the write lock is held. Lists are replaced, never
// changed in place, since a delivery may be walking them.
func subscribeLocked[E any](r *Runtime, subs *[]*subscriber[E], fn func(E)) func() {
	s := &subscriber[E]{fn: fn, from: r.commits + 1}
	mu := &r.events.mu
	mu.Lock()
	*subs = append((*subs)[:len(*subs):len(*subs)], s)
	mu.Unlock()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		s.gone = true
		*subs = without(*subs, s)
	}
}

func without[T comparable](list []T, x T) []T {
	kept := make([]T, 0, len(list))
	for _, t := range list {
		if t != x {
			kept = append(kept, t)
		}
	}
	return kept
}

// SaveAndSubscribe returns a saved state and calls fn for every update from that very state on: nothing is missed and
// nothing comes twice.
func (r *Runtime) SaveAndSubscribe(fn func(Update)) (state []byte, stop func(), err error) {
	if err := r.lock(); err != nil {
		return nil, nil, err
	}
	defer r.unlock()
	if state, err = r.save(nil); err != nil {
		return nil, nil, err
	}
	return state, subscribeLocked(r, &r.events.updates, fn), nil
}
