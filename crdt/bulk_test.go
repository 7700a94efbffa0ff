package crdt_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"testing"
	"weak"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// allocates returns the bytes and objects that f allocates.
func allocates(f func()) (bytes, objects uint64) {
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	f()
	goruntime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
}

// edits makes n edits, as somebody types who corrects and moves on now and then.
func edits(t testing.TB, rt *runtime.Runtime, text crdt.Text, r *rand.Rand, n int) {
	length := runtime.Read(rt, text.Len)
	at := length / 2
	for range n {
		if r.IntN(30) == 0 {
			at = r.IntN(length + 1)
		}
		err := rt.Transact(func(tx runtime.Tx) error {
			if at > 0 && r.IntN(6) == 0 {
				at--
				length--
				return text.Delete(tx, at, 1)
			}
			at++
			length++
			return text.Insert(tx, at-1, "x")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A delta costs what has changed, however long the document is: in bytes, and in memory where it is made and merged.
func TestDeltasCostWhatChanged(t *testing.T) {
	const k = 200
	type cost struct{ bytes, save, load uint64 }
	measure := func(n int) cost {
		r := rand.New(rand.NewPCG(3, uint64(n)))
		a, textA := newText(t, 1)
		b, _ := newText(t, 2)
		edits(t, a, textA, r, n)
		state, err := a.Save()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Load(state); err != nil {
			t.Fatal(err)
		}
		var c cost
		for range 3 { // the first builds indexes
			edits(t, a, textA, r, k)
			var delta []byte
			c.save, _ = allocates(func() {
				if delta, err = a.SaveSince(b.Clock(), runtime.CanonicalOnly()); err != nil {
					t.Fatal(err)
				}
			})
			c.load, _ = allocates(func() {
				if err := b.Load(delta); err != nil {
					t.Fatal(err)
				}
			})
			c.bytes = uint64(len(delta))
		}
		if a.Digest() != b.Digest() {
			t.Fatal("they differ")
		}
		return c
	}
	small, large := measure(2_000), measure(60_000)
	t.Logf("2,000 edits before: %+v; 60,000: %+v", small, large)
	if large.bytes > small.bytes+200 || large.bytes > 3*k {
		t.Errorf("%d edits take %d bytes after 2,000 edits, %d after 60,000", k, small.bytes, large.bytes)
	}
	if large.save > 2*small.save || large.load > 2*small.load {
		t.Errorf("memory grows with the document: %+v, %+v", small, large)
	}
}

// A delta names the objects that changed, and no others.
func TestDeltasNameWhatChanged(t *testing.T) {
	open := func(k int) (*runtime.Runtime, crdt.LazyMap[string, crdt.Map[string, int]]) {
		rt, err := runtime.New(&runtime.Options{Replica: trace.AgentReplica(k), Kinds: crdt.Kinds()})
		if err != nil {
			t.Fatal(err)
		}
		m, err := crdt.NewLazyMap[string, crdt.Map[string, int]](rt, "objects")
		if err != nil {
			t.Fatal(err)
		}
		return rt, m
	}
	a, m := open(1)
	b, _ := open(2)
	set := func(i, v int) {
		err := a.Transact(func(tx runtime.Tx) error {
			o, err := m.At(tx, fmt.Sprint("object ", i))
			if err != nil {
				return err
			}
			return o.Set(tx, "key", v)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 {
		set(i, 1)
	}
	state, _ := a.Save()
	if err := b.Load(state); err != nil {
		t.Fatal(err)
	}
	set(1234, 2)
	delta, err := a.SaveSince(b.Clock())
	if err != nil {
		t.Fatal(err)
	}
	if len(delta) > 150 {
		t.Errorf("one of 2,000 objects changed: the delta takes %d bytes", len(delta))
	}
	if err := b.Load(delta); err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() {
		t.Error("they differ")
	}
}

// Taking a bundle makes nothing for each of its messages but what stays.
func TestBundlesAreTakenWithoutMessages(t *testing.T) {
	a, text := newText(t, 1)
	edits(t, a, text, rand.New(rand.NewPCG(1, 1)), 20_000)
	ms, err := a.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := runtime.Bundle(ms)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newText(t, 2)
	bytes, objects := allocates(func() {
		if _, err := b.Receive(bundle); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d messages: %d bytes, %d objects", len(ms), bytes, objects)
	if objects > uint64(len(ms)/4) || bytes > uint64(len(ms)*80) {
		t.Errorf("%d messages: %d bytes, %d objects", len(ms), bytes, objects)
	}
}

// The limit of operations holds wherever a large transaction happens to have encoded some of them.
func TestLargeTransactionsHaveLimits(t *testing.T) {
	const most = 1100
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.SequenceKinds(), Limits: runtime.Limits{MessageOps: most}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	for n := most - 100; n < most+1500; n += 1 + n%3 {
		err := rt.Transact(func(tx runtime.Tx) error {
			for range n {
				if err := text.Insert(tx, 0, "x"); err != nil {
					return err
				}
			}
			return nil
		})
		var limit *runtime.LimitError
		if n <= most && err != nil || n > most && (!errors.As(err, &limit) || limit.Name != "MessageOps" || limit.Got != uint64(n)) {
			t.Fatalf("%d operations: %v", n, err)
		}
	}
}

// Receive keeps nothing of what it was given, whatever that is.
func TestReceivedBytesAreLetGo(t *testing.T) {
	a := newTyped(t)
	err := a.rt.Transact(func(tx runtime.Tx) error {
		for i := range 50_000 {
			if err := a.edit(tx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ms, err := a.rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func() ([]byte, error){
		"message": func() ([]byte, error) { return slices.Clone(ms[0]), nil },
		"bundle":  func() ([]byte, error) { return runtime.Bundle(ms) },
		"state":   func() ([]byte, error) { return a.rt.Save() },
		"delta":   func() ([]byte, error) { return a.rt.SaveSince(nil) },
	} {
		b := newTyped(t)
		update, err := make()
		if err != nil {
			t.Fatal(err)
		}
		given := weak.Make(&update[0])
		if _, err := b.rt.Receive(update); err != nil {
			t.Fatal(name, err)
		}
		update = nil
		goruntime.GC()
		if given.Value() != nil {
			t.Errorf("the bytes of a %s are kept", name)
		}
		if b.rt.Digest() != a.rt.Digest() {
			t.Errorf("a %s made another document", name)
		}
	}
}

// A large transaction takes memory for its message, which is copied a few times, and for what undoes it.
func TestLargeTransactionsTakeLittle(t *testing.T) {
	const n = 50_000
	one, many := newTyped(t), newTyped(t)
	atOnce, _ := allocates(func() {
		err := one.rt.Transact(func(tx runtime.Tx) error {
			for i := range n {
				if err := one.edit(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	each, _ := allocates(func() {
		for i := range n {
			if err := many.rt.Transact(func(tx runtime.Tx) error { return many.edit(tx, i) }); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Logf("%d edits: %d bytes in one transaction, %d in one each", n, atOnce, each)
	if atOnce > 2*each {
		t.Errorf("%d edits: %d bytes in one transaction, %d in one each", n, atOnce, each)
	}
}

type typed struct {
	rt   *runtime.Runtime
	text crdt.Text
}

func newTyped(t *testing.T) typed {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.SequenceKinds(), Limits: runtime.Limits{MessageOps: 1 << 20, MessageBytes: 16 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	return typed{rt, text}
}

func (d typed) edit(tx runtime.Tx, i int) error {
	if n := d.text.Len(tx); i%7 == 6 {
		return d.text.Delete(tx, n-1, 1)
	} else if i%50 == 49 {
		return d.text.Insert(tx, n/2, "y")
	}
	return d.text.Insert(tx, d.text.Len(tx), "x")
}
