package runtime_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// span returns the dots [start, end) of d.
func span(d *doc, start, end uint64) vclock.Span {
	return vclock.Span{Replica: d.Replica(), Start: start, End: end}
}

func TestR1MessageWaitsForWhatAStateBrought(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	ma := a.add("a")
	b.take(a.save())
	mb := b.add("b")
	res := c.take(mb)
	if res.Waiting != 1 || res.Applied != 0 || !slices.Equal(res.Missing, []vclock.Span{span(a, 0, 1)}) {
		t.Fatalf("%+v", res)
	}
	if c.Waiting() != 1 || !slices.Equal(c.Missing(), res.Missing) {
		t.Errorf("Waiting %d, Missing %v", c.Waiting(), c.Missing())
	}
	c.want("")
	if res := c.take(ma); res.Applied != 2 {
		t.Errorf("%+v", res)
	}
	same(t, b, c)
	if c.Waiting() != 0 || len(c.Missing()) != 0 {
		t.Errorf("Waiting %d, Missing %v", c.Waiting(), c.Missing())
	}
}

func TestR27SecondMessageBeforeTheFirst(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	m1, m2, m3 := a.add("1"), a.add("2"), a.add("3")
	for _, m := range [][]byte{m3, m2} {
		if res := b.take(m); res.Waiting != 1 {
			t.Fatalf("%+v", res)
		}
	}
	if got := b.Missing(); !slices.Equal(got, []vclock.Span{span(a, 0, 1)}) {
		t.Errorf("Missing %v", got)
	}
	if res := b.take(m1); res.Applied != 3 {
		t.Fatalf("%+v", res)
	}
	same(t, a, b)
}

// A message that waits and comes again is redundant; it stands in the room once.
func TestWaitingTwice(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	ma := a.add("a")
	b.take(ma)
	mb := b.add("b")
	for i := range 3 {
		res := c.take(mb)
		if want := (runtime.Result{Redundant: 1}); i > 0 && res.Redundant != want.Redundant || c.Waiting() != 1 {
			t.Fatalf("%d: %+v, %d wait", i, res, c.Waiting())
		}
	}
	c.take(ma)
	same(t, b, c)
}

func TestMissingIsComplete(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	var ms [][]byte
	for i := range 6 {
		ms = append(ms, a.add(fmt.Sprint(i)))
	}
	b.take(ms...)
	mb := b.add("b")
	c.take(ms[4], ms[2], mb)
	want := []vclock.Span{span(a, 0, 2), span(a, 3, 4), span(a, 5, 6)}
	if got := c.Missing(); !slices.Equal(got, want) {
		t.Errorf("Missing %v, want %v", got, want)
	}
	c.take(ms...)
	same(t, b, c)
}

func TestDuplicates(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	ms := [][]byte{a.add("1"), a.add("2", "3")}
	b.take(ms...)
	was := b.save()
	events := len(b.updates)
	for _, m := range append(ms, mustBundle(t, ms), a.save(), a.since(nil), a.since(a.Clock())) {
		if res := b.take(m); res.Applied != 0 || res.Redundant == 0 {
			t.Errorf("%+v", res)
		}
	}
	if len(b.updates) != events || !bytes.Equal(b.save(), was) {
		t.Error("what was known did something")
	}
}

func mustBundle(t testing.TB, ms [][]byte) []byte {
	t.Helper()
	b, err := runtime.Bundle(ms)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnyOrderWithDuplicates(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		docs := []*doc{open(t, 3), open(t, 1), open(t, 2)}
		var all [][]byte
		for range 20 {
			d := docs[rnd.IntN(3)]
			if n := runtime.Read(d.Runtime, d.bag.Len); n > 0 && rnd.IntN(3) == 0 {
				all = append(all, d.remove(rnd.IntN(n)))
			} else {
				all = append(all, d.add(fmt.Sprint(len(all))))
			}
			for range rnd.IntN(4) {
				docs[rnd.IntN(3)].take(all[rnd.IntN(len(all))])
			}
		}
		for _, d := range docs {
			d.take(shuffled(rnd, append(all, all[:5]...))...)
			if d.Waiting() != 0 {
				t.Fatalf("seed %d: %d wait", seed, d.Waiting())
			}
		}
		same(t, docs...)
	}
}

// R16: a message that waits costs what one in order costs, whatever the order. Allocations stand for steps: a message is
// looked at again only when the dot that it lacks has come, and each look allocates.
func TestR16ReverseOrderIsLinear(t *testing.T) {
	cost := func(n int) float64 {
		a := open(t, 1)
		var ms [][]byte
		for range n {
			ms = append(ms, a.edit(func(tx runtime.Tx) error {
				if a.bag.Len(tx) > 0 {
					return a.bag.Remove(tx, 0)
				}
				return a.bag.Add(tx, "x")
			}))
		}
		b := open(t, 2)
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		for _, m := range slices.Backward(ms) {
			if _, err := b.Receive(m); err != nil {
				t.Fatal(err)
			}
		}
		goruntime.ReadMemStats(&after)
		same(t, a, b)
		if looks := b.Looks(); looks > n {
			t.Errorf("R16: %d looks at %d messages", looks, n)
		}
		return float64(after.Mallocs-before.Mallocs) / float64(n)
	}
	few, many := cost(500), cost(8000)
	if many > 1.5*few+5 {
		t.Errorf("R16: %.1f allocations a message for 500, %.1f for 8,000", few, many)
	}
}

