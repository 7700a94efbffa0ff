package ephemeral_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ephemeral"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

func TestMain(m *testing.M) { providertest.Main(m) }

type cursor struct {
	Line int    `cbor:"line"`
	Name string `cbor:"name"`
}

// side is a replica with its ephemeral.
type side struct {
	*providers.Ephemeral
	rt *runtime.Runtime
}

func newSide(t testing.TB, o providers.EphemeralOptions) *side {
	t.Helper()
	rt, err := runtime.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Own = rt.Replica()
	e, err := providers.NewEphemeral(&o)
	if err != nil {
		t.Fatal(err)
	}
	return &side{e, rt}
}

// link connects two sides until cut, which leaves each as if the network had gone.
func link(t testing.TB, dialer, acceptor *side) (cut func()) {
	t.Helper()
	a, b := mem.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, s := range []*side{dialer, acceptor} {
		o := &providers.Options{Ephemeral: s.Ephemeral}
		c, err := providers.NewConn([]providers.Link{a, b}[i], &providers.ConnOptions{
			Mux: providers.MuxOptions{Acceptor: i == 1},
			Handle: func(c *providers.Conn, e providers.Event) {
				switch e := e.(type) {
				case providers.Admission:
					c.Do(func(m *providers.Mux) { m.Admit() })
				case providers.Admitted:
					c.Do(func(m *providers.Mux) { m.Open(s.rt, "doc", o) })
				case providers.Opening:
					c.Do(func(m *providers.Mux) { m.Accept(e, s.rt, o) })
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { c.Run(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// pass lets time pass in a bubble, and what happens meanwhile happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func bubble(t *testing.T, fn func(t *testing.T)) { synctest.Test(t, fn) }

func all(p *ephemeral.Presence[cursor]) map[vclock.Replica]cursor { return maps.Collect(p.All()) }

func TestLateJoinersGetWhatStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, late := newSide(t, providers.EphemeralOptions{}), newSide(t, providers.EphemeralOptions{}), newSide(t, providers.EphemeralOptions{})
		pa, pb := ephemeral.NewPresence[cursor](a.Ephemeral, nil), ephemeral.NewPresence[cursor](b.Ephemeral, nil)
		defer link(t, a, b)()
		if err := pa.Set(cursor{1, "Ada"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if err := pb.Set(cursor{2, "Bob"}); err != nil {
			t.Fatal(err)
		}
		defer link(t, late, b)() // hears of a through b
		pass(time.Second)
		pl := ephemeral.NewPresence[cursor](late.Ephemeral, nil)
		want := map[vclock.Replica]cursor{a.Own(): {1, "Ada"}, b.Own(): {2, "Bob"}}
		if got := all(pl); !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
		var order []vclock.Replica
		for r := range pl.All() {
			order = append(order, r)
			break
		}
		for r := range pl.All() {
			order = append(order, r)
		}
		if len(order) != 3 || order[0] != order[1] || vclock.CompareReplicas(order[1], order[2]) >= 0 {
			t.Errorf("%v", order)
		}
		heard := make(map[vclock.Replica]cursor)
		pl.OnChange(func(c ephemeral.Change[cursor]) { heard[c.Replica] = c.Value })
		if !maps.Equal(heard, want) {
			t.Errorf("a handler that is added later hears %v", heard)
		}
		if v, ok := pl.Get(a.Own()); !ok || v.Name != "Ada" {
			t.Error(v, ok)
		}
		if _, ok := pl.Get(late.Own()); ok {
			t.Error("shows what it has not set")
		}
		for _, p := range []*ephemeral.Presence[cursor]{pa, pb, pl} {
			p.Close()
		}
	})
}

func TestPresenceLeavesAndExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newSide(t, providers.EphemeralOptions{TTL: 10 * time.Second}), newSide(t, providers.EphemeralOptions{TTL: 10 * time.Second})
		pa, pb := ephemeral.NewPresence[cursor](a.Ephemeral, nil), ephemeral.NewPresence[cursor](b.Ephemeral, nil)
		defer pa.Close()
		defer pb.Close()
		var heard []string
		pb.OnChange(func(c ephemeral.Change[cursor]) {
			heard = append(heard, fmt.Sprint(c.Replica == a.Own(), c.Value.Line, c.Left))
		})
		cut := link(t, a, b)
		pa.Set(cursor{Line: 1})
		pass(time.Minute) // longer than the TTL: it is repeated
		pa.Leave()
		pass(time.Second)
		pa.Set(cursor{Line: 2})
		pass(time.Second)
		if want := []string{"true 1 false", "true 0 true", "true 2 false"}; !slices.Equal(heard, want) {
			t.Errorf("%q", heard)
		}
		cut()
		heard = nil
		pass(4 * time.Second)
		if len(heard) != 0 || len(all(pb)) != 1 {
			t.Errorf("%q", heard)
		}
		pass(7 * time.Second) // no connection, and yet it is gone
		if !slices.Equal(heard, []string{"true 0 true"}) || len(all(pb)) != 0 {
			t.Errorf("%q, %v", heard, all(pb))
		}
		if len(all(pa)) != 1 {
			t.Error("an own value has expired")
		}
		defer link(t, b, a)()
		pass(time.Second)
		if len(all(pb)) != 1 {
			t.Error("it does not come back with the connection")
		}
		pa.Close()
		pass(time.Second)
		if len(all(pb)) != 0 {
			t.Error("Close does not leave")
		}
		if err := pa.Set(cursor{}); !errors.Is(err, providers.ErrClosed) {
			t.Error(err)
		}
	})
}

// clock is time that passes when it is told to.
type clock struct {
	now    time.Time
	timers map[*timer]bool
}

type timer struct {
	at time.Time
	fn func()
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) AfterFunc(d time.Duration, fn func()) func() bool {
	x := &timer{c.now.Add(d), fn}
	c.timers[x] = true
	return func() bool {
		had := c.timers[x]
		delete(c.timers, x)
		return had
	}
}

func (c *clock) pass(d time.Duration) {
	for end := c.now.Add(d); ; {
		var next *timer
		for x := range c.timers {
			if !x.at.After(end) && (next == nil || x.at.Before(next.at)) {
				next = x
			}
		}
		if next == nil {
			c.now = end
			return
		}
		delete(c.timers, next)
		c.now = next.at
		next.fn()
	}
}

func TestPresenceKeepsItsRate(t *testing.T) {
	c := &clock{time.Unix(1000, 0), make(map[*timer]bool)}
	s := newSide(t, providers.EphemeralOptions{PerSecond: 4, Now: c.Now})
	p := ephemeral.NewPresence[cursor](s.Ephemeral, &ephemeral.PresenceOptions{Now: c.Now, AfterFunc: c.AfterFunc})
	var heard []int
	p.OnChange(func(c ephemeral.Change[cursor]) { heard = append(heard, c.Value.Line) })
	for i := range 100 { // one each 10 ms
		p.Set(cursor{Line: i})
		c.pass(10 * time.Millisecond)
	}
	c.pass(time.Second)
	if want := []int{0, 24, 49, 74, 99}; !slices.Equal(heard, want) && !slices.Equal(heard, []int{0, 25, 50, 75, 99}) {
		t.Errorf("%v", heard)
	}
	if len(c.timers) != 1 { // the repetition of the own value
		t.Errorf("%d timers", len(c.timers))
	}
	p.Close()
	if len(c.timers) != 0 {
		t.Errorf("%d timers after Close", len(c.timers))
	}
}

func TestPresenceOfAnotherType(t *testing.T) {
	s := newSide(t, providers.EphemeralOptions{})
	p := ephemeral.NewPresence[cursor](s.Ephemeral, nil)
	defer p.Close()
	p.Set(cursor{Line: 1})
	time.Sleep(110 * time.Millisecond)
	s.Ephemeral.Set([]byte{0x65, 'h', 'e', 'l', 'l', 'o'})
	if len(all(p)) != 0 || p.Invalid() != 1 {
		t.Errorf("%v, %d invalid", all(p), p.Invalid())
	}
	if err := p.Set(cursor{Name: string(make([]byte, 5000))}); !errors.Is(err, providers.ErrLimit) {
		t.Error(err)
	}
	if err := ephemeral.NewPresence[func()](s.Ephemeral, nil).Set(func() {}); err == nil {
		t.Error("a function is shown")
	}
}

// TestChangesRebuildTheView compares what handlers were told with what stands, while values change on three sides.
func TestChangesRebuildTheView(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var sides []*side
		var ps []*ephemeral.Presence[cursor]
		for range 3 {
			s := newSide(t, providers.EphemeralOptions{TTL: time.Second})
			sides = append(sides, s)
			ps = append(ps, ephemeral.NewPresence[cursor](s.Ephemeral, nil))
		}
		view := make(map[vclock.Replica]cursor)
		stop := ps[0].OnChange(func(c ephemeral.Change[cursor]) {
			if view[c.Replica] = c.Value; c.Left {
				delete(view, c.Replica)
			}
		})
		cut := link(t, sides[0], sides[1])
		defer link(t, sides[1], sides[2])()
		for i := range 60 {
			var wg sync.WaitGroup
			for j, p := range ps {
				wg.Go(func() {
					if (i+j)%7 == 0 {
						p.Leave()
					} else {
						p.Set(cursor{Line: i})
					}
				})
			}
			wg.Wait()
			if pass(130 * time.Millisecond); i%15 == 14 {
				cut()
				pass(time.Duration(i) * 40 * time.Millisecond)
				cut = link(t, sides[0], sides[1])
				synctest.Wait()
			}
			if got := all(ps[0]); !maps.Equal(got, view) {
				t.Fatalf("step %d: %v, not %v", i, view, got)
			}
		}
		pass(time.Second)
		if len(view) != 3 || !maps.Equal(view, all(ps[2])) {
			t.Errorf("%v", view)
		}
		stop()
		before := maps.Clone(view)
		ps[0].Leave()
		if !maps.Equal(before, view) {
			t.Error("called after stop")
		}
		cut()
		for _, p := range ps {
			p.Close()
		}
	})
}

func TestHandlersMayChangePresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSide(t, providers.EphemeralOptions{})
		p := ephemeral.NewPresence[cursor](s.Ephemeral, nil)
		defer p.Close()
		var heard []int
		var stop func()
		stop = p.OnChange(func(c ephemeral.Change[cursor]) {
			if heard = append(heard, c.Value.Line); c.Value.Line < 3 {
				p.Set(cursor{Line: c.Value.Line + 1})
			} else {
				stop()
			}
		})
		p.Set(cursor{Line: 1})
		pass(time.Second)
		p.Set(cursor{Line: 9})
		if !slices.Equal(heard, []int{1, 2, 3}) {
			t.Errorf("%v", heard)
		}
	})
}

func TestChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newSide(t, providers.EphemeralOptions{}), newSide(t, providers.EphemeralOptions{})
		defer link(t, a, b)()
		pass(time.Second)
		ca := ephemeral.NewChannel[int](a.Ephemeral, "count", nil)
		echo := ephemeral.NewChannel[int](a.Ephemeral, "count", &ephemeral.ChannelOptions{Echo: true})
		cb := ephemeral.NewChannel[int](b.Ephemeral, "count", nil)
		other := ephemeral.NewChannel[string](b.Ephemeral, "other", nil)
		var own, heard []int
		defer ca.OnMessage(func(m ephemeral.Message[int]) { own = append(own, m.Value) })()
		stop := cb.OnMessage(func(m ephemeral.Message[int]) {
			if m.Replica != a.Own() {
				t.Errorf("of %v", m.Replica)
			}
			heard = append(heard, m.Value)
		})
		defer other.OnMessage(func(ephemeral.Message[string]) { t.Error("of another topic") })()
		ca.Send(1)
		echo.Send(2)
		var last error
		for i := range 20 {
			if last = ca.Send(3 + i); last != nil {
				break
			}
		}
		if !errors.Is(last, providers.ErrLimit) {
			t.Errorf("beyond the rate: %v", last)
		}
		synctest.Wait()
		if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(heard, want) || !slices.Equal(own, []int{2}) {
			t.Errorf("%v, own %v", heard, own)
		}
		pass(time.Second)
		ephemeral.NewChannel[string](a.Ephemeral, "count", nil).Send("no number")
		synctest.Wait()
		if cb.Invalid() != 1 {
			t.Errorf("%d invalid", cb.Invalid())
		}
		stop()
		ca.Send(99)
		synctest.Wait()
		if len(heard) != 10 {
			t.Error("called after stop")
		}
		if err := ephemeral.NewChannel[int](a.Ephemeral, string(make([]byte, 65)), nil).Send(1); !errors.Is(err, providers.ErrLimit) {
			t.Error(err)
		}
	})
}
