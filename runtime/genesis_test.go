package runtime_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// withGenesis is an option: the document begins with a value and a child.
func withGenesis(o *runtime.Options) {
	o.Genesis = func(tx runtime.Tx) error {
		b, err := bag.New(tx.Runtime(), "bag")
		if err != nil {
			return err
		}
		child, err := b.Make(tx, bag.Name)
		return errors.Join(err, b.Add(tx, "welcome"), child.Add(tx, "inside"))
	}
}

// Two first users who are offline both make the initial content; it is there once.
func TestGenesisIsThereOnce(t *testing.T) {
	stamped := func(o *runtime.Options) {
		o.WallTime, o.Now = true, func() time.Time { return time.UnixMilli(int64(o.Replica[0])) }
		o.Document = id(77)
	}
	a, b := open(t, 1, withGenesis, stamped), open(t, 2, withGenesis, stamped)
	same(t, a, b)
	a.want("<example.com/bag> welcome")
	ma, mb := a.add("a"), b.add("b")
	a.take(mb, b.save())
	b.take(mustBundle(t, [][]byte{ma}))
	same(t, a, b)
	a.want("<example.com/bag> a b welcome")
	// The genesis message is known to all who have the option, and teaches those who do not.
	ms, err := a.MessagesSince(nil)
	if err != nil || len(ms) != 3 {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	if res := b.take(ms[0]); res.Redundant != 1 {
		t.Errorf("the genesis message of another: %+v", res)
	}
	c := open(t, 3)
	c.take(ms...)
	same(t, a, c)
	// Without these options the very same bytes.
	d := open(t, 4, withGenesis)
	bare, err := d.MessagesSince(nil)
	if err != nil || !bytes.Equal(bare[0], ms[0]) {
		t.Errorf("the genesis message depends on options:\n%x\n%x", ms[0], bare[0])
	}
	if _, ok := d.Unacknowledged(); ok {
		t.Error("the genesis transaction counts as own work")
	}
}

func TestGenesisThatDiffers(t *testing.T) {
	a := open(t, 1, withGenesis)
	b := open(t, 2, func(o *runtime.Options) {
		o.Genesis = func(tx runtime.Tx) error {
			b, err := bag.New(tx.Runtime(), "bag")
			return errors.Join(err, b.Add(tx, "another"))
		}
	})
	ms, err := b.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.refuse(ms[0]); !errors.Is(err, runtime.ErrEquivocation) {
		t.Errorf("got %v", err)
	}
	_, err = runtime.New(&runtime.Options{Genesis: func(runtime.Tx) error { return errTest }})
	if !errors.Is(err, errTest) {
		t.Errorf("a genesis that fails: %v", err)
	}
}

// A runtime that holds nothing but its genesis continues a saved document under its own ID.
func TestGenesisThenRestart(t *testing.T) {
	a := open(t, 1, withGenesis)
	a.add("x")
	b := open(t, 1, withGenesis)
	b.take(a.save())
	if b.Replica() != id(1) {
		t.Errorf("replica %v", b.Replica())
	}
	m := b.add("y")
	a2 := open(t, 3, withGenesis)
	a2.take(a.sent[0], m)
	same(t, b, a2)
}

// The same randomness, clock and calls give the same bytes.
func TestDeterminism(t *testing.T) {
	run := func() (out []byte) {
		now := time.UnixMilli(1000)
		rnd := rand.NewChaCha8([32]byte{1})
		open := func() *doc {
			return open(t, 0, func(o *runtime.Options) {
				o.Replica, o.Rand, o.WallTime = vclock.Replica{}, rnd, true
				o.Now = func() time.Time { now = now.Add(time.Millisecond); return now }
			})
		}
		a, b, c := open(), open(), open()
		var ms [][]byte
		for i := range 40 {
			d := []*doc{a, b, c}[i%3]
			m := d.edit(func(tx runtime.Tx) error {
				made, err := d.bag.Make(tx, bag.Name)
				if err != nil {
					return err
				}
				for _, k := range []string{"one", "two", "three", "four", "five"} {
					below, err := made.Below(k)
					if err := errors.Join(err, below.Add(tx, k)); err != nil {
						return err
					}
				}
				if n := d.bag.Len(tx); n > 3 {
					return d.bag.Remove(tx, n/2)
				}
				return nil
			})
			ms = append(ms, m)
			if i%4 == 0 {
				a.take(ms...)
				b.take(a.since(b.Clock()))
			}
		}
		c.take(reversed(ms)...)
		out = append(out, mustBundle(t, ms)...)
		for _, d := range []*doc{a, b, c} {
			out = append(append(out, d.save()...), d.since(vclock.Clock{a.Replica(): 5})...)
			out = append(out, d.save(runtime.Compressed(2))...)
		}
		return out
	}
	first := run()
	for range 3 {
		if !bytes.Equal(run(), first) {
			t.Fatal("another run gave other bytes")
		}
	}
}

func TestR8NamesInAnyScript(t *testing.T) {
	names := []string{"", "ascii", "Ünïcödé", "日本語", "עברית", "🧵🪡", "a/b\"c\\d", "\x00\x01", "\xff\xfe not UTF-8", strings.Repeat("long ", 2000)}
	a := open(t, 1)
	for _, n := range names {
		root, err := bag.New(a.Runtime, n)
		if err != nil {
			t.Fatalf("R8: %.20q: %v", n, err)
		}
		a.edit(func(tx runtime.Tx) error {
			below, err := root.Below(n)
			return errors.Join(err, root.Add(tx, "in "+n), below.Add(tx, "below "+n))
		})
	}
	b, c, d := open(t, 2), open(t, 3), open(t, 4)
	b.take(reversed(a.sent)...)
	c.take(a.save(runtime.Compressed(1)))
	d.take(a.since(nil))
	same(t, a, b, c, d)
	for _, n := range names {
		root, err := bag.New(c.Runtime, n)
		if err != nil {
			t.Fatal(err)
		}
		below, err := root.Below(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := runtime.Read(c.Runtime, root.Text) + runtime.Read(c.Runtime, below.Text); got != "in "+n+"below "+n {
			t.Errorf("R8: %.20q holds %.40q", n, got)
		}
		if ref, err := c.Resolve(below.Node().Ref()); err != nil || ref != below.Node() {
			t.Errorf("R8: Ref of %.20q: %v", n, err)
		}
	}
	if _, err := a.MarshalJSON(); err != nil {
		t.Error(err)
	}
}

func TestRefRoundTrip(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	var made, below, inner bag.Bag
	a.edit(func(tx runtime.Tx) (err error) {
		if made, err = a.bag.Make(tx, bag.Name); err != nil {
			return err
		}
		if below, err = made.Below("key"); err != nil {
			return err
		}
		inner, err = below.Below("inner")
		return errors.Join(err, inner.Add(tx, "x"))
	})
	b.take(a.sent...)
	for _, h := range []bag.Bag{a.bag, made, below, inner} {
		ref := h.Node().Ref()
		data, err := runtime.EncodeValue(ref)
		if err != nil {
			t.Fatal(err)
		}
		var back runtime.Ref
		if err := runtime.DecodeValue(data, &back); err != nil {
			t.Fatal(err)
		}
		for _, d := range []*doc{a, b} {
			n, err := d.Resolve(back)
			if err != nil || n.String() != h.Node().String() || n.Kind() != h.Node().Kind() {
				t.Errorf("%v resolves to %v, %v", h.Node(), n, err)
			}
		}
		if again, err := runtime.EncodeValue(back); err != nil || !bytes.Equal(again, data) {
			t.Errorf("encoded again %x, %x, %v", data, again, err)
		}
	}
	ref := made.Node().Ref()
	a.remove(0)
	if _, err := a.Resolve(ref); !errors.Is(err, runtime.ErrDeleted) {
		t.Errorf("a deleted object resolves to %v", err)
	}
	if _, err := open(t, 3).Resolve(ref); !errors.Is(err, runtime.ErrDeleted) {
		t.Errorf("an object of nowhere resolves to %v", err)
	}
	if _, err := open(t, 3, noKinds).Resolve(a.bag.Node().Ref()); !errors.Is(err, runtime.ErrUnknownKind) {
		t.Errorf("an object of an unknown kind resolves to %v", err)
	}
	var zero runtime.Ref
	if _, err := a.Resolve(zero); !errors.Is(err, runtime.ErrDeleted) || !zero.IsZero() {
		t.Errorf("the zero Ref resolves to %v", err)
	}
	data, err := runtime.EncodeValue(zero)
	if err != nil || !bytes.Equal(data, []byte{0xf6}) {
		t.Errorf("the zero Ref is %x, %v", data, err)
	}
	for _, v := range []any{1, "weft", []any{"weft"}, map[string]int{}} {
		data, err := runtime.EncodeValue(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := ref.UnmarshalCBOR(data); !errors.Is(err, runtime.ErrCorrupt) {
			t.Errorf("%v is taken for a Ref: %v", v, err)
		}
	}
}
