package providers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// DocumentOptions configure a document of a Client. nil and zero fields mean the defaults.
type DocumentOptions struct {
	// Session is how the document is kept in sync. Its Ephemeral is made if it is nil; its Durable is set if there is a
	// Store. Its Follow, if there is one, may not be another document's.
	Session Options
	// Store, if there is one, keeps the document here: Open loads it, every update is appended, and the server is told of
	// no more than is durable here. Keeper configures that.
	Store  Store
	Keeper KeeperOptions
	// Handle is called for the document's events: StatusChanged, Opened, Synced, Saved, Refused, Closed, Problem. What
	// ClientOptions.Handle says holds for it too.
	Handle func(d *Document, e Event)
}

// ErrNotDurable is returned by Document.Saved where the server does not promise to make anything durable.
var ErrNotDurable = errors.New("providers: the server does not acknowledge that updates are durable")

// Document is a document that a Client keeps in sync. It can be edited, through its runtime, at any time.
//
//  1. Unsaved is never less than what the server lacks of what this side has committed.
//  2. Of events of sessions that have ended nothing arrives.
//
// Safe for concurrent use.
type Document struct {
	c         *Client
	rt        *runtime.Runtime
	name      string
	opt       DocumentOptions
	ready     bool // loaded; guarded by Client.mu
	ephemeral *Ephemeral

	mu      sync.Mutex // a leaf
	keeper  *Keeper
	status  Status
	err     error
	final   bool  // Stopped by the server's refusal, or closed: another connection does not change that
	conn    *Conn // of session
	session *Session
	level   Level // of the server's acknowledgements, when it said so last
	met     bool  // level and refuses are known
	refuses bool  // the server takes no updates
	synced  bool  // on this session
	ledger  ledger
	pauses  int
	retry   func() bool // stops the timer
	closed  bool
	unwatch func() // ends the handler of replica changes
	waiting int
	looking bool          // a timer runs
	changed chan struct{} // closed at the next change, if somebody waits
}

func newDocument(c *Client, rt *runtime.Runtime, name string, o *DocumentOptions) (*Document, error) {
	d := &Document{c: c, rt: rt, name: name, status: Connecting}
	if o != nil {
		d.opt = *o
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	d.ephemeral = d.opt.Session.Ephemeral
	if d.ephemeral == nil {
		var err error
		if d.ephemeral, err = NewEphemeral(&EphemeralOptions{Own: rt.Replica(), Now: c.opt.Now}); err != nil {
			return nil, err
		}
		d.opt.Session.Ephemeral = d.ephemeral
	}
	if d.opt.Session.Follow == nil {
		d.opt.Session.Follow = new(Follower)
	}
	check := d.opt.Session
	return d, check.fill(rt)
}

// keep loads the document and keeps it in its store from then on.
func (d *Document) keep(ctx context.Context) error {
	if d.opt.Store == nil {
		return nil
	}
	o := d.opt.Keeper
	told := o.OnDurable
	o.OnDurable = func() {
		d.mu.Lock()
		s := d.session
		d.mu.Unlock()
		if s != nil {
			s.Poke()
		}
		if told != nil {
			told()
		}
	}
	k, err := Keep(ctx, d.rt, d.opt.Store, d.name, &o)
	if err != nil {
		return err
	}
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.keeper = k
		d.opt.Session.Durable, d.opt.Session.DurableFirst = k.Durable, true
	}
	d.mu.Unlock()
	if closed {
		k.Close()
		return ErrClosed
	}
	return nil
}

// Name returns the name of the document.
func (d *Document) Name() string { return d.name }

// Runtime returns the runtime that holds it.
func (d *Document) Runtime() *runtime.Runtime { return d.rt }

// Ephemeral returns its presence and channels.
func (d *Document) Ephemeral() *Ephemeral { return d.ephemeral }

// Keeper returns what keeps it in its store, nil if there is none.
func (d *Document) Keeper() *Keeper {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keeper
}

// Status returns where the document stands, and why it is not Online: a *RefusedError if the server does not want it, or
// what Client.Status says: Stopped with the client, too, until Client.Reconnect brings it back.
func (d *Document) Status() (Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status, d.err
}

// open opens the document on a connection. The connection calls it, as every function of Do.
func (d *Document) open(conn *Conn, m *Mux) {
	d.c.mu.Lock()
	ready := d.ready
	d.c.mu.Unlock()
	d.mu.Lock()
	skip := !ready || d.closed || d.final || d.session != nil
	d.mu.Unlock()
	if skip {
		return // Open opens it when it is ready
	}
	s, err := m.Open(d.rt, d.name, &d.opt.Session)
	if err != nil {
		return // the connection has ended
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		s.Close()
		return
	}
	d.conn, d.session, d.synced = conn, s, false
	d.status, d.err = Connecting, nil
	d.mu.Unlock()
	stop := d.rt.OnUpdate(d.update)
	clock := d.rt.Clock()
	d.mu.Lock()
	d.ledger.begin(s, clock, stop)
	d.wake()
	d.mu.Unlock()
}

