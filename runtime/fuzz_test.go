package runtime_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// survives hands an update to a few replicas. Whatever it is: no panic, invariants hold, an error is typed and leaves the
// state as it was, and what was accepted is saved and loaded again to the same.
func survives(t *testing.T, data []byte) {
	t.Helper()
	receiver := func() *doc {
		r := open(t, 9)
		r.take(fuzzBase())
		return r
	}
	small := func(o *runtime.Options) {
		o.Limits = runtime.Limits{MessageBytes: 4096, StateBytes: 8192, DecodedBytes: 1 << 20, Replicas: 50}
	}
	for _, r := range []*doc{receiver(), open(t, 9, small), open(t, 9, small, noKinds)} {
		was := r.save()
		given := bytes.Clone(data)
		_, err := r.Receive(given)
		if !bytes.Equal(given, data) {
			t.Fatal("Receive changed its argument")
		}
		if err != nil {
			if !typed(err) {
				t.Fatalf("not a typed error: %v", err)
			}
			tellsOnce(t, err)
			if kind, _ := runtime.KindOf(data); kind != runtime.BundleUpdate && !bytes.Equal(r.save(), was) {
				t.Fatalf("refused, but the state changed: %v", err)
			}
		}
		r.check()
		canonical := r.Canonical()
		if res, err := r.Receive(data); err == nil && res.Applied != 0 {
			t.Fatalf("the second time: %+v", res)
		}
		if !bytes.Equal(r.Canonical(), canonical) {
			t.Fatal("the second time changed something")
		}
		r.Export()
		again := open(t, 8)
		if r.bag.Node() == nil {
			again = open(t, 8, noKinds)
		}
		again.take(r.save())
		if !bytes.Equal(again.Canonical(), canonical) {
			t.Fatalf("saved and loaded, the canonical bytes differ:\n%x\n%x", canonical, again.Canonical())
		}
		if info, err := runtime.Inspect(data); err == nil && info.Bytes != len(data) {
			t.Fatalf("Inspect says %d bytes of %d", info.Bytes, len(data))
		}
	}
}

// fuzzBase is the message that the updates of everyKind build on.
var fuzzBase = sync.OnceValue(func() []byte {
	rt, err := runtime.New(&runtime.Options{Replica: id(1), Kinds: []runtime.Kind{bag.Kind(bag.Options{})}})
	if err != nil {
		panic(err)
	}
	b, err := bag.New(rt, "bag")
	if err != nil {
		panic(err)
	}
	err = rt.Transact(func(tx runtime.Tx) error {
		return errors.Join(b.Add(tx, "one"), b.Add(tx, "two"), b.Add(tx, "three"))
	})
	if err != nil {
		panic(err)
	}
	ms, err := rt.MessagesSince(nil)
	if err != nil {
		panic(err)
	}
	return ms[0]
})

func FuzzReceiveMessage(f *testing.F) {
	updates, _ := everyKind(f)
	f.Add(updates["message"])
	a := open(f, 1)
	f.Add(a.add("x"))
	f.Add(a.add("y", "z"))
	f.Add(a.remove(0, 1))
	f.Add(a.edit(func(tx runtime.Tx) error { return a.bag.Force(tx, "\x63newer") }))
	f.Fuzz(survives)
}

func FuzzReceiveBundle(f *testing.F) {
	updates, _ := everyKind(f)
	f.Add(updates["bundle"][7:])
	f.Add(busyBundle(f)[busyHead:])
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 0 {
			content[0] = 0x12
		}
		bundle := reseal(append([]byte{0xda, 'w', 'e', 'f', 't'}, bstrOf(append(content, 0, 0, 0, 0))...))
		survives(t, bundle)
		likeItsMessages(t, bundle)
		ms, err := runtime.SplitBundle(bundle)
		if err != nil {
			return
		}
		again, err := runtime.Bundle(ms)
		if err != nil {
			return // what was in it is no message
		}
		split, err := runtime.SplitBundle(again)
		if err != nil || len(split) != len(ms) {
			t.Fatalf("%d messages became %d: %v", len(ms), len(split), err)
		}
		for i := range ms {
			if !bytes.Equal(ms[i], split[i]) {
				t.Fatal("a bundle changed a message")
			}
		}
	})
}

// busyHead is the length of the tag and the head of busyBundle.
const busyHead = 8

