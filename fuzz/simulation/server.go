package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// process is what clients and servers have in common: it can be killed, and its clock may be wrong.
type process struct {
	w     *world
	name  string
	life  int // goes up when it is killed
	alive bool
	again time.Time // when it comes back, or tries something again
	skew  time.Duration
	disk  *disk // nil: it keeps nothing
	store *store
}

func (p *process) about() *process { return p }

func (p *process) now() time.Time { return p.w.now.Add(p.skew) }

// server has a room for each document, and a store.
type server struct {
	process
	index    int
	numbered bool
	history  runtime.History
	rooms    []*room
	damaged  []bool
	// acked is what somebody was told to be durable here: it may never be missing.
	acked []vclock.Clock
	// numbers is the next number of each document's log: what was numbered was durable, so it never falls.
	numbers []uint64
	// durable is how far what was durable ever reached: nobody who follows a log is told of more.
	durable []vclock.Clock
	// since is the first link after the store was damaged or restored: what arrives by older ones tells of what was
	// there before.
	since int
}

// room is a document that is open on a server.
type room struct {
	server *server
	doc    *document
	rt     *runtime.Runtime
	keeper *providers.Keeper
	task   *task
	failed bool
	shown  *providers.Ephemeral
	cache  struct {
		state []byte
		clock vclock.Clock
		age   int
	}
}

// stale is how many updates a cached state may lack.
const stale = 24

// What waits in a session of a server for its peer.
const (
	serverQueue      = 64
	serverQueueBytes = 32 << 10
)

// waiting bounds the messages that wait in a replica.
const waiting = 8

// boot starts a server that is down.
func (s *server) boot() {
	s.alive = true
	s.store = s.disk.open(&s.process)
	s.rooms = make([]*room, len(s.w.docs))
	s.w.trace("%s starts", s.name)
}

// kill takes the process away.
func (s *server) kill() {
	s.w.abandon(&s.process)
	s.alive = false
	for _, r := range s.rooms {
		if r != nil {
			s.w.kill(r.task)
		}
	}
	s.disk.crash()
	s.w.forget()
	s.life++
	s.rooms = make([]*room, len(s.w.docs))
	s.again = s.w.now.Add(time.Duration(s.w.upTo(2000)) * time.Millisecond)
}

// room returns a document that is open, or opens it.
func (s *server) room(i int) (*room, error) {
	if r := s.rooms[i]; r != nil {
		return r, nil
	}
	if s.damaged[i] {
		return nil, providers.ErrDamaged
	}
	r := &room{server: s, doc: s.w.docs[i]}
	o := &runtime.Options{Now: s.now, Rand: s.w, History: s.history, Limits: runtime.Limits{Waiting: waiting}}
	var err error
	if r.rt, _, err = r.doc.schema.open(o); err != nil {
		return nil, err
	}
	r.keeper, err = providers.Keep(context.Background(), r.rt, s.store, r.doc.name, &providers.KeeperOptions{
		Manual: true, Now: s.now, Rand: s.w, SnapshotRecords: 24,
		OnDurable: r.poke, OnError: r.fail,
	})
	if errors.Is(err, providers.ErrDamaged) {
		s.w.damaged(s.name, err)
		s.damaged[i], s.acked[i], s.numbers[i], s.since = true, make(vclock.Clock), 0, s.w.dialed
		s.w.trace("%s: %v", s.name, err)
		return nil, err
	}
	if errors.Is(err, errUnreadable) {
		s.w.trace("%s: %v", s.name, err)
		return nil, err
	}
	if err != nil {
		s.w.fail("%s cannot load %s: %w", s.name, r.doc.name, err)
	}
	if r.shown, err = s.presence(r.rt, true); err != nil {
		return nil, err
	}
	if have := r.rt.Clock(); !have.CoversClock(s.acked[i]) {
		s.w.fail("%s has lost dots of %s that it acknowledged as durable: %v", s.name, r.doc.name, s.acked[i].Diff(have))
	}
	if next, _ := r.keeper.Log().Next(); next < s.numbers[i] {
		s.w.fail("%s: the log of %s goes on with number %d, after %d", s.name, r.doc.name, next, s.numbers[i]-1)
	}
	r.rt.OnUpdate(func(u runtime.Update) {
		r.cache.age++
		if u.Kind == runtime.MessageUpdate {
			s.w.trace("%s: %s applies %v [%d,%d)", s.name, r.doc.name, u.Sender, u.Start, u.End)
		}
	})
	s.w.watch(r.rt, s.name)
	r.task = s.w.spawn(r.keeper.Step)
	s.rooms[i] = r
	r.poke()
	return r, nil
}

