package runtime_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// lines is the example of the Object contract as a subject, with its model.
var lines = &fuzz.Subject[Log]{
	Name: "log",
	Open: func(o *runtime.Options) (*runtime.Runtime, Log, error) {
		o.Kinds = []runtime.Kind{{Name: logKind, New: newLogState}}
		rt, err := runtime.New(o)
		if err != nil {
			return nil, Log{}, err
		}
		l, err := NewLog(rt, "log")
		return rt, l, err
	},
	Edits: map[string]fuzz.Edit[Log]{
		"add": func(d *fuzz.Draw, tx runtime.Tx, l Log) (any, error) {
			v := fuzz.Value[string](d, "line")
			return v, l.Add(tx, v)
		},
		"remove": func(d *fuzz.Draw, tx runtime.Tx, l Log) (any, error) {
			n := len(l.Lines(tx))
			if n == 0 {
				return nil, fuzz.ErrNothing
			}
			i := d.Int("line", 0, n-1)
			gone := tx.Runtime().Dot(l.node.Object().(*logState).lines[i].stamp.Dot)
			return gone, l.Remove(tx, i)
		},
	},
	Value: func(tx runtime.Tx, l Log) any { return l.Lines(tx) },
	Model: func(applied []fuzz.Transaction) any {
		type line struct {
			lamport uint64
			dot     vclock.Dot
			text    string
		}
		var list []line
		for _, tx := range applied {
			for i, did := range tx.Did {
				if text, ok := did.(string); ok {
					list = append(list, line{tx.Lamport + uint64(i), vclock.Dot{Replica: tx.Dot.Replica, Seq: tx.Dot.Seq + uint64(i)}, text})
				} else {
					list = slices.DeleteFunc(list, func(l line) bool { return l.dot == did.(vclock.Dot) })
				}
			}
		}
		slices.SortFunc(list, func(a, b line) int {
			if a.lamport != b.lamport {
				return int(a.lamport) - int(b.lamport)
			}
			return a.dot.Compare(b.dot)
		})
		out := []string{}
		for _, l := range list {
			out = append(out, l.text)
		}
		return out
	},
}

func TestExampleObjectConverges(t *testing.T) { fuzz.Check(t, lines, nil) }

func TestR2RemovedStaysRemoved(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	a.add("k")
	state := a.save()
	b.take(state)
	m := b.remove(0)
	c.take(m) // waits
	c.take(state)
	for range 2 {
		for _, x := range []*doc{a, b, c} {
			for _, y := range []*doc{a, b, c} {
				x.take(y.save())
			}
		}
	}
	same(t, a, b, c)
	c.want("")
}

func TestR3NoResurrection(t *testing.T) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	a.add("h", "e", "l", "l", "o")
	c.take(a.save())
	a.remove(0, 1, 2, 3, 4)
	b.add("own")
	b.take(a.save())
	c.add("C")
	b.take(c.save())
	a.take(b.save())
	b.take(a.save())
	c.take(a.save())
	same(t, a, b, c)
	a.want("C own")
}

func TestR14NoZeroEntries(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	b.take(a.add("x"))
	for _, d := range []*doc{a, b, open(t, 3)} {
		for id, end := range d.Clock() {
			if end == 0 {
				t.Errorf("R14: an entry of zero for %v", id)
			}
		}
	}
	if !a.Clock().Equal(b.Clock()) || len(a.Clock()) != len(b.Clock()) {
		t.Errorf("R14: %v and %v", a.Clock(), b.Clock())
	}
}

func TestR17DeletionsReachCoveredElements(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	b.take(a.add("a", "b", "c"))
	m := a.remove(1)
	b.take(a.save())
	b.want("a c")
	b.take(m)
	b.want("a c")
	same(t, a, b)
}

