package providertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Provider is what TestProvider runs replicas over. Open may be nil: then nothing restarts.
type Provider struct {
	Connect Connect
	Open    Open
}

// TestProvider runs two to four replicas of a document. Replica 0 keeps the document in the store, where there is one, and
// acknowledges what is durable; the others are linked to it and some to each other, each side with a pattern of its own.
// They edit while links are lost at any frame, slow down, or swallow everything; replica 0 dies and restarts from the
// store. Checked are:
//
//  1. What counted as saved with replica 0 is there after its restart.
//  2. Once the links are good all replicas become equal, byte for byte, and nothing is unsaved or waits.
func TestProvider(t *testing.T, p Provider) {
	defer CheckLeaks(t)()
	rapid.Check(t, func(rt *rapid.T) { runProvider(t, rt, p) })
}

const document = "document"

type world struct {
	t        testing.TB
	rt       *rapid.T
	provider Provider
	backend  Backend
	replicas []*replica
	edges    []*edge
	ctx      context.Context
}

// replica is one runtime, and what it is told.
type replica struct {
	mu     sync.Mutex
	rt     *runtime.Runtime
	text   crdt.Text
	keeper *providers.Keeper
	poke   map[*providers.Session]bool
	// saved is, for each replica ID of this one, what it knows to be durable with replica 0.
	saved map[vclock.Replica]uint64
	edits int
}

func (r *replica) runtime() *runtime.Runtime {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rt
}

// start gives a replica a new runtime, from the store if it has one.
func (w *world) start(r *replica, backend Backend) error {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Messages: 50}})
	if err != nil {
		return err
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		return err
	}
	var keeper *providers.Keeper
	if backend != nil {
		keeper, err = providers.Keep(w.ctx, rt, backend.Store(), document, &providers.KeeperOptions{SnapshotRecords: 5, OnDurable: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			for s := range r.poke {
				s.Poke()
			}
		}})
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rt, r.text, r.keeper, r.poke = rt, text, keeper, make(map[*providers.Session]bool)
	return nil
}

// edge is a link that is made again whenever it ends.
type edge struct {
	w        *world
	ends     [2]*replica
	patterns [2]providers.Pattern
	follower *providers.Follower // of the dialer; nil: it follows no log

	mu      sync.Mutex
	faults  [2]*flaky
	session *providers.Session // of the dialer
	stop    context.CancelFunc
	done    chan struct{}
}

func (e *edge) run(ctx context.Context) {
	defer close(e.done)
	for ctx.Err() == nil {
		a, b := e.w.provider.Connect(e.w.t)
		links := [2]*flaky{{Link: a, left: -1}, {Link: b, left: -1}}
		e.mu.Lock()
		e.faults, e.session = links, nil
		e.mu.Unlock()
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { e.side(ctx, i, links[i]) })
		}
		wg.Wait()
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// side runs one end of a link until it is lost.
func (e *edge) side(ctx context.Context, i int, link providers.Link) {
	r := e.ends[i]
	r.mu.Lock()
	rt, keeper := r.rt, r.keeper
	r.mu.Unlock()
	o := &providers.Options{Pattern: e.patterns[i], QueueMessages: 8, AskAfter: 50 * time.Millisecond}
	if keeper != nil {
		o.Durable, o.Log, o.Principal = keeper.Durable, keeper.Log(), "somebody"
	}
	if i == 0 {
		o.Follow = e.follower
	}
	var session *providers.Session
	joined := func(s *providers.Session, err error) {
		if err != nil {
			return
		}
		r.mu.Lock()
		r.poke[s] = true
		r.mu.Unlock()
		session = s
		if i == 0 {
			e.mu.Lock()
			e.session = s
			e.mu.Unlock()
		}
	}
	c, err := providers.NewConn(link, &providers.ConnOptions{
		Mux: providers.MuxOptions{Acceptor: i == 1, Heartbeat: 150 * time.Millisecond},
		Handle: func(c *providers.Conn, ev providers.Event) {
			switch ev := ev.(type) {
			case providers.Admission:
				c.Do(func(m *providers.Mux) { m.Admit() })
			case providers.Admitted:
				c.Do(func(m *providers.Mux) { joined(m.Open(rt, document, o)) })
			case providers.Opening:
				c.Do(func(m *providers.Mux) { joined(m.Accept(ev, rt, o)) })
			case providers.Saved:
				if ev.Level == providers.Durable {
					r.note(rt, ev)
				}
			case providers.Refused:
				if !ev.Code.Transient() {
					e.w.t.Errorf("refused: %+v", ev)
				}
			}
		},
	})
	if err != nil {
		e.w.t.Error(err)
		return
	}
	c.Run(ctx)
	r.mu.Lock()
	delete(r.poke, session)
	r.mu.Unlock()
}