// sessions calls fn for each session of the room.
func (r *room) sessions(fn func(e *end, s *providers.Session)) {
	for _, c := range r.server.w.conns {
		for _, e := range c.ends {
			if x, ok := e.owner.(*server); ok && x == r.server && !e.lost {
				if s := e.mux.Session(r.doc.name); s != nil {
					fn(e, s)
				}
			}
		}
	}
}

func (r *room) poke() {
	for id := range r.rt.Clock() {
		if end := r.keeper.Durable(id); end > 0 {
			ever := r.server.durable[r.doc.index]
			ever.Set(id, max(end, ever[id]))
		}
	}
	r.sessions(func(_ *end, s *providers.Session) { s.Poke() })
}

// fail hears that nothing becomes durable any more: the room ends, and the next one has what is in the store.
func (r *room) fail(err error) {
	if r.failed = true; errors.Is(err, errKilled) {
		return
	}
	if !errors.Is(err, providers.ErrStoreFull) && !errors.Is(err, providers.ErrStoreFailed) {
		r.server.w.fail("%s: the keeper of %s failed: %w", r.server.name, r.doc.name, err)
	}
	r.server.w.trace("%s: %s ends: %v", r.server.name, r.doc.name, err)
	r.server.rooms[r.doc.index] = nil
	r.server.w.forget()
	r.sessions(func(e *end, s *providers.Session) {
		if e.mesh {
			e.mux.End(providers.CodeGoingAway, "the store failed")
		} else {
			s.Refuse(&providers.RefusedError{Code: providers.CodeStoreFailed, Reason: "what you write cannot be kept now"})
		}
	})
}

// options are those of a session with a client or, in a mesh, another server.
func (r *room) options(e *end) *providers.Options {
	o := &providers.Options{Durable: r.keeper.Durable, DurableFirst: true, Save: r.save, QueueMessages: serverQueue, QueueBytes: serverQueueBytes}
	if r.server.w.opt.Plant == AckBeforeDurable {
		o.Durable = func(id vclock.Replica) uint64 { return r.rt.Clock()[id] }
	}
	if e.mesh {
		return o
	}
	o.Ephemeral = r.shown
	if c, ok := e.conn.ends[0].owner.(*client); ok {
		o.ReadOnly = c.reader
	}
	o.IgnoreAcks, o.FirstHop, o.Principal = true, true, e.peer
	if r.server.numbered {
		o.Log = r.keeper.Log()
	}
	if e.peer == hostileName {
		o.Check = r.own
	}
	return o
}

// own lets a client bring only messages of replicas that are bound to it.
func (r *room) own(update []byte) error {
	info, err := runtime.Inspect(update)
	if err != nil {
		return err
	}
	if info.Kind != runtime.MessageUpdate {
		r.server.w.trace("mallory brings a %v", info.Kind)
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: "only messages"}
	}
	owner := r.keeper.Claim(info.Sender, hostileName)
	r.server.w.trace("mallory brings %v:%d of %q", info.Sender, info.Start, owner)
	if owner != hostileName {
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: "somebody else's"}
	}
	return nil
}

// save gives whoever has nothing a state that many share.
func (r *room) save(since vclock.Clock) ([]byte, vclock.Clock, error) {
	if len(since) > 0 {
		b, err := r.rt.SaveSince(since, runtime.CanonicalOnly(), runtime.Compressed(1))
		return b, nil, err
	}
	c := &r.cache
	if c.state == nil || c.age > stale {
		state, err := r.rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1))
		if err != nil {
			return nil, nil, err
		}
		c.state, c.clock, c.age = state, r.rt.Clock(), 0
	}
	return c.state, c.clock.Clone(), nil
}

