package ws_test

import (
	"context"
	"crypto/rand"
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

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

// raw starts a server that upgrades each request and hands the connection to fn.
func raw(t testing.TB, fn func(conn *websocket.Conn)) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		fn(conn)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// user is a client with one document.
type user struct {
	*providers.Document
	client *ws.Client
	text   crdt.Text
}

// options are for tests: short pauses, a token.
func options() *ws.ClientOptions {
	o := &ws.ClientOptions{}
	o.Token = func(context.Context) ([]byte, error) { return []byte("alice"), nil }
	o.Pause, o.LongestPause = time.Millisecond, 10*time.Millisecond
	return o
}

func newUser(t testing.TB, url string, o *ws.ClientOptions) *user {
	t.Helper()
	if o == nil {
		o = options()
	}
	c, err := ws.NewClient(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return use(t, c)
}

func use(t testing.TB, c *ws.Client) *user {
	t.Helper()
	rt, text := newDocument(t)
	d, err := c.Open(rt, "notes", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &user{d, c, text}
}

func (u *user) add(t testing.TB, s string) {
	t.Helper()
	if err := u.Runtime().Transact(func(tx runtime.Tx) error { return u.text.Insert(tx, u.text.Len(tx), s) }); err != nil {
		t.Fatal(err)
	}
}

func (u *user) String() string { return runtime.Read(u.Runtime(), u.text.String) }

func soon(t testing.TB, what string, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := fn(ctx); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// same waits until all users have the same document and nothing is unsaved.
func same(t testing.TB, users ...*user) {
	t.Helper()
	for _, u := range users {
		soon(t, "saved", u.Saved)
	}
	eventually(t, "all are equal", func() bool {
		for _, u := range users {
			if u.Runtime().Digest() != users[0].Runtime().Digest() {
				return false
			}
		}
		return true
	})
}

func TestClientsMeet(t *testing.T) {
	_, url := serve(t, nil)
	a, b := newUser(t, url, nil), newUser(t, url, nil)
	a.add(t, "from a, ")
	b.add(t, "from b, ")
	same(t, a, b)
	if len(a.String()) != 16 {
		t.Errorf("%q", a)
	}
	if u := a.Unsaved(); len(u) != 0 {
		t.Errorf("unsaved: %v", u)
	}
	late := newUser(t, url, nil)
	soon(t, "synced", late.Synced)
	same(t, late, a)
}

// TestClientIsRefused: what a reader writes is refused, and can be taken out of its document.
func TestClientIsRefused(t *testing.T) {
	_, url := serve(t, func(o *ws.ServerOptions) {
		o.Authorize = func(_ context.Context, p ws.Principal, document string) (ws.Access, error) {
			switch p.ID {
			case "alice":
				return ws.AccessWriteRelay, nil
			case "bob":
				return ws.AccessRead, nil
			}
			return ws.AccessNone, nil
		}
	})
	as := func(token string) *ws.ClientOptions {
		o := options()
		o.Token = func(context.Context) ([]byte, error) { return []byte(token), nil }
		return o
	}
	alice, bob, eve := newUser(t, url, as("alice")), newUser(t, url, as("bob")), newUser(t, url, as("eve"))
	alice.add(t, "hello")
	soon(t, "saved", alice.Saved)
	var refused *providers.RefusedError
	if err := eve.Synced(t.Context()); !errors.As(err, &refused) || refused.Code != providers.CodeForbidden {
		t.Errorf("no access: %v", err)
	}
	eventually(t, "bob reads", func() bool { return bob.String() == "hello" })
	bob.add(t, ", I wrote this")
	if err := bob.Saved(t.Context()); !errors.As(err, &refused) || refused.Code != providers.CodeReadOnly {
		t.Errorf("read access: %v", err)
	}
	work, err := bob.LocalWork()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Runtime().Receive(work); err != nil {
		t.Fatal(err)
	}
	soon(t, "saved", alice.Saved)
	if got := alice.String(); got != "hello, I wrote this" {
		t.Errorf("%q", got)
	}
}

// cut is a link that breaks off after some frames, sent or received.
type cut struct {
	providers.Link
	sends, receives atomic.Int32
}

func (c *cut) Send(ctx context.Context, frame []byte) error {
	if c.sends.Add(-1) < 0 {
		c.Link.Close()
		return errors.New("cut")
	}
	return c.Link.Send(ctx, frame)
}

func (c *cut) Receive(ctx context.Context) ([]byte, error) {
	if c.receives.Add(-1) < 0 {
		c.Link.Close()
		return nil, errors.New("cut")
	}
	return c.Link.Receive(ctx)
}

// TestClientIsCutAtAnyFrame cuts the first connections after each number of frames, in each direction.
func TestClientIsCutAtAnyFrame(t *testing.T) {
	_, url := serve(t, nil)
	other := newUser(t, url, nil)
	for n := range int32(12) {
		var dials int32
		c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
			l, err := ws.Dial(ctx, url, nil)
			if err != nil {
				return nil, err
			}
			x := &cut{Link: l}
			x.sends.Store(1 << 30)
			x.receives.Store(1 << 30)
			switch dials++; dials {
			case 1:
				x.sends.Store(n)
			case 2:
				x.receives.Store(n)
			}
			return x, nil
		}, &options().ClientOptions)
		if err != nil {
			t.Fatal(err)
		}
		u := use(t, c)
		for i := range 5 {
			u.add(t, fmt.Sprintf("%d.%d ", n, i))
			other.add(t, ".")
			soon(t, "saved", u.Saved)
		}
		same(t, u, other)
		c.Close()
	}
}

// proxy stands between clients and a server, with the faults of networks.
type proxy struct {
	l     net.Listener
	mu    sync.Mutex
	to    string
	conns map[net.Conn]bool
	wg    sync.WaitGroup

	left  atomic.Int64 // bytes until all connections are cut; negative: no such plan
	hold  atomic.Bool  // nothing gets through, nobody is told
	delay atomic.Int64 // of each piece, ns
	count atomic.Int64 // connections
}

func newProxy(t testing.TB, url string) (*proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: strings.TrimPrefix(url, "ws://"), conns: make(map[net.Conn]bool)}
	p.left.Store(-1)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p, "ws://" + l.Addr().String()
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.count.Add(1)
		p.mu.Lock()
		to := p.to
		p.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(client, server) })
		p.wg.Go(func() { p.copy(server, client) })
	}
}

