//go:build !js

package ws_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
)

// TestNothingIsRelayedBeforeItIsDurable: neither to who was there nor to who comes, by messages, state or log, nor to another
// server, goes what a crash could still take back.
func TestNothingIsRelayedBeforeItIsDurable(t *testing.T) {
	store := &gatedStore{Store: mem.NewStore()}
	near, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	far, farURL := serve(t, nil)
	for _, link := range []struct {
		server *ws.Server
		to     string
		doc    string
	}{{near, farURL, "out"}, {far, url, "in"}} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			link.server.Peer(ctx, &ws.PeerOptions{Token: []byte("server"), Documents: []string{link.doc},
				Dial: func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, link.to, nil) }})
		}()
		defer func() { cancel(); <-done }()
	}
	const before, after = "before ", "not durable yet "
	for name, o := range map[string]struct {
		writes, reads, doc string
		options            peerOptions
	}{
		"plain":    {url, url, "plain", peerOptions{plain: true}},
		"follower": {url, url, "follower", peerOptions{options: providers.Options{Follow: new(providers.Follower)}}},
		"state":    {url, url, "state", peerOptions{plain: true, options: providers.Options{Pattern: providers.Ongoing}}},
		"out":      {url, farURL, "out", peerOptions{plain: true}},
		"in":       {url, farURL, "in", peerOptions{plain: true}},
	} {
		t.Run(name, func(t *testing.T) {
			a := join(t, o.writes, peerOptions{token: "a", document: o.doc, plain: true}).synced()
			a.insert(before)
			a.saved()
			watcher := o.options
			watcher.token, watcher.document = "b", o.doc
			b := join(t, o.reads, watcher).synced()
			equal(t, a, b)
			store.gate.Lock()
			a.insert(after)
			eventually(t, "the server has applied it", func() bool {
				return near.Clock(o.doc).Equal(a.rt.Clock())
			})
			late := joinLate(t, o.reads, watcher)
			time.Sleep(50 * time.Millisecond)
			if b.String() != before || late.String() != "" && late.String() != before {
				t.Errorf("one who was there has %q, one who comes %q", b, late)
			}
			store.gate.Unlock()
			equal(t, a, b, late)
		})
	}
}

// joinLate is join for a second peer with the same options, and a replica of its own.
func joinLate(t *testing.T, url string, o peerOptions) *peer {
	o.rt = nil
	if o.options.Follow != nil {
		o.options.Follow = new(providers.Follower)
	}
	o.token = "late"
	return join(t, url, o)
}
