package ws_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/providers/ws"
)

// switchboard is an HTTP server that hands out the acceptor's ends of links.
type switchboard struct {
	mu      sync.Mutex
	url     string
	waiting map[string]chan providers.Link
}

var board = sync.OnceValue(func() *switchboard {
	b := &switchboard{waiting: make(map[string]chan providers.Link)}
	s := httptest.NewServer(b)
	b.url = "ws" + strings.TrimPrefix(s.URL, "http")
	return b
})

func (b *switchboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[r.URL.Path] <- ws.NewLink(c)
}

// connect returns both ends of a link over a socket.
func connect(t testing.TB) (providers.Link, providers.Link) {
	b := board()
	accepted := make(chan providers.Link, 1)
	b.mu.Lock()
	path := "/" + strings.Repeat("x", len(b.waiting)+1)
	b.waiting[path] = accepted
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dialer, err := ws.Dial(ctx, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dialer, <-accepted
}

func TestLink(t *testing.T) { providertest.TestLink(t, connect) }

type backend struct{ s *mem.Store }

func (b *backend) Store() providers.Store                 { return b.s }
func (b *backend) Crash(testing.TB)                       { b.s = b.s.Reopen() }
func (b *backend) Damage(testing.TB, string, uint64) bool { return false }

func TestProvider(t *testing.T) {
	providertest.TestProvider(t, providertest.Provider{
		Connect: connect,
		Open:    func(testing.TB) providertest.Backend { return &backend{mem.NewStore()} },
	})
}

// TestCloseCodes lets the acceptor close with each kind of code.
func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		status websocket.StatusCode
		eof    bool
		code   providers.Code // 0xffff: no EndedError
	}{
		{websocket.StatusNormalClosure, true, 0xffff},
		{websocket.StatusGoingAway, true, providers.CodeGoingAway},
		{websocket.StatusServiceRestart, true, providers.CodeGoingAway},
		{websocket.StatusTryAgainLater, true, providers.CodeUnavailable},
		{websocket.StatusMessageTooBig, true, providers.CodeTooBig},
		{websocket.StatusProtocolError, true, 0xffff},
		{3000, true, 0xffff},
		{4000, true, providers.CodeNone},
		{4401, true, providers.CodeUnauthenticated},
		{4999, true, 999},
	} {
		url := raw(t, func(conn *websocket.Conn) { conn.Close(c.status, "because") })
		link, err := ws.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = link.Receive(t.Context())
		var end *providers.EndedError
		if errors.Is(err, io.EOF) != c.eof || errors.As(err, &end) != (c.code != 0xffff) {
			t.Errorf("%v: %v", c.status, err)
		} else if end != nil && (end.Code != c.code || !end.Remote || end.Reason != "because") {
			t.Errorf("%v: %+v", c.status, end)
		}
		link.Close()
	}
	url := raw(t, func(conn *websocket.Conn) { conn.CloseNow() })
	link, err := ws.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = link.Receive(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a connection that broke off: %v", err)
	}
	link.Close()
}

// TestByeSetsTheCloseCode: the code of the last frame is that of the WebSocket.
func TestByeSetsTheCloseCode(t *testing.T) {
	got := make(chan error, 1)
	url := raw(t, func(conn *websocket.Conn) {
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				got <- err
				return
			}
		}
	})
	long := strings.Repeat("ä", 128)
	for _, c := range []struct {
		code   providers.Code
		reason string
		status websocket.StatusCode
	}{
		{providers.CodeNone, "done", 4000}, {providers.CodeForbidden, "no", 4403}, {599, long, 4599}, {1200, "odd", 1000},
	} {
		link, err := ws.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := providers.NewConn(link, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Do(func(m *providers.Mux) { m.End(c.code, c.reason) })
		m.Run(t.Context())
		var end websocket.CloseError
		if err := <-got; !errors.As(err, &end) || end.Code != c.status {
			t.Errorf("%v: %v", c.code, err)
		} else if c.status != 1000 && !strings.HasPrefix(c.reason, end.Reason) || len(end.Reason) > 123 {
			t.Errorf("%v: reason %q", c.code, end.Reason)
		}
	}
}

func TestCloseDoesNotWaitForLong(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	link, err := ws.Dial(t.Context(), raw(t, func(*websocket.Conn) { <-over }), nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	link.Close()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("%v for a peer that does not answer", took)
	}
}

func TestTextIsRefused(t *testing.T) {
	got := make(chan error, 1)
	url := raw(t, func(conn *websocket.Conn) {
		conn.Write(context.Background(), websocket.MessageText, []byte("hello"))
		_, _, err := conn.Read(context.Background())
		got <- err
	})
	link, err := ws.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Receive(t.Context()); !errors.Is(err, providers.ErrMalformed) {
		t.Error(err)
	}
	if err := <-got; websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Error(err)
	}
}

func TestDialRefusesURLs(t *testing.T) {
	for _, url := range []string{"", "http://example.org", "ws://", "ws://user:secret@example.org/", "ws://example.org/#x", "ws://a b/", "example.org"} {
		_, err := ws.Dial(t.Context(), url, nil)
		if !errors.Is(err, providers.ErrInvalidOptions) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := ws.NewClient(url, nil); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Errorf("%q: %v", url, err)
		}
	}
}
