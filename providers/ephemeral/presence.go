package ephemeral

import (
	"bytes"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// PresenceOptions configure a Presence. nil and zero fields mean the defaults.
type PresenceOptions struct {
	// Now reads the clock, the same as that of the Ephemeral; default time.Now. AfterFunc calls fn after d, unless stop came
	// before; default time.AfterFunc.
	Now       func() time.Time
	AfterFunc func(d time.Duration, fn func()) (stop func() bool)
}

// Presence shows a value of each replica of a document: where its cursor is, who is at it.
//
//  1. All holds the values that stand, own included: an own one that was set less than the Ephemeral's pause after the last
//     waits for its turn, the latest wins.
//  2. A handler that applies every change to an empty map has what All has, when no change is under way.
//
// It keeps time itself, by one timer, so that values expire without a connection too. Safe for concurrent use.
type Presence[T any] struct {
	e    *providers.Ephemeral
	opt  PresenceOptions
	stop func()

	mu        sync.Mutex // before the lock of the Ephemeral
	values    map[vclock.Replica]value[T]
	invalid   uint64
	handlers  []*handler[T]
	queue     []call[T]
	delivered bool // somebody delivers
	cancel    func() bool
	closed    bool
}

type value[T any] struct {
	v          T
	raw, stamp []byte
}

type handler[T any] struct {
	fn   func(Change[T])
	gone bool
}

type call[T any] struct {
	to *handler[T]
	c  Change[T]
}

// Change tells that a replica shows another value, or none any more.
type Change[T any] struct {
	Replica vclock.Replica
	Value   T
	Left    bool   // it shows nothing; Value is zero
	Stamp   []byte // who it is, as a server says; nil: nobody does
}

// NewPresence returns the presence of a document: Document.Ephemeral of a client, or one that is given to sessions with
// Options.Ephemeral. Close it after use.
func NewPresence[T any](e *providers.Ephemeral, o *PresenceOptions) *Presence[T] {
	p := &Presence[T]{e: e, values: make(map[vclock.Replica]value[T])}
	if o != nil {
		p.opt = *o
	}
	if p.opt.Now == nil {
		p.opt.Now = time.Now
	}
	if p.opt.AfterFunc == nil {
		p.opt.AfterFunc = func(d time.Duration, fn func()) func() bool { return time.AfterFunc(d, fn).Stop }
	}
	p.stop = e.OnPresence(func(x providers.Presence) { p.update(x.Replica) })
	for _, x := range e.Values() {
		p.update(x.Replica)
	}
	p.arm()
	return p
}

// Close ends it; what this side shows leaves. Handlers are not called any more.
func (p *Presence[T]) Close() {
	p.stop()
	p.mu.Lock()
	closed := p.closed
	p.closed, p.handlers = true, nil
	if p.cancel != nil {
		p.cancel()
	}
	p.mu.Unlock()
	if !closed {
		p.e.Set(nil)
	}
}

// Set shows a value of this side. Errors: those of runtime.EncodeValue; providers.ErrLimit for a value that is too long;
// providers.ErrClosed.
func (p *Presence[T]) Set(v T) error {
	b, err := runtime.EncodeValue(v)
	if err != nil {
		return err
	}
	return p.set(b)
}

// Leave shows nothing any more, at once and not only when the last value expires. Errors: providers.ErrClosed.
func (p *Presence[T]) Leave() error { return p.set(nil) }

func (p *Presence[T]) set(b []byte) error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return providers.ErrClosed
	}
	err := p.e.Set(b)
	p.arm()
	return err
}

// Get returns what a replica shows; false: nothing.
func (p *Presence[T]) Get(r vclock.Replica) (T, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.values[r]
	return v.v, ok
}

// All returns what is shown at the moment of the call, by replica in ascending order.
func (p *Presence[T]) All() iter.Seq2[vclock.Replica, T] {
	return func(yield func(vclock.Replica, T) bool) {
		for _, c := range p.standing() {
			if !yield(c.Replica, c.Value) {
				return
			}
		}
	}
}

func (p *Presence[T]) standing() []Change[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.standingLocked()
}

func (p *Presence[T]) standingLocked() (out []Change[T]) {
	for r, v := range p.values {
		out = append(out, Change[T]{Replica: r, Value: v.v, Stamp: v.stamp})
	}
	slices.SortFunc(out, func(a, b Change[T]) int { return vclock.CompareReplicas(a.Replica, b.Replica) })
	return out
}

// Invalid counts the values that were no T. They count as nothing shown.
func (p *Presence[T]) Invalid() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.invalid
}

// OnChange calls fn for each value that stands, and then for every change, until stop: one at a time, in order, without a
// lock, in the goroutine that caused it, or in one that is calling handlers already.
func (p *Presence[T]) OnChange(fn func(Change[T])) (stop func()) {
	h := &handler[T]{fn: fn}
	p.mu.Lock()
	if !p.closed {
		p.handlers = append(p.handlers, h)
		for _, c := range p.standingLocked() {
			p.queue = append(p.queue, call[T]{h, c})
		}
	}
	p.mu.Unlock()
	p.deliver()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		h.gone = true
		p.handlers = slices.DeleteFunc(p.handlers, func(x *handler[T]) bool { return x == h })
	}
}

// update looks at what a replica shows now. News may overtake one another on their way here, so only that they have come
// counts.
func (p *Presence[T]) update(r vclock.Replica) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	old, had := p.values[r]
	x, has := p.e.Value(r)
	var v T
	if has && (!had || !bytes.Equal(old.raw, x.Value)) {
		if err := runtime.DecodeValue(x.Value, &v); err != nil {
			p.invalid++
			has = false
		}
	} else if has {
		v = old.v
	}
	c := Change[T]{Replica: r, Value: v, Stamp: x.Stamp}
	switch {
	case has && had && bytes.Equal(old.raw, x.Value) && bytes.Equal(old.stamp, x.Stamp):
		p.mu.Unlock()
		return
	case has:
		p.values[r] = value[T]{v, x.Value, x.Stamp}
	case had:
		delete(p.values, r)
		c = Change[T]{Replica: r, Left: true, Stamp: old.stamp}
	default:
		p.mu.Unlock()
		return
	}
	for _, h := range p.handlers {
		p.queue = append(p.queue, call[T]{h, c})
	}
	p.mu.Unlock()
	p.deliver()
	p.arm()
}

// deliver calls handlers, unless another goroutine is at it, which then goes on with these.
func (p *Presence[T]) deliver() {
	p.mu.Lock()
	if p.delivered {
		p.mu.Unlock()
		return
	}
	p.delivered = true
	defer func() { // also when a handler panics or ends its goroutine
		p.delivered = false
		p.mu.Unlock()
	}()
	for len(p.queue) > 0 {
		c := p.queue[0]
		if p.queue = p.queue[1:]; c.to.gone || p.closed {
			continue
		}
		func() {
			p.mu.Unlock()
			defer p.mu.Lock()
			c.to.fn(c.c)
		}()
	}
}

// arm sets the timer to the next moment at which a value expires, or is to be repeated or shown.
func (p *Presence[T]) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
	at := p.e.Deadline()
	if p.closed || at.IsZero() {
		return
	}
	p.cancel = p.opt.AfterFunc(max(at.Sub(p.opt.Now()), time.Millisecond), func() {
		p.e.Tick(p.opt.Now())
		p.arm()
	})
}
