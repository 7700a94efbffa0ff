//go:build !js

package ws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

func TestScenario23LoadFails(t *testing.T) {
	store := &brokenStore{Store: mem.NewStore()}
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store; o.Limits.IdleAfter = 10 * time.Millisecond })
	a := join(t, url, peerOptions{token: "a"}).synced()
	a.insert("precious")
	a.saved()
	a.leave()
	eventually(t, "the document is unloaded", func() bool { return s.Stats().Documents == 0 })
	written := store.writes.Load()

	store.load.Store(&errStore)
	b := join(t, url, peerOptions{token: "b"})
	if code := b.refused(); code != providers.CodeUnavailable || !code.Transient() {
		t.Error(code)
	}
	b.insert("nothing of this may replace it")
	if s.Health() == nil {
		t.Error("the server says that it is well")
	}
	if r := get(t, s.HealthHandler()); r.Code != http.StatusServiceUnavailable || !strings.Contains(r.Body.String(), "store failed") || strings.Contains(r.Body.String(), errStore.Error()) {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if store.writes.Load() != written {
		t.Error("something was written")
	}
	store.load.Store(nil)
	b.leave()
	c := join(t, url, peerOptions{token: "c"}).synced()
	if c.String() != "precious" || s.Health() != nil {
		t.Errorf("%q, %v", c, s.Health())
	}
}

// TestScenario04StoreFull also stands for a store that has failed for good: scenario 3.
func TestScenario04StoreFull(t *testing.T) {
	for _, c := range []struct {
		err  error
		code providers.Code
	}{{providers.ErrStoreFull, providers.CodeStoreFull}, {providers.ErrStoreFailed, providers.CodeStoreFailed}} {
		t.Run(c.code.String(), func(t *testing.T) {
			store := &brokenStore{Store: mem.NewStore()}
			s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
			a := join(t, url, peerOptions{token: "a"}).synced()
			a.insert("kept")
			a.saved()
			store.write.Store(&c.err)
			a.insert("not kept, ")
			if code := a.refused(); code != c.code {
				t.Error(code)
			}
			if len(a.session.Unsaved()) == 0 {
				t.Error("what is not durable counts as saved")
			}
			if s.Health() == nil {
				t.Error("the server says that it is well")
			}
			b := join(t, url, peerOptions{token: "b"}).synced() // reads what is durable
			if b.String() != "kept" {
				t.Errorf("%q", b)
			}
			store.write.Store(nil)
			a.leave()
			a = join(t, url, peerOptions{token: "a", rt: a.rt}).synced()
			a.saved()
			equal(t, a, b)
			eventually(t, "the server is well", func() bool { return s.Health() == nil })
		})
	}
}

// poisoned is an object whose code panics.
type poisoned struct{ runtime.Object }

func (poisoned) Apply(*runtime.Op) error { panic("poison") }

func TestScenario24Poison(t *testing.T) {
	kinds := crdt.Kinds()
	for i := range kinds {
		if kinds[i].Name == "counter" {
			make := kinds[i].New
			kinds[i].New = func(n *runtime.Node) runtime.Object { return poisoned{make(n)} }
		}
	}
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) { o.Runtime.Kinds, o.Store = kinds, store })
	a := join(t, url, peerOptions{token: "a"}).synced()
	a.insert("good")
	a.saved()
	a.leave()
	there := join(t, url, peerOptions{token: "c"}).synced()
	bad := join(t, url, peerOptions{token: "b", document: "good doc"}).synced()
	for range 3 {
		rt, _ := newDocument(t)
		counter, err := crdt.NewCounter(rt, "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Transact(func(tx runtime.Tx) error { return counter.Add(tx, 1) }); err != nil {
			t.Fatal(err)
		}
		p := join(t, url, peerOptions{token: "poisoner", rt: rt})
		if code := p.refused(); code != providers.CodeInternal {
			t.Error(code)
		}
		p.leave()
	}
	eventually(t, "the document is in quarantine", func() bool { return len(s.Quarantined()) == 1 })
	for _, p := range []*peer{there, join(t, url, peerOptions{token: "a"})} {
		if code := p.refused(); code != providers.CodeUnavailable {
			t.Error(code)
		}
	}
	bad.insert("others live")
	bad.saved()
	s.Pardon("doc")
	eventually(t, "the document is open again", func() bool {
		p := join(t, url, peerOptions{token: "a"})
		defer p.leave()
		for {
			p.mu.Lock()
			for _, e := range p.events {
				switch e.(type) {
				case providers.Synced:
					p.mu.Unlock()
					return p.String() == "good"
				case providers.Refused:
					p.mu.Unlock()
					return false
				}
			}
			p.cond.Wait()
			p.mu.Unlock()
		}
	})
}

