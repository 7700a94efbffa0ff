package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

// replica is a document with one text.
type replica struct {
	rt   *runtime.Runtime
	text crdt.Text
}

func newReplica(t testing.TB) *replica {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "body")
	if err != nil {
		t.Fatal(err)
	}
	return &replica{rt, text}
}

func (r *replica) add(t testing.TB, s string) {
	t.Helper()
	if err := r.rt.Transact(func(tx runtime.Tx) error { return r.text.Insert(tx, r.text.Len(tx), s) }); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) String() (s string) {
	r.rt.View(func(tx runtime.Tx) error { s = r.text.String(tx); return nil })
	return s
}

// acceptor is a server of documents in memory, as far as a client can tell, with a knob for each of its faults.
type acceptor struct {
	t testing.TB

	mu      sync.Mutex
	docs    map[string]*replica
	keepers map[string]*providers.Keeper
	plain   bool // it numbers nothing
	poke    map[*providers.Session]bool
	conns   map[*providers.Conn]bool
	tokens  []string
	dials   []time.Time
	wg      sync.WaitGroup

	store    providers.Store // nil: nothing is durable
	fail     error           // dials fail
	wrap     func(client, server providers.Link) (providers.Link, providers.Link)
	admit    func(token string) error                      // *EndedError: not admitted
	refuse   func(document string) *providers.RefusedError // of an open
	readOnly bool
	silent   bool // never answers a hello

	ephemeral *providers.Ephemeral // of all documents
}

func newAcceptor(t testing.TB) *acceptor {
	return &acceptor{
		t: t, docs: make(map[string]*replica), keepers: make(map[string]*providers.Keeper),
		poke: make(map[*providers.Session]bool), conns: make(map[*providers.Conn]bool), store: mem.NewStore(),
	}
}

func (a *acceptor) set(fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
}

// dial is what clients call.
func (a *acceptor) dial(ctx context.Context) (providers.Link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials = append(a.dials, time.Now())
	if a.fail != nil {
		return nil, a.fail
	}
	client, server := mem.Pipe()
	if a.wrap != nil {
		client, server = a.wrap(client, server)
	}
	if a.silent {
		return client, nil
	}
	a.wg.Go(func() { a.serve(server) })
	return client, nil
}

func (a *acceptor) serve(link providers.Link) {
	c, err := providers.NewConn(link, &providers.ConnOptions{Mux: providers.MuxOptions{Acceptor: true}, Handle: a.handle})
	if err != nil {
		a.t.Error(err)
		return
	}
	a.set(func() { a.conns[c] = true })
	c.Run(context.Background())
	a.set(func() { delete(a.conns, c) })
}

func (a *acceptor) handle(c *providers.Conn, e providers.Event) {
	switch e := e.(type) {
	case providers.Admission:
		a.mu.Lock()
		a.tokens = append(a.tokens, string(e.Token))
		admit := a.admit
		a.mu.Unlock()
		var end *providers.EndedError
		if admit != nil && errors.As(admit(string(e.Token)), &end) {
			c.Do(func(m *providers.Mux) { m.End(end.Code, end.Reason) })
			return
		}
		c.Do(func(m *providers.Mux) { m.Admit() })
	case providers.Opening:
		a.mu.Lock()
		refuse, readOnly := a.refuse, a.readOnly
		a.mu.Unlock()
		if refuse != nil {
			if r := refuse(e.Document); r != nil {
				c.Do(func(m *providers.Mux) { m.Refuse(e, r) })
				return
			}
		}
		doc, keeper := a.document(e.Document)
		o := &providers.Options{ReadOnly: readOnly, FirstHop: true, Ephemeral: a.ephemeral}
		if keeper != nil {
			if o.Durable = keeper.Durable; !a.plain {
				o.Log = keeper.Log()
			}
		}
		c.Do(func(m *providers.Mux) {
			s, err := m.Accept(e, doc.rt, o)
			if err == nil {
				a.set(func() { a.poke[s] = true })
			}
		})
	}
}

func (a *acceptor) document(name string) (*replica, *providers.Keeper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.docs[name] == nil {
		a.docs[name] = newReplica(a.t)
		if a.store != nil {
			k, err := providers.Keep(context.Background(), a.docs[name].rt, a.store, name, &providers.KeeperOptions{OnDurable: a.durable})
			if err != nil {
				a.t.Error(err)
			}
			a.keepers[name] = k
		}
	}
	return a.docs[name], a.keepers[name]
}

func (a *acceptor) durable() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.poke {
		s.Poke()
	}
}

func (a *acceptor) doc(name string) *replica {
	r, _ := a.document(name)
	return r
}

