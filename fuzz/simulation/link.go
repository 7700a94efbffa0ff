package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// conn is a link and the Muxes at its ends; the dialer is at end 0.
//
//  1. Frames arrive in the order in which they were sent, each once, until some frame from which on all are lost.
//  2. At most capacity frames are under way in a direction.
type conn struct {
	id      int
	ends    [2]*end
	latency time.Duration
	cut     bool    // nothing more goes in; an end hears of it when it has got what was under way
	silent  [2]bool // what this end sends vanishes, and nobody hears of it
}

// end is one side of a link, of one life of a process.
type end struct {
	*conn
	i      int
	owner  owner
	mux    *providers.Mux
	queue  []flight // sent and under way
	lost   bool     // it takes no part any more
	ticked time.Time
	peer   string // what the other side said in its token
	mesh   bool
	in     bool // the other side has admitted it
}

type flight struct {
	data []byte
	at   time.Time
}

// owner is who has an end: a client, a server, a hostile client.
type owner interface {
	about() *process
	event(e *end, ev providers.Event)
}

// capacity bounds the frames under way.
const capacity = 24

// connect dials.
func (w *world) connect(a, b owner) *conn {
	c := &conn{id: w.dialed, latency: time.Duration(w.upTo(40_000)) * time.Microsecond}
	w.dialed++
	_, mesh := a.(*server)
	for i, o := range [2]owner{a, b} {
		m, err := providers.NewMux(&providers.MuxOptions{Acceptor: i == 1, Token: []byte(a.about().name)})
		if err != nil {
			w.fail("NewMux: %v", err)
		}
		c.ends[i] = &end{conn: c, i: i, owner: o, mux: m, mesh: mesh}
		c.ends[i].tick()
	}
	w.conns = append(w.conns, c)
	w.trace("%s dials %s: link %d", a.about().name, b.about().name, c.id)
	return c
}

// tick tells the Mux the time of its process, as often as a Conn does.
func (e *end) tick() {
	now := e.owner.about().now()
	if at := e.mux.Deadline(); e.ticked.IsZero() || now.Sub(e.ticked) >= 100*time.Millisecond || now.Before(e.ticked) || !at.IsZero() && !now.Before(at) {
		e.ticked = now
		e.mux.Tick(now)
	}
}

// after handles the events of an end, and its own wish to end the link.
func (e *end) after() {
	for ev, ok := e.mux.NextEvent(); ok; ev, ok = e.mux.NextEvent() {
		e.owner.event(e, ev)
	}
	if e.mux.Over() && !e.lost {
		e.lost, e.cut = true, true
	}
}

// send puts up to n frames of an end under way.
func (w *world) send(e *end, n int) (moved int) {
	for !e.lost && moved < n && len(e.queue) < capacity {
		e.tick()
		f, ok := e.mux.Next()
		if !ok {
			break
		}
		moved++
		if len(f) > providers.MaxFrame {
			w.fail("link %d: a frame of %d bytes", e.id, len(f))
		}
		f = w.tamper(e, f)
		w.note(e.id*2+e.i, f)
		w.report.Frames++
		if e.cut || e.silent[e.i] || e.conn.ends[1-e.i].lost {
			w.report.Dropped++
			continue
		}
		at := w.now.Add(e.latency)
		if k := len(e.queue); k > 0 && e.queue[k-1].at.After(at) {
			at = e.queue[k-1].at
		}
		e.queue = append(e.queue, flight{f, at})
	}
	if !e.lost {
		e.tick()
		e.after()
	}
	return moved
}

// receive hands an end up to n frames that have arrived, and after the last one of a link that was cut the news of that.
func (w *world) receive(e *end, n int) (moved int) {
	from := e.conn.ends[1-e.i]
	for ; moved < n && !e.lost && len(from.queue) > 0 && !from.queue[0].at.After(w.now); moved++ {
		f := from.queue[0].data
		from.queue = from.queue[1:]
		way := [2]*process{from.owner.about(), e.owner.about()}
		if e.id < w.newest[way] {
			w.report.Overtaken++
		}
		w.newest[way] = max(w.newest[way], e.id)
		if w.opt.Trace != nil {
			w.trace("link %d: %s gets %s", e.id, e.owner.about().name, describe(f))
		}
		e.tick()
		e.mux.Receive(f)
		e.after()
	}
	if e.cut && len(from.queue) == 0 && !e.lost {
		w.trace("link %d: %s hears that it was cut", e.id, e.owner.about().name)
		e.mux.Lost("cut")
		e.after()
		e.lost = true
		moved++
	}
	return moved
}

func describe(f []byte) string {
	t, channel, err := providers.PeekFrame(f)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%v on %d, %d bytes", t, channel, len(f))
}

// pump moves some frames of a link both ways.
func (w *world) pump(c *conn, n int) (moved int) {
	for i := range 2 {
		k := w.upTo(1) ^ i
		moved += w.send(c.ends[k], n)
		moved += w.receive(c.ends[1-k], n)
	}
	w.bury(c)
	return moved
}

// bury forgets a link that nobody is at any more.
func (w *world) bury(c *conn) {
	if c.ends[0].lost && c.ends[1].lost {
		if i := slices.Index(w.conns, c); i >= 0 {
			w.conns = slices.Delete(w.conns, i, i+1)
		}
	}
}

// sever cuts a link: of what is under way some first frames still arrive.
func (w *world) sever(c *conn) {
	c.cut = true
	for _, e := range c.ends {
		w.drop(e)
	}
}

// drop leaves some first ones of the frames that are under way.
func (w *world) drop(e *end) {
	n := w.upTo(len(e.queue))
	w.report.Dropped += len(e.queue) - n
	e.queue = e.queue[:n]
}

// abandon takes the ends of a process away that was killed. The other sides hear of it, or not if the whole machine went.
func (w *world) abandon(p *process) {
	for _, c := range slices.Clone(w.conns) {
		for i, e := range c.ends {
			if e.owner.about() != p || e.lost {
				continue
			}
			e.lost = true
			w.drop(e)
			if w.calm || !w.chance(4) {
				c.cut = true
			} else {
				c.silent[1-i] = true
			}
		}
		w.bury(c)
	}
}