func (p *proxy) copy(to, from net.Conn) {
	defer func() {
		p.mu.Lock()
		delete(p.conns, to)
		p.mu.Unlock()
		to.Close()
	}()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(p.delay.Load()))
		if p.hold.Load() {
			continue
		}
		if left := p.left.Load(); left >= 0 {
			if p.left.Add(-int64(n)) <= 0 {
				to.Write(b[:max(0, min(left, int64(n)))])
				p.left.Store(-1)
				p.cut()
				return
			}
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// cut breaks all connections off.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func TestClientIsCutAtAnyByte(t *testing.T) {
	_, url := serve(t, nil)
	p, through := newProxy(t, url)
	u, other := newUser(t, through, nil), newUser(t, url, nil)
	for i := range 120 {
		if p.left.Load() < 0 {
			p.left.Store(int64(i * 13 % 1000)) // a handshake and the first frames are about as long
		}
		u.add(t, fmt.Sprintf("%d ", i))
		other.add(t, ".")
		if i%10 == 0 {
			same(t, u, other)
		} else {
			soon(t, "saved", u.Saved)
		}
	}
	p.left.Store(-1)
	same(t, u, other)
	if p.count.Load() < 20 {
		t.Errorf("only %d connections", p.count.Load())
	}
}

func TestClientNoticesHalfOpenConnections(t *testing.T) {
	_, url := serve(t, nil)
	p, through := newProxy(t, url)
	o := options()
	o.Heartbeat, o.HelloAfter, o.DialAfter = 100*time.Millisecond, 200*time.Millisecond, 300*time.Millisecond
	u := newUser(t, through, o)
	soon(t, "synced", u.Synced)
	p.hold.Store(true)
	u.add(t, "into the void")
	eventually(t, "the client notices", func() bool { s, _ := u.client.Status(); return s != providers.Online })
	time.Sleep(400 * time.Millisecond) // handshakes that get no answer
	p.hold.Store(false)
	soon(t, "saved", u.Saved)
	p.delay.Store(int64(20 * time.Millisecond))
	u.add(t, ", slowly")
	soon(t, "saved", u.Saved)
}

