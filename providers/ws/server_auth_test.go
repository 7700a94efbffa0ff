//go:build !js

package ws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

// grants is an Authorizer whose answers change.
type grants struct {
	mu  sync.Mutex
	of  map[string]ws.Access // principal -> access
	err error
}

func (g *grants) set(principal string, a ws.Access) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = make(map[string]ws.Access)
	}
	g.of[principal] = a
}

func (g *grants) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *grants) authorize(_ context.Context, p ws.Principal, _ string) (ws.Access, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of[p.ID], g.err
}

func TestScenario15Access(t *testing.T) {
	g := &grants{}
	g.set("reader", ws.AccessRead)
	g.set("writer", ws.AccessWriteRelay)
	s, url := serve(t, func(o *ws.ServerOptions) { o.Authorize = g.authorize })
	w := join(t, url, peerOptions{token: "writer"}).synced()
	w.insert("hello")
	w.saved()

	t.Run("nobody", func(t *testing.T) {
		if code := join(t, url, peerOptions{token: "stranger"}).refused(); code != providers.CodeForbidden {
			t.Error(code)
		}
	})
	t.Run("the reader writes", func(t *testing.T) { // S9: nor does it get in by way of others
		r := join(t, url, peerOptions{token: "reader"}).synced()
		equal(t, w, r)
		if o := await[providers.Opened](r, nil); !o.ReadOnly {
			t.Error("the reader was not told")
		}
		// The session keeps quiet about what it has; a hostile one does not.
		h := dialRaw(t, url).hello("reader")
		h.await(providers.FrameHello)
		h.open(1, "doc", uuid.New())
		m := messages(t, "forged")[0]
		h.frame(12, 1, pack(t, m))
		if f := h.await(providers.FrameRefuse); f[2] != uint64(providers.CodeReadOnly) {
			t.Error(f)
		}
		w.insert("still ")
		equal(t, w, r)
	})
	t.Run("revoked", func(t *testing.T) {
		p := join(t, url, peerOptions{token: "writer"}).synced()
		began := time.Now()
		s.Revoke("writer")
		if code := p.ended(); code != providers.CodeForbidden || time.Since(began) > time.Second {
			t.Errorf("%v after %v", code, time.Since(began))
		}
	})
	t.Run("access withdrawn", func(t *testing.T) {
		g.set("guest", ws.AccessWriteRelay)
		p := join(t, url, peerOptions{token: "guest"}).synced()
		g.set("guest", ws.AccessRead)
		s.Recheck("guest")
		if code := p.refused(); code != ws.CodeAccessChanged || !code.Transient() {
			t.Error(code)
		}
		p.leave()
		p = join(t, url, peerOptions{token: "guest"}).synced()
		g.set("guest", ws.AccessNone)
		s.Recheck("")
		if code := p.refused(); code != providers.CodeForbidden {
			t.Error(code)
		}
	})
}

// TestS15RevokedWhileAdmitted revokes a principal while it is being authenticated.
func TestS15RevokedWhileAdmitted(t *testing.T) {
	asked, answer := make(chan bool), make(chan bool)
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Authenticate = func(ctx context.Context, r *http.Request, token []byte) (ws.Principal, error) {
			asked <- true
			<-answer
			return byToken(ctx, r, token)
		}
	})
	r := dialRaw(t, url).hello("a")
	<-asked
	s.Revoke("a")
	answer <- true
	if code := r.closed(); code != closeCode(providers.CodeForbidden) {
		t.Error(code)
	}
}

// TestS15WithdrawnWhileOpened takes away access while a document is being opened.
func TestS15WithdrawnWhileOpened(t *testing.T) {
	g := &grants{}
	g.set("a", ws.AccessWriteRelay)
	asked, answer := make(chan bool), make(chan bool)
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Authorize = func(ctx context.Context, p ws.Principal, document string) (ws.Access, error) {
			access, err := g.authorize(ctx, p, document)
			asked <- true
			<-answer
			return access, err
		}
	})
	p := join(t, url, peerOptions{token: "a"})
	<-asked
	g.set("a", ws.AccessNone)
	s.Recheck("a")
	answer <- true
	go func() { // it is asked again, once
		<-asked
		answer <- true
	}()
	if code := p.refused(); code != providers.CodeForbidden {
		t.Error(code)
	}
}