// update hears of each update after the session.
func (d *Document) update(u runtime.Update) {
	d.mu.Lock()
	d.ledger.note(u)
	conn, waits := d.conn, d.waiting > 0
	d.mu.Unlock()
	if waits && conn != nil {
		conn.Do(func(*Mux) { d.look() })
	}
}

// watch begins to follow the runtime's replica ID.
func (d *Document) watch() {
	stop := d.rt.OnReplicaChange(d.replica)
	d.ephemeral.SetOwn(d.rt.Replica())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unwatch = stop; d.closed {
		stop()
	}
}

// stopped tells a document that was just opened that the client does not dial.
func (d *Document) stopped(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status == Connecting && d.session == nil {
		d.status, d.err = Stopped, err
	}
}

// replica hears that the runtime has taken another replica ID: presence moves along, and the document is opened anew, since a
// server believes what a peer shows of the replica alone that it opened as.
func (d *Document) replica(c runtime.ReplicaChange) {
	d.ephemeral.SetOwn(c.New)
	d.mu.Lock()
	conn, s := d.conn, d.session
	d.mu.Unlock()
	if s == nil {
		return
	}
	conn.Do(func(m *Mux) {
		d.mu.Lock()
		same := d.session == s
		if same {
			d.leave()
		}
		d.mu.Unlock()
		if !same {
			return
		}
		s.Close()
		if f, ok := s.Next(); ok {
			m.queue(f)
		}
		d.open(conn, m)
	})
}

// leave forgets the session; mu is held.
func (d *Document) leave() {
	d.ledger.end()
	d.conn, d.session, d.synced = nil, nil, false
}

// wake lets those who wait look again; mu is held.
func (d *Document) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// lost tells that the connection has ended.
func (d *Document) lost(why StatusChanged) {
	d.mu.Lock()
	d.leave()
	final := d.final
	if !final {
		d.status, d.err = why.Status, why.Err
	}
	d.wake()
	d.mu.Unlock()
	if !final {
		d.emit(StatusChanged{Document: d.name, Status: why.Status, Err: why.Err, Retry: why.Retry})
	}
}

func (d *Document) emit(e Event) {
	if d.opt.Handle != nil {
		d.opt.Handle(d, e)
	}
}

// handle takes an event of a session.
func (d *Document) handle(channel uint64, e Event) {
	d.mu.Lock()
	conn := d.conn
	if d.closed || d.session == nil || d.session.Channel() != channel {
		d.mu.Unlock()
		return
	}
	var then *StatusChanged
	switch e := e.(type) {
	case Opened:
		d.level, d.refuses, d.met = e.Level, e.ReadOnly, true
		d.status, d.err = Online, nil
		then = &StatusChanged{Document: d.name, Status: Online}
	case Synced:
		d.synced, d.pauses = true, 0
	case Refused:
		then = d.refused(&RefusedError{e.Code, e.Dot, e.Reason})
	case Closed:
		then = d.refused(&RefusedError{Code: CodeUnavailable, Reason: "closed by the server"})
	}
	d.wake()
	d.mu.Unlock()
	switch e.(type) {
	case Synced, Saved:
		conn.mu.Lock()
		d.look()
		conn.mu.Unlock()
	}
	d.emit(e)
	if then != nil {
		d.emit(*then)
	}
}

// lookAgain is how soon a session that does not know the server's clock is looked at again, if somebody waits for that.
const lookAgain = 250 * time.Millisecond

// look takes over what the session knows. Only a function of Do, or an event's handler with the lock of its connection,
// may call it. After a state from elsewhere the session asks the server for its clock, and does not tell when it has come.
func (d *Document) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ledger.confirm() && d.waiting > 0 && d.conn != nil && !d.looking {
		conn := d.conn
		d.looking = true
		d.c.opt.AfterFunc(lookAgain, func() {
			d.mu.Lock()
			d.looking = false
			d.mu.Unlock()
			conn.Do(func(*Mux) { d.look() })
		})
	}
	d.wake()
}

// refused ends the session; after a transient refusal the document is opened again after a pause. mu is held.
func (d *Document) refused(r *RefusedError) *StatusChanged {
	conn := d.conn
	d.leave()
	d.err = r
	if !r.Code.Transient() && r.Code != CodeTimeout {
		d.status, d.final = Stopped, true
		return &StatusChanged{Document: d.name, Status: Stopped, Err: r}
	}
	d.status = Offline
	pause := d.c.backoff(d.pauses)
	d.pauses++
	d.retry = d.c.opt.AfterFunc(pause, func() { conn.Do(func(m *Mux) { d.open(conn, m) }) })
	return &StatusChanged{Document: d.name, Status: Offline, Err: r, Retry: pause}
}

