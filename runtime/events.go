package runtime

import (
	"slices"
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
	// Local says that this runtime wrote it.
	Local bool
	// Origin is the tag given with From, nil for none.
	Origin any
	// Sender, Start and End are the dots of a message.
	Sender     vclock.Replica
	Start, End uint64
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

// Extensions returns what the writer of a message said about it with the option of this name, with values as in Export;
// nil if that is nothing, no map, or if the update is no message. Cost: that of decoding the envelope.
func (u Update) Extensions() map[string]any {
	info, err := Inspect(u.Data)
	if err != nil {
		return nil
	}
	return info.Extensions
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
//
//  1. Somebody delivers, and nobody else, exactly while claims and done differ. Claims are made under the write lock.
//  2. direct is the first event of a lock holder that found nobody delivering and nothing queued: it need not pass
//     through the queue, which an edit would pay for.
type eventQueue struct {
	claims  uint32        // guarded by the write lock
	done    atomic.Uint32 // claims that have ended
	pending atomic.Int32  // events in queue
	direct  queuedEvent   // belongs to the one who has claimed
	owned   bool          // the holder of the write lock has claimed

	mu       sync.Mutex
	queue    []queuedEvent
	updates  subscribers[Update]
	problems subscribers[Problem]
	replica  subscribers[ReplicaChange]
}

type queuedEvent struct {
	number uint64 // of the commit
	update Update
	posts  []func()
}

// release lets go of what a delivered event refers to, but for a message of usual size: those share their memory.
func (e *queuedEvent) release() {
	if len(e.update.Data) > slabSize/8 {
		e.update.Data = nil
	}
	if e.update.Origin != nil {
		e.update.Origin = nil
	}
	if e.posts != nil {
		e.posts = nil
	}
}

// push queues what one commit has to tell; the write lock is held.
func (q *eventQueue) push(r *Runtime, u *Update, posts []func()) {
	if posts = q.withProblems(r, posts); !q.updates.any() && len(posts) == 0 {
		return
	}
	e := q.next()
	e.number, e.update, e.posts = r.commits, *u, posts
	if e != &q.direct {
		q.put(e)
	}
}

// withProblems adds the problems of a commit to what it posts.
func (q *eventQueue) withProblems(r *Runtime, posts []func()) []func() {
	for i := range r.problems {
		p, n := r.problems[i], r.commits
		posts = append(posts, func() { q.problems.send(r, &p, n) })
	}
	r.problems = r.problems[:0]
	return posts
}

// next returns an event to be filled: the direct one if that is free, else one that is then handed to put.
func (q *eventQueue) next() *queuedEvent {
	if q.pending.Load() == 0 && q.claims == q.done.Load() {
		q.claims++
		q.owned = true
		return &q.direct
	}
	return new(queuedEvent)
}

func (q *eventQueue) put(e *queuedEvent) {
	q.mu.Lock()
	q.queue = append(q.queue, *e)
	q.mu.Unlock()
	q.pending.Add(1)
}

// claim ends the lock holder's part: it returns whether the caller must deliver. The write lock is held.
func (q *eventQueue) claim() bool {
	if !q.owned {
		return false
	}
	q.owned = false
	return true
}

// postpone moves the direct event into the queue and ends the claim: whoever commits next delivers it.
func (q *eventQueue) postpone() {
	q.put(&q.direct)
	q.direct.release()
	q.done.Add(1)
}

// drain delivers what is queued unless somebody else is at it; own says that the caller has claimed that, and that there
// is a direct event.
func (r *Runtime) drain(own bool) {
	if own {
		r.deliver(&r.events.direct)
	}
	r.drained(own)
}

// drained is drain for a caller that has delivered the direct event, if there is one.
func (r *Runtime) drained(own bool) {
	q := &r.events
	if own {
		q.direct.release()
		if q.pending.Load() == 0 {
			q.done.Add(1)
			own = false
		}
	}
	if own || q.pending.Load() != 0 {
		r.drainQueue(own)
	}
}

// drainQueue is drain of what is in the queue, claimed or not.
func (r *Runtime) drainQueue(claimed bool) {
	q := &r.events
	for claimed || q.pending.Load() > 0 && r.claimQueue() {
		claimed = false
		for q.pending.Load() > 0 {
			q.mu.Lock()
			e := q.queue[0]
			q.queue[0] = queuedEvent{}
			q.queue = q.queue[1:]
			q.mu.Unlock()
			q.pending.Add(-1)
			r.deliver(&e)
		}
		q.done.Add(1)
	}
}

// claimQueue claims the delivery of what is queued; false if somebody else delivers.
func (r *Runtime) claimQueue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.events
	if q.claims != q.done.Load() || q.pending.Load() == 0 {
		return false
	}
	q.claims++
	return true
}

// deliver calls all who are to hear of an event, going on behind a handler that panics.
func (r *Runtime) deliver(e *queuedEvent) {
	t := telling{event: e, list: r.events.hearing(e)}
	t.rest(r)
}

// hearing returns the handlers of an event's update.
func (q *eventQueue) hearing(e *queuedEvent) []*subscriber[Update] {
	if p := q.updates.list.Load(); p != nil && e.update.Kind != 0 {
		return *p
	}
	return nil
}

func (r *Runtime) handlerPanicked(v any) { r.log.Error("weft: event handler panicked", "panic", v) }

// telling is the delivery of one event, and how far it has got.
type telling struct {
	phase phase
	next  int // of list and, behind it, of the event's posts
	list  []*subscriber[Update]
	event *queuedEvent
}

// phase is how far Transact has got.
type phase uint8

const (
	editing  phase = iota // the document is locked
	handlers              // handlers run
	ended                 // what is called from here on looks after itself
)

// begin turns to the direct event.
func (t *telling) begin(r *Runtime) {
	t.phase, t.event = handlers, &r.events.direct
	t.list = r.events.hearing(t.event)
}

// all calls the handlers in list and then what was posted, from next on. A handler that panics is passed by then: who
// has deferred a recovery can go on with rest.
func (t *telling) all() {
	e := t.event
	for t.next < len(t.list) {
		x := t.list[t.next]
		t.next++
		if x.from <= e.number && !x.gone.Load() {
			x.fn(e.update)
		}
	}
	for t.next < len(t.list)+len(e.posts) {
		f := e.posts[t.next-len(t.list)]
		t.next++
		f()
	}
}

// rest is all, going on behind a handler that panics.
func (t *telling) rest(r *Runtime) {
	for t.next < len(t.list)+len(t.event.posts) {
		t.guarded(r)
	}
}

// guarded is all until a handler panics. One that ends its goroutine, as t.FailNow does, ends the claim: others go on
// delivering.
func (t *telling) guarded(r *Runtime) {
	clean := false
	defer func() {
		if clean {
			return
		}
		if v := recover(); v != nil {
			r.handlerPanicked(v)
		} else {
			r.events.done.Add(1)
		}
	}()
	t.all()
	clean = true
}

// subscribers is a list of handlers. Lists are replaced under the event lock, never changed in place: a delivery may be
// walking one.
type subscribers[E any] struct {
	list atomic.Pointer[[]*subscriber[E]]
}

type subscriber[E any] struct {
	fn   func(E)
	from uint64 // number of the first commit it hears of
	gone atomic.Bool
}

func (s *subscribers[E]) any() bool { return s.list.Load() != nil }

// add subscribes fn to what is committed from now on; the lock is held, for reading at least.
func (s *subscribers[E]) add(r *Runtime, fn func(E)) (stop func()) {
	x := &subscriber[E]{fn: fn, from: r.commits + 1}
	s.change(r, func(l []*subscriber[E]) []*subscriber[E] { return append(l[:len(l):len(l)], x) })
	return func() {
		x.gone.Store(true)
		s.change(r, func(l []*subscriber[E]) []*subscriber[E] {
			return slices.DeleteFunc(slices.Clone(l), func(y *subscriber[E]) bool { return x == y })
		})
	}
}

func (s *subscribers[E]) change(r *Runtime, f func([]*subscriber[E]) []*subscriber[E]) {
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	var list []*subscriber[E]
	if p := s.list.Load(); p != nil {
		list = *p
	}
	if list = f(list); len(list) == 0 {
		s.list.Store(nil)
	} else {
		s.list.Store(&list)
	}
}

// send calls every handler that was there when the event was committed.
func (s *subscribers[E]) send(r *Runtime, e *E, number uint64) {
	p := s.list.Load()
	if p == nil {
		return
	}
	for _, x := range *p {
		if x.from <= number && !x.gone.Load() {
			callHandler(r, x.fn, e)
		}
	}
}

func callHandler[E any](r *Runtime, fn func(E), e *E) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("weft: event handler panicked", "panic", v)
		}
	}()
	fn(*e)
}

