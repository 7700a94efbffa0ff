package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// clientQueueBytes bounds what waits in a session of a client, beside client.queue.
const clientQueueBytes = 256 << 10

// client edits all documents, on its own and in sync with one server at a time.
type client struct {
	process
	docs     []*replica
	end      *end // nil: offline
	admitted bool
	home     int  // the server that it dials
	reader   bool // servers take nothing of it
	restored bool // its store is an older copy: what it had is lost
	lends    bool
	follows  bool
	queue    int // Options.QueueMessages
	pattern  providers.Pattern
	history  runtime.History
}

// replica is a client's copy of a document, of one life.
type replica struct {
	client    *client
	doc       *document
	rt        *runtime.Runtime
	edit      editor
	keeper    *providers.Keeper // nil: no store
	task      *task
	failed    bool // the store has
	followers []*providers.Follower
	shown     *providers.Ephemeral
	again     time.Time // not to be opened before
}

// boot starts a client that is down.
func (c *client) boot() {
	w := c.w
	c.alive, c.admitted, c.end, c.again = true, false, nil, time.Time{}
	if c.disk != nil {
		c.store = c.disk.open(&c.process)
	}
	old := c.docs
	c.docs = make([]*replica, len(w.docs))
	w.trace("%s starts", c.name)
	for i, doc := range w.docs {
		r := &replica{client: c, doc: doc, followers: make([]*providers.Follower, len(w.servers))}
		for j := range r.followers {
			r.followers[j] = new(providers.Follower)
		}
		if err := r.open(); errors.Is(err, providers.ErrDamaged) {
			w.damaged(c.name, err)
			w.trace("%s: %v", c.name, err)
			c.disk.wipe(doc.name)
			old = nil
			err = r.open()
			if err != nil {
				w.fail("%s cannot begin %s anew: %w", c.name, doc.name, err)
			}
		} else if err != nil {
			w.fail("%s cannot open %s: %w", c.name, doc.name, err)
		}
		if old != nil && c.disk != nil && !c.restored {
			before := old[i]
			id := before.rt.Replica()
			if want, have := before.keeper.Durable(id), r.rt.Clock()[id]; have < want {
				w.fail("%s has lost %d own dots of %s that its store had", c.name, want-have, doc.name)
			}
		}
		c.docs[i] = r
	}
	c.restored = false
}

func (r *replica) open() (err error) {
	c := r.client
	w := c.w
	o := &runtime.Options{Now: c.now, Rand: w, History: c.history, Limits: runtime.Limits{Waiting: waiting}}
	if c.lends {
		o.Replica = c.disk.lend(r.doc.name)
	}
	if r.rt, r.edit, err = r.doc.schema.open(o); err != nil {
		return err
	}
	if c.disk != nil {
		r.keeper, err = providers.Keep(context.Background(), r.rt, c.store, r.doc.name, &providers.KeeperOptions{
			Manual: true, Now: c.now, Rand: w, SnapshotRecords: 16, OnError: func(error) { r.failed = true },
		})
		if err != nil {
			return err
		}
		r.task = w.spawn(r.keeper.Step)
	}
	w.watch(r.rt, c.name)
	if s := w.servers[0]; len(w.servers) == 1 && s.numbered && c.follows {
		r.rt.OnUpdate(func(u runtime.Update) {
			_, told := u.Origin.(*providers.Session)
			if ever := s.durable[r.doc.index]; told && u.Kind == runtime.MessageUpdate && ever[u.Sender] < u.End {
				w.fail("%s was told of %v [%d,%d) of %s, which a crash of %s could take back", c.name, u.Sender, u.Start, u.End, r.doc.name, s.name)
			}
		})
	}
	if c.reader {
		w.readers[r.rt.Replica()] = true
	}
	r.shown, err = c.presence(r.rt, false)
	return err
}

// show tells the others where this one is.
func (r *replica) show() {
	w := r.client.w
	if err := r.shown.Set(fmt.Appendf([]byte{0x6d}, "%s%05d", mark, w.upTo(99_999))); err != nil {
		w.fail("%s shows itself in %s: %w", r.client.name, r.doc.name, err)
	}
}

