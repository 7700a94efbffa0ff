package fuzz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// world is the state of one run: replicas, every message ever sent, and what replicas looked like.
//
//  1. The messages of log stand in order of commit, which extends causality.
//  2. What happens is a function of what is drawn alone, so that a script or a seed repeats it.
type world struct {
	s    *subject
	mode mode

	replicas []*replica
	opened   int // runtimes, for IDs
	letters  int // names of replicas
	named    int // messages and saved states
	log      []*sent
	byName   map[string]*sent
	saves    []*saved
	seen     map[string]*moment // by clock
	store    *mem.Store
	dirty    []*replica // touched since the last check
	unsaid   int        // steps since the last check
	count    Count

	script  *script // what was done; nil: not noted
	current *line   // the step
}

// mode is how a run is checked.
type mode struct {
	every int // steps between checks, at least 1
	// full: replicas are compared with all that ever had an equal clock, exports too, and models are asked at every check;
	// else only replicas with equal clocks at the time of the check are compared.
	full bool
	long bool // transactions of many operations too
	laws bool // replicas are compared law by law, in a step of its own
	note bool // the script is written
	// trace is told each step before it is made, with an empty format, and what comes of it; nil: nobody wants to know.
	trace func(l *line, format string, args ...any)
}

// Count says what a run did.
type Count struct {
	Histories int
	Steps     int
	Ops       int // local operations that were committed
	Messages  int // transactions that were committed
	Delivered int // operations applied by other replicas than their writer, each once a replica
	Checks    int // of one replica
	Compared  int // pairs of replicas with equal clocks, in long histories
	// Did counts the steps by name, and by "step: outcome" what can come of some: "delta: refused".
	Did map[string]int
}

// Add adds what another run did.
func (c *Count) Add(o Count) {
	c.Histories += o.Histories
	c.Steps += o.Steps
	c.Ops += o.Ops
	c.Messages += o.Messages
	c.Delivered += o.Delivered
	c.Checks += o.Checks
	c.Compared += o.Compared
	for name, n := range o.Did {
		c.did(name, n)
	}
}

func (c *Count) did(name string, n int) {
	if c.Did == nil {
		c.Did = make(map[string]int)
	}
	c.Did[name] += n
}

// sent is a message with what its writer says about it.
type sent struct {
	Transaction
	name string
	seat string // of its writer
	data []byte
}

type saved struct {
	name  string
	of    string
	data  []byte
	clock vclock.Clock
}

// moment is what some replica looked like when it had a certain clock.
type moment struct {
	name      string
	canonical []byte
	export    any
}

type replica struct {
	name    string
	seat    string // the name under which it first joined
	rt      *runtime.Runtime
	h       any
	opts    runtime.Options
	todo    []*sent // that have not been delivered to it
	view    func() any
	told    vclock.Clock // what OnUpdate told, added up
	wrong   error        // what was wrong with that
	own     []runtime.Update
	offline bool
	gone    bool // replaced by another runtime
	dirty   bool

	kept    bool             // on disk
	disk    string           // the document's name there
	unkept  []runtime.Update // not there yet
	durable vclock.Clock     // what is there
	last    uint64           // position there
}

// failure is the panic that ends a run.
type failure struct{ text string }

func (w *world) failf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (w *world) tracef(format string, args ...any) {
	if w.mode.trace != nil {
		w.mode.trace(w.current, format, args...)
	}
}

func newWorld(s *subject, m mode) *world {
	w := &world{s: s, mode: m, seen: make(map[string]*moment), byName: make(map[string]*sent), store: mem.NewStore()}
	if m.note {
		w.script = &script{schema: s.name}
	}
	return w
}

// open makes a replica.
func (w *world) open(name string, o runtime.Options) *replica {
	r := &replica{name: name, opts: o}
	o.Logger = slog.New(watchful{slog.DiscardHandler, r})
	o.Rand = rand.NewChaCha8([32]byte{byte(w.opened), byte(w.opened >> 8), byte(w.opened >> 16)})
	rt, h, err := w.s.open(&o)
	if err != nil {
		w.failf("Open: %v", err)
	}
	r.rt, r.h, r.told = rt, h, rt.Clock()
	if r.told == nil {
		r.told = vclock.Clock{}
	}
	rt.OnUpdate(r.tell)
	if w.s.watch != nil {
		r.view = w.s.watch(rt, h)
	}
	return r
}

// watchful notes what the runtime reports as an error: a handler that panicked, a document that became read-only.
type watchful struct {
	slog.Handler
	r *replica
}

