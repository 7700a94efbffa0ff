package converge

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// world is the state of one run.
type world[H any] struct {
	s        *Subject[H]
	edits    []string // names, sorted
	replicas []*replica[H]
	opened   int
	letters  int
	log      []sent            // every message, in order of commit: that extends causality
	saves    []saved           // states to load later
	clocks   []vclock.Clock    // that replicas had at some time
	seen     map[string]moment // by clock
}

// sent is a message with what its writer says about it.
type sent struct {
	Transaction
	name string
	data []byte
}

type saved struct {
	name  string
	data  []byte
	clock vclock.Clock
}

// moment is what some replica looked like when it had a certain clock.
type moment struct {
	name      string
	canonical []byte
	export    any
}

type replica[H any] struct {
	name  string
	rt    *runtime.Runtime
	h     H
	todo  []int // messages of the log that have not been delivered to it
	view  func() any
	told  vclock.Clock // what OnUpdate told, added up
	wrong error        // what was wrong with that
	own   []runtime.Update
}

func newWorld[H any](t *rapid.T, s *Subject[H]) *world[H] {
	w := &world[H]{s: s, seen: make(map[string]moment)}
	for name := range s.Edits {
		w.edits = append(w.edits, name)
	}
	sort.Strings(w.edits)
	for range rapid.IntRange(2, min(3, w.most())).Draw(t, "replicas") {
		w.join(t)
	}
	return w
}

func (w *world[H]) most() int {
	if w.s.Replicas == 0 {
		return 6
	}
	return max(2, w.s.Replicas)
}

func (w *world[H]) letter() string {
	w.letters++
	return string(rune('A' + (w.letters-1)%26))
}

// open makes a replica with a fresh ID: the first byte is drawn, so that the order of IDs is not that of joining.
func (w *world[H]) open(t *rapid.T, name string) *replica[H] {
	w.opened++
	id := uuid.UUID{0: rapid.Byte().Draw(t, "ID"), 6: 0x40, 8: 0x80, 14: byte(w.opened >> 8), 15: byte(w.opened)}
	o := &runtime.Options{
		Replica:   id,
		Deletions: rapid.SampledFrom([]int{0, 4, -1, 1}).Draw(t, "deletions"),
		History:   rapid.SampledFrom([]runtime.History{{}, {Messages: 3}, {Bytes: 100}, {Off: true}}).Draw(t, "history"),
	}
	t.Logf("%s opens as %v, deletion record %d, history %+v", name, id, o.Deletions, o.History)
	return w.openWith(t, name, o)
}

func (w *world[H]) openWith(t *rapid.T, name string, o *runtime.Options) *replica[H] {
	rt, h, err := w.s.Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	r := &replica[H]{name: name, rt: rt, h: h, told: rt.Clock()}
	if r.told == nil {
		r.told = vclock.Clock{}
	}
	rt.OnUpdate(r.tell)
	if w.s.Watch != nil {
		r.view = w.s.Watch(rt, h)
	}
	return r
}

