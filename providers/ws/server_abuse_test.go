//go:build !js

package ws_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

func TestS03NoCompression(t *testing.T) {
	_, url := serve(t, nil)
	r, response := tryRaw(t, url, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	if got := response.Header.Get("Sec-WebSocket-Extensions"); response.StatusCode != http.StatusSwitchingProtocols || got != "" {
		t.Fatalf("%s, extensions %q", response.Status, got)
	}
	r.Write(append(head(final|0x40|opBinary, 4), 0, 0, 0, 0)) // RSV1: compressed
	if code := r.closed(); code != 1002 {
		t.Error(code)
	}
}

// honest checks that a server serves others.
func honest(t *testing.T, url string) {
	t.Helper()
	p := join(t, url, peerOptions{token: "honest", document: "another"}).synced()
	p.insert("hello")
	p.saved()
	p.leave()
}

func TestS04Frames(t *testing.T) {
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Limits.FrameAfter, o.Limits.HelloAfter, o.Limits.PingsPerSecond = 200*time.Millisecond, 300*time.Millisecond, 5
	})
	for name, abuse := range map[string]func(r *rawClient){
		"2^63 bytes":     func(r *rawClient) { r.Write(head(final|opBinary, 1<<63)) },
		"2^62 bytes":     func(r *rawClient) { r.Write(append(head(final|opBinary, 1<<62), make([]byte, 20_000)...)) },
		"not masked":     func(r *rawClient) { r.Write([]byte{final | opBinary, 1, 0}) },
		"text":           func(r *rawClient) { r.Write(append(head(final|opText, 2), "hi"...)) },
		"unknown opcode": func(r *rawClient) { r.Write(head(final|0x3, 0)) },
		"no beginning":   func(r *rawClient) { r.Write(head(final|opContinue, 0)) },
		"long ping":      func(r *rawClient) { r.Write(append(head(final|opPing, 126), make([]byte, 126)...)) },
		"ping in parts":  func(r *rawClient) { r.Write(head(opPing, 0)) },
		"fragments of a byte": func(r *rawClient) {
			r.Write(append(head(opBinary, 1), 0x85))
			for range 9_000 {
				if _, err := r.Write(append(head(opContinue, 1), 0)); err != nil {
					return
				}
			}
		},
		"empty fragments": func(r *rawClient) {
			r.Write(head(opBinary, 0))
			for {
				if _, err := r.Write(bytes.Repeat(head(opContinue, 0), 100)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		},
		"pings without end": func(r *rawClient) {
			for {
				if _, err := r.Write(bytes.Repeat(head(final|opPing, 0), 100)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		},
		"pongs without end": func(r *rawClient) {
			for {
				if _, err := r.Write(bytes.Repeat(head(final|opPong, 0), 100)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		},
		"a close frame of one byte": func(r *rawClient) { r.Write(append(head(final|opClose, 1), 3)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := dialRaw(t, url)
			var wg sync.WaitGroup
			wg.Go(func() { abuse(r) })
			r.closed()
			r.Close()
			wg.Wait()
			honest(t, url)
		})
	}
	t.Cleanup(func() {
		if n := s.Stats().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestScenario09Bombs sends counts, lengths and updates that promise more than they hold.
func TestScenario09Bombs(t *testing.T) {
	s, url := serve(t, nil)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for name, c := range map[string]struct {
		send func(r *rawClient)
		want []providers.Code
	}{
		"array of 2^60":         {func(r *rawClient) { r.message([]byte{0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0, 11, 1}) }, []providers.Code{providers.CodeMalformed}},
		"bytes of 2^60":         {func(r *rawClient) { r.message([]byte{0x83, 11, 1, 0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0}) }, []providers.Code{providers.CodeMalformed}},
		"no update":             {func(r *rawClient) { r.frame(12, 1, []byte{}) }, nil},
		"packed nonsense":       {func(r *rawClient) { r.frame(12, 1, bytes.Repeat([]byte{0xff}, 40)) }, []providers.Code{providers.CodeMalformed}},
		"clock of 2^40":         {func(r *rawClient) { r.frame(9, 1, binary.AppendUvarint(nil, 1<<40)) }, []providers.Code{providers.CodeMalformed}},
		"transfer of 2^60":      {func(r *rawClient) { r.frame(13, 1, 1, uint64(1)<<60) }, []providers.Code{providers.CodeTooBig}},
		"state with 2^40 parts": {func(r *rawClient) { r.transfer(append([]byte{0xd9, 0xd9, 0xf7, 0x5b, 0, 0, 1}, make([]byte, 40)...)) }, []providers.Code{providers.CodeCorrupt, providers.CodeUpdateVersion}},
		"presence of 2^30":      {func(r *rawClient) { r.message([]byte{0x83, 20, 1, 0x9a, 0x40, 0, 0, 0}) }, []providers.Code{providers.CodeMalformed}},
		"1 MiB of presence":     {func(r *rawClient) { r.frame(20, 1, [][]any{{make([]byte, 1<<20)}}) }, []providers.Code{providers.CodeTooBig}},
	} {
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		r.open(1, name, uuid.New())
		t.Log(name)
		c.send(r)
		if c.want == nil {
			r.frame(3, 0, 1)
			r.await(providers.FramePong)
			continue
		}
		f := r.await(providers.FrameBye, providers.FrameRefuse)
		ok := false
		for _, code := range c.want {
			ok = ok || f[2] == uint64(code)
		}
		if !ok {
			t.Errorf("%s: %v", name, f)
		}
		r.Close()
	}
	goruntime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MiB allocated", n>>20)
	}
	honest(t, url)
	if s.Stats().Panics > 0 {
		t.Error("panics")
	}
}

// transfer sends an update in chunks.
func (r *rawClient) transfer(update []byte) {
	r.frame(13, 1, 1, len(update))
	for b := update; len(b) > 0; b = b[min(len(b), 1<<16):] {
		r.frame(14, 1, b[:min(len(b), 1<<16)])
	}
	r.frame(15, 1, crc(update))
}

// TestScenario16Flood has peers that nobody has admitted send what they like.
func TestScenario16Flood(t *testing.T) {
	asked := make(chan struct{}, 1000)
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Limits.HelloAfter, o.Limits.ConnectionsPerAddress = time.Second, 1000
		o.Authenticate = func(ctx context.Context, r *http.Request, token []byte) (ws.Principal, error) {
			if string(token) == "slow" {
				asked <- struct{}{}
				if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Second {
					t.Errorf("Authenticate has until %v", at)
				}
				<-ctx.Done()
				return ws.Principal{}, ctx.Err()
			}
			return byToken(ctx, r, token)
		}
	})
	const n = 60
	var codes [5]atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		r := dialRaw(t, url)
		wg.Go(func() {
			switch i % 6 {
			case 0: // 1 MiB instead of a hello
				r.message(make([]byte, 1<<20))
			case 1: // documents before the hello
				r.frame(5, 1, []byte("doc"), map[int]any{})
			case 2: // documents before the answer
				r.hello("slow")
				for range 100 {
					if r.frame(5, 1, []byte("doc"), map[int]any{}) != nil {
						break
					}
				}
			case 3: // nothing but signs of life
				r.hello("slow")
				for range 15 {
					if _, err := r.Write(head(final|opPong, 0)); err != nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
			case 4: // more than a hello may have, and the rest does not come
				r.Write(append(append(head(final|opBinary, providers.MaxFrame), 0x84, 1, 0), make([]byte, providers.MaxHello)...))
			case 5: // nonsense, and nothing after the server's goodbye
				r.message([]byte{0})
				return
			}
			if code := r.closed(); code != 0 {
				codes[i%6].Store(int64(code))
			}
		})
	}
	honest(t, url)
	wg.Wait()
	for i, want := range []providers.Code{providers.CodeTooBig, providers.CodeMalformed, providers.CodeMalformed, providers.CodeTimeout, providers.CodeTooBig} {
		if got := codes[i].Load(); got != int64(closeCode(want)) && (i != 0 || got != int64(closeCode(providers.CodeMalformed))) {
			t.Errorf("flood %d: %d", i, got)
		}
	}
	eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
}

func TestS14FrameTypes(t *testing.T) {
	_, url := serve(t, nil)
	skipped := dialRaw(t, url).hello("a")
	skipped.await(providers.FrameHello)
	for typ := range 256 {
		channel := typ % 2
		switch {
		case typ >= 128:
			skipped.frame(typ, channel, []byte("x"))
			skipped.frame(3, 0, typ)
			skipped.await(providers.FramePong)
		case typ == 0 || strings.HasPrefix(providers.FrameType(typ).String(), "type "):
			r := dialRaw(t, url).hello("a")
			r.await(providers.FrameHello)
			r.frame(typ, channel, []byte("x"))
			if f := r.await(providers.FrameBye); f[2] != uint64(providers.CodeUnknownFrame) {
				t.Errorf("type %d: %v", typ, f)
			}
			r.Close()
		}
	}
}

func TestS21Slowloris(t *testing.T) {
	s, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := httptest.NewUnstartedServer(nil)
	h.Config = ws.HTTPServer(s)
	if h.Config.ReadHeaderTimeout == 0 || h.Config.IdleTimeout == 0 || h.Config.MaxHeaderBytes == 0 {
		t.Error("a bound is missing")
	}
	h.Config.ReadHeaderTimeout = 100 * time.Millisecond
	h.Start()
	defer h.Close()
	c, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	c.SetDeadline(began.Add(10 * time.Second))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if _, err := io.Copy(io.Discard, c); err != nil && time.Since(began) > 5*time.Second {
		t.Error(err)
	}
	r, err := http.Get(h.URL)
	if err != nil || r.StatusCode != http.StatusUpgradeRequired {
		t.Error(r, err)
	}
	r.Body.Close()
}

// TestScenario18Names opens documents with hostile names: each is a document of its own.
func TestScenario18Names(t *testing.T) {
	store := mem.NewStore()
	_, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	names := []string{"../x", "..", "/", "a.b.*.>", "a:b", "a", "b", "a/b", "\x00", "\x01", "x\x00y", "ａ", "а", "é", "e\u0301", " a", "a ", "\xff\xfe", strings.Repeat("n", 128)}
	for _, name := range names {
		p := join(t, url, peerOptions{token: "a", document: name}).synced()
		p.insert(fmt.Sprintf("%q", name))
		p.saved()
		p.leave()
	}
	for _, name := range names {
		p := join(t, url, peerOptions{token: "a", document: name}).synced()
		if s := p.String(); s != fmt.Sprintf("%q", name) {
			t.Errorf("%q holds %s", name, s)
		}
		p.leave()
	}
	n := 0
	for name, err := range store.List(t.Context()) {
		if n++; err != nil {
			t.Error(name, err)
		}
	}
	if n != len(names) {
		t.Errorf("%d documents in the store, want %d", n, len(names))
	}
	for _, name := range []string{"", strings.Repeat("n", 129), strings.Repeat("n", 10_000)} {
		r := dialRaw(t, url).hello("a")
		r.await(providers.FrameHello)
		r.frame(5, 1, []byte(name), map[int]any{})
		if f := r.await(providers.FrameRefuse); f[2] != uint64(providers.CodeBadName) {
			t.Errorf("%q: %v", name, f)
		}
	}
}

// leap returns a message whose timestamp is far beyond what its writer could know: docs/format.md, section 3.
func leap(t *testing.T, m []byte) []byte {
	t.Helper()
	var content []byte
	if err := cbor.Unmarshal(m, &content); err != nil {
		t.Fatal(err)
	}
	const flags, start = 1, 18
	if content[flags]&2 != 0 || content[start] != 0 {
		t.Fatalf("not the first message of a replica: %x", content)
	}
	content[flags] |= 2
	out := append([]byte{}, content[:start+1]...)
	out = binary.AppendVarint(out, 1<<40)
	b, err := cbor.Marshal(append(out, content[start+1:]...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScenario11ClockRange(t *testing.T) {
	_, url := serve(t, nil)
	p := join(t, url, peerOptions{token: "honest"}).synced()
	bad := leap(t, messages(t, "x")[0])
	r := dialRaw(t, url).hello("hostile")
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	r.transfer(bad)
	if f := r.await(providers.FrameRefuse); f[2] != uint64(providers.CodeClockRange) {
		t.Error(f)
	}
	p.insert("works")
	p.saved()
	equal(t, p, join(t, url, peerOptions{token: "other"}).synced())
}

func TestScenario12Equivocation(t *testing.T) {
	_, url := serve(t, nil)
	id := uuid.New()
	twin := func(s string) *runtime.Runtime {
		rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: id})
		if err != nil {
			t.Fatal(err)
		}
		text, err := crdt.NewText(rt, "text")
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, s) }); err != nil {
			t.Fatal(err)
		}
		return rt
	}
	first := join(t, url, peerOptions{token: "a", rt: twin("first")}).synced()
	first.saved()
	first.leave()
	// The twin says that it has nothing of what the server has, and brings its own.
	ms, err := twin("other").MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := dialRaw(t, url).hello("a")
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	r.frame(12, 1, pack(t, ms...))
	if f := r.await(providers.FrameRefuse); f[2] != uint64(providers.CodeEquivocation) {
		t.Error(f)
	}
	if s := join(t, url, peerOptions{token: "b"}).synced().String(); s != "first" {
		t.Error(s)
	}
}

func TestScenario19Presence(t *testing.T) {
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Authorize = func(context.Context, ws.Principal, string) (ws.Access, error) { return ws.AccessRead, nil }
	})
	shown := make(chan providers.Presence, 100)
	watcher := watch(t, url, shown)
	victim, id := watcher.rt.Replica(), uuid.New()
	r := dialRaw(t, url).hello("mallory")
	r.await(providers.FrameHello)
	r.open(1, "doc", id)
	other := uuid.New()
	// S13: the key of somebody else, of nobody, and its own with a forged stamp.
	r.frame(20, 1, [][]any{{victim[:], uint64(1) << 40, 30_000, []byte("forged"), []byte("admin")}, {other[:], 1, 30_000, []byte("forged"), nil}})
	r.frame(21, 1, victim[:], uint64(1)<<40, "topic", []byte("forged"), []byte("admin"))
	r.frame(20, 1, [][]any{{id[:], 1, 30_000, []byte("mine"), []byte("admin")}})
	p := <-shown
	if string(p.Value) != "mine" || string(p.Stamp) != "mallory" || p.Replica != id {
		t.Errorf("%+v", p)
	}
	if n := s.Stats().PresenceDropped; n != 3 {
		t.Errorf("%d dropped", n)
	}
	r.Close()
	if p := <-shown; p.Value != nil || p.Replica != id {
		t.Errorf("after it left: %+v", p)
	}
	// Somebody else cannot take its place by opening under its ID while it is there.
	r2 := dialRaw(t, url).hello("eve")
	r2.await(providers.FrameHello)
	r2.frame(5, 1, []byte("doc"), map[int]any{1: victim[:]})
	if f := r2.await(providers.FrameRefuse, providers.FrameAccept); f[0] != uint64(providers.FrameRefuse) {
		t.Error(f)
	}
}

var errStore = errors.New("input/output error")

// brokenStore fails when it is told to.
type brokenStore struct {
	providers.Store
	load, write atomic.Pointer[error]
	writes      atomic.Int64
}

func (s *brokenStore) Load(ctx context.Context, document string) (*providers.Stored, error) {
	if err := s.load.Load(); err != nil {
		return nil, *err
	}
	return s.Store.Load(ctx, document)
}

func (s *brokenStore) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	s.writes.Add(1)
	if err := s.write.Load(); err != nil {
		return nil, *err
	}
	return s.Store.Append(ctx, records)
}