// R19: the asker is ahead of the sender on some replica and behind on another. Thousands of random histories.
func TestR19DeltasAgainstAnyClock(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() || raced {
		seeds = 200
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 19))
		var docs []*doc
		for i := range 3 {
			docs = append(docs, open(t, byte(1+(i+int(seed))%3), func(o *runtime.Options) {
				o.Deletions = []int{0, -1, 2}[rnd.IntN(3)]
			}))
		}
		var all [][]byte
		next := make([][]int, 3) // messages by writer
		for range 5 + rnd.IntN(20) {
			w := rnd.IntN(3)
			d := docs[w]
			n := runtime.Read(d.Runtime, d.bag.Len)
			switch {
			case n > 0 && rnd.IntN(2) == 0:
				all = append(all, d.remove(rnd.IntN(n)))
			default:
				all = append(all, d.add(fmt.Sprint(len(all)), "+"))
			}
			next[w] = append(next[w], len(all)-1)
			switch rnd.IntN(3) {
			case 0: // everything so far of one writer, as far as causality lets it
				for _, m := range next[rnd.IntN(3)] {
					docs[rnd.IntN(3)].take(all[m])
				}
			case 1:
				from, to := docs[rnd.IntN(3)], docs[rnd.IntN(3)]
				to.take(from.since(to.Clock()))
			}
		}
		for _, from := range docs {
			for _, to := range docs {
				to.take(from.since(to.Clock()))
			}
		}
		for _, from := range docs {
			for _, to := range docs {
				to.take(from.since(to.Clock()))
			}
		}
		same(t, docs...)
		oracle := open(t, 9)
		oracle.take(shuffled(rnd, all)...)
		same(t, oracle, docs[0])
	}
}

func TestMissingDepsLeaveTheDocument(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	a.add("1")
	a.add("2")
	a.add("3")
	b.add("own")
	b.take(a.sent[0])
	delta := a.since(vclock.Clock{id(1): 2})
	var m *runtime.MissingDepsError
	if err := b.refuse(delta); !errors.As(err, &m) || !slices.Equal(m.Need, []vclock.Span{span(a, 1, 2)}) {
		t.Errorf("got %v", err)
	}
	b.take(a.sent[1])
	b.take(delta)
	b.want("1 2 3 own")
	// A base beyond the sender's own clock is no base.
	c := open(t, 3)
	c.take(a.save())
	if res := c.take(a.since(vclock.Clock{id(1): 99, id(7): 5})); res.Redundant != 1 {
		t.Errorf("%+v", res)
	}
}

// Both forms of telling deletions: by the record while it reaches back, by what is alive beyond.
func TestDeltaForms(t *testing.T) {
	for _, record := range []int{-1, 4, 0} {
		a := open(t, 1, func(o *runtime.Options) { o.Deletions = record })
		for i := range 30 {
			a.add(fmt.Sprint(i))
		}
		b := open(t, 2)
		b.take(a.save())
		base := a.Clock()
		for range 10 {
			a.remove(0)
			a.remove(runtime.Read(a.Runtime, a.bag.Len) - 1)
		}
		delta := a.since(base)
		live := strings.Contains(dump(delta), "mode: live dots")
		if want := record != 0; live != want {
			t.Errorf("record of %d: live dots listed: %v", record, live)
		}
		b.take(delta)
		same(t, a, b)
		// The record travels with a state into an empty document.
		c := open(t, 3)
		c.take(a.save())
		if got := strings.Contains(dump(c.since(base)), "mode: live dots"); got != (record != 0) {
			t.Errorf("record of %d: after a load, live dots listed: %v", record, got)
		}
		d := open(t, 4)
		d.take(a.sent[:30]...)
		d.take(c.since(base))
		same(t, a, d)
	}
}

// The record is bounded, and a run of deletions takes one entry.
func TestDeletionRecordIsCompact(t *testing.T) {
	a := open(t, 1, func(o *runtime.Options) { o.Deletions = 4 })
	a.edit(func(tx runtime.Tx) error { return a.bag.AddTimes(tx, "x", 1000) })
	base := a.Clock()
	for range 500 {
		a.remove(0) // upwards
	}
	for i := range 400 {
		a.remove(499 - i) // downwards
	}
	if n := a.DeletionRuns(); n > 3 {
		t.Errorf("%d runs for two", n)
	}
	delta := a.since(base)
	if len(delta) > 200 {
		t.Errorf("a delta of two runs takes %d bytes", len(delta))
	}
	b := open(t, 2)
	b.take(a.sent[0], delta)
	same(t, a, b)
}

// A state that was taken in the middle of a transaction's effects does not exist; one taken within a View does not tear.
func TestSaveInsideConcurrentEdits(t *testing.T) {
	d := open(t, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 200 {
			_ = d.Transact(func(tx runtime.Tx) error { return errors.Join(d.bag.Add(tx, "a"), d.bag.Add(tx, "b")) })
		}
	})
	for range 50 {
		state, err := d.Save()
		if err != nil {
			t.Fatal(err)
		}
		e := open(t, 2)
		e.take(state)
		if n := runtime.Read(e.Runtime, e.bag.Len); n%2 != 0 {
			t.Fatalf("half a transaction is saved: %d entries", n)
		}
	}
	wg.Wait()
}