func (watchful) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (h watchful) Handle(_ context.Context, rec slog.Record) error {
	if h.r.wrong == nil {
		text := rec.Message
		rec.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		h.r.wrong = errors.New(text)
	}
	return nil
}

// tell checks claim 3 of the package comment.
func (r *replica) tell(u runtime.Update) {
	if r.kept {
		r.unkept = append(r.unkept, u)
	}
	if u.Local {
		r.own = append(r.own, u)
	}
	if r.wrong != nil {
		return
	}
	if u.Kind == runtime.MessageUpdate && u.Local {
		if have := r.told.Get(u.Sender); have != u.Start {
			r.wrong = fmt.Errorf("OnUpdate told of own dots [%d, %d) after %d", u.Start, u.End, have)
		}
		r.told.Set(u.Sender, u.End)
		return
	}
	c := u.Clock()
	if u.Kind != runtime.MessageUpdate {
		if r.told.CoversClock(c) {
			r.wrong = fmt.Errorf("OnUpdate told of a %v that brought nothing", u.Kind)
		}
		r.told.Merge(c)
		return
	}
	if have := r.told.Get(u.Sender); have != u.Start {
		r.wrong = fmt.Errorf("OnUpdate told of dots [%d, %d) of %v after %d", u.Start, u.End, u.Sender, have)
	}
	c.Set(u.Sender, min(c.Get(u.Sender), u.Start))
	if !r.told.CoversClock(c) {
		r.wrong = fmt.Errorf("OnUpdate told of %v:%d before its dependencies %v", u.Sender, u.Start, c)
	}
	r.told.Set(u.Sender, u.End)
}

// freshID returns an ID whose first byte is drawn, so that the order of IDs is not that of joining.
func (w *world) freshID(first int) uuid.UUID {
	w.opened++
	return uuid.UUID{0: byte(first), 6: 0x40, 8: 0x80, 13: byte(w.opened >> 16), 14: byte(w.opened >> 8), 15: byte(w.opened)}
}

// fresh returns a name that is not in use: what is drawn under a label in a replay, else the next one.
func (w *world) fresh(d *Draw, label, prefix string, next *int, taken func(string) bool) string {
	if d.replay() {
		if name, ok := d.token(label); ok && isWord(name) && !taken(name) {
			return name
		}
	}
	for {
		name := prefix
		if prefix == "" {
			name = string(rune('A' + *next%26))
			if *next >= 26 {
				name += strconv.Itoa(*next / 26)
			}
		} else {
			name += strconv.Itoa(*next + 1)
		}
		if *next++; !taken(name) {
			d.note(label, name)
			return name
		}
	}
}

func (w *world) find(name string) *replica {
	for _, r := range w.replicas {
		if r.name == name {
			return r
		}
	}
	return nil
}

// draw draws one of the replicas that ok accepts; it ends the step if there is none.
func (w *world) draw(d *Draw, label string, ok func(*replica) bool) *replica {
	if d.replay() {
		name, _ := d.token(label)
		if r := w.find(name); r != nil && (ok == nil || ok(r)) {
			return r
		}
		skip()
	}
	from := w.replicas
	if ok != nil {
		from = slices.DeleteFunc(slices.Clone(from), func(r *replica) bool { return !ok(r) })
	}
	if len(from) == 0 {
		skip()
	}
	r := from[d.index(label, len(from))]
	d.note(label, r.name)
	return r
}

func online(r *replica) bool { return !r.offline }

// touched notes that a step did something to a replica, which the next check looks at.
func (w *world) touched(r *replica) {
	if !r.dirty {
		r.dirty = true
		w.dirty = append(w.dirty, r)
	}
}

// settle checks what was touched, if it is time.
func (w *world) settle(now bool) {
	if w.unsaid++; !now && w.unsaid < w.mode.every {
		return
	}
	w.unsaid = 0
	for _, r := range w.dirty {
		r.dirty = false
		if !r.gone {
			w.check(r)
		}
	}
	if w.dirty = w.dirty[:0]; !w.mode.full {
		w.compareNow()
	}
}

// check makes the checks of the package comment.
func (w *world) check(r *replica) {
	w.count.Checks++
	if err := r.rt.Check(); err != nil {
		w.failf("%s: Check: %v", r.name, err)
	}
	clock := r.rt.Clock()
	if r.wrong == nil && !r.told.Equal(clock) {
		r.wrong = fmt.Errorf("OnUpdate told of %v, the clock is %v", r.told, clock)
	}
	if r.wrong != nil {
		w.failf("%s: %v", r.name, r.wrong)
	}
	if w.mode.full {
		w.compare(r, clock)
	}
	w.values(r, clock, w.mode.full)
}