// note remembers what is durable with replica 0 when an edge tells of it.
func (r *replica) note(rt *runtime.Runtime, _ providers.Saved) {
	id := rt.Replica()
	end := rt.Clock().Get(id)
	if s, ok := rt.Unacknowledged(); ok {
		end = s.Start
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.saved == nil {
		r.saved = make(map[vclock.Replica]uint64)
	}
	r.saved[id] = max(r.saved[id], end)
}

func runProvider(t *testing.T, rt *rapid.T, p Provider) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &world{t: t, rt: rt, provider: p, ctx: ctx}
	if p.Open != nil {
		w.backend = p.Open(t)
		defer func() { w.backend.Store().Close() }()
	}
	count := rapid.IntRange(2, 4).Draw(rt, "replicas")
	for i := range count {
		r := &replica{}
		w.replicas = append(w.replicas, r)
		b := w.backend
		if i > 0 {
			b = nil
		}
		if err := w.start(r, b); err != nil {
			rt.Fatal(err)
		}
	}
	defer func() {
		cancel()
		for _, e := range w.edges {
			<-e.done
		}
		if k := w.replicas[0].keeper; k != nil {
			k.Close()
		}
	}()
	for i := 1; i < count; i++ {
		w.link(i, 0)
		if i > 1 && rapid.Bool().Draw(rt, "also to each other") {
			w.link(i, i-1)
		}
	}
	for range rapid.IntRange(3, 30).Draw(rt, "steps") {
		w.step()
		time.Sleep(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "pause, us")) * time.Microsecond)
	}
	w.settle()
}

func (w *world) link(i, j int) {
	e := &edge{w: w, ends: [2]*replica{w.replicas[i], w.replicas[j]}, done: make(chan struct{})}
	for k := range e.patterns {
		e.patterns[k] = rapid.SampledFrom([]providers.Pattern{providers.Clock, providers.Clock, providers.Ongoing}).Draw(w.rt, "pattern")
	}
	if rapid.IntRange(0, 2).Draw(w.rt, "follow") > 0 {
		e.follower = new(providers.Follower)
	}
	ctx, stop := context.WithCancel(w.ctx)
	e.stop = stop
	w.edges = append(w.edges, e)
	go e.run(ctx)
}

func (w *world) step() {
	rt := w.rt
	switch rapid.SampledFrom([]string{"edit", "edit", "edit", "burst", "large", "cut", "cut", "arm", "arm", "half-open", "slow", "wait", "crash", "again"}).Draw(rt, "step") {
	case "edit":
		w.edit(1)
	case "burst":
		w.edit(rapid.IntRange(2, 40).Draw(rt, "edits"))
	case "large":
		if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
			r := w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(rt, "replica")]
			r.insert(rt, 0, fmt.Sprintf("%0100000d", rapid.Int().Draw(rt, "seed")))
		}
	case "cut":
		w.fault(func(f *flaky) { f.Close() })
	case "arm": // lost at some frame to come
		n := rapid.IntRange(0, 12).Draw(rt, "frames")
		w.fault(func(f *flaky) { f.set(func() { f.left = n }) })
	case "half-open":
		if rapid.IntRange(0, 1).Draw(rt, "really") > 0 {
			return // it takes a while to be noticed
		}
		w.fault(func(f *flaky) { f.set(func() { f.swallows = true }) })
	case "slow":
		w.fault(func(f *flaky) { f.set(func() { f.delay = time.Millisecond }) })
	case "wait":
		time.Sleep(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "us")) * time.Microsecond)
	case "crash":
		w.crash()
	case "again": // what came before comes again, in another order
		r := w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(rt, "replica")].runtime()
		if ms, err := r.MessagesSince(nil); err == nil {
			for _, m := range rapid.Permutation(ms).Draw(rt, "order") {
				for _, to := range w.replicas {
					if to.runtime() != r && len(ms) < 20 {
						if _, err := to.runtime().Receive(m); err != nil {
							rt.Fatal(err)
						}
					}
				}
			}
		}
	}
}

