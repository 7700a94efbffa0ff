//go:build !js

package ws_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
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

// TestLimits hits each limit of the table.
func TestLimits(t *testing.T) {
	for line := range strings.Lines(ws.Limits{}.Table()) {
		name := strings.Fields(line)[0]
		test := limitTests[name]
		if test == nil {
			t.Errorf("no test hits limit %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func with(l ws.Limits) func(*ws.ServerOptions) {
	return func(o *ws.ServerOptions) { o.Limits = l }
}

var limitTests = map[string]func(*testing.T){
	"Connections": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{Connections: 1}))
		dialRaw(t, url)
		if _, r := tryRaw(t, url); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Error(r.Status)
		}
	},
	"ConnectionsPerAddress": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{ConnectionsPerAddress: 1}))
		first := dialRaw(t, url)
		if _, r := tryRaw(t, url); r.StatusCode != http.StatusTooManyRequests {
			t.Error(r.Status)
		}
		first.Close()
		eventually(t, "there is room again", func() bool {
			_, r := tryRaw(t, url)
			return r.StatusCode == http.StatusSwitchingProtocols
		})
	},
	"ConnectionsPerPrincipal": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{ConnectionsPerPrincipal: 1}))
		join(t, url, peerOptions{token: "a"}).synced()
		if code := join(t, url, peerOptions{token: "a"}).ended(); code != providers.CodeTooMany {
			t.Error(code)
		}
		join(t, url, peerOptions{token: "b"}).synced()
	},
	"ConnectionsPerDocument": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{ConnectionsPerDocument: 1}))
		join(t, url, peerOptions{token: "a"}).synced()
		if code := join(t, url, peerOptions{token: "b"}).refused(); code != providers.CodeTooMany {
			t.Error(code)
		}
		join(t, url, peerOptions{token: "b", document: "other"}).synced()
	},
	"Documents": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{Documents: 1}))
		p := join(t, url, peerOptions{token: "a"}).synced()
		other, _ := newDocument(t)
		p.conn.Do(func(m *providers.Mux) { m.Open(other, "other", nil) })
		if code := p.refused(); code != providers.CodeTooMany {
			t.Error(code)
		}
	},
	"OpensPerMinute": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{OpensPerMinute: 1}))
		p := join(t, url, peerOptions{token: "a"}).synced()
		other, _ := newDocument(t)
		p.conn.Do(func(m *providers.Mux) { m.Open(other, "other", nil) })
		if code := p.refused(); code != providers.CodeRate {
			t.Error(code)
		}
	},
	"FailuresPerMinute": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{FailuresPerMinute: 1}))
		if code := dialRaw(t, url).hello("").closed(); code != closeCode(providers.CodeUnauthenticated) {
			t.Error(code)
		}
		if _, r := tryRaw(t, url); r.StatusCode != http.StatusTooManyRequests {
			t.Error(r.Status)
		}
	},
	"HelloAfter": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{HelloAfter: 50 * time.Millisecond}))
		if code := dialRaw(t, url).closed(); code != closeCode(providers.CodeTimeout) {
			t.Error(code)
		}
	},
	"Heartbeat": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{Heartbeat: 300 * time.Millisecond}))
		r := dialRaw(t, url).hello("a")
		r.await(providers.FramePing)
		if code := r.closed(); code != closeCode(providers.CodeTimeout) {
			t.Error(code)
		}
	},
	"FrameAfter": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{FrameAfter: 50 * time.Millisecond}))
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		r.Write(head(final|opBinary, 100)) // and nothing of it
		r.closed()
		eventually(t, "it is gone", func() bool { return s.Stats().Connections == 0 })
	},
	"WriteAfter": func(t *testing.T) {
		stall(t, ws.Limits{WriteAfter: 20 * time.Millisecond, StalledAfter: 200 * time.Millisecond})
	},
	"StalledAfter": func(t *testing.T) { stall(t, ws.Limits{StalledAfter: 100 * time.Millisecond}) },
	"UpdatesPerSecond": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{UpdatesPerSecond: 1}))
		tooFast(t, url)
	},
	"DocumentUpdatesPerSecond": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{DocumentUpdatesPerSecond: 1}))
		tooFast(t, url)
	},
	"Pause": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{UpdatesPerSecond: 20, Pause: 10 * time.Second}))
		p := join(t, url, peerOptions{token: "a"}).synced()
		p.insert("x")
		p.saved() // the backlog is through
		for range 90 {
			p.insert("x")
		}
		p.saved()
		if s.Stats().Pauses == 0 {
			t.Error("no pause")
		}
	},
	"BytesPerSecond": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{BytesPerSecond: 1000}))
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		began := time.Now()
		r.frame(200, 0, make([]byte, 4400)) // a type that is skipped
		r.frame(3, 0, 1)
		r.await(providers.FramePong)
		if d := time.Since(began); d < 300*time.Millisecond || s.Stats().Pauses == 0 {
			t.Errorf("4,400 bytes passed in %v", d)
		}
	},
	"FramesPerSecond": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{FramesPerSecond: 10}))
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		for i := range 44 {
			r.frame(3, 0, i)
		}
		for f := r.await(providers.FramePong); f[2] != uint64(43); {
			f = r.await(providers.FramePong)
		}
		if s.Stats().Pauses == 0 {
			t.Error("no pause")
		}
	},
	"PingsPerSecond": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{PingsPerSecond: 1}))
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		for range 10 {
			r.Write(head(final|opPing, 0))
		}
		if code := r.closed(); code != closeCode(providers.CodeRate) {
			t.Error(code)
		}
	},
	"UpdateBytes": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{UpdateBytes: 1000}))
		p := join(t, url, peerOptions{token: "a"}).synced()
		p.insert(strings.Repeat("x", 2000))
		if code := p.refused(); code != providers.CodeUpdateTooBig {
			t.Error(code)
		}
	},
	"TransferBytes": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{TransferBytes: 70_000}))
		p := join(t, url, peerOptions{token: "a"}).synced()
		p.insert(strings.Repeat("x", 100_000))
		if code := p.refused(); code != providers.CodeTooBig {
			t.Error(code)
		}
	},
	"DocumentBytes": testQuota,
	"DocumentReplicas": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{DocumentReplicas: 2}))
		a, b := join(t, url, peerOptions{token: "a"}).synced(), join(t, url, peerOptions{token: "b"}).synced()
		a.insert("a")
		b.insert("b")
		equal(t, a, b)
		c := join(t, url, peerOptions{token: "c"}).synced()
		c.insert("c")
		if code := c.refused(); code != providers.CodeQuota {
			t.Error(code)
		}
		a.insert("more")
		equal(t, a, b)
		delta, err := c.rt.SaveSince(a.rt.Clock())
		if err != nil {
			t.Fatal(err)
		}
		r := dialRaw(t, url).hello("d")
		r.await(providers.FrameHello)
		r.open(1, "doc", uuid.New())
		r.transfer(delta)
		if f := r.await(providers.FrameRefuse); f[2] != uint64(providers.CodeQuota) {
			t.Errorf("a delta: %v", f)
		}
	},
	"Waiting":       func(t *testing.T) { gaps(t, ws.Limits{Waiting: 10}) },
	"WaitingOrigin": func(t *testing.T) { gaps(t, ws.Limits{WaitingOrigin: 10}) },
	"WaitingBytes":  func(t *testing.T) { gaps(t, ws.Limits{WaitingBytes: 500}) },
	"QueueBytes":    func(t *testing.T) { slow(t, ws.Limits{QueueBytes: 10_000}) },
	"QueueMessages": func(t *testing.T) { slow(t, ws.Limits{QueueMessages: 2}) },
	"SocketBytes": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{SocketBytes: 16 << 10, StalledAfter: 200 * time.Millisecond, BytesPerSecond: 64 << 20}))
		w := join(t, url, peerOptions{token: "writer"}).synced()
		for range 16 {
			w.insert(random(512 << 10))
		}
		w.saved()
		before := s.Stats().BytesOut
		r := dialRaw(t, url).hello("a") // which takes 64 KiB, or twice that
		r.await(providers.FrameHello)
		id := uuid.New()
		r.frame(5, 1, []byte("doc"), map[int]any{1: id[:], 2: []byte{0}, 6: 1 << 30})
		eventually(t, "it is found out", func() bool { return s.Stats().Stalled == 1 })
		if n := s.Stats().BytesOut - before; n > 512<<10 {
			t.Errorf("%d bytes are on their way to a peer that does not read", n)
		}
	},
	"PresenceBytes": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{PresenceBytes: 10}))
		id := uuid.New()
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		r.open(1, "doc", id)
		r.frame(20, 1, [][]any{{id[:], 1, 30_000, []byte("more than ten bytes"), nil}})
		eventually(t, "it is dropped", func() bool { return s.Stats().PresenceDropped == 1 })
	},
	"PresencePerSecond": func(t *testing.T) {
		_, url := serve(t, with(ws.Limits{PresencePerSecond: 2}))
		shown := make(chan providers.Presence, 1000)
		watch(t, url, shown)
		id := uuid.New()
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		r.open(1, "doc", id)
		began := time.Now()
		for i := range 12 {
			r.frame(20, 1, [][]any{{id[:], i + 1, 30_000, []byte{byte(i)}, nil}})
			time.Sleep(55 * time.Millisecond) // what comes within 50 ms goes out as one anyway
		}
		n := 0
		for p := range shown {
			if n++; p.Value[0] == 11 {
				break
			}
		}
		if d := time.Since(began); n > 2+int(d/(500*time.Millisecond)) {
			t.Errorf("%d values in %v", n, d)
		}
	},
	"PresenceEntries": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{PresenceEntries: 1}))
		for i := range 2 {
			id := uuid.New()
			r := dialRaw(t, url).hello(fmt.Sprint(i))
			r.await(providers.FrameHello)
			r.open(1, "doc", id)
			r.frame(20, 1, [][]any{{id[:], 1, 30_000, []byte("x"), nil}})
		}
		eventually(t, "the second is dropped", func() bool { return s.Stats().PresenceDropped == 1 })
	},
	"Loads": func(t *testing.T) {
		store := &slowStore{Store: mem.NewStore(), go_: make(chan struct{})}
		_, url := serve(t, func(o *ws.ServerOptions) { o.Store = store; o.Limits.Loads = 2 })
		var peers []*peer
		for i := range 6 {
			peers = append(peers, join(t, url, peerOptions{token: "a", document: fmt.Sprint(i)}))
		}
		eventually(t, "two are loading", func() bool { return store.now.Load() == 2 })
		close(store.go_)
		for _, p := range peers {
			p.synced()
		}
		if n := store.most.Load(); n != 2 {
			t.Errorf("%d loads at a time", n)
		}
	},
	"IdleAfter": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{IdleAfter: 30 * time.Millisecond}))
		join(t, url, peerOptions{token: "a"}).synced().leave()
		eventually(t, "the document is unloaded", func() bool { return s.Stats().Documents == 0 && s.Stats().Unloads == 1 })
	},
	"MemoryBytes": func(t *testing.T) {
		s, url := serve(t, with(ws.Limits{MemoryBytes: 1, IdleAfter: 40 * time.Millisecond}))
		eventually(t, "the server notices", func() bool { return s.Health() != nil })
		if _, r := tryRaw(t, url); r.StatusCode != http.StatusServiceUnavailable {
			t.Error(r.Status)
		}
	},
}