// end ends all connections.
func (a *acceptor) end(code providers.Code) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		c.Do(func(m *providers.Mux) { m.End(code, "the test says so") })
	}
}

func (a *acceptor) close() {
	a.end(providers.CodeGoingAway)
	a.wg.Wait()
	for _, k := range a.keepers {
		k.Close()
	}
}

// history collects events as text.
type history struct {
	mu   sync.Mutex
	list []string
}

func (h *history) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, fmt.Sprintf(format, args...))
}

func (h *history) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.list
	h.list = nil
	return l
}

func (h *history) client(_ *providers.Client, e providers.Event) {
	if e, ok := e.(providers.StatusChanged); ok {
		if e.Status == providers.Offline {
			h.add("%v %v", e.Status, e.Retry)
		} else {
			h.add("%v", e.Status)
		}
	}
}

func (h *history) document(_ *providers.Document, e providers.Event) {
	switch e := e.(type) {
	case providers.StatusChanged:
		h.add("%v", e.Status)
	case providers.Refused:
		h.add("refused %v", e.Code)
	case providers.Saved:
		h.add("saved %v %v", e.Level, e.All)
	default:
		h.add("%T", e)
	}
}

// withClient calls fn in a bubble of time of its own, with a server and a client that are closed after it.
func withClient(t *testing.T, o providers.ClientOptions, fn func(t *testing.T, a *acceptor, c *providers.Client, h *history)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, h := newAcceptor(t), new(history)
		if o.Rand == nil {
			o.Rand = func() float64 { return 0.5 }
		}
		o.Handle = h.client
		start := make(chan struct{})
		c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
			<-start // fn can set faults before its first wait
			return a.dial(ctx)
		}, &o)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Nanosecond, func() { close(start) })
		defer a.close()
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(t, a, c, h)
	})
}

func within(t testing.TB, d time.Duration, what string, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := fn(ctx); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func openDocument(t testing.TB, c *providers.Client, r *replica, name string, o *providers.DocumentOptions) *providers.Document {
	t.Helper()
	d, err := c.Open(r.rt, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestClientWorksOffline(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.fail = errors.New("no route") })
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		r.add(t, "written offline")
		time.Sleep(10 * time.Second)
		// Pauses of half of 1, 2, 4, 8 s: dials at 0, 0.5, 1.5, 3.5, 7.5 s.
		want := []string{"connecting", "offline 500ms", "connecting", "offline 1s", "connecting", "offline 2s", "connecting", "offline 4s",
			"connecting", "offline 8s"}
		if got := h.take(); !slices.Equal(got, want[1:]) && !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if s, err := d.Status(); s != providers.Offline || err == nil {
			t.Errorf("the document is %v: %v", s, err)
		}
		if u := d.Unsaved(); len(u) != 1 || u[0].End != 15 {
			t.Errorf("unsaved: %v", u)
		}
		a.set(func() { a.fail = nil })
		within(t, 10*time.Second, "saved", d.Saved)
		within(t, time.Second, "synced", d.Synced)
		if got := a.doc("notes").String(); got != "written offline" {
			t.Errorf("the server has %q", got)
		}
		if u := d.Unsaved(); len(u) != 0 {
			t.Errorf("unsaved: %v", u)
		}
		if w, err := d.LocalWork(); w != nil || err != nil {
			t.Errorf("local work: %x, %v", w, err)
		}
		if s, err := d.Status(); s != providers.Online || err != nil {
			t.Errorf("the document is %v: %v", s, err)
		}
		a.doc("notes").add(t, " and answered")
		synctest.Wait()
		if got := r.String(); got != "written offline and answered" {
			t.Errorf("the client has %q", got)
		}
		if u := d.Unsaved(); len(u) != 0 { // the server brought it
			t.Errorf("unsaved: %v", u)
		}
	})
}

func TestClientPausesStopGrowing(t *testing.T) {
	withClient(t, providers.ClientOptions{LongestPause: 3 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.fail = errors.New("no route") })
		time.Sleep(5 * time.Second)
		h.take()
		time.Sleep(time.Minute)
		for _, e := range h.take() {
			if e != "connecting" && e != "offline 1.5s" {
				t.Error(e)
			}
		}
		a.set(func() { a.fail = nil })
		time.Sleep(10 * time.Second) // online for longer than the longest pause
		h.take()
		a.end(providers.CodeGoingAway)
		synctest.Wait()
		if got := h.take(); !slices.Equal(got, []string{"offline 500ms"}) {
			t.Errorf("pauses do not start anew: %q", got)
		}
	})
}

