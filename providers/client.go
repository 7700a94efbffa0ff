package providers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/runtime"
)

// ClientOptions configure a Client. nil and zero fields mean the defaults.
type ClientOptions struct {
	// Token is called for each dial, so that what expires can be fetched anew, and says who this is; at most MaxToken
	// bytes. It is sent in the hello and nowhere else, and never logged. An error counts as one of the network. Default: no
	// token.
	Token func(ctx context.Context) ([]byte, error)
	// Agent names this program, for logs of the server.
	Agent string
	// Handle is called for StatusChanged of the connection, one at a time, in order, without a lock. It must not wait for
	// the client: the connection may stand still while it runs.
	Handle func(c *Client, e Event)

	// DialAfter bounds one dial, Token included; default 15 s.
	DialAfter time.Duration
	// Pause and LongestPause are the bounds of a random pause after a connection that ended: the first one is up to Pause,
	// each further one up to twice as much, none longer than LongestPause. Defaults 1 s and 30 s. After a connection that
	// stood for LongestPause the pauses start anew.
	Pause, LongestPause time.Duration
	// Heartbeat, HelloAfter and WriteAfter are those of MuxOptions and ConnOptions: they find out that the server is dead.
	Heartbeat, HelloAfter, WriteAfter time.Duration

	// Now reads the clock; default time.Now. AfterFunc calls fn once, in a goroutine of its own, after d, unless stop came
	// before; default time.AfterFunc. Rand returns a number in [0, 1); default math/rand.
	Now       func() time.Time
	AfterFunc func(d time.Duration, fn func()) (stop func() bool)
	Rand      func() float64
	Logger    *slog.Logger // default: nothing is logged
}

func (o *ClientOptions) fill() error {
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.DialAfter, 15 * time.Second}, {&o.Pause, time.Second}, {&o.LongestPause, 30 * time.Second}} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return fmt.Errorf("%w: a duration is negative", ErrInvalidOptions)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.AfterFunc == nil {
		o.AfterFunc = func(d time.Duration, fn func()) func() bool { return time.AfterFunc(d, fn).Stop }
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return (&MuxOptions{Agent: o.Agent, Heartbeat: o.Heartbeat, HelloAfter: o.HelloAfter}).fill()
}

// Status is where a Client, or one of its documents, stands.
type Status uint8

// The statuses.
const (
	// Offline: the link is lost; the client dials again after a pause.
	Offline Status = iota
	// Connecting: the client dials, or asks the server for the document.
	Connecting
	// Online: updates travel.
	Online
	// Stopped: refused for good, until Client.Reconnect or Document.Reopen; or closed.
	Stopped
)