// compare checks claim 2 with all that ever was.
func (w *world) compare(r *replica, clock vclock.Clock) {
	key, err := clock.MarshalBinary()
	if err != nil {
		w.failf("%s: clock %v: %v", r.name, clock, err)
	}
	now := &moment{r.name, r.rt.Canonical(), r.rt.Export()}
	if was := w.seen[string(key)]; was == nil {
		w.seen[string(key)] = now
	} else {
		w.same(was, now)
	}
}

// compareNow checks claim 2 among the replicas as they are.
func (w *world) compareNow() {
	for i, r := range w.replicas {
		for _, o := range w.replicas[:i] {
			if !r.told.Equal(o.told) { // told is the clock: check has seen to that
				continue
			}
			if w.count.Compared++; r.rt.Digest() != o.rt.Digest() {
				w.same(&moment{o.name, o.rt.Canonical(), o.rt.Export()}, &moment{r.name, r.rt.Canonical(), r.rt.Export()})
			}
			break
		}
	}
}

func (w *world) same(was, now *moment) {
	switch {
	case !equal(was.export, now.export):
		w.failf("%s and %s have applied the same transactions, but\n%s shows %v\n%s shows %v", was.name, now.name, was.name, was.export, now.name, now.export)
	case !bytes.Equal(was.canonical, now.canonical):
		w.failf("%s and %s have applied the same transactions and show %v, but their canonical bytes differ:\n%x\n%x", was.name, now.name, now.export, was.canonical, now.canonical)
	}
}

// values checks claims 4 and 5.
func (w *world) values(r *replica, clock vclock.Clock, model bool) {
	var value any
	err := r.rt.View(func(tx runtime.Tx) error {
		if w.s.value != nil {
			value = w.s.value(tx, r.h)
		}
		if w.s.examine != nil {
			return w.s.examine(tx, r.h)
		}
		return nil
	})
	if err != nil {
		w.failf("%s: %v", r.name, err)
	}
	if w.s.value == nil {
		return
	}
	if r.view != nil {
		if v := r.view(); !equal(v, value) {
			w.failf("%s: the view rebuilt from events differs:\nvalue %v\nview  %v", r.name, value, v)
		}
	}
	if w.s.model != nil && model {
		var applied []Transaction
		for _, m := range w.log {
			if clock.Covers(m.Dot) {
				applied = append(applied, m.Transaction)
			}
		}
		if v := w.s.model(applied); !equal(v, value) {
			w.failf("%s: the model differs:\nvalue %v\nmodel %v", r.name, value, v)
		}
	}
}

// equal compares values; NaN equals itself.
func equal(a, b any) bool {
	return reflect.DeepEqual(a, b) || fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

// snapshot is what must not change when nothing happens.
type snapshot struct {
	canonical, state []byte
	clock            vclock.Clock
}

func (w *world) snapshot(r *replica) snapshot {
	return snapshot{r.rt.Canonical(), w.save(r), r.rt.Clock()}
}

func (w *world) save(r *replica, opts ...runtime.SaveOption) []byte {
	b, err := r.rt.Save(opts...)
	if err != nil {
		w.failf("%s: Save: %v", r.name, err)
	}
	return b
}

func (w *world) unchanged(r *replica, was snapshot, by string) {
	now := w.snapshot(r)
	switch {
	case !now.clock.Equal(was.clock):
		w.failf("%s: %s changed the clock from %v to %v", r.name, by, was.clock, now.clock)
	case !bytes.Equal(now.canonical, was.canonical):
		w.failf("%s: %s changed the canonical bytes:\n%x\n%x", r.name, by, was.canonical, now.canonical)
	case !bytes.Equal(now.state, was.state):
		w.failf("%s: %s changed the saved state:\n%x\n%x", r.name, by, was.state, now.state)
	}
}

// receive hands an update to r, which must take it.
func (w *world) receive(r *replica, data []byte, what string, opts ...runtime.TxOption) runtime.Result {
	given := slices.Clone(data)
	res, err := r.rt.Receive(given, append(opts, runtime.From("fuzz"))...)
	if err != nil {
		w.failf("%s receives %s: %v", r.name, what, err)
	}
	for i := range given {
		given[i] = ^given[i] // Receive keeps no reference to its argument
	}
	w.touched(r)
	return res
}

// missing is what r lacks of base.
func missing(r *runtime.Runtime, base vclock.Clock) []vclock.Span { return base.Diff(r.Clock()) }