func TestScenario15Polling(t *testing.T) {
	g := &grants{}
	g.set("a", ws.AccessWriteRelay)
	_, url := serve(t, func(o *ws.ServerOptions) { o.Authorize, o.RecheckEvery = g.authorize, 30*time.Millisecond })
	p := join(t, url, peerOptions{token: "a"}).synced()
	g.set("a", ws.AccessNone)
	if code := p.refused(); code != providers.CodeForbidden {
		t.Error(code)
	}
	g.set("a", ws.AccessWriteRelay)
	p = join(t, url, peerOptions{token: "a"}).synced()
	g.fail(errors.New("the database is away"))
	if code := p.refused(); code != providers.CodeUnavailable {
		t.Error(code)
	}
}

func TestScenario15TokenExpires(t *testing.T) {
	_, url := serve(t, func(o *ws.ServerOptions) {
		o.Authenticate = func(_ context.Context, _ *http.Request, token []byte) (ws.Principal, error) {
			if string(token) == "over" {
				return ws.Principal{ID: "a", Expires: time.Now()}, nil
			}
			return ws.Principal{ID: "a", Expires: time.Now().Add(200 * time.Millisecond)}, nil
		}
	})
	r := dialRaw(t, url).hello("x")
	r.await(providers.FrameHello)
	began := time.Now()
	if code := r.closed(); code != closeCode(providers.CodeUnauthenticated) || time.Since(began) > time.Second {
		t.Errorf("%d after %v", code, time.Since(began))
	}
	r = dialRaw(t, url).hello("over")
	if f := r.await(providers.FrameHello, providers.FrameBye); f[2] != uint64(providers.CodeUnauthenticated) {
		t.Errorf("a token that is over: %v", f)
	}
}