func TestServerRestarts(t *testing.T) {
	store := mem.NewStore()
	start := func() (*ws.Server, *httptest.Server) {
		s, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: store})
		if err != nil {
			t.Fatal(err)
		}
		return s, httptest.NewServer(s)
	}
	s, h := start()
	p, through := newProxy(t, "ws://"+h.Listener.Addr().String())
	a, b := newUser(t, through, nil), newUser(t, through, nil)
	for i := range 5 {
		a.add(t, fmt.Sprint("a", i, " "))
		b.add(t, fmt.Sprint("b", i, " "))
		if i%2 == 0 {
			same(t, a, b)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		h.Close()
		a.add(t, "offline ")
		s, h = start()
		p.mu.Lock()
		p.to = h.Listener.Addr().String()
		p.mu.Unlock()
	}
	same(t, a, b)
	a.client.Close()
	b.client.Close()
	s.Close()
	h.Close()
}

// TestClientMeetsStrangeServers: what is no server of documents is tried again, or not, and harms nobody.
func TestClientMeetsStrangeServers(t *testing.T) {
	status := func(code int) func(testing.TB) string {
		return func(t testing.TB) string {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }))
			t.Cleanup(s.Close)
			return "ws" + strings.TrimPrefix(s.URL, "http")
		}
	}
	closes := func(code websocket.StatusCode) func(testing.TB) string {
		return func(t testing.TB) string { return raw(t, func(c *websocket.Conn) { c.Close(code, "") }) }
	}
	sends := func(frame []byte) func(testing.TB) string {
		return func(t testing.TB) string {
			return raw(t, func(c *websocket.Conn) {
				c.Write(context.Background(), websocket.MessageBinary, frame)
				for _, _, err := c.Read(context.Background()); err == nil; _, _, err = c.Read(context.Background()) {
				}
			})
		}
	}
	garbage := make([]byte, 1000)
	rand.Read(garbage)
	for name, c := range map[string]struct {
		start func(testing.TB) string
		want  providers.Status
	}{
		"200":              {status(200), providers.Offline},
		"401":              {status(401), providers.Stopped},
		"403":              {status(403), providers.Stopped},
		"404":              {status(404), providers.Offline},
		"429":              {status(429), providers.Offline},
		"503":              {status(503), providers.Offline},
		"closes with 1000": {closes(1000), providers.Offline},
		"closes with 1001": {closes(1001), providers.Offline},
		"closes with 1011": {closes(1011), providers.Offline},
		"closes with 4400": {closes(4400), providers.Stopped},
		"closes with 4401": {closes(4401), providers.Stopped},
		"closes with 4499": {closes(4499), providers.Stopped},
		"closes with 4501": {closes(4501), providers.Offline},
		"sends garbage":    {sends(garbage), providers.Offline},
		"sends nothing":    {sends([]byte{}), providers.Offline},
		"sends too much":   {sends(make([]byte, providers.MaxFrame+1)), providers.Offline},
		"never says hello": {func(t testing.TB) string {
			return raw(t, func(c *websocket.Conn) { c.Read(t.Context()); c.Read(t.Context()) })
		}, providers.Offline},
		"speaks no HTTP":    {noise, providers.Offline},
		"is not there":      {func(testing.TB) string { return "ws://127.0.0.1:1" }, providers.Offline},
		"another version":   {sends([]byte{0x85, 1, 0, 9, 9, 0xa0}), providers.Stopped},
		"admits and is mad": {sends(append([]byte{0x85, 1, 0, 1, 1, 0xa0}, garbage...)), providers.Offline},
	} {
		t.Run(name, func(t *testing.T) {
			url := c.start(t)
			defer providertest.CheckLeaks(t)()
			o := options()
			o.HelloAfter = 50 * time.Millisecond
			var tries atomic.Int32
			o.Handle = func(_ *providers.Client, e providers.Event) {
				if s := e.(providers.StatusChanged); s.Status == providers.Offline || s.Status == providers.Stopped {
					tries.Add(1)
				}
			}
			u := newUser(t, url, o)
			u.add(t, "kept")
			if c.want == providers.Stopped {
				eventually(t, "it stops", func() bool { s, _ := u.client.Status(); return s == providers.Stopped })
				if err := u.Synced(t.Context()); !errors.Is(err, providers.ErrEnded) {
					t.Error(err)
				}
			} else {
				eventually(t, "it tries again", func() bool { return tries.Load() >= 3 })
				if s, err := u.client.Status(); s == providers.Stopped {
					t.Error(err)
				}
			}
			if err := u.client.Close(); err != nil {
				t.Error(err)
			}
			if u.String() != "kept" || len(u.Unsaved()) != 1 {
				t.Errorf("%q, unsaved %v", u, u.Unsaved())
			}
		})
	}
}

