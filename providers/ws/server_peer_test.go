//go:build !js

package ws_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
)

// TestServersInAChain has updates flow through a third server, and back, each once over a link.
func TestServersInAChain(t *testing.T) {
	frames := make([]int64, 3)
	var servers []*ws.Server
	var urls []string
	for range 3 {
		s, url := serve(t, nil)
		servers, urls = append(servers, s), append(urls, url)
	}
	for i := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- servers[i].Peer(ctx, &ws.PeerOptions{
				Dial:  func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, urls[i+1], nil) },
				Token: []byte("server"), Documents: []string{"doc", "other"},
			})
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, providers.ErrClosed) {
				t.Error(err)
			}
		})
	}
	a, c := join(t, urls[0], peerOptions{token: "a"}).synced(), join(t, urls[2], peerOptions{token: "c"}).synced()
	a.insert("from a ")
	c.insert("from c ")
	equal(t, a, c)
	for i, s := range servers {
		frames[i] = s.Stats().UpdatesIn
	}
	for range 10 {
		a.insert("x")
	}
	equal(t, a, c)
	a.saved()
	for i, s := range servers {
		if n := s.Stats().UpdatesIn - frames[i]; n != 10 {
			t.Errorf("server %d took %d updates of 10", i, n)
		}
	}
}

func TestPeerComesBack(t *testing.T) {
	store := mem.NewStore()
	o := func(o *ws.ServerOptions) { o.Store = store }
	near, nearURL := serve(t, nil)
	far, farURL := serve(t, o)
	urls := make(chan string, 100)
	urls <- farURL
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- near.Peer(ctx, &ws.PeerOptions{Token: []byte("near"), Documents: []string{"doc"}, Dial: func(ctx context.Context) (providers.Link, error) {
			select {
			case url := <-urls:
				urls <- url
				return ws.Dial(ctx, url, nil)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
	}()
	defer func() { cancel(); <-done }()
	a := join(t, nearURL, peerOptions{token: "a"}).synced()
	a.insert("one ")
	equal(t, a, join(t, farURL, peerOptions{token: "b"}).synced())
	far.Close()
	a.insert("two ")
	_, farURL = serve(t, o)
	<-urls
	urls <- farURL
	equal(t, a, join(t, farURL, peerOptions{token: "b"}).synced())
}

// TestPeerKeepsTheQuota: what another server brings counts as what clients bring does.
func TestPeerKeepsTheQuota(t *testing.T) {
	small, _ := serve(t, func(o *ws.ServerOptions) { o.Limits.DocumentBytes, o.Runtime.Kinds = 1000, crdt.Kinds() })
	_, url := serve(t, func(o *ws.ServerOptions) { o.Authorize = withServers })
	refused := make(chan providers.Code, 1)
	link(t, small, url, &ws.PeerOptions{OnRefused: func(_ string, err *providers.RefusedError) { refused <- err.Code }})
	p := join(t, url, peerOptions{token: "a"}).synced()
	p.insert(random(5000))
	p.saved()
	select {
	case code := <-refused:
		if code != providers.CodeQuota {
			t.Error(code)
		}
	case <-time.After(patience):
		t.Error("a document grows beyond its quota over a link")
	}
}

func TestPeerIsRefused(t *testing.T) {
	s, _ := serve(t, nil)
	g := &grants{}
	_, url := serve(t, func(o *ws.ServerOptions) { o.Authorize = g.authorize })
	dial := func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, url, nil) }
	var ended *providers.EndedError
	err := s.Peer(t.Context(), &ws.PeerOptions{Dial: dial, Documents: []string{"doc"}})
	if !errors.As(err, &ended) || ended.Code != providers.CodeUnauthenticated {
		t.Error(err)
	}
	refused := make(chan string, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() {
		<-refused
		cancel()
	}()
	err = s.Peer(ctx, &ws.PeerOptions{Dial: dial, Token: []byte("x"), Documents: []string{"doc"}, OnRefused: func(d string, e *providers.RefusedError) {
		if d != "doc" || e.Code != providers.CodeForbidden {
			t.Error(d, e)
		}
		refused <- d
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Peer(t.Context(), nil); !errors.Is(err, providers.ErrInvalidOptions) {
		t.Error(err)
	}
	s.Close()
	if err := s.Peer(t.Context(), &ws.PeerOptions{Dial: dial, Documents: []string{"doc"}}); !errors.Is(err, providers.ErrClosed) {
		t.Error(err)
	}
}