// TestClientEnds lets the server end the connection with each code, before and after it admitted the client.
func TestClientEnds(t *testing.T) {
	for _, c := range []struct {
		code          providers.Code
		before, after providers.Status
	}{
		{providers.CodeNone, providers.Offline, providers.Offline},
		{providers.CodeMalformed, providers.Stopped, providers.Stopped},
		{providers.CodeUnauthenticated, providers.Stopped, providers.Offline},
		{providers.CodeForbidden, providers.Stopped, providers.Stopped},
		{providers.CodeNotFound, providers.Stopped, providers.Stopped},
		{providers.CodeUnknownFrame, providers.Stopped, providers.Stopped},
		{providers.CodeVersion, providers.Stopped, providers.Stopped},
		{providers.CodeTimeout, providers.Offline, providers.Offline},
		{providers.CodeTooMany, providers.Stopped, providers.Stopped},
		{471, providers.Stopped, providers.Stopped},
		{499, providers.Stopped, providers.Stopped},
		{providers.CodeInternal, providers.Offline, providers.Offline},
		{providers.CodeGoingAway, providers.Offline, providers.Offline},
		{providers.CodeRate, providers.Offline, providers.Offline},
		{599, providers.Offline, providers.Offline},
		{77, providers.Stopped, providers.Stopped},
	} {
		for _, admitted := range []bool{false, true} {
			t.Run(fmt.Sprint(c.code, admitted), func(t *testing.T) {
				withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, cl *providers.Client, h *history) {
					r := newReplica(t)
					d := openDocument(t, cl, r, "notes", nil)
					want := c.before
					if admitted {
						want = c.after
						within(t, time.Second, "saved", d.Saved)
						synctest.Wait()
						a.end(c.code)
					} else {
						a.set(func() {
							a.admit = func(string) error { return &providers.EndedError{Code: c.code, Reason: "because"} }
						})
						time.Sleep(time.Millisecond)
					}
					synctest.Wait()
					a.set(func() { a.admit = nil })
					s, err := cl.Status()
					var end *providers.EndedError
					if s != want || !errors.As(err, &end) || end.Code != c.code {
						t.Fatalf("%v, %v; want %v", s, err, want)
					}
					r.add(t, "x")
					if want == providers.Stopped {
						if err := d.Saved(context.Background()); !errors.As(err, &end) {
							t.Errorf("Saved of a stopped client: %v", err)
						}
						time.Sleep(time.Hour)
						if s, _ := cl.Status(); s != providers.Stopped {
							t.Error("it goes on by itself")
						}
						if s, err := d.Status(); s != providers.Stopped || !errors.As(err, &end) || end.Code != c.code {
							t.Errorf("the document of a stopped client: %v, %v", s, err)
						}
						late, err := cl.Open(newReplica(t).rt, "late", nil)
						if err != nil {
							t.Fatal(err)
						}
						if s, err := late.Status(); s != providers.Stopped || !errors.As(err, &end) {
							t.Errorf("a document of a stopped client: %v, %v", s, err)
						}
						defer func() { within(t, time.Minute, "late is synced", late.Synced) }()
						cl.Reconnect()
						synctest.Wait()
					}
					within(t, time.Minute, "saved in the end", d.Saved)
				})
			})
		}
	}
}

func TestClientFetchesTokens(t *testing.T) {
	n := 0
	token := func(context.Context) ([]byte, error) {
		if n++; n == 2 {
			return nil, errors.New("the identity provider is away")
		}
		return fmt.Appendf(nil, "token %d", n), nil
	}
	withClient(t, providers.ClientOptions{Token: token}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() {
			a.admit = func(s string) error {
				if s == "token 5" {
					return &providers.EndedError{Code: providers.CodeUnauthenticated}
				}
				return nil
			}
		})
		for range 2 { // expires while it stands
			time.Sleep(5 * time.Second)
			synctest.Wait()
			a.end(providers.CodeUnauthenticated)
		}
		time.Sleep(10 * time.Second)
		a.end(providers.CodeGoingAway)
		time.Sleep(10 * time.Second)
		a.set(func() {
			if !slices.Equal(a.tokens, []string{"token 1", "token 3", "token 4", "token 5"}) {
				t.Errorf("%q", a.tokens)
			}
		})
		if s, err := c.Status(); s != providers.Stopped {
			t.Errorf("with a token that is refused: %v, %v", s, err)
		}
	})
	withClient(t, providers.ClientOptions{Token: func(context.Context) ([]byte, error) { return make([]byte, providers.MaxToken+1), nil }},
		func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
			time.Sleep(time.Second)
			if s, err := c.Status(); s != providers.Stopped {
				t.Errorf("with a token that is too long: %v, %v", s, err)
			}
		})
}