// slowStore does not load before it is told to, and counts.
type slowStore struct {
	providers.Store
	go_       chan struct{}
	now, most atomic.Int32
	mu        sync.Mutex
}

func (s *slowStore) Load(ctx context.Context, document string) (*providers.Stored, error) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	s.mu.Lock()
	s.most.Store(max(s.most.Load(), n))
	s.mu.Unlock()
	select {
	case <-s.go_:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.Load(ctx, document)
}

func tooFast(t *testing.T, url string) {
	p := join(t, url, peerOptions{token: "a"}).synced()
	p.insert("x")
	p.saved()
	for range 20 {
		p.insert("x")
	}
	if code := p.refused(); code != providers.CodeRate {
		t.Error(code)
	}
	if len(p.session.Unsaved()) == 0 {
		t.Error("what was refused counts as saved")
	}
}

// stall fills the socket of a client that does not read.
func stall(t *testing.T, l ws.Limits) {
	l.UpdatesPerSecond, l.BytesPerSecond = 1000, 64<<20
	s, url := serve(t, with(l))
	r := dialRaw(t, url).hello("reader")
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	p := join(t, url, peerOptions{token: "writer"}).synced()
	r.frame(16, 1, 1<<25) // credit for what comes in chunks
	for range 100 {       // more than the buffers of the sockets hold
		p.insert(random(30_000))
	}
	eventually(t, "the reader is dropped", func() bool { return s.Stats().Stalled == 1 })
}