// messages returns those of a new replica that inserts each text.
func messages(t testing.TB, texts ...string) [][]byte {
	rt, text := newDocument(t)
	for _, s := range texts {
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, s) }); err != nil {
			t.Fatal(err)
		}
	}
	all, err := rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func pack(t testing.TB, messages ...[]byte) (b []byte) {
	var packer runtime.Packer
	for _, m := range messages {
		var err error
		if b, err = packer.Append(b, m); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestScenario13WriteOwn(t *testing.T) {
	g := &grants{}
	for _, p := range []string{"a", "b", "c"} {
		g.set(p, ws.AccessWriteOwn)
	}
	g.set("relay", ws.AccessWriteRelay)
	store := mem.NewStore()
	change := func(o *ws.ServerOptions) { o.Authorize, o.Store = g.authorize, store }
	s, url := serve(t, change)
	a := join(t, url, peerOptions{token: "a"}).synced()
	a.insert("from a")
	a.saved()

	forge := func(t *testing.T, url, token string, kind int, update []byte) {
		t.Helper()
		h := dialRaw(t, url).hello(token)
		h.await(providers.FrameHello)
		h.open(1, "doc", uuid.New())
		if kind == 12 {
			h.frame(kind, 1, pack(t, update))
		} else {
			h.frame(13, 1, 1, len(update))
			h.frame(14, 1, update)
			h.frame(15, 1, crc(update))
		}
		if f := h.await(providers.FrameRefuse); f[2] != uint64(providers.CodeForeignDots) {
			t.Error(f)
		}
	}
	if err := a.rt.Transact(func(tx runtime.Tx) error { return a.text.Insert(tx, 0, "x") }); err != nil {
		t.Fatal(err)
	}
	a.saved()
	ms, err := a.rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("dots of another", func(t *testing.T) { forge(t, url, "b", 12, ms[1]) })
	t.Run("a state", func(t *testing.T) {
		state, err := a.rt.Save()
		if err != nil {
			t.Fatal(err)
		}
		forge(t, url, "b", 13, state)
	})
	t.Run("a bundle with dots of another", func(t *testing.T) {
		b, err := runtime.Bundle([][]byte{messages(t, "own")[0], ms[0]})
		if err != nil {
			t.Fatal(err)
		}
		forge(t, url, "b", 13, b)
	})
	t.Run("opening under its ID", func(t *testing.T) { // S13: neither presence nor edits
		h := dialRaw(t, url).hello("b")
		h.await(providers.FrameHello)
		id := a.rt.Replica()
		h.frame(5, 1, []byte("doc"), map[int]any{1: id[:], 2: []byte{0}})
		if f := h.await(providers.FrameRefuse, providers.FrameAccept); f[0] != uint64(providers.FrameRefuse) || f[2] != uint64(providers.CodeForeignDots) {
			t.Error(f)
		}
	})
	t.Run("an ID that a relay brought", func(t *testing.T) {
		r := join(t, url, peerOptions{token: "relay"}).synced()
		r.insert("relay ")
		r.saved()
		r.leave()
		if code := join(t, url, peerOptions{token: "c", rt: r.rt}).refused(); code != providers.CodeForeignDots {
			t.Error(code)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, url := serve(t, change)
		forge(t, url, "b", 12, ms[1])
		again := join(t, url, peerOptions{token: "a", rt: a.rt}).synced()
		again.insert("again ")
		again.saved()
	})
}

// TestR32Relay has a peer bring what another one wrote who is not online.
func TestR32Relay(t *testing.T) {
	g := &grants{}
	g.set("author", ws.AccessWriteOwn)
	g.set("own", ws.AccessWriteOwn)
	g.set("relay", ws.AccessWriteRelay)
	g.set("reader", ws.AccessRead)
	_, url := serve(t, func(o *ws.ServerOptions) { o.Authorize = g.authorize })
	author := join(t, url, peerOptions{token: "author"}).synced()
	author.insert("online")
	author.saved()
	author.leave()
	author.insert("offline, ")
	neighbour := func() *runtime.Runtime {
		rt, _ := newDocument(t)
		ms, err := author.rt.MessagesSince(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			if _, err := rt.Receive(m); err != nil {
				t.Fatal(err)
			}
		}
		return rt
	}
	reader := join(t, url, peerOptions{token: "reader"}).synced()
	e := await[providers.Refused](join(t, url, peerOptions{token: "own", rt: neighbour()}), nil)
	if e.Code != providers.CodeForeignDots || e.Reason == "" {
		t.Errorf("%+v", e)
	}
	relay := join(t, url, peerOptions{token: "relay", rt: neighbour()}).synced()
	equal(t, relay, reader)
	if reader.String() != "offline, online" {
		t.Error(reader)
	}
}

func TestScenario17Origins(t *testing.T) {
	with := func(cookies bool, list ...string) func(*ws.ServerOptions) {
		return func(o *ws.ServerOptions) { o.Cookies, o.Origins = cookies, list }
	}
	for name, c := range map[string]struct {
		options func(*ws.ServerOptions)
		origins map[string]bool // "": none sent; HOST stands for the server's own
	}{
		"default": {with(false), map[string]bool{"": true, "http://HOST": true, "https://evil.example": false, "null": false, "http://HOST.evil.example": false}},
		"list": {with(false, "https://app.example", "https://b.example:8443"), map[string]bool{"": true, "https://app.example": true,
			"https://b.example:8443": true, "http://app.example": false, "https://app.example:444": false, "https://sub.app.example": false,
			"https://app.example.evil": false, "http://HOST": false, "https://b.example": false}},
		"cookies":  {with(true, "https://app.example"), map[string]bool{"": false, "https://app.example": true, "https://evil.example": false}},
		"everyone": {with(false, "*"), map[string]bool{"": true, "https://evil.example": true}},
	} {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, c.options)
			host := strings.TrimPrefix(url, "ws://")
			for origin, want := range c.origins {
				var header []string
				if origin != "" {
					header = append(header, "Origin: "+strings.ReplaceAll(origin, "HOST", host))
				}
				_, r := tryRaw(t, url, header...)
				if got := r.StatusCode == http.StatusSwitchingProtocols; got != want || !got && r.StatusCode != http.StatusForbidden {
					t.Errorf("origin %q: %s", origin, r.Status)
				}
			}
			if _, r := tryRaw(t, url, "Origin: https://app.example", "Origin: https://app.example"); r.StatusCode != http.StatusForbidden {
				t.Error("two origins:", r.Status)
			}
		})
	}
	for _, o := range []func(*ws.ServerOptions){with(true), with(true, "*"), with(false, "app.example"), with(false, "https://app.example/"), with(false, "https://App.example")} {
		opt := &ws.ServerOptions{Authenticate: ws.Anyone, Authorize: ws.AllowAll}
		o(opt)
		if _, err := ws.NewServer(opt); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Errorf("%v with cookies %v: %v", opt.Origins, opt.Cookies, err)
		}
	}
}