// noise is a server that answers everything with bytes that are no HTTP.
func noise(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "220 mail.example.org ready\r\n\r\n")
			c.Close()
		}
	}()
	return "ws://" + l.Addr().String()
}

// TestManyReconnectsLeakNothing ends a thousand connections, by turns in good order and not.
func TestManyReconnectsLeakNothing(t *testing.T) {
	rt, _ := newDocument(t)
	var mu sync.Mutex
	conns := make(map[*providers.Conn]bool)
	p, through := newProxy(t, raw(t, func(conn *websocket.Conn) {
		c, err := providers.NewConn(ws.NewLink(conn), &providers.ConnOptions{
			Mux: providers.MuxOptions{Acceptor: true},
			Handle: func(c *providers.Conn, e providers.Event) {
				switch e := e.(type) {
				case providers.Admission:
					c.Do(func(m *providers.Mux) { m.Admit() })
				case providers.Opening:
					c.Do(func(m *providers.Mux) { m.Accept(e, rt, nil) })
				}
			},
		})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		conns[c] = true
		mu.Unlock()
		c.Run(context.Background())
		mu.Lock()
		delete(conns, c)
		mu.Unlock()
	}))
	end := func() {
		mu.Lock()
		defer mu.Unlock()
		for c := range conns {
			c.Do(func(m *providers.Mux) { m.End(providers.CodeGoingAway, "the test says so") })
		}
	}
	o := options()
	o.Pause, o.LongestPause = time.Nanosecond, time.Nanosecond
	online := make(chan struct{}, 100)
	o.Handle = func(_ *providers.Client, e providers.Event) {
		if e.(providers.StatusChanged).Status == providers.Online {
			online <- struct{}{}
		}
	}
	c, err := ws.NewClient(through, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own, text := newDocument(t)
	d, err := c.Open(own, "notes", &providers.DocumentOptions{Session: providers.Options{TrustReceived: true}})
	if err != nil {
		t.Fatal(err)
	}
	u := &user{d, c, text}
	measure := func() (goroutines int, heap uint64) {
		goruntime.GC()
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return goruntime.NumGoroutine(), m.HeapAlloc
	}
	var goroutines int
	var heap uint64
	for i := range 1000 {
		<-online
		if i == 100 {
			soon(t, "saved", u.Saved)
			goroutines, heap = measure()
		}
		if i%10 == 0 {
			u.add(t, "x")
		}
		if i%2 == 0 {
			p.cut()
		} else {
			end()
		}
	}
	<-online
	soon(t, "saved", u.Saved)
	eventually(t, "goroutines have ended", func() bool { n, _ := measure(); return n <= goroutines+5 })
	if _, now := measure(); now > heap+2<<20 {
		t.Errorf("%d KiB more on the heap", (now-heap)>>10)
	}
	if len(u.String()) != 100 {
		t.Errorf("%d edits", len(u.String()))
	}
}