// Reopen opens the document again after it was refused for good: when something has changed.
func (d *Document) Reopen() {
	d.mu.Lock()
	again := d.final && !d.closed
	if again {
		d.status, d.err, d.final = Connecting, nil, false
		d.wake()
	}
	d.mu.Unlock()
	if !again {
		return
	}
	d.c.mu.Lock()
	conn := d.c.conn
	if !d.c.online {
		conn = nil
	}
	d.c.mu.Unlock()
	if conn != nil {
		conn.Do(func(m *Mux) { d.open(conn, m) })
	}
}

// Close ends the sync of the document in good order, and what keeps it in the store, for whose error it waits. What the
// server has not acknowledged stays unsaved. Not to be called by a handler.
func (d *Document) Close() error {
	d.c.forget(d)
	d.mu.Lock()
	conn, s := d.conn, d.session
	d.leave()
	keeper := d.keeper
	d.keeper = nil
	d.closed, d.status, d.err, d.final = true, Stopped, ErrClosed, true
	if d.unwatch != nil {
		d.unwatch()
	}
	if d.retry != nil {
		d.retry()
	}
	d.wake()
	d.mu.Unlock()
	if s != nil {
		conn.Do(func(m *Mux) {
			s.Close()
			if f, ok := s.Next(); ok {
				m.queue(f) // before the open frame of whoever opens it again
			}
		})
	}
	if keeper == nil {
		return nil
	}
	return keeper.Close()
}

// Synced waits until this side has all that the server had when they met on the connection that stands. Errors: that of
// ctx; ErrClosed; the *RefusedError of a document, or the *EndedError of a client, that is Stopped.
func (d *Document) Synced(ctx context.Context) error {
	return d.wait(ctx, func() (bool, error) { return d.synced, nil })
}

// Saved waits until the server has acknowledged as durable all that this side has committed before the call. Errors: those
// of Synced; ErrNotDurable, unless Options.TrustReceived takes less; a *RefusedError with READ_ONLY where the server takes
// no updates.
func (d *Document) Saved(ctx context.Context) error {
	target := d.rt.Clock()
	return d.wait(ctx, func() (bool, error) {
		switch {
		case !d.met:
			return false, nil
		case d.refuses:
			return false, &RefusedError{Code: CodeReadOnly, Reason: "the server takes no updates"}
		case d.opt.Session.Pattern == State, d.level < Durable && !(d.level == Received && d.opt.Session.TrustReceived):
			return false, ErrNotDurable
		}
		return d.ledger.acked.CoversClock(target), nil
	})
}

// wait waits for a condition, which is looked at under mu.
func (d *Document) wait(ctx context.Context, is func() (bool, error)) error {
	d.mu.Lock()
	d.waiting++
	conn := d.conn
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.waiting--
		d.mu.Unlock()
	}()
	if conn != nil {
		conn.Do(func(*Mux) { d.look() }) // update did not, before somebody waited
	}
	for {
		d.mu.Lock()
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		clientErr := d.c.stopped() // after changed: what happens from here on ends the wait below
		d.mu.Lock()
		done, err := is()
		switch {
		case done || err != nil:
		case d.final:
			err = d.err
		case clientErr != nil:
			err = clientErr
		}
		d.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopped returns why the client does not dial any more, nil if it does.
func (c *Client) stopped() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Status == Stopped {
		return c.status.Err
	}
	return nil
}

// Unsaved returns the dots of the document that the server is not known to hold, sorted by replica: its acknowledgements
// count for what its level says, see Opened. Before the first connection these are all dots. Cost: O(replicas).
func (d *Document) Unsaved() []vclock.Span {
	clock := d.rt.Clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return clock.Diff(d.ledger.acked)
}

// LocalWork returns an update with all that is Unsaved, to be kept when the server refuses the document: a bundle where
// history holds the messages, else a delta; nil if there is nothing.
func (d *Document) LocalWork() ([]byte, error) {
	if len(d.Unsaved()) == 0 {
		return nil, nil
	}
	d.mu.Lock()
	acked := d.ledger.acked.Clone()
	d.mu.Unlock()
	if ms, err := d.rt.MessagesSince(acked); err == nil {
		return runtime.Bundle(ms)
	}
	b, err := d.rt.SaveSince(acked, runtime.CanonicalOnly())
	if err != nil {
		return nil, fmt.Errorf("document %q: %w", d.name, err)
	}
	return b, nil
}