// OnUpdate calls fn for every transaction from now on, own and others', and for every state or delta that brought
// something new. See the package comment for when handlers run. It returns the unsubscribe function.
//
// Called inside of a View, here as for the handlers of objects, it misses nothing after the state that the View reads and
// repeats nothing of it. Inside of Transact it panics with ErrNested.
func (r *Runtime) OnUpdate(fn func(Update)) (stop func()) {
	return subscribe(r, &r.events.updates, fn)
}

// OnProblem calls fn for what is ignored or refused from now on: operations that make no sense, the first hundred of an
// update, and senders that equivocate or whose timestamps jump.
func (r *Runtime) OnProblem(fn func(Problem)) (stop func()) {
	return subscribe(r, &r.events.problems, fn)
}

// OnReplicaChange calls fn when this runtime takes a new replica ID.
func (r *Runtime) OnReplicaChange(fn func(ReplicaChange)) (stop func()) {
	return subscribe(r, &r.events.replica, fn)
}

// subscribe adds a handler. No commit may come in between, so it is among the readers; within a View it is already.
func subscribe[E any](r *Runtime, subs *subscribers[E], fn func(E)) func() {
	if !r.mu.TryRLock() {
		switch r.holding() {
		case "":
			r.mu.RLock()
		case viewFrame:
			return subs.add(r, fn)
		default:
			panic(ErrNested)
		}
	}
	defer r.mu.RUnlock()
	return subs.add(r, fn)
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
	return state, r.events.updates.add(r, fn), nil
}