// half is a link that swallows what is sent from a moment on.
type half struct {
	providers.Link
	mu   sync.Mutex
	dead bool
}

func (h *half) Send(ctx context.Context, frame []byte) error {
	h.mu.Lock()
	dead := h.dead
	h.mu.Unlock()
	if dead {
		return nil
	}
	return h.Link.Send(ctx, frame)
}

func TestClientNoticesADeadServer(t *testing.T) {
	withClient(t, providers.ClientOptions{Heartbeat: 10 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		var links []*half
		a.set(func() {
			a.wrap = func(client, server providers.Link) (providers.Link, providers.Link) {
				l := &half{Link: client}
				links = append(links, l)
				x := &half{Link: server}
				links = append(links, x)
				return l, x
			}
		})
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		within(t, time.Second, "saved", d.Saved)
		a.set(func() {
			for _, l := range links {
				l.mu.Lock()
				l.dead = true
				l.mu.Unlock()
			}
		})
		r.add(t, "into the void")
		h.take()
		time.Sleep(15 * time.Second)
		if s, _ := c.Status(); s != providers.Online {
			t.Errorf("%v after 15 s", s)
		}
		time.Sleep(6 * time.Second)
		if got := h.take(); len(got) == 0 || got[0] != "offline 500ms" {
			t.Errorf("%q", got)
		}
		within(t, time.Second, "saved", d.Saved)
	})
}

func TestClientHelloIsNotAnswered(t *testing.T) {
	withClient(t, providers.ClientOptions{HelloAfter: 3 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.silent = true })
		time.Sleep(4 * time.Second)
		a.set(func() {
			if len(a.dials) != 2 {
				t.Errorf("%d dials in 4 s", len(a.dials))
			}
			a.silent = false
		})
		if got := h.take(); !slices.Contains(got, "offline 500ms") {
			t.Errorf("%q", got)
		}
		time.Sleep(10 * time.Second)
		if s, err := c.Status(); s != providers.Online {
			t.Errorf("%v, %v", s, err)
		}
	})
}

func TestClientIsSentGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		var wg sync.WaitGroup
		c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
			n.Add(1)
			client, server := mem.Pipe()
			wg.Go(func() {
				server.Send(context.Background(), []byte{0xff, 0x00})
				for _, err := server.Receive(context.Background()); err == nil; _, err = server.Receive(context.Background()) {
				}
				server.Close()
			})
			return client, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if s, err := c.Status(); s == providers.Stopped || n.Load() < 100 || n.Load() > 500 {
			t.Errorf("%v after %d connections in an hour: %v", s, n.Load(), err)
		}
		c.Close()
		wg.Wait()
	})
}

func TestClientCloses(t *testing.T) {
	t.Run("while it dials", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			d := openDocument(t, c, newReplica(t), "notes", nil)
			synctest.Wait()
			c.Close()
			if err := d.Synced(context.Background()); !errors.Is(err, providers.ErrClosed) {
				t.Error(err)
			}
			if _, err := c.Open(newReplica(t).rt, "other", nil); !errors.Is(err, providers.ErrClosed) {
				t.Error(err)
			}
			c.Close()
		})
	})
	t.Run("and the dial succeeds all the same", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var other providers.Link
			c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
				<-ctx.Done()
				a, b := mem.Pipe()
				other = b
				return a, nil
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			c.Close()
			if _, err := other.Receive(context.Background()); err == nil {
				t.Error("the link is not closed")
			}
		})
	})
	t.Run("while others wait", func(t *testing.T) {
		withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
			a.set(func() { a.store = nil; a.silent = true })
			d := openDocument(t, c, newReplica(t), "notes", nil)
			var wg sync.WaitGroup
			for _, wait := range []func(context.Context) error{d.Synced, d.Saved} {
				wg.Go(func() {
					if err := wait(context.Background()); !errors.Is(err, providers.ErrClosed) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			c.Close()
			wg.Wait()
		})
	})
	t.Run("at any moment", func(t *testing.T) {
		for i := range 200 {
			synctest.Test(t, func(t *testing.T) {
				a := newAcceptor(t)
				c, err := providers.NewClient(a.dial, nil)
				if err != nil {
					t.Fatal(err)
				}
				r := newReplica(t)
				d := openDocument(t, c, r, "notes", nil)
				var wg sync.WaitGroup
				wg.Go(func() {
					for range i % 20 {
						r.add(t, "x")
					}
					d.Saved(context.Background())
				})
				for range i {
					d.Status() // passes some time
				}
				c.Close()
				wg.Wait()
				a.close()
			})
		}
	})
}