func (s Status) String() string {
	switch s {
	case Offline:
		return "offline"
	case Connecting:
		return "connecting"
	case Online:
		return "online"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// StatusChanged tells of a new status of a client or, with the name of a document, of that one: for documents every status
// but Connecting.
type StatusChanged struct {
	Document string
	Status   Status
	Err      error         // why it is Offline or Stopped
	Retry    time.Duration // Offline: the pause before the next try
}

func (StatusChanged) event() {}

// Client keeps documents in sync with a server, whatever happens to the connection: it dials, dials again with growing and
// random pauses, and opens all documents again, which resume by clock. Documents can be edited all the time.
//
//  1. At most one connection stands.
//  2. What the server says with a permanent code ends the dialling, TIMEOUT aside; so does a version of the protocol that
//     this side does not speak. UNAUTHENTICATED after the connection stood is a token that has expired: it dials
//     again. All else is tried again.
//  3. No two handlers of one client run at a time.
//
// It starts one goroutine, and what Conn starts; Close waits for all of them. Safe for concurrent use.
type Client struct {
	opt  ClientOptions
	dial func(ctx context.Context) (Link, error)

	ctx     context.Context
	cancel  context.CancelFunc
	closing chan struct{}
	done    chan struct{}
	again   chan struct{} // Reconnect was called

	mu     sync.Mutex // a leaf
	docs   map[string]*Document
	conn   *Conn // runs
	online bool  // the server has taken this side in
	status StatusChanged
	closed bool
}

// NewClient returns a client that dials with dial, which must return soon after its context has ended. Errors:
// ErrInvalidOptions.
func NewClient(dial func(ctx context.Context) (Link, error), o *ClientOptions) (*Client, error) {
	c := &Client{
		dial: dial, docs: make(map[string]*Document),
		closing: make(chan struct{}), done: make(chan struct{}), again: make(chan struct{}, 1),
		status: StatusChanged{Status: Connecting},
	}
	if o != nil {
		c.opt = *o
	}
	if err := c.opt.fill(); err != nil {
		return nil, err
	}
	if dial == nil {
		return nil, fmt.Errorf("%w: a client needs a function that dials", ErrInvalidOptions)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c, nil
}

// Status returns where the connection stands, and why it is not Online.
func (c *Client) Status() (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.Status, c.status.Err
}

// Reconnect dials now instead of after the pause, also after a permanent end: when the network is back, or there is a new
// token. It does nothing to a connection that stands.
func (c *Client) Reconnect() {
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Close closes all documents, tells the server, and waits until everything has ended. What is not saved with the server
// stays unsaved: see Document.Saved. Not to be called by a handler. It returns the errors of stores.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	conn := c.conn
	docs := c.list()
	c.mu.Unlock()
	if first {
		close(c.closing)
		if conn == nil {
			c.cancel()
		} else {
			conn.Do(func(m *Mux) { m.End(CodeNone, "closed") })
			defer c.opt.AfterFunc(2*time.Second, c.cancel)() // a peer that does not read
		}
	}
	<-c.done
	c.cancel()
	var errs []error
	for _, d := range docs {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// list returns the documents by name; mu is held.
func (c *Client) list() []*Document {
	out := make([]*Document, 0, len(c.docs))
	for _, d := range c.docs {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Document) int { return strings.Compare(a.name, b.name) })
	return out
}

func (c *Client) run() {
	defer close(c.done)
	pauses := 0
	for {
		select {
		case <-c.again:
		default:
		}
		c.set(StatusChanged{Status: Connecting})
		began := c.opt.Now()
		admitted, err := c.connect()
		c.mu.Lock()
		closed, docs := c.closed, c.list()
		c.mu.Unlock()
		if closed {
			c.set(StatusChanged{Status: Stopped, Err: ErrClosed})
			return
		}
		if admitted && c.opt.Now().Sub(began) >= c.opt.LongestPause {
			pauses = 0
		}
		next := StatusChanged{Status: Offline, Err: err, Retry: c.backoff(pauses)}
		if permanentEnd(err, admitted) {
			next.Status, next.Retry = Stopped, 0
		}
		pauses++
		c.opt.Logger.Info("weft: not connected", "status", next.Status.String(), "error", err, "retry", next.Retry)
		c.set(next)
		for _, d := range docs {
			d.lost(next)
		}
		if next.Status == Stopped {
			pauses = 0
		}
		c.pause(next)
	}
}

// connect makes a connection and runs it until it ends.
func (c *Client) connect() (admitted bool, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	stop := c.opt.AfterFunc(c.opt.DialAfter, cancel)
	var token []byte
	if c.opt.Token != nil {
		token, err = c.opt.Token(ctx)
	}
	var link Link
	if err == nil {
		link, err = c.dial(ctx)
	}
	stop()
	late := ctx.Err() != nil
	cancel()
	if err != nil {
		if late && c.ctx.Err() == nil {
			err = fmt.Errorf("providers: no connection in %v: %w", c.opt.DialAfter, err)
		}
		return false, err
	}
	conn, err := NewConn(link, &ConnOptions{
		Mux:        MuxOptions{Token: token, Agent: c.opt.Agent, Heartbeat: c.opt.Heartbeat, HelloAfter: c.opt.HelloAfter},
		Handle:     c.handle,
		WriteAfter: c.opt.WriteAfter,
		Now:        c.opt.Now,
	})
	if err != nil { // the token is too long
		link.Close()
		return false, &EndedError{Code: CodeTooBig, Reason: err.Error(), Remote: true}
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		link.Close()
		return false, ErrClosed
	}
	c.conn = conn
	c.mu.Unlock()
	err = conn.Run(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	admitted = c.online
	c.conn, c.online = nil, false
	return admitted, err
}

// permanentEnd reports whether the next connection would surely have the same end.
func permanentEnd(err error, admitted bool) bool {
	var e *EndedError
	switch {
	case !errors.As(err, &e), e.Code == CodeNone, e.Code == CodeTimeout, e.Code.Transient():
		return false
	case e.Code == CodeUnauthenticated && admitted:
		return false
	}
	return e.Remote || e.Code == CodeVersion
}

// backoff returns the n-th pause: anything up to a bound that doubles, so that clients that lost their server together do
// not come back together ("full jitter" in M. Brooker, Exponential Backoff And Jitter, 2015).
func (c *Client) backoff(n int) time.Duration {
	most := c.opt.LongestPause
	if n < 30 {
		most = min(most, c.opt.Pause<<n)
	}
	return time.Duration(c.opt.Rand() * float64(most))
}

// pause waits before the next dial; a stopped client waits for Reconnect.
func (c *Client) pause(s StatusChanged) {
	over := make(chan struct{})
	if s.Status != Stopped {
		stop := c.opt.AfterFunc(s.Retry, func() { close(over) })
		defer stop()
	}
	select {
	case <-over:
	case <-c.again:
	case <-c.closing:
	}
}

// set changes the status and tells of it. Only the goroutine of run, or a handler of its connection, calls it.
func (c *Client) set(s StatusChanged) {
	c.mu.Lock()
	same := c.status.Status == s.Status && c.status.Err == nil && s.Err == nil
	c.status = s
	c.mu.Unlock()
	if !same && c.opt.Handle != nil {
		c.opt.Handle(c, s)
	}
}

// handle takes the events of the connection.
func (c *Client) handle(conn *Conn, e Event) {
	switch e := e.(type) {
	case Admitted:
		c.mu.Lock()
		c.online = true
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		c.opt.Logger.Info("weft: connected", "server", e.Agent)
		c.set(StatusChanged{Status: Online})
		conn.Do(func(m *Mux) {
			c.mu.Lock()
			docs := c.list()
			c.mu.Unlock()
			for _, d := range docs {
				d.open(conn, m)
			}
		})
	case Opening:
		conn.Do(func(m *Mux) {
			m.Refuse(e, &RefusedError{Code: CodeNotFound, Reason: "this side opens documents itself"})
		})
	case Opened:
		c.tell(e.Document, e.Channel, e)
	case Synced:
		c.tell(e.Document, e.Channel, e)
	case Saved:
		c.tell(e.Document, e.Channel, e)
	case Refused:
		c.tell(e.Document, e.Channel, e)
	case Closed:
		c.tell(e.Document, e.Channel, e)
	case Problem:
		c.tell(e.Document, e.Channel, e)
	}
}

func (c *Client) tell(document string, channel uint64, e Event) {
	c.mu.Lock()
	d := c.docs[document]
	c.mu.Unlock()
	if d != nil {
		d.handle(channel, e)
	}
}

// Open keeps a document in sync with the server from now on; rt belongs to one Document at a time. With
// DocumentOptions.Store the document is loaded from there first. Errors: *RefusedError for the name and for a document that
// is open already, ErrInvalidOptions, ErrClosed, those of Keep.
func (c *Client) Open(rt *runtime.Runtime, document string, o *DocumentOptions) (*Document, error) {
	d, err := newDocument(c, rt, document, o)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	switch {
	case c.closed:
		err = ErrClosed
	case c.docs[document] != nil:
		err = &RefusedError{Code: CodeTooMany, Reason: "the document is open already"}
	default:
		c.docs[document] = d // from here on no other one touches its store
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := d.keep(c.ctx); err != nil {
		c.forget(d)
		return nil, err
	}
	d.watch()
	c.mu.Lock()
	d.ready = true
	conn, status := c.conn, c.status
	if !c.online {
		conn = nil
	}
	c.mu.Unlock()
	if status.Status == Stopped {
		d.stopped(status.Err)
	}
	if conn != nil {
		conn.Do(func(m *Mux) { d.open(conn, m) })
	}
	return d, nil
}

func (c *Client) forget(d *Document) (conn *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs[d.name] == d {
		delete(c.docs, d.name)
	}
	return c.conn
}
