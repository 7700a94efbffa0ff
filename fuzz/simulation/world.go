package simulation

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/seed1312cc15/weft/vclock"
)

// world is one run. Everything in it happens in one goroutine, or in coroutines that this one resumes, in an order that
// the seed decides.
type world struct {
	opt     Options
	rng     *rand.Rand
	begun   time.Time
	now     time.Time
	step    int
	calm    bool // no more faults
	docs    []*document
	servers []*server
	clients []*client
	hostile *hostile // nil: none
	conns   []*conn
	pastes  int // one edit in so many is a long text
	dialed  int
	newest  map[[2]*process]int // the latest link by which a frame came from one to the other
	tasks   []*task
	current *task                   // the coroutine that runs, nil: none
	readers map[vclock.Replica]bool // whoever may only read wrote under these
	failed  *broken
	hash    hash.Hash
	report  *Report
}

// document is one of those that all clients edit.
type document struct {
	index  int
	name   string
	schema *schema
}

// broken is the panic that ends a run.
type broken struct{ err error }

// fail ends the run. From a handler of a runtime, which survives panics of its handlers, it does so after the step: see raise.
func (w *world) fail(format string, args ...any) {
	f := broken{fmt.Errorf(format, args...)}
	if w.failed == nil {
		w.failed = &f
	}
	panic(f)
}

// raise fails for what a handler found.
func (w *world) raise() {
	if w.failed != nil {
		panic(*w.failed)
	}
}

// Run makes one run. It returns a *Failure if a promise was broken; the report is there in any case.
func Run(o Options) (report *Report, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		p := recover()
		var f broken
		switch p := p.(type) {
		case nil:
		case broken:
			f = p
		default:
			f = broken{fmt.Errorf("panic: %v\n%s", p, stack())}
		}
		w.end()
		copy(w.report.Digest[:], w.hash.Sum(nil))
		w.report.Steps, w.report.Virtual = w.step, w.now.Sub(w.begun)
		report = w.report
		if f.err != nil {
			err = &Failure{o.Seed, w.step, f.err}
		}
	}()
	w.start()
	for w.step < w.opt.Steps {
		w.step++
		w.pass()
		w.act()
		w.check()
	}
	w.settle()
	return w.report, nil
}

func newWorld(o Options) (*world, error) {
	if o.Steps == 0 {
		o.Steps = 1000
	}
	if o.Steps < 0 || o.Clients < 0 || o.Clients == 1 || o.Clients > 100 || o.Servers < 0 || o.Servers > 2 {
		return nil, errors.New("simulation: Steps is not negative, Clients 2 to 100, Servers 1 or 2")
	}
	begun := time.Unix(1_700_000_000, 0)
	w := &world{opt: o, rng: rand.New(rand.NewPCG(o.Seed, 0x77656674)), begun: begun, now: begun, hash: sha256.New(),
		readers: make(map[vclock.Replica]bool), newest: make(map[[2]*process]int)}
	if w.opt.Servers == 0 {
		w.opt.Servers = 1 + w.upTo(1)
	}
	if w.opt.Clients == 0 {
		w.opt.Clients = 3 + w.upTo(2)
	}
	w.report = &Report{Seed: o.Seed, Clients: w.opt.Clients, Servers: w.opt.Servers}
	return w, nil
}

// upTo returns a number from 0 to n.
func (w *world) upTo(n int) int { return w.rng.IntN(n + 1) }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// Read gives pseudo-random bytes: the world is where runtimes take randomness from.
func (w *world) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(w.rng.Uint32())
	}
	return len(p), nil
}

// trace tells what happens.
func (w *world) trace(format string, args ...any) {
	if w.opt.Trace != nil {
		fmt.Fprintf(w.opt.Trace, "%5d %10.3fs  %s\n", w.step, w.now.Sub(w.begun).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *world) fault(f Fault, format string, args ...any) {
	w.report.Faults[f]++
	w.trace("FAULT %v: %s", f, fmt.Sprintf(format, args...))
}

// note makes data part of the run's digest.
func (w *world) note(id int, data []byte) {
	var head [12]byte
	binary.BigEndian.PutUint32(head[:], uint32(id))
	binary.BigEndian.PutUint64(head[4:], uint64(len(data)))
	w.hash.Write(head[:])
	w.hash.Write(data)
}

// pass lets time pass: mostly little, at times so much that timers ring.
func (w *world) pass() {
	var d time.Duration
	switch x := w.upTo(999); {
	case x < 600:
		d = time.Duration(w.upTo(5000)) * time.Microsecond
	case x < 900:
		d = time.Duration(w.upTo(200)) * time.Millisecond
	case x < 992:
		d = time.Duration(500+w.upTo(2500)) * time.Millisecond
	default:
		d = time.Duration(5+w.upTo(60)) * time.Second
	}
	w.now = w.now.Add(d)
}

// task is a coroutine: the work of a keeper, which the store makes wait.
type task struct {
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	ready  time.Time
	done   bool
}

// spawn makes a coroutine that calls step again and again: whenever it says that there was nothing to do, it waits.
func (w *world) spawn(step func() bool) *task {
	t := &task{}
	stopped := false
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = func(x struct{}) bool {
			stopped = stopped || !yield(x)
			return !stopped
		}
		for !stopped {
			if !step() {
				t.yield(struct{}{})
			}
		}
	})
	w.tasks = append(w.tasks, t)
	return t
}

// sleep makes the coroutine that runs wait; false: it was stopped. Elsewhere no time passes.
func (w *world) sleep(d time.Duration) bool {
	t := w.current
	if t == nil {
		return true
	}
	t.ready = w.now.Add(d)
	return t.yield(struct{}{})
}

// run resumes a coroutine unless it waits for the time.
func (w *world) run(t *task) {
	if t.done || w.now.Before(t.ready) {
		return
	}
	before := w.current
	w.current = t
	_, ok := t.resume()
	w.current = before
	t.done = !ok
}

// kill ends a coroutine where it stands.
func (w *world) kill(t *task) {
	if t == nil || t.done {
		return
	}
	before := w.current
	w.current = t
	t.stop()
	w.current = before
	t.done = true
	for i, x := range w.tasks {
		if x == t {
			w.tasks = append(w.tasks[:i:i], w.tasks[i+1:]...)
			break
		}
	}
}

// end leaves no coroutine behind.
func (w *world) end() {
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		if t.done {
			w.tasks = w.tasks[1:]
		} else {
			w.kill(t)
		}
	}
}