// TestScenario22JoinStorm has many open a large document at once: it is encoded once.
func TestScenario22JoinStorm(t *testing.T) {
	const joiners = 60
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Runtime.History.Off, o.Limits.BytesPerSecond, o.Runtime.Kinds = true, 64<<20, crdt.Kinds()
	})
	a := join(t, url, peerOptions{token: "a"}).synced()
	for range 20 {
		a.insert(random(50_000))
	}
	a.saved()
	before := s.Stats().Encodes
	var peers []*peer
	for i := range joiners {
		peers = append(peers, join(t, url, peerOptions{token: fmt.Sprint(i % 7)}))
	}
	for _, p := range peers {
		p.synced()
	}
	equal(t, append(peers, a)...)
	if n := s.Stats().Encodes - before; n != 1 {
		t.Errorf("%d encodes for %d joiners", n, joiners)
	}
	a.insert("and on")
	equal(t, append(peers, a)...)
}

// TestScenario20SlowConsumer has a peer stop to read while others go on; when it reads again it gets the rest.
func TestScenario20SlowConsumer(t *testing.T) {
	_, url := serve(t, func(o *ws.ServerOptions) {
		o.Limits.UpdatesPerSecond, o.Limits.BytesPerSecond, o.Limits.StalledAfter = 1000, 64<<20, 30*time.Second
	})
	link, err := ws.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	gate := &gatedLink{Link: link, open: make(chan struct{})}
	stopped := joinOver(t, gate, peerOptions{token: "stopped"}).synced()
	w, r := join(t, url, peerOptions{token: "w"}).synced(), join(t, url, peerOptions{token: "r"}).synced()
	gate.shut.Store(true)
	for range 150 {
		w.insert(random(20_000))
	}
	w.saved()
	equal(t, w, r) // nobody waits for the one that does not read
	if stopped.rt.Digest() == w.rt.Digest() {
		t.Fatal("the stopped peer reads")
	}
	close(gate.open)
	equal(t, w, stopped)
}

// TestR10CompactionWhileAway has the server compact while a client holds what it could not deliver.
func TestR10CompactionWhileAway(t *testing.T) {
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Store, o.Runtime.History.Messages, o.Limits.IdleAfter, o.Limits.UpdatesPerSecond = store, 50, 20*time.Millisecond, 10_000
		o.Limits.DocumentUpdatesPerSecond = 100_000
	})
	a := join(t, url, peerOptions{token: "a"}).synced()
	a.insert("begin ")
	a.saved()
	a.leave()
	a.insert("offline ")
	b := join(t, url, peerOptions{token: "b"}).synced()
	for i := range 5000 { // enough for the log to be compacted
		b.insert(string(rune('a' + i%26)))
		if i%500 == 0 {
			b.saved()
		}
	}
	b.saved()
	b.leave()
	eventually(t, "the document is unloaded", func() bool { return s.Stats().Documents == 0 })
	again := join(t, url, peerOptions{token: "a", rt: a.rt}).synced()
	again.saved()
	late := join(t, url, peerOptions{token: "c"}).synced()
	equal(t, again, late)
	if got := late.String(); !strings.Contains(got, "offline") || len(got) != 5000+14 {
		t.Errorf("%d characters", len(got))
	}
}

// TestR12DeadPeers finds silence on either side: the server's in a client, the client's in the server.
func TestR12DeadPeers(t *testing.T) {
	t.Parallel() // it waits
	s, url := serve(t, func(o *ws.ServerOptions) { o.Limits.Heartbeat = time.Second })
	alive := join(t, url, peerOptions{token: "alive"}).synced()
	dead := dialRaw(t, url).hello("dead")
	dead.await(providers.FrameHello)
	if code := dead.closed(); code != closeCode(providers.CodeTimeout) {
		t.Error(code)
	}
	select {
	case <-alive.done:
		t.Error("a living peer was dropped")
	default:
	}
	if n := s.Stats().Ends[providers.CodeTimeout]; n != 1 {
		t.Errorf("%d timeouts", n)
	}
	alive.leave()

	// A link that swallows what the server sends: the client notices by itself.
	_, url = serve(t, nil)
	link, err := ws.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	gate := &gatedLink{Link: link, open: make(chan struct{})}
	p := joinOver(t, gate, peerOptions{token: "a", mux: providers.MuxOptions{Heartbeat: 500 * time.Millisecond}}).synced()
	gate.shut.Store(true)
	if code := p.ended(); code != providers.CodeTimeout {
		t.Error(code)
	}
	close(gate.open)
}

func get(t testing.TB, h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w
}