func TestR30TwoViewsAfterALoad(t *testing.T) {
	a := open(t, 1)
	for i := range 20 {
		a.add(fmt.Sprint(i))
	}
	state := a.save(runtime.Compressed(1))
	for range 20 {
		b := open(t, 2)
		b.take(state)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_ = b.View(func(tx runtime.Tx) error {
					if b.bag.Len(tx) != 20 {
						t.Error("not 20")
					}
					below, err := b.bag.Below("k")
					if err != nil || below.Len(tx) != 0 {
						t.Error(err)
					}
					return nil
				})
				b.Export()
				b.Canonical()
				_, _ = b.Save()
				_, _ = b.SaveSince(nil)
				_ = b.Check()
				b.Digest()
				_, _ = bag.New(b.Runtime, "another")
			})
		}
		wg.Wait()
	}
}

func TestR21TwoKindsUnderOneName(t *testing.T) {
	other := func(o *runtime.Options) { o.Kinds = append(o.Kinds, bag.Kind(bag.Options{Name: "example.com/other"})) }
	a, b := open(t, 1, other), open(t, 2, other)
	ax, err := bag.New(a.Runtime, "x")
	if err != nil {
		t.Fatal(err)
	}
	bx, err := bag.NewNamed(b.Runtime, "x", "example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	ma := a.edit(func(tx runtime.Tx) error { return ax.Add(tx, "of a") })
	mb := b.edit(func(tx runtime.Tx) error { return bx.Add(tx, "of b") })
	a.take(mb)
	b.take(ma)
	same(t, a, b)
	c := open(t, 3, other)
	c.take(a.save())
	same(t, a, c)
	if got := fmt.Sprint(a.Export()); got != "map[x (example.com/bag):[of a] x (example.com/other):[of b]]" {
		t.Errorf("R21: %s", got)
	}
	if runtime.Read(a.Runtime, ax.Text) != "of a" || runtime.Read(b.Runtime, bx.Text) != "of b" {
		t.Error("R21: one of them is not itself any more")
	}
}

func TestMessagesSince(t *testing.T) {
	a := open(t, 1, func(o *runtime.Options) { o.History.Messages = 8 })
	b := open(t, 2)
	for i := range 5 {
		a.add(fmt.Sprint("a", i))
		b.take(a.sent[i])
		a.take(b.add(fmt.Sprint("b", i)))
	}
	// Exactly what is missing, in causal order.
	for have := range uint64(6) {
		c := vclock.Clock{id(1): have, id(2): 5}
		ms, err := a.MessagesSince(c)
		if err != nil || len(ms) != int(5-have) {
			t.Fatalf("%d messages, %v", len(ms), err)
		}
		for i, m := range ms {
			if !bytes.Equal(m, a.sent[int(have)+i]) {
				t.Error("not the bytes that were sent")
			}
		}
	}
	ms, err := b.MessagesSince(nil)
	if err != nil || len(ms) != 10 {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	c := open(t, 3)
	for _, m := range ms {
		if res := c.take(m); res.Applied != 1 {
			t.Fatalf("not in causal order: %+v", res)
		}
	}
	if ms, err := a.MessagesSince(a.Clock()); err != nil || len(ms) != 0 {
		t.Errorf("%d messages, %v", len(ms), err)
	}
	if ms, err := a.MessagesSince(vclock.Clock{id(1): 99, id(2): 99, id(3): 1}); err != nil || len(ms) != 0 {
		t.Errorf("for one that is ahead: %d messages, %v", len(ms), err)
	}
	// A clock that ends inside of a transaction.
	a.add("x", "y", "z")
	if _, err := a.MessagesSince(vclock.Clock{id(1): 6, id(2): 5}); !errors.Is(err, runtime.ErrEvicted) {
		t.Errorf("a clock inside of a transaction: %v", err)
	}
	// What a state brought is in no history.
	d := open(t, 4)
	d.take(a.save())
	if _, err := d.MessagesSince(nil); !errors.Is(err, runtime.ErrEvicted) {
		t.Errorf("after a load: %v", err)
	}
	d.take(a.add("w"))
	if ms, err := d.MessagesSince(vclock.Clock{id(1): 8, id(2): 5}); err != nil || len(ms) != 1 {
		t.Errorf("after a load and a message: %d messages, %v", len(ms), err)
	}
	off := open(t, 5, func(o *runtime.Options) { o.History.Off = true })
	off.add("x")
	if _, err := off.MessagesSince(nil); !errors.Is(err, runtime.ErrEvicted) {
		t.Errorf("without history: %v", err)
	}
}

func TestHistoryBounds(t *testing.T) {
	for _, h := range []runtime.History{{Messages: 10}, {Bytes: 400}} {
		a := open(t, 1)
		b := open(t, 2, func(o *runtime.Options) { o.History = h })
		for i := range 200 {
			b.take(a.add(fmt.Sprint("value ", i)))
		}
		if n := b.HistoryLen(); n > 30 {
			t.Errorf("%+v: %d messages kept", h, n)
		}
		if _, err := b.MessagesSince(nil); !errors.Is(err, runtime.ErrEvicted) {
			t.Errorf("%+v: %v", h, err)
		}
		if _, err := b.MessagesSince(vclock.Clock{id(1): 199}); err != nil {
			t.Errorf("%+v: the last message is gone: %v", h, err)
		}
		// Own messages stay until they are acknowledged.
		for range 200 {
			b.add("own")
		}
		if s, ok := b.Unacknowledged(); !ok || s != span(b, 0, 200) {
			t.Errorf("%+v: unacknowledged %v", h, s)
		}
		if ms, err := b.MessagesSince(a.Clock()); err != nil || len(ms) != 200 {
			t.Errorf("%+v: %d own messages of 200, %v", h, len(ms), err)
		}
		b.Acknowledge(vclock.Clock{b.Replica(): 150})
		if s, ok := b.Unacknowledged(); !ok || s != span(b, 150, 200) {
			t.Errorf("%+v: unacknowledged %v", h, s)
		}
		b.add("one more")
		if ms, err := b.MessagesSince(vclock.Clock{a.Replica(): 200, b.Replica(): 150}); err != nil || len(ms) != 51 {
			t.Errorf("%+v: %d messages, %v", h, len(ms), err)
		}
		b.Acknowledge(b.Clock())
		b.Acknowledge(nil) // takes nothing back
		if _, ok := b.Unacknowledged(); ok {
			t.Errorf("%+v: something is unacknowledged", h)
		}
		b.take(a.add("x"))
		if n := b.HistoryLen(); n > 150 {
			t.Errorf("%+v: %d messages kept after all were acknowledged", h, n)
		}
		b.check()
	}
}

// Cost per transaction does not grow with the document: steps and allocations, not seconds.
func TestDoubling(t *testing.T) {
	perEdit := func(n int) float64 {
		d := open(t, 1)
		d.edit(func(tx runtime.Tx) error { return d.bag.AddTimes(tx, "x", n) })
		return testing.AllocsPerRun(200, func() { d.add("y") })
	}
	if few, many := perEdit(10), perEdit(20_000); many > few+3 {
		t.Errorf("an edit takes %.1f allocations in a small document, %.1f in a large one", few, many)
	}
	perMessage := func(n int) float64 {
		a, b := open(t, 1), open(t, 2)
		b.take(a.edit(func(tx runtime.Tx) error { return a.bag.AddTimes(tx, "x", n) }))
		var ms [][]byte
		for range 202 {
			ms = append(ms, a.add("y"))
		}
		return testing.AllocsPerRun(200, func() {
			if _, err := b.Receive(ms[0]); err != nil {
				t.Fatal(err)
			}
			ms = ms[1:]
		})
	}
	if few, many := perMessage(10), perMessage(20_000); many > few+3 {
		t.Errorf("a message takes %.1f allocations in a small document, %.1f in a large one", few, many)
	}
	// A delta of one change is small, however large the document.
	size := func(n int) int {
		d := open(t, 1)
		d.edit(func(tx runtime.Tx) error { return d.bag.AddTimes(tx, "x", n) })
		base := d.Clock()
		d.remove(n / 2)
		d.add("y")
		return len(d.since(base))
	}
	if few, many := size(10), size(20_000); many > few+16 {
		t.Errorf("a delta takes %d bytes for a small document, %d for a large one", few, many)
	}
}
