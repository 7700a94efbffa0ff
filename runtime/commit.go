package runtime

import "sync/atomic"

// Commit is handed to an object when its transaction ends well.
type Commit struct {
	rt *Runtime
	// Origin is the tag that came with the transaction or update (see From), nil for none.
	Origin any
	// Local says that this runtime wrote the transaction.
	Local bool
	// Load says that the change came from a state or delta rather than from a message.
	Load  bool
	posts []func()
}

// Post queues f to run after the lock is released, in commit order. Events go through it; see Observers.
func (c *Commit) Post(f func()) { c.posts = append(c.posts, f) }

// Meta tells a handler where a change came from.
type Meta struct {
	Origin any  // see From
	Local  bool // written by this runtime
	Load   bool // came from a state or delta
}

// Meta returns what handlers are told.
func (c *Commit) Meta() Meta { return Meta{c.Origin, c.Local, c.Load} }

// Observers is the set of handlers of one object's events. The zero value has none.
type Observers[E any] struct {
	subs atomic.Pointer[[]*subscriber[E]] // replaced under the event lock, never changed in place
}

type subscriber[E any] struct {
	fn   func(E)
	from uint64 // number of the first commit it hears of
	gone bool   // guarded by the event lock
}

// Active reports whether anybody listens: if not, an object need not collect its changes.
func (o *Observers[E]) Active() bool { return o.subs.Load() != nil }

// Add subscribes fn to what is committed from now on and returns its unsubscribe function, which may be called from
// anywhere. Add takes the runtime's write lock: inside a transaction it panics with ErrNested.
func (o *Observers[E]) Add(n *Node, fn func(E)) (stop func()) {
	r := n.rt
	if err := r.lock(); err != nil {
		panic(err)
	}
	defer r.unlock()
	s := &subscriber[E]{fn: fn, from: r.commits + 1}
	o.change(r, func(l []*subscriber[E]) []*subscriber[E] { return append(l[:len(l):len(l)], s) })
	return func() {
		o.change(r, func(l []*subscriber[E]) []*subscriber[E] { s.gone = true; return without(l, s) })
	}
}

func (o *Observers[E]) change(r *Runtime, f func([]*subscriber[E]) []*subscriber[E]) {
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	var list []*subscriber[E]
	if p := o.subs.Load(); p != nil {
		list = *p
	}
	if list = f(list); len(list) == 0 {
		o.subs.Store(nil)
	} else {
		o.subs.Store(&list)
	}
}

// Emit queues the event e for all who listen.
func (o *Observers[E]) Emit(c *Commit, e E) {
	p := o.subs.Load()
	if p == nil {
		return
	}
	r := c.rt
	number := r.commits
	c.Post(func() { send(r, p, e, number) })
}
