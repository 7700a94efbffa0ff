//go:build !js

package ws

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

// ServerOptions configure a Server. Authenticate and Authorize are required, so that an open server is one by intent. The
// zero value of everything else means the default. They are copied.
type ServerOptions struct {
	// Authenticate says who is at the other end; Anyone takes everybody in.
	Authenticate Authenticator
	// Authorize says what a principal may do with a document; AllowAll allows everything.
	Authorize Authorizer
	// RecheckEvery is how often Authorize is asked again about documents that are open; default 60 s, negative: never.
	RecheckEvery time.Duration

	// Cookies says that Authenticate looks at what browsers send by themselves: cookies, client certificates, the address.
	// Then any web page could act for its visitor; Origins has to list the pages that may, and connections without an origin
	// are refused.
	Cookies bool
	// Origins lists the origins of web pages that may connect, such as "https://app.example.org"; default: pages of the same
	// host. "*" lets all pages in.
	Origins []string
	// TrustedProxies lists the networks whose X-Forwarded-For is believed; default: none is.
	TrustedProxies []netip.Prefix

	// Store keeps the documents; the caller closes it after the Server. Default: in memory. Then nothing is ever called
	// durable: clients are told "received".
	Store providers.Store
	// Runtime is how documents are made: kinds, history, limits, wall time. Replica must be zero. Without kinds documents
	// are merged and kept all the same, see runtime.Options.Kinds. Its Limits, where they are not zero, go before those
	// below.
	Runtime runtime.Options
	Limits  Limits

	// WriteEvery is the least time between two writes to one connection: what comes meanwhile goes out together. Default 5
	// ms.
	WriteEvery time.Duration
	// Agent names this server to its clients, for their logs; default "weft".
	Agent string
	// Logger gets one line an event; default: nothing is logged. No line holds a token, nor a document's content.
	Logger *slog.Logger
}

// Server serves documents over WebSocket. It is an http.Handler that upgrades on any path; which documents a connection is
// about it says itself, in open frames.
//
//  1. A connection takes nothing before it is admitted, a document nothing before access to it was granted.
//  2. A document that cannot be loaded is refused; nothing is written in its place.
//  3. With a store "saved" means durable, in its sense.
//  4. A connection holds up no other one: what waits for it is bounded, and so is what it may send.
//  5. Shutdown loses nothing that was taken.
//
// It starts goroutines: a few for the Server, one for each connection, and short-lived ones. Close and Shutdown wait for
// all of them. Safe for concurrent use.
type Server struct {
	opt      ServerOptions
	log      *slog.Logger
	origins  *origins
	volatile bool // the store is the default one
	ctx      context.Context
	cancel   context.CancelFunc
	// goingAway ends when Shutdown begins.
	goingAway context.Context
	goAway    context.CancelFunc
	timers    timers
	rooms     rooms
	count     counters
	ids       atomic.Uint64

	overMemory atomic.Bool
	addresses  addresses

	mu         sync.Mutex // guards what follows; a leaf
	closing    bool
	conns      map[*connection]bool
	principals map[string]map[*connection]bool
	revoked    map[string]time.Time // lately
	peers      int
	storeErr   error
	tasks      sync.WaitGroup // all goroutines but those of connections, which sit in members
	live       sync.WaitGroup // connections and peers
	stop       chan struct{}  // ends the timers and the sweep
}

// NewServer returns a server. Errors: providers.ErrInvalidOptions.
func NewServer(o *ServerOptions) (*Server, error) {
	s := &Server{stop: make(chan struct{}), conns: make(map[*connection]bool), principals: make(map[string]map[*connection]bool), revoked: make(map[string]time.Time)}
	if o != nil {
		s.opt = *o
	}
	if err := s.fill(); err != nil {
		return nil, err
	}
	s.log = s.opt.Logger
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.goingAway, s.goAway = context.WithCancel(s.ctx)
	s.timers.wake = make(chan struct{}, 1)
	s.rooms = rooms{server: s, all: make(map[string]*room), faults: make(map[string]int), loads: make(chan struct{}, s.opt.Limits.Loads)}
	s.addresses.all = make(map[netip.Prefix]*visitor)
	s.tasks.Go(func() { s.timers.run(s.stop) })
	s.tasks.Go(s.sweep)
	return s, nil
}

