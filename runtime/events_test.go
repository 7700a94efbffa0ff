package runtime_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// listen returns a function that tells what was heard of a bag since it was last asked.
func listen(d *doc) func() string {
	var heard []string
	d.bag.OnChange(func(c bag.Change) {
		s := ""
		switch {
		case c.Local:
			s = "own "
		case c.Load:
			s = "load "
		}
		if c.Origin != nil {
			s += fmt.Sprintf("from %v ", c.Origin)
		}
		heard = append(heard, fmt.Sprintf("%s+%v -%v", s, c.Added, c.Removed))
	})
	return func() string {
		defer func() { heard = nil }()
		return strings.Join(heard, "; ")
	}
}

func TestEventsOfEachKindOfUpdate(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	heard := listen(b)
	check := func(what, want string) {
		t.Helper()
		if got := heard(); got != want {
			t.Errorf("%s: heard %q, want %q", what, got, want)
		}
	}
	b.add("x", "y")
	check("own transaction", "own +[x y] -[]")
	m1, m2, m3 := a.add("1"), a.add("2"), a.add("3")
	_, _ = b.Receive(m1, runtime.From("link"))
	check("message", "from link +[1] -[]")
	b.take(m3)
	check("a message that waits", "")
	_, _ = b.Receive(m2, runtime.From(7))
	check("a message and the one it wakes, each with its own origin", "from 7 +[2] -[]; +[3] -[]")
	a.remove(0, 1)
	a.add("4")
	_, _ = b.Receive(mustBundle(t, a.sent[3:]), runtime.From("bundle"))
	check("bundle", "from bundle +[] -[1 2]; from bundle +[4] -[]")
	a.remove(0)
	a.add("5")
	a.add("6")
	_, _ = b.Receive(a.since(b.Clock()), runtime.From("delta"))
	check("a delta gives one event", "load from delta +[5 6] -[3]")
	a.add("7")
	_, _ = b.Receive(a.save())
	check("a state gives one event", "load +[7] -[]")
	b.take(a.save(), a.sent[0], mustBundle(t, a.sent), a.since(nil))
	check("what is known", "")
	_ = b.Transact(func(tx runtime.Tx) error { _ = b.bag.Add(tx, "z"); return errTest })
	check("a transaction that failed", "")
	b.edit(func(tx runtime.Tx) error {
		if err := b.bag.Add(tx, "gone"); err != nil {
			return err
		}
		i := b.bag.Len(tx) - 1
		return b.bag.Remove(tx, i)
	})
	check("made and removed in one transaction", "own +[gone] -[gone]")
}

func TestUpdateEvents(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	m := a.add("1", "2")
	if err := a.Transact(func(tx runtime.Tx) error { return a.bag.Add(tx, "3") }, runtime.From("editor")); err != nil {
		t.Fatal(err)
	}
	u := a.updates[1]
	if !u.Local || u.Origin != "editor" || u.Kind != runtime.MessageUpdate || u.Sender != id(1) || u.Start != 2 || u.End != 3 {
		t.Errorf("%+v", u)
	}
	if _, err := b.Receive(m, runtime.From("link")); err != nil {
		t.Fatal(err)
	}
	u = b.updates[0]
	if u.Local || u.Origin != "link" || u.Sender != id(1) || u.Start != 0 || u.End != 2 || string(u.Data) != string(m) {
		t.Errorf("%+v", u)
	}
	state := a.save()
	b.take(state)
	u = b.updates[1]
	if u.Kind != runtime.StateUpdate || string(u.Data) != string(state) || u.Local || !u.Clock().Equal(a.Clock()) {
		t.Errorf("%+v", u)
	}
	a.add("4")
	delta := a.since(b.Clock())
	b.take(delta)
	u = b.updates[2]
	if u.Kind != runtime.DeltaUpdate || string(u.Data) != string(delta) || u.Redundant(vclock.Clock{id(1): 3}) || !u.Redundant(a.Clock()) {
		t.Errorf("%+v", u)
	}
	if (runtime.Update{}).Clock() != nil {
		t.Error("an empty update has a clock")
	}
	// A third replica that got each update's data is equal.
	c := open(t, 3)
	for _, u := range b.updates {
		c.take(u.Data)
	}
	same(t, a, b, c)
}

func TestHandlersMayTransact(t *testing.T) {
	d := open(t, 1)
	var order []string
	d.bag.OnChange(func(c bag.Change) {
		order = append(order, fmt.Sprint("first ", c.Added))
		if len(order) < 6 {
			if err := d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, fmt.Sprint(len(order))) }); err != nil {
				t.Error(err)
			}
		}
	})
	d.bag.OnChange(func(c bag.Change) {
		order = append(order, fmt.Sprint("second ", c.Added))
		d.View(func(tx runtime.Tx) error { d.bag.Len(tx); return nil })
		d.Clock()
		d.Canonical()
	})
	d.add("start")
	want := "first [start] second [start] first [1] second [1] first [3] second [3] first [5] second [5]"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	d.check()
}