// slow is a client that pauses: what waits for it is dropped, and it gets the rest at one go.
func slow(t *testing.T, l ws.Limits) {
	l.UpdatesPerSecond = 1000
	_, url := serve(t, with(l))
	w := join(t, url, peerOptions{token: "writer"}).synced()
	p := join(t, url, peerOptions{token: "reader"}).synced()
	for range 100 {
		w.insert(strings.Repeat("x", 200))
	}
	w.saved()
	equal(t, w, p)
}

// gaps sends messages that lack what they depend on. They are bounded, others are served, and once what was lacking
// comes all are there.
func gaps(t *testing.T, l ws.Limits) {
	l.UpdatesPerSecond = 10_000
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) { o.Limits, o.Store = l, store })
	author, text := newDocument(t)
	for i := range 60 {
		if err := author.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, fmt.Sprint(i)) }); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := author.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := dialRaw(t, url).hello("hostile")
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	for _, m := range messages[1:] {
		var packer runtime.Packer
		b, err := packer.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		r.frame(12, 1, b)
	}
	r.await(providers.FrameClock) // asked for what is missing
	p := join(t, url, peerOptions{token: "honest"}).synced()
	if p.rt.Clock().Get(author.Replica()) != 0 || p.rt.Waiting() != 0 {
		t.Error("what waits was relayed")
	}
	if stored, err := store.Load(t.Context(), "doc"); err != nil || len(stored.Records) > 0 {
		t.Errorf("what waits was stored: %d records, %v", len(stored.Records), err)
	}
	p.insert("honest")
	p.saved()
	r.frame(12, 1, pack(t, messages[0]))
	r.frame(3, 0, 1)
	r.await(providers.FramePong)
	all := author.Clock().Get(author.Replica())
	if n := join(t, url, peerOptions{token: "another"}).synced().rt.Clock().Get(author.Replica()); n == 0 || n > all/2 {
		t.Errorf("%d dots of %d had waited", n, all)
	}
	a := join(t, url, peerOptions{token: "author", rt: author}).synced()
	equal(t, a, p)
	if s.Stats().Panics > 0 {
		t.Error("panics")
	}
}