func TestMetrics(t *testing.T) {
	s, url := serve(t, nil)
	p := join(t, url, peerOptions{token: "a", document: "secret name"}).synced()
	p.insert("x")
	p.saved()
	join(t, url, peerOptions{}).ended()
	r := get(t, s.MetricsHandler())
	if ct := r.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/plain; version=0.0.4") {
		t.Error(ct)
	}
	text := r.Body.String()
	for _, want := range []string{"\nweft_documents 1\n", "\nweft_updates_received_total ", "\nweft_stored_records_total 1\n", "# TYPE weft_connections gauge\n",
		`weft_connections_ended_total{code="UNAUTHENTICATED"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "secret") {
		t.Error("a name is among the metrics")
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); !strings.HasPrefix(line, "# ") && len(f) != 2 {
			t.Errorf("line %q", line)
		}
	}
	if r := get(t, s.HealthHandler()); r.Code != http.StatusOK || r.Body.String() != "ok\n" {
		t.Error(r)
	}
	s.Close()
	if r := get(t, s.HealthHandler()); r.Code != http.StatusServiceUnavailable || r.Body.String() != "shutting down\n" {
		t.Error(r)
	}
}

// TestCodesOfPeersAreBounded: each code that a peer may make up would be a line of metrics.
func TestCodesOfPeersAreBounded(t *testing.T) {
	s, url := serve(t, nil)
	for code := range 100 {
		dialRaw(t, url).frame(2, 0, 10_000+code, "")
	}
	eventually(t, "all have ended", func() bool {
		n := int64(0)
		for _, k := range s.Stats().Ends {
			n += k
		}
		return n == 100
	})
	if n := len(s.Stats().Ends); n > 65 {
		t.Errorf("%d codes", n)
	}
}

func TestCloseIsQuickAndKeepsAll(t *testing.T) {
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	dialRaw(t, url).hello("a").await(providers.FrameHello) // does not answer any goodbye
	p := join(t, url, peerOptions{token: "b"}).synced()
	p.insert("kept")
	p.saved()
	began := time.Now()
	s.Close()
	if d := time.Since(began); d > 2*time.Second {
		t.Error(d)
	}
	_, url = serve(t, func(o *ws.ServerOptions) { o.Store = store })
	if got := join(t, url, peerOptions{token: "c"}).synced().String(); got != "kept" {
		t.Errorf("%q", got)
	}
}

func TestWithoutStoreNothingIsDurable(t *testing.T) {
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = nil; o.Limits.IdleAfter = 10 * time.Millisecond })
	p := join(t, url, peerOptions{token: "a"}).synced()
	if l := await[providers.Opened](p, nil).Level; l != providers.Received {
		t.Error(l)
	}
	p.insert("here")
	p.saved()
	p.leave()
	eventually(t, "the document is unloaded", func() bool { return s.Stats().Unloads == 1 })
	if got := join(t, url, peerOptions{token: "b"}).synced().String(); got != "here" {
		t.Errorf("%q", got)
	}
}

func TestServerOptions(t *testing.T) {
	for i, o := range []*ws.ServerOptions{
		nil, {}, {Authenticate: ws.Anyone}, {Authenticate: ws.Anyone, Authorize: ws.AllowAll, WriteEvery: -1},
		{Authenticate: ws.Anyone, Authorize: ws.AllowAll, Runtime: runtime.Options{Replica: uuid.New()}},
	} {
		if _, err := ws.NewServer(o); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// gatedLink stops to receive when it is shut, until open is closed.
type gatedLink struct {
	providers.Link
	shut atomic.Bool
	open chan struct{}
}

func (g *gatedLink) Receive(ctx context.Context) ([]byte, error) {
	if g.shut.Load() {
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f, err := g.Link.Receive(ctx)
	if g.shut.Load() {
		select {
		case <-g.open:
		case <-ctx.Done():
		}
	}
	return f, err
}

// gatedStore holds appends back while its gate is closed.
type gatedStore struct {
	providers.Store
	gate sync.RWMutex
}

func (s *gatedStore) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.Store.Append(ctx, records)
}

// TestOpeningWhileUnloading joins a document that is about to go: it comes back with all that was in it, and is kept.
func TestOpeningWhileUnloading(t *testing.T) {
	store := &gatedStore{Store: mem.NewStore()}
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store; o.Limits.IdleAfter = 10 * time.Millisecond })
	a := join(t, url, peerOptions{token: "a"}).synced()
	store.gate.Lock()
	a.insert("first ")
	eventually(t, "the update has come", func() bool { return s.Stats().UpdatesIn > 0 })
	a.leave()
	eventually(t, "the document is being unloaded", func() bool { return s.Retiring() == 1 })
	b := join(t, url, peerOptions{token: "b"})
	eventually(t, "it is asked for again", func() bool { return s.Stats().Opens == 2 })
	time.Sleep(20 * time.Millisecond) // what is wrong now would show; the test does not depend on it
	store.gate.Unlock()
	b.synced()
	b.insert("second ")
	b.saved()
	b.leave()
	if got := join(t, url, peerOptions{token: "c"}).synced().String(); got != "second first " && got != "first second " {
		t.Errorf("%q", got)
	}
}