func TestS19Addresses(t *testing.T) {
	here := netip.MustParsePrefix("127.0.0.0/8")
	for name, c := range map[string]struct {
		proxies []netip.Prefix
		first   string // X-Forwarded-For
		second  string
		allowed bool
	}{
		"a header of anybody counts for nothing": {nil, "1.2.3.4", "5.6.7.8", false},
		"a trusted proxy's counts":               {[]netip.Prefix{here}, "1.2.3.4", "5.6.7.8", true},
		"its last hop counts":                    {[]netip.Prefix{here}, "9.9.9.9, 1.2.3.4", "8.8.8.8, 1.2.3.4", false},
		"past trusted hops":                      {[]netip.Prefix{here}, "1.2.3.4, 127.0.0.9", "5.6.7.8, 127.0.0.9", true},
		"an unreadable hop ends the search":      {[]netip.Prefix{here}, "1.2.3.4, nonsense", "5.6.7.8, nonsense", false},
		"IPv6 counts by network":                 {[]netip.Prefix{here}, "2001:db8::1", "2001:db8::ffff:2", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, func(o *ws.ServerOptions) { o.TrustedProxies, o.Limits.ConnectionsPerAddress = c.proxies, 1 })
			dialRaw(t, url, "X-Forwarded-For: "+c.first)
			_, r := tryRaw(t, url, "X-Forwarded-For: "+c.second, "X-Real-IP: 7.7.7.7")
			if got := r.StatusCode == http.StatusSwitchingProtocols; got != c.allowed {
				t.Error(r.Status)
			}
		})
	}
}

func TestAuthenticateSeesTheRequest(t *testing.T) {
	seen := make(chan string, 1)
	_, url := serve(t, func(o *ws.ServerOptions) {
		o.Authenticate = func(_ context.Context, r *http.Request, token []byte) (ws.Principal, error) {
			seen <- r.Header.Get("Authorization") + " " + string(token) + " " + r.URL.Path
			panic("the authenticator is broken")
		}
	})
	if code := dialRaw(t, url, "Authorization: Bearer x").hello("token").closed(); code != closeCode(providers.CodeUnauthenticated) {
		t.Error(code)
	}
	if s := <-seen; s != "Bearer x token /any/path" {
		t.Error(s)
	}
}

// TestS18NoTokenInLogs also finds that one event is one line, whatever is in names: scenario 25.
func TestS18NoTokenInLogs(t *testing.T) {
	var log lockedBuffer
	var denied atomic.Bool
	s, url := serve(t, func(o *ws.ServerOptions) {
		o.Logger = slog.New(plainHandler{&log})
		o.Authenticate = func(_ context.Context, _ *http.Request, token []byte) (ws.Principal, error) {
			if denied.Load() {
				return ws.Principal{}, errors.New("bad\r\nlevel=ERROR msg=forged")
			}
			return ws.Principal{ID: "eve\r\nlevel=ERROR msg=forged <script>"}, nil
		}
	})
	p := join(t, url, peerOptions{token: "sesame-7", document: "doc\nlevel=ERROR msg=forged <script>"}).synced()
	p.insert("secret-content")
	p.saved()
	p.leave()
	denied.Store(true)
	if code := join(t, url, peerOptions{token: "sesame-8"}).ended(); code != providers.CodeUnauthenticated {
		t.Error(code)
	}
	eventually(t, "all has ended", func() bool { return s.Stats().Connections == 0 })
	text := log.String()
	for _, bad := range []string{"sesame", "secret-content"} {
		if strings.Contains(text, bad) {
			t.Errorf("the log has %q:\n%s", bad, text)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "time=") || strings.HasPrefix(line, "level=") {
			t.Errorf("a line of its own: %q", line)
		}
	}
	if !strings.Contains(text, "connection admitted") || !strings.Contains(text, "not admitted") {
		t.Error(text)
	}
}

// plainHandler writes what it gets as it is.
type plainHandler struct{ w io.Writer }

func (plainHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h plainHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h plainHandler) WithGroup(string) slog.Handler          { return h }

func (h plainHandler) Handle(_ context.Context, r slog.Record) error {
	line := "time=now " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	_, err := fmt.Fprintln(h.w, line)
	return err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
