package runtime

// Commit is handed to an object when its transaction ends well.
type Commit struct {
	rt   *Runtime
	node *Node
	// Origin is the tag that came with the transaction or update (see From), nil for none.
	Origin any
	// Local says that this runtime wrote the transaction.
	Local bool
	// Load says that the change came from a state or delta rather than from a message.
	Load  bool
	posts []func()
}

// Node returns the place of the object that the Commit is handed to.
func (c *Commit) Node() *Node { return c.node }

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

// Active reports whether anybody listens: if not, an object need not collect its changes. A nil *Observers has none.
func (o *Observers[E]) Active() bool { return o != nil && o.subs.any() }

// Add subscribes fn to what is committed from now on and returns its unsubscribe function, which may be called from
// anywhere. Inside of a View fn hears of exactly what comes after the state that the View reads; inside of Transact, Add
// panics with ErrNested.
func (o *Observers[E]) Add(n *Node, fn func(E)) (stop func()) { return subscribe(n.rt, &o.subs, fn) }

// Observe is Observers.Add for objects that keep no Observers of their own, which costs 8 bytes an object: the document
// keeps them for those that somebody listens to. Each object has one type of event.
func Observe[E any](n *Node, fn func(E)) (stop func()) {
	if n == nil {
		panic(ErrUnbound)
	}
	n.rt.table.Lock()
	o, _ := n.rt.observers[n].(*Observers[E])
	if o == nil {
		o = new(Observers[E])
		if n.rt.observers == nil {
			n.rt.observers = make(map[*Node]any)
		}
		n.rt.observers[n] = o
		n.observed = true
	}
	n.rt.table.Unlock()
	return o.Add(n, fn)
}

// ObserversOf returns those whom Observe has added to an object, nil for none. Only Apply, Merge and Commit may call it.
func ObserversOf[E any](n *Node) *Observers[E] {
	if !n.observed {
		return nil
	}
	n.rt.table.Lock()
	defer n.rt.table.Unlock()
	o, _ := n.rt.observers[n].(*Observers[E])
	return o
}

// Emit queues the event e for all who listen.
func (o *Observers[E]) Emit(c *Commit, e E) {
	if o.subs.any() {
		r, number := c.rt, c.rt.commits
		c.Post(func() { o.subs.send(r, &e, number) })
	}
}