// event is what a connection tells the server.
func (s *server) event(e *end, ev providers.Event) {
	w := s.w
	switch ev := ev.(type) {
	case providers.Admission:
		if e.peer = string(ev.Token); e.peer == e.conn.ends[0].owner.about().name {
			e.mux.Admit()
		} else {
			e.mux.End(providers.CodeUnauthenticated, "nobody of that name")
		}
	case providers.Admitted:
		e.in = true
		for i := range w.docs {
			s.openPeer(e, i)
		}
	case providers.Opening:
		s.opening(e, ev)
	case providers.Refused:
		if e.peer != hostileName {
			w.refused(s.name, ev)
		}
	case providers.Problem:
		w.problem(s.name, ev.Err)
	case providers.Ended:
		w.ended(s.name, e, ev.Err)
	}
}

// openPeer opens a document with the other server of a mesh.
func (s *server) openPeer(e *end, i int) {
	if r, err := s.room(i); err == nil && e.mux.Err() == nil {
		if _, err := e.mux.Open(r.rt, r.doc.name, r.options(e)); err != nil {
			s.w.fail("%s opens %s: %v", s.name, r.doc.name, err)
		}
	}
}

func (s *server) opening(e *end, ev providers.Opening) {
	doc := s.w.doc(ev.Document)
	if doc == nil {
		e.mux.Refuse(ev, &providers.RefusedError{Code: providers.CodeNotFound})
		return
	}
	r, err := s.room(doc.index)
	if err != nil {
		e.mux.Refuse(ev, &providers.RefusedError{Code: providers.CodeUnavailable, Reason: "the document cannot be loaded now"})
		return
	}
	if _, err := e.mux.Accept(ev, r.rt, r.options(e)); err != nil && e.peer != hostileName && e.mux.Err() == nil {
		s.w.fail("%s accepts %s: %v", s.name, doc.name, err)
	}
}

func (w *world) doc(name string) *document {
	for _, d := range w.docs {
		if d.name == name {
			return d
		}
	}
	return nil
}

// acknowledged notes what a server has told to be durable: the own dots of a replica. Of those that the server brought itself it
// has promised nothing. Where there are two servers, a session counts what the other one has acknowledged too, as long as it
// does not know better; all says that it knows.
func (w *world) acknowledged(s *server, doc *document, session *providers.Session, rt *runtime.Runtime, all bool) {
	own := rt.Replica()
	end := rt.Clock()[own]
	if session == nil || len(w.servers) > 1 && !all {
		return
	}
	for _, u := range session.Unsaved() {
		if u.Replica == own {
			end = min(end, u.Start)
		}
	}
	if end > s.acked[doc.index][own] {
		w.trace("%s holds %d dots of %v in %s", s.name, end, own, doc.name)
		s.acked[doc.index].Set(own, end)
	}
}

// refused looks at a refusal between honest sides: it must be one after which it makes sense to come again.
func (w *world) refused(who string, ev providers.Refused) {
	w.trace("%s: %s is refused (by the peer: %v): %v %s", who, ev.Document, ev.Remote, ev.Code, ev.Reason)
	if !ev.Code.Transient() && ev.Code != providers.CodeTimeout {
		w.fail("%s: an honest peer is refused for good: %v %s %v", who, ev.Code, ev.Reason, ev.Dot)
	}
}

func (w *world) problem(who string, err error) {
	w.trace("%s: problem: %v", who, err)
	if w.hostile == nil {
		w.fail("%s: an honest peer brought %w", who, err)
	}
}

// ended looks at the end of a connection between honest sides.
func (w *world) ended(who string, e *end, err *providers.EndedError) {
	w.trace("link %d: %s: %v", e.id, who, err)
	hostile := e.conn.ends[0].owner.about().name == hostileName
	if c := err.Code; !hostile && c != providers.CodeNone && c != providers.CodeTimeout && !c.Transient() {
		w.fail("%s: an honest connection ends: %w", who, err)
	}
}

// watch makes a replica's complaints failures.
func (w *world) watch(rt *runtime.Runtime, who string) {
	rt.OnProblem(func(p runtime.Problem) {
		if w.hostile == nil {
			w.fail("%s: %v %s: %w", who, p.Dot, p.Object, p.Err)
		}
	})
	rt.OnReplicaChange(func(c runtime.ReplicaChange) {
		w.fail("%s met dots of its own that it has not written: %v", who, c.Old)
	})
}