// tell checks claim 3 of the package comment.
func (r *replica[H]) tell(u runtime.Update) {
	if u.Local {
		r.own = append(r.own, u)
	}
	if r.wrong != nil {
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

func (w *world[H]) join(t *rapid.T) {
	r := w.open(t, w.letter())
	for i := range w.log {
		r.todo = append(r.todo, i)
	}
	w.replicas = append(w.replicas, r)
	w.touched(t, r)
}

func (w *world[H]) draw(t *rapid.T, label string) *replica[H] {
	return w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(t, label)]
}

// touched makes the checks of the package comment.
func (w *world[H]) touched(t *rapid.T, r *replica[H]) {
	if err := r.rt.Check(); err != nil {
		t.Fatalf("%s: Check: %v", r.name, err)
	}
	clock := r.rt.Clock()
	if r.wrong == nil && !r.told.Equal(clock) {
		r.wrong = fmt.Errorf("OnUpdate told of %v, the clock is %v", r.told, clock)
	}
	if r.wrong != nil {
		t.Fatalf("%s: %v", r.name, r.wrong)
	}
	w.compare(t, r, clock)
	w.values(t, r, clock)
}

// compare checks claim 2.
func (w *world[H]) compare(t *rapid.T, r *replica[H], clock vclock.Clock) {
	key, err := clock.MarshalBinary()
	if err != nil {
		t.Fatalf("%s: clock %v: %v", r.name, clock, err)
	}
	now := moment{r.name, r.rt.Canonical(), r.rt.Export()}
	was, ok := w.seen[string(key)]
	switch {
	case !ok:
		w.seen[string(key)] = now
		w.clocks = append(w.clocks, clock)
	case !equal(was.export, now.export):
		t.Fatalf("%s and %s have applied the same transactions, but\n%s shows %v\n%s shows %v", was.name, r.name, was.name, was.export, r.name, now.export)
	case !bytes.Equal(was.canonical, now.canonical):
		t.Fatalf("%s and %s have applied the same transactions and show %v, but their canonical bytes differ:\n%x\n%x", was.name, r.name, now.export, was.canonical, now.canonical)
	}
}

// values checks claims 4 and 5.
func (w *world[H]) values(t *rapid.T, r *replica[H], clock vclock.Clock) {
	var value any
	err := r.rt.View(func(tx runtime.Tx) error {
		if w.s.Value != nil {
			value = w.s.Value(tx, r.h)
		}
		if w.s.Examine != nil {
			return w.s.Examine(tx, r.h)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	if w.s.Value == nil {
		return
	}
	if r.view != nil {
		if v := r.view(); !equal(v, value) {
			t.Fatalf("%s: the view rebuilt from events differs:\nvalue %v\nview  %v", r.name, value, v)
		}
	}
	if w.s.Model != nil {
		var applied []Transaction
		for i := range w.log {
			if clock.Covers(w.log[i].Dot) {
				applied = append(applied, w.log[i].Transaction)
			}
		}
		if v := w.s.Model(applied); !equal(v, value) {
			t.Fatalf("%s: the model differs:\nvalue %v\nmodel %v", r.name, value, v)
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

func (w *world[H]) snapshot(t *rapid.T, r *replica[H]) snapshot {
	return snapshot{r.rt.Canonical(), w.save(t, r), r.rt.Clock()}
}

func (w *world[H]) save(t *rapid.T, r *replica[H], opts ...runtime.SaveOption) []byte {
	b, err := r.rt.Save(opts...)
	if err != nil {
		t.Fatalf("%s: Save: %v", r.name, err)
	}
	return b
}

func (w *world[H]) unchanged(t *rapid.T, r *replica[H], was snapshot, by string) {
	now := w.snapshot(t, r)
	switch {
	case !now.clock.Equal(was.clock):
		t.Fatalf("%s: %s changed the clock from %v to %v", r.name, by, was.clock, now.clock)
	case !bytes.Equal(now.canonical, was.canonical):
		t.Fatalf("%s: %s changed the canonical bytes:\n%x\n%x", r.name, by, was.canonical, now.canonical)
	case !bytes.Equal(now.state, was.state):
		t.Fatalf("%s: %s changed the saved state:\n%x\n%x", r.name, by, was.state, now.state)
	}
}

// receive hands an update to r; want is the error that it must give, nil for none.
func (w *world[H]) receive(t *rapid.T, r *replica[H], data []byte, what string) runtime.Result {
	given := slices.Clone(data)
	res, err := r.rt.Receive(given, runtime.From("converge"))
	if err != nil {
		t.Fatalf("%s receives %s: %v", r.name, what, err)
	}
	for i := range given {
		given[i] = ^given[i] // Receive keeps no reference to its argument
	}
	return res
}

// missing is what r lacks of base.
func missing(r *runtime.Runtime, base vclock.Clock) []vclock.Span { return base.Diff(r.Clock()) }

func asMissing(err error) *runtime.MissingDepsError {
	var m *runtime.MissingDepsError
	if errors.As(err, &m) {
		return m
	}
	return nil
}