func (s *Server) fill() (err error) {
	o := &s.opt
	if err = o.Limits.fill(); err != nil {
		return err
	}
	if s.origins, err = newOrigins(o.Origins, o.Cookies); err != nil {
		return err
	}
	if o.WriteEvery == 0 {
		o.WriteEvery = 5 * time.Millisecond
	}
	if o.RecheckEvery == 0 {
		o.RecheckEvery = time.Minute
	}
	if o.Agent == "" {
		o.Agent = "weft"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Store == nil {
		o.Store, s.volatile = mem.NewStore(), true
	}
	rt := o.Runtime
	rt.Limits = o.Limits.document(rt.Limits)
	switch {
	case o.Authenticate == nil || o.Authorize == nil:
		return fmt.Errorf("%w: Authenticate and Authorize are required; ws.Anyone and ws.AllowAll leave a server open", providers.ErrInvalidOptions)
	case o.WriteEvery < 0:
		return fmt.Errorf("%w: WriteEvery is negative", providers.ErrInvalidOptions)
	case o.Runtime.Replica != [16]byte{}:
		return fmt.Errorf("%w: Runtime.Replica must be zero: each document has its own", providers.ErrInvalidOptions)
	}
	_, err = runtime.New(&rt)
	return err
}

// HTTPServer returns an http.Server whose limits keep slow and large requests from tying it up; upgraded connections are
// bounded by Limits. Set Addr or call Serve; TLS is as with any http.Server.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

// ServeHTTP upgrades a request to a connection and returns; the connection goes on.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count.requests.Add(1)
	at := address(r, s.opt.TrustedProxies)
	turn := func(status int, why string) {
		s.count.turnedAway.Add(1)
		s.log.Debug("weft: upgrade refused", "address", at.Addr(), "status", status, "reason", why)
		if status != http.StatusForbidden {
			w.Header().Set("Retry-After", strconv.Itoa(5))
		}
		http.Error(w, why, status)
	}
	if !s.origins.allow(r) {
		turn(http.StatusForbidden, "this origin may not connect")
		return
	}
	if s.overMemory.Load() {
		turn(http.StatusServiceUnavailable, "out of memory")
		return
	}
	if !s.addresses.enter(at, &s.opt.Limits) {
		turn(http.StatusTooManyRequests, "too many connections from this address")
		return
	}
	c, err := newConnection(s, r, at)
	if err != nil { // options were checked
		s.addresses.leave(at)
		turn(http.StatusInternalServerError, "internal error")
		return
	}
	if status := s.register(c); status != 0 {
		c.cancel()
		s.addresses.leave(at)
		turn(status, http.StatusText(status))
		return
	}
	c.ws, err = websocket.Accept(&hijacker{w, &c.wire, s.opt.Limits.SocketBytes}, r, &websocket.AcceptOptions{
		Subprotocols: []string{Subprotocol}, InsecureSkipVerify: true, // origins has decided
		OnPingReceived: func(context.Context, []byte) bool { return c.control() },
		OnPongReceived: func(context.Context, []byte) { c.control() },
	})
	if err != nil { // Accept has answered
		s.count.turnedAway.Add(1)
		c.cancel()
		s.ended(c)
		return
	}
	c.ws.SetReadLimit(-1) // frames are bounded where they are read
	s.count.accepted.Add(1)
	s.mu.Lock()
	c.live = true
	closing := s.closing
	s.mu.Unlock()
	if closing { // it was not yet there to be told
		c.end(providers.CodeGoingAway, "the server is going away")
	}
	c.arm()
	go c.read()
}

// Subprotocol is the WebSocket subprotocol; clients need not name it.
const Subprotocol = "weft"

// register makes a connection known, or returns the HTTP status that refuses it.
func (s *Server) register(c *connection) (status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.conns) >= s.opt.Limits.Connections {
		return http.StatusServiceUnavailable
	}
	s.conns[c] = true
	s.live.Add(1)
	return 0
}