// kill takes the process away, and with it what its store has not got.
func (c *client) kill() {
	c.w.abandon(&c.process)
	c.alive = false
	for _, r := range c.docs {
		c.w.kill(r.task)
	}
	if c.disk != nil {
		c.disk.crash()
	}
	c.life++
	c.end = nil
	c.again = c.w.now.Add(time.Duration(c.w.upTo(3000)) * time.Millisecond)
}

// failed reports whether the store of a client has failed: nothing becomes durable in this life.
func (c *client) failed() bool {
	for _, r := range c.docs {
		if r.failed {
			return true
		}
	}
	return false
}

// dial connects if it is time to.
func (c *client) dial() {
	w := c.w
	if !c.alive || c.end != nil || w.now.Before(c.again) {
		return
	}
	if !w.calm && w.chance(6) {
		c.home = w.upTo(len(w.servers) - 1)
	}
	if s := w.servers[c.home]; s.alive {
		c.end = w.connect(c, s).ends[0]
		c.admitted = false
	}
}

// open opens documents that are not open on the connection.
func (c *client) open() {
	if !c.alive || c.end == nil || !c.admitted {
		return
	}
	for _, r := range c.docs {
		if c.w.now.Before(r.again) || c.end.mux.Session(r.doc.name) != nil {
			continue
		}
		if _, err := c.end.mux.Open(r.rt, r.doc.name, r.options()); err != nil {
			c.w.fail("%s opens %s: %v", c.name, r.doc.name, err)
		}
		c.w.trace("link %d: %s opens %s on %d", c.end.id, c.name, r.doc.name, c.end.mux.Session(r.doc.name).Channel())
	}
}

func (r *replica) options() *providers.Options {
	c := r.client
	o := &providers.Options{Pattern: c.pattern, QueueMessages: c.queue, QueueBytes: clientQueueBytes, Ephemeral: r.shown}
	if c.follows {
		o.Follow = r.followers[c.home]
	}
	if r.keeper != nil {
		o.Durable = r.keeper.Durable
		o.DurableFirst = c.lends && c.w.opt.Plant != KeepID
	}
	return o
}

// write makes a transaction.
func (r *replica) write() {
	c := r.client
	w := c.w
	var names []string
	err := r.rt.Transact(func(tx runtime.Tx) error {
		for range 1 + w.upTo(2) {
			name, err := r.edit(w.rng, tx)
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		w.fail("%s edits %s, %v: %w", c.name, r.doc.name, names, err)
	}
	w.report.Edits++
	w.trace("%s edits %s: %s", c.name, r.doc.name, strings.Join(names, ", "))
}

// paste inserts a text that is too long for a frame.
func (r *replica) paste() {
	w := r.client.w
	text, err := crdt.NewText(r.rt, "paste")
	if err == nil {
		n := 33_000 + w.upTo(60_000)
		err = r.rt.Transact(func(tx runtime.Tx) error {
			if text.Len(tx) > 100_000 {
				return text.Delete(tx, 0, text.Len(tx))
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = 'a' + byte(w.rng.Uint32()%26)
			}
			return text.Insert(tx, 0, string(b))
		})
	}
	if err != nil {
		w.fail("%s pastes into %s: %w", r.client.name, r.doc.name, err)
	}
	w.trace("%s pastes into %s", r.client.name, r.doc.name)
}

// event is what the connection tells the client.
func (c *client) event(e *end, ev providers.Event) {
	w := c.w
	if c.end != e {
		return
	}
	s := w.servers[c.home]
	switch ev := ev.(type) {
	case providers.Admitted:
		c.admitted = true
	case providers.Saved:
		if ev.Level == providers.Durable && e.id >= s.since {
			doc := w.doc(ev.Document)
			w.acknowledged(s, doc, e.mux.Session(ev.Document), c.docs[doc.index].rt, ev.All)
		}
	case providers.Refused:
		w.refused(c.name, ev)
		c.docs[w.doc(ev.Document).index].again = w.now.Add(time.Duration(w.upTo(2000)) * time.Millisecond)
	case providers.Problem:
		w.problem(c.name, ev.Err)
	case providers.Ended:
		w.ended(c.name, e, ev.Err)
		c.end, c.admitted = nil, false
		c.again = w.now.Add(time.Duration(w.upTo(1000)) * time.Millisecond)
	}
}
