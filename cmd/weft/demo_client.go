//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// network is what leads from one client to the server, and can be cut.
type network struct {
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

// conn tells the network that it ended.
type networkConn struct {
	net.Conn
	of *network
}

func (c *networkConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (n *network) dial(ctx context.Context, kind, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		c.Close()
		return nil, errors.New("no network")
	}
	nc := &networkConn{c, n}
	n.conns[nc] = true
	return nc, nil
}

func (n *network) cut() {
	n.mu.Lock()
	n.down = true
	var all []net.Conn
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

func (n *network) restore() {
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
}

// guest is one client of the demo's server: a document on the other side of a network.
type guest struct {
	name   string
	rt     *runtime.Runtime
	client *providers.Client
	doc    *providers.Document
	net    *network
}

const demoDocument = "the conversation"

func newGuest(name, url string) (*guest, error) {
	r, err := newReplica(vclock.Replica{}, runtime.Options{})
	if err != nil {
		return nil, err
	}
	g := &guest{name: name, rt: r.rt, net: &network{conns: make(map[net.Conn]bool)}}
	web := &http.Client{Transport: &http.Transport{DialContext: g.net.dial}}
	g.client, err = ws.NewClient(url, &ws.ClientOptions{
		ClientOptions: providers.ClientOptions{Agent: name, Pause: 20 * time.Millisecond, LongestPause: 200 * time.Millisecond},
		Dial:          ws.DialOptions{HTTPClient: web},
	})
	if err != nil {
		return nil, err
	}
	g.doc, err = g.client.Open(g.rt, demoDocument, nil)
	return g, err
}

// offline cuts a client off, and returns when it has noticed: from then on nothing is acknowledged.
func (g *guest) offline(ctx context.Context) error {
	g.net.cut()
	for {
		if status, _ := g.client.Status(); status != providers.Online {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not notice that the connection is gone", g.name)
		case <-time.After(time.Millisecond):
		}
	}
}

func (g *guest) online() {
	g.net.restore()
	g.client.Reconnect()
}

// saved returns what the server has told this client to be on its disk.
func (g *guest) saved() vclock.Clock {
	clock := g.rt.Clock()
	for _, s := range g.doc.Unsaved() {
		if s.Start < clock[s.Replica] {
			clock.Set(s.Replica, s.Start)
		}
	}
	return clock
}