// random returns n characters that compress to no less than half.
func random(n int) string {
	b := make([]byte, (n+1)/2)
	rand.Read(b)
	return hex.EncodeToString(b)[:n]
}

func testQuota(t *testing.T) {
	_, url := serve(t, func(o *ws.ServerOptions) {
		o.Limits.DocumentBytes, o.Limits.UpdatesPerSecond, o.Runtime.Kinds = 4000, 1000, crdt.Kinds()
	})
	p := join(t, url, peerOptions{token: "a"}).synced()
	p.insert(random(3000))
	p.saved()
	p.insert(random(5000))
	if code := p.refused(); code != providers.CodeQuota && code != providers.CodeRate {
		t.Fatal(code)
	}
	p.leave()

	// Another replica still reads, deletes, and then writes again.
	q := join(t, url, peerOptions{token: "b"}).synced()
	if n := len(q.String()); n != 3000 {
		t.Fatalf("%d characters", n)
	}
	for _, n := range []int{400, 100, 20, 1} { // up to a tenth more than the quota, until not even a deletion fits
		for range 100 {
			q.insert(random(n))
		}
		if code := q.refused(); code != providers.CodeQuota && code != providers.CodeRate {
			t.Fatal(code)
		}
		q.leave()
		q = join(t, url, peerOptions{token: "b"}).synced()
	}
	q.leave()
	d := join(t, url, peerOptions{token: "c"}).synced()
	if err := d.rt.Transact(func(tx runtime.Tx) error { return d.text.Delete(tx, 0, d.text.Len(tx)) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion is taken", func() bool { // RATE may come first
		p := join(t, url, peerOptions{token: "c", rt: d.rt}).synced()
		defer p.leave()
		for range 100 {
			if len(p.session.Unsaved()) == 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	})
	eventually(t, "there is room again", func() bool {
		e := join(t, url, peerOptions{token: "d"}).synced()
		defer e.leave()
		e.insert(random(1000))
		for range 100 {
			if len(e.session.Unsaved()) == 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	})
}

// watch joins a document and passes on the presence that it sees.
func watch(t testing.TB, url string, to chan<- providers.Presence) *peer {
	rt, _ := newDocument(t)
	e, err := providers.NewEphemeral(&providers.EphemeralOptions{Own: rt.Replica()})
	if err != nil {
		t.Fatal(err)
	}
	e.OnPresence(func(p providers.Presence) { to <- p })
	return join(t, url, peerOptions{token: "watcher", rt: rt, options: providers.Options{Ephemeral: e}}).synced()
}

// TestLoweredLimits serves a document that has outgrown limits which were greater before: it can be read.
func TestLoweredLimits(t *testing.T) {
	store := mem.NewStore()
	before, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	a, b := join(t, url, peerOptions{token: "a"}).synced(), join(t, url, peerOptions{token: "b"}).synced()
	a.insert("a")
	b.insert(random(3000))
	equal(t, a, b)
	b.saved()
	want, both := b.String(), a.rt
	a.leave()
	before.Close()
	_, url = serve(t, func(o *ws.ServerOptions) {
		o.Store, o.Limits = store, ws.Limits{DocumentReplicas: 1, UpdateBytes: 1000, DocumentBytes: 1000, TransferBytes: 2000}
	})
	a = join(t, url, peerOptions{token: "a", rt: both}).synced()
	c := join(t, url, peerOptions{token: "c"}).synced()
	if c.String() != want {
		t.Errorf("%d characters, want %d", len(c.String()), len(want))
	}
	a.leave()
	c.insert("c")
	if code := c.refused(); code != providers.CodeQuota {
		t.Error(code)
	}
}

func TestLimitsAreValidated(t *testing.T) {
	for _, l := range []ws.Limits{{Connections: -1}, {HelloAfter: -1}, {PresenceBytes: 5000}} {
		if _, err := ws.NewServer(&ws.ServerOptions{Authenticate: ws.Anyone, Authorize: ws.AllowAll, Limits: l}); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if !strings.Contains(ws.Limits{Documents: 7}.Table(), "Documents                 7 documents") {
		t.Error(ws.Limits{Documents: 7}.Table())
	}
}