// busyBundle is a bundle of messages of several writers with dependencies, several operations, made objects, wall times and
// a document ID.
func busyBundle(t testing.TB) []byte {
	a := open(t, 1, func(o *runtime.Options) { o.WallTime, o.Document = true, id(7) })
	b, c := open(t, 2), open(t, 3)
	docs := []*doc{a, b, c}
	for i := range 4 {
		for _, d := range docs {
			d.add("x", "y")
			if i > 0 {
				d.remove(0)
			}
			d.edit(func(tx runtime.Tx) error {
				if err := d.bag.Add(tx, "one"); err != nil {
					return err
				}
				return d.bag.Add(tx, "two")
			})
		}
		for _, d := range docs {
			for _, from := range docs {
				d.take(from.sent...)
			}
		}
	}
	ms, err := a.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := runtime.Bundle(ms)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// A bundle does what its messages do one by one, and is refused if one of them is malformed.
func TestBundlesAreLikeTheirMessages(t *testing.T) {
	bundle := busyBundle(t)
	likeItsMessages(t, bundle)
	for i := range bundle[busyHead : len(bundle)-4] {
		for _, x := range []byte{1, 2, 0x10, 0x80, 0xff} {
			changed := bytes.Clone(bundle)
			changed[busyHead+i] ^= x
			likeItsMessages(t, reseal(changed))
		}
	}
}

func likeItsMessages(t *testing.T, bundle []byte) {
	t.Helper()
	if kind, err := runtime.KindOf(bundle); err != nil || kind != runtime.BundleUpdate {
		return
	}
	a, b := open(t, 9), open(t, 9)
	a.take(fuzzBase())
	b.take(fuzzBase())
	was := a.save()
	var got, want [][]byte
	collect := func(to *[][]byte) func(runtime.Update) {
		return func(u runtime.Update) { *to = append(*to, u.Data) }
	}
	a.OnUpdate(collect(&got))
	b.OnUpdate(collect(&want))
	res, err := a.Receive(bundle)
	ms, bad := runtime.SplitBundle(bundle)
	for _, m := range ms {
		if bad == nil {
			_, bad = runtime.Inspect(m)
		}
	}
	if bad != nil {
		if err == nil || !bytes.Equal(a.save(), was) || !typed(err) {
			t.Fatalf("the bundle says %v, its messages %v", err, bad)
		}
		return
	}
	var sum runtime.Result
	var failed error
	for _, m := range ms {
		one, e := b.Receive(m)
		sum.Applied, sum.Waiting, sum.Redundant = sum.Applied+one.Applied, sum.Waiting+one.Waiting, sum.Redundant+one.Redundant
		if failed = e; e != nil {
			break
		}
	}
	if (err == nil) != (failed == nil) || err != nil && err.Error() != failed.Error() {
		t.Fatalf("the bundle says %v, its messages %v", err, failed)
	}
	if res.Applied != sum.Applied || res.Waiting != sum.Waiting || res.Redundant != sum.Redundant {
		t.Fatalf("the bundle did %+v, its messages %+v", res, sum)
	}
	if !bytes.Equal(a.save(), b.save()) {
		t.Fatal("the bundle made another document than its messages")
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("updates of the bundle\n%x\nof its messages\n%x", got, want)
	}
}

// FuzzReceiveState fuzzes as it comes, and past the checksums.
func FuzzReceiveState(f *testing.F) {
	updates, _ := everyKind(f)
	for _, u := range updates {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		survives(t, data)
		if sealed := reseal(data); !bytes.Equal(sealed, data) {
			survives(t, sealed)
		}
	})
}

// FuzzStateSections fuzzes the two sections of a state alone, under right lengths and checksums.
func FuzzStateSections(f *testing.F) {
	updates, _ := everyKind(f)
	for name, u := range updates {
		if u[0] == 0xda && name != "bundle" && name[:4] != "comp" {
			p := splitState(f, u)
			f.Add(p.head[0] == 0x14, p.canonical, p.local)
		}
	}
	f.Fuzz(func(t *testing.T, delta bool, canonical, local []byte) {
		p := stateParts{head: []byte{0x13, 0, 0}, canonical: canonical, local: local}
		if delta {
			p.head[0] = 0x14
		}
		survives(t, p.encode())
	})
}

// FuzzClock asks for deltas and messages against any clock.
func FuzzClock(f *testing.F) {
	seed := func(c vclock.Clock) {
		b, err := c.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(nil)
	seed(vclock.Clock{id(1): 3})
	seed(vclock.Clock{id(1): 4, id(2): 5})
	seed(vclock.Clock{id(1): 1, id(2): 2, id(3): 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, n, err := vclock.DecodeClock(data, 100)
		if err != nil {
			return
		}
		if again, err := c.MarshalBinary(); err != nil || !bytes.Equal(again, data[:n]) {
			t.Fatalf("%x became %x, %v", data[:n], again, err)
		}
		receiver := func() *doc {
			r := open(t, 9)
			r.take(fuzzBase())
			return r
		}
		a, b := receiver(), receiver()
		a.add("more")
		a.remove(0)
		delta := a.since(c)
		if b.Clock().CoversClock(a.Clock().Min(c)) {
			b.take(delta)
			same(t, a, b)
		} else if err := b.refuse(delta); !typed(err) {
			t.Fatal(err)
		}
		if ms, err := a.MessagesSince(c); err == nil {
			e := receiver()
			e.take(ms...)
		}
	})
}

// FuzzStream restores an Unpacker from any state and lets it unpack any bytes.
func FuzzStream(f *testing.F) {
	a, b := open(f, 1), open(f, 2)
	p := runtime.Packer{Split: true}
	var packed []byte
	for range 3 {
		for _, d := range []*doc{a, b} {
			m := d.add("x")
			packed, _ = p.Append(packed, m)
		}
		a.take(b.sent...)
		b.take(a.sent...)
	}
	state := p.AppendState(nil)
	f.Add([]byte(nil), packed)
	m := a.add("y")
	more, _ := p.Append(nil, m)
	f.Add(state, more)
	f.Fuzz(func(t *testing.T, state, packed []byte) {
		u := runtime.Unpacker{Split: len(state) > 0}
		if len(state) > 0 {
			if err := u.Restore(state); err != nil {
				return
			}
			again := u.Packer().AppendState(nil)
			var other runtime.Unpacker
			other.Split = true
			if err := other.Restore(again); err != nil {
				t.Fatalf("%v after % x", err, state)
			}
		}
		for rest, n := packed, 0; len(rest) > 0; n++ {
			m, after, err := u.Next(rest)
			if err != nil && !errors.Is(err, runtime.ErrLostPlace) {
				return
			}
			if len(after) >= len(rest) || len(m) > 1<<20 {
				t.Fatalf("%d bytes from %d", len(m), len(rest))
			}
			rest = after
		}
	})
}
