package runtime

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
type Observers[E any] struct{ subs subscribers[E] }

// Active reports whether anybody listens: if not, an object need not collect its changes.
func (o *Observers[E]) Active() bool { return o.subs.any() }

// Add subscribes fn to what is committed from now on and returns its unsubscribe function, which may be called from
// anywhere. Inside of a View fn hears of exactly what comes after the state that the View reads; inside of Transact, Add
// panics with ErrNested.
func (o *Observers[E]) Add(n *Node, fn func(E)) (stop func()) { return subscribe(n.rt, &o.subs, fn) }

// Emit queues the event e for all who listen.
func (o *Observers[E]) Emit(c *Commit, e E) {
	if o.subs.any() {
		r, number := c.rt, c.rt.commits
		c.Post(func() { o.subs.send(r, &e, number) })
	}
}