// enter makes known whose connection it is. Errors: *providers.RefusedError.
func (s *Server) enter(c *connection, p Principal, asked time.Time) error {
	if err := s.enterPrincipal(c, &p, asked); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.principal = p
	return nil
}

func (s *Server) enterPrincipal(c *connection, p *Principal, asked time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.revoked[p.ID]; ok && p.ID != "" && !at.Before(asked) {
		return &providers.RefusedError{Code: providers.CodeForbidden, Reason: "access was revoked"}
	}
	if p.ID != "" {
		of := s.principals[p.ID]
		if len(of) >= s.opt.Limits.ConnectionsPerPrincipal {
			return &providers.RefusedError{Code: providers.CodeTooMany, Reason: "too many connections"}
		}
		if of == nil {
			of = make(map[*connection]bool)
			s.principals[p.ID] = of
		}
		of[c] = true
	}
	return nil
}

// ended forgets a connection.
func (s *Server) ended(c *connection) {
	s.mu.Lock()
	delete(s.conns, c)
	if id := c.principal.ID; id != "" {
		if delete(s.principals[id], c); len(s.principals[id]) == 0 {
			delete(s.principals, id)
		}
	}
	s.mu.Unlock()
	s.addresses.leave(c.address)
	s.live.Done()
}

// of returns the connections of a principal, of all for "".
func (s *Server) of(principal string) (list []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.conns
	if principal != "" {
		from = s.principals[principal]
	}
	for c := range from {
		if c.live {
			list = append(list, c)
		}
	}
	return list
}

// Revoke ends the connections of a principal with FORBIDDEN, those included that are being admitted. Whether it may come
// back is up to Authenticate.
func (s *Server) Revoke(principal string) {
	if principal == "" {
		return
	}
	s.mu.Lock()
	s.revoked[principal] = time.Now()
	s.mu.Unlock()
	for _, c := range s.of(principal) {
		s.count.revoked.Add(1)
		c.end(providers.CodeForbidden, "access was revoked")
	}
	s.log.Info("weft: principal revoked", "principal", printable(principal))
}

// Recheck asks Authorize again about all that a principal has open, "" for everybody: call it when permissions have
// changed. Documents whose access is another one now are refused, with FORBIDDEN or CodeAccessChanged.
func (s *Server) Recheck(principal string) {
	for _, c := range s.of(principal) {
		c.checks.Add(1)
		c.task(c.checkAgain)
	}
}

// Quarantined returns the documents that are refused because their code has panicked three times, sorted. Pardon lets one
// in again.
func (s *Server) Quarantined() []string { return s.rooms.quarantined() }

// Pardon ends the quarantine of a document.
func (s *Server) Pardon(document string) { s.rooms.pardon(document) }

// spawn runs fn in a goroutine that Close waits for; false: the server is closing.
func (s *Server) spawn(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.tasks.Go(fn)
	return true
}

// spawnLast is spawn for what closing itself needs. Its callers have a room, which Close waits for before it waits for
// the rest.
func (s *Server) spawnLast(fn func()) { s.tasks.Go(fn) }

// Shutdown takes no more connections, tells all that the server is going away, and makes durable what was taken. It returns
// when all is done, and the goroutines have ended; or, if ctx ends before, cuts off connections that are still there, sees to
// the rest, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	s.goAway()
	for _, c := range s.of("") {
		c.end(providers.CodeGoingAway, "the server is going away")
	}
	gone := make(chan struct{})
	go func() {
		s.live.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = ctx.Err()
		for _, c := range s.of("") {
			c.wire.end(time.Unix(1, 0))
			c.wire.Conn.Close()
		}
	}
	s.cancel() // peers end, and functions of the application that wait
	<-gone
	for _, r := range s.rooms.list() {
		s.rooms.retire(r)
		<-r.gone
	}
	if first {
		close(s.stop)
	}
	s.tasks.Wait()
	return err
}

// Close is Shutdown without waiting for the peers' goodbyes; what was taken is made durable all the same.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	return nil
}