// A message with many dependencies is looked at once for each that is missing, not once for each message that comes.
func TestWaitingIsIndexedByWhatIsMissing(t *testing.T) {
	const n = 300
	c, e := open(t, 200), open(t, 201)
	var deps [][]byte
	for i := range n {
		d := open(t, 1, func(o *runtime.Options) {
			o.Replica = uuid.UUID{0: 1, 6: 0x40, 8: 0x80, 14: byte(i >> 8), 15: byte(i)}
		})
		deps = append(deps, d.add("x"))
	}
	c.take(deps...)
	m := c.add("last")
	e.take(m)
	e.take(deps...)
	looks := e.Looks()
	same(t, c, e)
	if looks > 2*n+10 {
		t.Errorf("%d looks at messages for %d dependencies", looks, n)
	}
}

func TestWaitingRoomBounds(t *testing.T) {
	a := open(t, 1)
	var ms [][]byte
	for i := range 6 {
		ms = append(ms, a.add(fmt.Sprint(i)))
	}
	for name, limits := range map[string]runtime.Limits{
		"Waiting": {Waiting: 2}, "WaitingOrigin": {WaitingOrigin: 2}, "WaitingBytes": {WaitingBytes: len(ms[1]) + len(ms[2])},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, 2, func(o *runtime.Options) { o.Limits = limits })
			b.take(ms[1], ms[2])
			err := b.refuse(ms[3])
			var limit *runtime.LimitError
			if !errors.As(err, &limit) || limit.Name != name {
				t.Fatalf("the third: %v", err)
			}
			if _, err := b.Receive(ms[4], runtime.From("other")); (name == "WaitingOrigin") != (err == nil) {
				t.Errorf("one of another origin: %v", err)
			}
			if res := b.take(ms[0]); res.Applied != 3 {
				t.Errorf("%+v", res)
			}
			b.take(ms[3]) // the room is empty again
			b.take(ms...)
			same(t, a, b)
		})
	}
}

// Origins may be of any type, also of one that is no map key.
func TestOriginOfAnyType(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	ms := [][]byte{a.add("1"), a.add("2"), a.add("3")}
	for _, m := range slices.Backward(ms) {
		if _, err := b.Receive(m, runtime.From([]int{1})); err != nil {
			t.Fatal(err)
		}
	}
	same(t, a, b)
	type tag struct{ x any }
	c := open(t, 3)
	for _, m := range slices.Backward(ms) {
		if _, err := c.Receive(m, runtime.From(tag{[]int{1}})); err != nil {
			t.Fatal(err)
		}
	}
	same(t, a, c)
}

func TestR25WaitingMessagesAreNotCanonical(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	m1, m2 := a.add("1"), a.add("2")
	x := open(t, 4).add("x")
	b.take(x, m2)
	c.take(x)
	same(t, b, c)
	// They are saved, and wait on where they are loaded.
	d := open(t, 5)
	d.take(b.save())
	if d.Waiting() != 1 {
		t.Fatalf("%d wait after a load", d.Waiting())
	}
	d.take(m1)
	b.take(m1)
	same(t, b, d)
	d.want("1 2 x")
	e := open(t, 6)
	if e.take(open(t, 7).save()); e.Waiting() != 0 {
		t.Error("something waits")
	}
}

// A state that brings what a message waited for lets it go on, or makes it redundant.
func TestStateWakesWaiting(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	m1, m2, m3 := a.add("1"), a.add("2"), a.add("3")
	early := open(t, 3)
	early.take(m1, m2)
	b.take(m3, m2)
	if b.Waiting() != 2 {
		t.Fatal("none waits")
	}
	res := b.take(early.save())
	if b.Waiting() != 0 || res.Applied != 2 {
		t.Errorf("%d wait, %+v", b.Waiting(), res)
	}
	same(t, a, b)
}

func TestR24StateBetweenTwoTransactions(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	a.add("1", "2")
	b.take(a.save())
	m := a.add("3", "4")
	if res := b.take(m); res.Applied != 1 {
		t.Errorf("%+v", res)
	}
	same(t, a, b)
}

func TestR20WhatAStateBroughtIsReplacedEverywhere(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	m1 := a.add("v1")
	b.take(m1)
	m2 := b.edit(func(tx runtime.Tx) error {
		e, err := b.bag.Below("elsewhere")
		return errors.Join(err, e.Add(tx, "e"))
	})
	carrier := open(t, 4)
	carrier.take(m1, m2)
	c.take(carrier.save())
	m3 := b.edit(func(tx runtime.Tx) error { return errors.Join(b.bag.Remove(tx, 0), b.bag.Add(tx, "v2")) })
	c.take(m3)
	a.take(m2, m3)
	same(t, a, b, c)
	c.want("v2")
}

// The causally maximal dots survive save and load, the saver's own last included: the next message depends on them.
func TestDependenciesSurviveLoad(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	a.add("a")
	b.take(a.save())
	mb := b.add("b")
	c := open(t, 3)
	c.take(b.save())
	mc := c.add("c")
	info, err := runtime.Inspect(mc)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Clock.Get(b.Replica()); got != 1 {
		t.Errorf("depends on %d dots of b", got)
	}
	if got := info.Clock.Get(a.Replica()); got != 0 {
		t.Errorf("names %d dots of a, which b's last already comes after", got)
	}
	d := open(t, 4)
	if res := d.take(mc); res.Waiting != 1 {
		t.Errorf("%+v", res)
	}
	d.take(mb, a.sent[0])
	same(t, c, d)
}