func (w *world) edit(n int) {
	r := w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(w.rt, "replica")]
	for range n {
		r.insert(w.rt, rapid.IntRange(0, 9).Draw(w.rt, "at"), fmt.Sprint("<", r.edits, ">"))
	}
}

func (r *replica) insert(t *rapid.T, at int, s string) {
	r.mu.Lock()
	rt, text := r.rt, r.text
	r.edits++
	r.mu.Unlock()
	err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, min(at, text.Len(tx)), s) })
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) fault(do func(*flaky)) {
	e := w.edges[rapid.IntRange(0, len(w.edges)-1).Draw(w.rt, "edge")]
	i := rapid.IntRange(0, 1).Draw(w.rt, "end")
	e.mu.Lock()
	f := e.faults[i]
	e.mu.Unlock()
	if f != nil {
		do(f)
	}
}

// crash ends replica 0 as the death of its process would, and starts it again from the store.
func (w *world) crash() {
	r := w.replicas[0]
	if r.keeper == nil {
		return
	}
	w.backend.Crash(w.t)
	old := r.keeper
	if err := w.start(r, w.backend); err != nil {
		w.rt.Fatal(err)
	}
	for _, e := range w.edges {
		e.mu.Lock()
		for i, f := range e.faults {
			if f != nil && e.ends[i] == r {
				f.Close()
			}
		}
		e.mu.Unlock()
	}
	old.Close()
	have := r.runtime().Clock()
	for i, x := range w.replicas[1:] {
		x.mu.Lock()
		for id, end := range x.saved {
			if have.Get(id) < end {
				w.rt.Fatalf("replica %d knew %d of its dots to be durable, %d were there after the crash", i+1, end, have.Get(id))
			}
		}
		x.mu.Unlock()
	}
}

// settle makes all links good, apart from half-open ones, which the replicas have to find out about, and waits until all
// replicas are equal.
func (w *world) settle() {
	for _, e := range w.edges {
		e.mu.Lock()
		for _, f := range e.faults {
			if f != nil && !f.silent() {
				f.Close()
			}
		}
		e.mu.Unlock()
	}
	var reason string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if reason = w.differences(); reason == "" {
			break
		}
		if time.Now().After(end) {
			w.rt.Fatalf("the replicas do not come to rest: %s", reason)
		}
	}
	for _, r := range w.replicas {
		if len(r.runtime().Canonical()) > 50_000 {
			continue // too slow here
		}
		if err := r.runtime().Check(); err != nil {
			w.rt.Fatal(err)
		}
	}
}

func (w *world) differences() string {
	first := w.replicas[0].runtime()
	for i, r := range w.replicas {
		rt := r.runtime()
		switch {
		case !rt.Clock().Equal(first.Clock()):
			return fmt.Sprintf("replica %d has %v, replica 0 %v", i, rt.Clock(), first.Clock())
		case rt.Digest() != first.Digest():
			return fmt.Sprintf("replica %d differs", i)
		case rt.Waiting() > 0:
			return fmt.Sprintf("%d messages wait at replica %d", rt.Waiting(), i)
		}
	}
	for i, e := range w.edges {
		e.mu.Lock()
		s := e.session
		e.mu.Unlock()
		if s == nil {
			return fmt.Sprintf("edge %d is not up", i)
		}
		if u := s.Unsaved(); len(u) > 0 {
			return fmt.Sprintf("edge %d: unsaved %v", i, u)
		}
	}
	return ""
}

// flaky is a link with faults.
type flaky struct {
	providers.Link
	mu       sync.Mutex
	left     int           // frames until the link is lost; -1: no such plan
	swallows bool          // sends nothing on
	delay    time.Duration // for each frame
}

func (f *flaky) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

func (f *flaky) silent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.swallows
}

func (f *flaky) Send(ctx context.Context, frame []byte) error {
	f.mu.Lock()
	lost := f.left == 0
	if f.left > 0 {
		f.left--
	}
	swallows, delay := f.swallows, f.delay
	f.mu.Unlock()
	switch {
	case lost:
		f.Close()
	case swallows:
		return nil
	case delay > 0:
		time.Sleep(delay)
	}
	return f.Link.Send(ctx, frame)
}