func TestHandlerPanicDoesNotStopOthers(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	d := open(t, 1, func(o *runtime.Options) {
		o.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	})
	told := 0
	d.OnUpdate(func(runtime.Update) { panic("boo in update") })
	d.OnUpdate(func(runtime.Update) { told++ })
	d.bag.OnChange(func(bag.Change) { panic("boo in change") })
	d.bag.OnChange(func(bag.Change) { told++ })
	d.add("x")
	d.add("y")
	if told != 4 || len(d.updates) != 2 {
		t.Errorf("told %d times, %d updates", told, len(d.updates))
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Count(log.String(), "boo in update") != 2 || strings.Count(log.String(), "boo in change") != 2 {
		t.Errorf("log: %s", log.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// A function that an object of a user's own posts may panic too.
func TestPostPanicDoesNotStopEvents(t *testing.T) {
	kind := runtime.Kind{Name: "test/poster", New: func(*runtime.Node) runtime.Object { return &poster{} }}
	d := open(t, 1, func(o *runtime.Options) { o.Kinds = append(o.Kinds, kind) })
	n, err := d.Root("p", kind.Name)
	if err != nil {
		t.Fatal(err)
	}
	d.edit(func(tx runtime.Tx) error {
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		w.Byte(1)
		return w.Apply(1)
	})
	d.add("x")
	if len(d.updates) != 2 {
		t.Errorf("%d updates told of 2", len(d.updates))
	}
}

type poster struct{ tally }

func (p *poster) Commit(c *runtime.Commit) {
	p.tally.Commit(c)
	c.Post(func() { panic("posted") })
}

func TestUnsubscribe(t *testing.T) {
	d := open(t, 1)
	var heard []string
	var stops [3]func()
	for i := range 3 {
		stops[i] = d.OnUpdate(func(u runtime.Update) {
			heard = append(heard, fmt.Sprint(i, ":", u.Start))
			if i == 1 && u.Start == 0 {
				stops[1]() // itself
				stops[2]() // one that would come after it
			}
		})
	}
	d.add("x")
	d.add("y")
	stops[0]()
	stops[0]()
	d.add("z")
	if got := fmt.Sprint(heard); got != "[0:0 1:0 0:1]" {
		t.Errorf("heard %s", got)
	}
	// Subscribing inside of a handler: from the next commit on.
	var late []uint64
	stop := d.OnUpdate(func(u runtime.Update) {
		if u.Start == 3 {
			d.OnUpdate(func(u runtime.Update) { late = append(late, u.Start) })
		}
	})
	d.add("1")
	d.add("2")
	stop()
	if !slices.Equal(late, []uint64{4}) {
		t.Errorf("heard %v", late)
	}
	// Inside of a transaction as well as outside.
	stop = d.OnUpdate(func(runtime.Update) { t.Error("told after stop") })
	_ = d.Transact(func(tx runtime.Tx) error { stop(); return d.bag.Add(tx, "w") })
}

// Events come in commit order, each once, one at a time, also when many goroutines commit.
func TestEventsOfManyGoroutines(t *testing.T) {
	d := open(t, 1)
	var busy sync.Mutex
	var next uint64
	d.OnUpdate(func(u runtime.Update) {
		if !busy.TryLock() {
			t.Error("two handlers at once")
			return
		}
		defer busy.Unlock()
		if u.Start != next {
			t.Errorf("dot %d after %d", u.Start, next)
		}
		next = u.End
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				_ = d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "x") })
			}
		})
		wg.Go(func() {
			for range 100 {
				d.OnUpdate(func(runtime.Update) {})()
				d.bag.OnChange(func(bag.Change) {})()
			}
		})
	}
	wg.Wait()
	// Whoever committed last may have left delivery to another goroutine, which has ended by now.
	busy.Lock()
	defer busy.Unlock()
	if next != 400 {
		t.Errorf("told of %d dots of 400", next)
	}
}

// A state with the updates told from then on holds everything, and nothing twice.
func TestSaveAndSubscribeHasNoGap(t *testing.T) {
	d := open(t, 1)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 150 {
				_ = d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "x") })
			}
		})
	}
	type follower struct {
		state []byte
		mu    sync.Mutex
		told  []runtime.Update
	}
	followers := make([]*follower, 20)
	for i := range followers {
		f := &follower{}
		followers[i] = f
		state, stop, err := d.SaveAndSubscribe(func(u runtime.Update) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told = append(f.told, u)
		})
		if err != nil {
			t.Fatal(err)
		}
		f.state = state
		defer stop()
	}
	wg.Wait()
	for i, f := range followers {
		f.mu.Lock()
		info, err := runtime.Inspect(f.state)
		if err != nil {
			t.Fatal(err)
		}
		at := info.Clock[id(1)]
		r := open(t, 2)
		r.take(f.state)
		for _, u := range f.told {
			if u.Start != at {
				t.Fatalf("follower %d: update of dot %d at %d", i, u.Start, at)
			}
			at = u.End
			r.take(u.Data)
		}
		same(t, d, r)
		f.mu.Unlock()
	}
}

// A view rebuilt from events alone always equals the value, whatever comes: TestBags of package fuzz.
func TestProblemEvents(t *testing.T) {
	a := open(t, 1)
	var order []string
	a.OnUpdate(func(runtime.Update) { order = append(order, "update") })
	a.OnProblem(func(p runtime.Problem) { order = append(order, p.Err.Error()) })
	b := open(t, 2)
	bad := b.edit(func(tx runtime.Tx) error { return b.bag.Force(tx, "\x00") })
	a.take(bad)
	if len(order) != 2 || order[0] != "update" || !strings.Contains(order[1], "makes no sense") {
		t.Errorf("heard %q", order)
	}
	quiet := open(t, 3)
	quiet.take(bad) // a problem that is told late to nobody does no harm
	quiet.add("x")
}
