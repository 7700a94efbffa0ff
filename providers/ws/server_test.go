//go:build !js

package ws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// serve starts a server on a socket, with options that fn has changed. By default the token is the principal's ID, and
// everybody may write everything.
func serve(t testing.TB, fn func(o *ws.ServerOptions)) (s *ws.Server, url string) {
	t.Helper()
	o := &ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: mem.NewStore()}
	if fn != nil {
		fn(o)
	}
	if o.Limits.SocketBytes == 0 {
		o.Limits.SocketBytes = 64 << 10 // so that a peer that does not read is soon found out
	}
	s, err := ws.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		h.Close()
	})
	return s, "ws" + strings.TrimPrefix(h.URL, "http")
}

func byToken(_ context.Context, _ *http.Request, token []byte) (ws.Principal, error) {
	if len(token) == 0 {
		return ws.Principal{}, errors.New("no token")
	}
	return ws.Principal{ID: string(token)}, nil
}

// peer is a client with one document, built on a link, so that tests see each event.
type peer struct {
	t    testing.TB
	rt   *runtime.Runtime
	text crdt.Text
	conn *providers.Conn
	stop context.CancelFunc
	done chan struct{}
	err  error // after done

	mu      sync.Mutex
	cond    *sync.Cond
	events  []providers.Event
	session *providers.Session
}

type peerOptions struct {
	token    string
	document string
	rt       *runtime.Runtime
	options  providers.Options
	mux      providers.MuxOptions
	dial     *ws.DialOptions
	plain    bool // do not follow the document's log
}

var joined atomic.Int64

func newDocument(t testing.TB) (*runtime.Runtime, crdt.Text) {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	return rt, text
}

func join(t testing.TB, url string, o peerOptions) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	link, err := ws.Dial(ctx, url, o.dial)
	if err != nil {
		t.Fatal(err)
	}
	return joinOver(t, link, o)
}

func joinOver(t testing.TB, link providers.Link, o peerOptions) *peer {
	t.Helper()
	p := &peer{t: t, rt: o.rt, done: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	var err error
	if p.rt == nil {
		p.rt, p.text = newDocument(t)
	} else if p.text, err = crdt.NewText(p.rt, "text"); err != nil {
		t.Fatal(err)
	}
	if o.document == "" {
		o.document = "doc"
	}
	o.mux.Token = []byte(o.token)
	if joined.Add(1)%2 == 0 && !o.plain { // every other one follows the document's log
		o.options.Follow = &providers.Follower{}
	}
	p.conn, err = providers.NewConn(link, &providers.ConnOptions{Mux: o.mux, Handle: func(c *providers.Conn, e providers.Event) {
		if _, ok := e.(providers.Admitted); ok {
			c.Do(func(m *providers.Mux) {
				s, err := m.Open(p.rt, o.document, &o.options)
				if err != nil {
					t.Error(err)
				}
				p.mu.Lock()
				p.session = s
				p.mu.Unlock()
			})
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		p.mu.Unlock()
		p.cond.Broadcast()
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() {
		defer close(p.done)
		p.err = p.conn.Run(ctx)
		p.cond.Broadcast()
	}()
	t.Cleanup(p.leave)
	return p
}

func (p *peer) leave() {
	p.stop()
	<-p.done
}

// await returns the first event of a type that fn takes.
func await[E providers.Event](p *peer, fn func(E) bool) E {
	p.t.Helper()
	late := time.AfterFunc(patience, func() {
		p.mu.Lock()
		p.events = append(p.events, nil)
		p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; ; i++ {
		for i >= len(p.events) {
			p.cond.Wait()
		}
		if p.events[i] == nil {
			p.t.Fatalf("no %T; there were %v", *new(E), p.events)
		}
		if e, ok := p.events[i].(E); ok && (fn == nil || fn(e)) {
			return e
		}
	}
}

func (p *peer) synced() *peer {
	p.t.Helper()
	await[providers.Synced](p, nil)
	return p
}

// ended waits for the end of the connection and returns its code.
func (p *peer) ended() providers.Code {
	p.t.Helper()
	return await[providers.Ended](p, nil).Err.Code
}

// refused waits until the server refuses the document.
func (p *peer) refused() providers.Code {
	p.t.Helper()
	return await[providers.Refused](p, nil).Code
}

func (p *peer) insert(s string) {
	p.t.Helper()
	if err := p.rt.Transact(func(tx runtime.Tx) error { return p.text.Insert(tx, 0, s) }); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) String() string { return runtime.Read(p.rt, p.text.String) }

// saved waits until the server has acknowledged all of the document.
func (p *peer) saved() {
	p.t.Helper()
	eventually(p.t, "all is saved", func() bool {
		p.mu.Lock()
		s := p.session
		p.mu.Unlock()
		return s != nil && len(s.Unsaved()) == 0
	})
}

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !fn(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func equal(t testing.TB, peers ...*peer) {
	t.Helper()
	eventually(t, "all are equal", func() bool {
		return !slices.ContainsFunc(peers, func(p *peer) bool { return p.rt.Digest() != peers[0].rt.Digest() })
	})
}

func TestServerRelaysAndKeeps(t *testing.T) {
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store; o.Limits.IdleAfter = 20 * time.Millisecond })
	a, b := join(t, url, peerOptions{token: "a"}).synced(), join(t, url, peerOptions{token: "b"}).synced()
	a.insert("hello ")
	b.insert("world ")
	equal(t, a, b)
	a.saved()
	if l := await[providers.Opened](a, nil).Level; l != providers.Durable {
		t.Errorf("acknowledgements are worth %v", l)
	}
	b.saved()
	a.leave()
	b.leave()
	eventually(t, "the document is unloaded", func() bool { return s.Stats().Unloads == 1 })
	c := join(t, url, peerOptions{token: "c"}).synced()
	if got := c.String(); got != a.String() || len(got) != 12 {
		t.Errorf("after loading it again: %q, was %q", got, a)
	}
}

func TestServerOverTLS(t *testing.T) {
	s, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewTLSServer(s)
	defer h.Close()
	defer s.Close()
	p := join(t, "wss"+strings.TrimPrefix(h.URL, "https"), peerOptions{token: "a", dial: &ws.DialOptions{HTTPClient: h.Client()}}).synced()
	p.insert("hello")
	p.saved()
}

func TestShutdownLosesNothing(t *testing.T) {
	store := mem.NewStore()
	o := &ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: store}
	s, err := ws.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	url := "ws" + strings.TrimPrefix(h.URL, "http")
	var peers []*peer
	for i := range 8 {
		peers = append(peers, join(t, url, peerOptions{token: fmt.Sprint(i), document: fmt.Sprint("doc", i%3)}).synced())
	}
	for i, p := range peers {
		for n := range 20 {
			p.insert(fmt.Sprintf("<%d %d>", i, n))
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Close()
	for _, p := range peers {
		if code := p.ended(); code != providers.CodeGoingAway {
			t.Errorf("ended with %v", code)
		}
	}
	if _, err := ws.Dial(t.Context(), url, nil); err == nil {
		t.Error("a connection after Shutdown")
	}
	// What a peer knows to be saved is there.
	for i, p := range peers {
		rt, _ := newDocument(t)
		k, err := providers.Keep(t.Context(), rt, store, fmt.Sprint("doc", i%3), nil)
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		for _, u := range p.session.Unsaved() {
			if u.Replica == p.rt.Replica() && u.Start > rt.Clock().Get(u.Replica) {
				t.Errorf("peer %d: dots below %d are saved, stored are %d", i, u.Start, rt.Clock().Get(u.Replica))
			}
		}
	}
}
