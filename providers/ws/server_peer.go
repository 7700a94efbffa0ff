//go:build !js

package ws

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// PeerOptions configure a link to another server. nil and zero fields mean the defaults.
type PeerOptions struct {
	// Dial makes a link to the other server; required. It is called again, after growing and random pauses, whenever the link
	// was lost: func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, url, nil) }.
	Dial func(ctx context.Context) (providers.Link, error)
	// Token says to the other server who this one is. It needs AccessServer there, or AccessWriteRelay for a link without
	// presence.
	Token []byte
	// Name is who the other server is: it stands in logs, and in the store beside what that server brought. At most 128 bytes;
	// default "server".
	Name string
	// Documents are those that both keep in sync. Each stays open here as long as the link is wanted.
	Documents []string
	// OnRefused hears that the other server refuses a document for good; it is not asked for again.
	OnRefused func(document string, err *providers.RefusedError)
	// OnDiverged hears that both servers hold different documents at the same clock: see operating.md. It is logged, and
	// counted in Stats.Diverged.
	OnDiverged func(e providers.Diverged)
}

// firstPause and longestPause bound the pauses between links.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// Peer keeps documents in sync with another server until ctx ends, the other server refuses this one for good, or this one
// shuts down; it returns why: the error of ctx, an *EndedError, ErrClosed. Updates go both ways, each once over a link, and
// on to all other peers of either side; so do presence and casts where the other server gives this one AccessServer.
// Servers may be linked in rings.
func (s *Server) Peer(ctx context.Context, o *PeerOptions) error {
	if o == nil || o.Dial == nil || len(o.Documents) == 0 || len(o.Name) > providers.MaxPrincipal {
		return providers.ErrInvalidOptions
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return providers.ErrClosed
	}
	s.peers++
	s.live.Add(1)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.peers--
		s.mu.Unlock()
		s.live.Done()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.goingAway, cancel)()
	p := &peering{s: s, o: o, name: cmp.Or(o.Name, "server"), left: make(map[string]bool), places: make(map[string]peerPlace)}
	for _, d := range o.Documents {
		p.left[d] = true
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		err := p.once(ctx)
		var ended *providers.EndedError
		switch {
		case s.goingAway.Err() != nil:
			return providers.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &ended) && ended.Remote && ended.Code != providers.CodeNone && !ended.Code.Transient():
			s.log.Error("weft: a server refuses this one", "server", printable(p.name), "code", ended.Code, "reason", printable(ended.Reason))
			return ended
		}
		s.log.Warn("weft: link to a server lost", "server", printable(p.name), "error", printable(err.Error()))
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		pauseFor(ctx, pause/2+rand.N(pause))
	}
}

// peering is the life of a Peer call.
type peering struct {
	s    *Server
	o    *PeerOptions
	name string // of the other server

	mu     sync.Mutex
	left   map[string]bool // documents that the other server takes
	places map[string]peerPlace
}

// peerPlace is where a document stands in the other server's log, as long as it is the same room: one that was loaded anew
// may hold less.
type peerPlace struct {
	room     *room
	follower *providers.Follower
}

func (p *peering) follower(r *room) *providers.Follower {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.places[r.name].room != r {
		p.places[r.name] = peerPlace{r, new(providers.Follower)}
	}
	return p.places[r.name].follower
}

func (p *peering) documents() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.o.Documents {
		if p.left[d] {
			out = append(out, d)
		}
	}
	return out
}

// once runs one link until it is lost.
func (p *peering) once(ctx context.Context) error {
	s := p.s
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	documents := p.documents()
	if len(documents) == 0 {
		return &providers.EndedError{Code: providers.CodeForbidden, Reason: "all documents were refused", Remote: true}
	}
	link, err := p.o.Dial(ctx)
	if err != nil {
		return err
	}
	var all []*member
	defer func() {
		for _, m := range all {
			m.room.leave(m)
			s.rooms.release(m.room)
		}
	}()
	for _, d := range documents {
		r, err := s.rooms.acquire(ctx, d)
		if err != nil {
			link.Close()
			return err
		}
		m := &member{room: r, end: cancel}
		r.mu.Lock()
		r.members[m] = true
		r.mu.Unlock()
		all = append(all, m)
	}
	l := &s.opt.Limits
	conn, err := providers.NewConn(link, &providers.ConnOptions{
		Mux:        providers.MuxOptions{Token: p.o.Token, Agent: s.opt.Agent, Heartbeat: l.Heartbeat, HelloAfter: l.HelloAfter},
		WriteAfter: l.StalledAfter,
		Handle:     func(c *providers.Conn, e providers.Event) { p.event(c, e, all) },
	})
	if err != nil {
		link.Close()
		return err
	}
	return conn.Run(ctx)
}

func (p *peering) event(c *providers.Conn, e providers.Event, all []*member) {
	s := p.s
	switch e := e.(type) {
	case providers.Admitted:
		s.log.Info("weft: linked to a server", "server", printable(p.name), "agent", printable(e.Agent))
		c.Do(func(x *providers.Mux) {
			for _, m := range all {
				po := m.room.peerOptions(p.name)
				po.Follow = p.follower(m.room)
				session, err := x.Open(m.room.rt, m.room.name, po)
				if err != nil {
					s.log.Error("weft: a document cannot be opened with a server", "document", printable(m.room.name), "error", err)
					continue
				}
				m.session = session
				m.room.attach(m)
			}
		})
	case providers.Opening: // a server asks nothing of its clients
		c.Do(func(x *providers.Mux) { x.Refuse(e, &providers.RefusedError{Code: providers.CodeForbidden}) })
	case providers.Refused:
		s.log.Warn("weft: document refused between servers", "server", printable(p.name), "document", printable(e.Document), "code", e.Code, "reason", printable(e.Reason), "remote", e.Remote)
		if e.Code.Transient() {
			c.Do(func(x *providers.Mux) { x.End(providers.CodeNone, "to try again") })
			return
		}
		p.mu.Lock()
		delete(p.left, e.Document)
		p.mu.Unlock()
		if p.o.OnRefused != nil {
			p.o.OnRefused(e.Document, &providers.RefusedError{Code: e.Code, Dot: e.Dot, Reason: e.Reason})
		}
	case providers.Diverged:
		s.diverged(e, "server", p.name)
		if p.o.OnDiverged != nil {
			p.o.OnDiverged(e)
		}
	case providers.Problem:
		s.log.Warn("weft: something that a server brought was ignored", "server", printable(p.name), "document", printable(e.Document), "error", printable(e.Err.Error()), "count", e.Count)
	}
}
