package runtime_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// doc is a replica of a document with a bag at its root. It keeps what it sends.
type doc struct {
	*runtime.Runtime
	t        testing.TB
	bag      bag.Bag
	sent     [][]byte
	problems []runtime.Problem
	updates  []runtime.Update
}

// id returns a replica ID whose order is that of n.
func id(n byte) vclock.Replica { return uuid.UUID{0: n, 6: 0x40, 8: 0x80, 15: n} }

// open makes a replica with ID number n; change may alter its options.
func open(t testing.TB, n byte, change ...func(*runtime.Options)) *doc {
	t.Helper()
	o := &runtime.Options{Replica: id(n), Kinds: []runtime.Kind{bag.Kind(bag.Options{})}}
	for _, f := range change {
		f(o)
	}
	rt, err := runtime.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &doc{Runtime: rt, t: t}
	if len(o.Kinds) > 0 && o.Kinds[0].Name == bag.Name {
		if d.bag, err = bag.New(rt, "bag"); err != nil {
			t.Fatal(err)
		}
	}
	rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			d.sent = append(d.sent, u.Data)
		}
		d.updates = append(d.updates, u)
	})
	rt.OnProblem(func(p runtime.Problem) { d.problems = append(d.problems, p) })
	return d
}

// bags is an option: the kinds of open, made anew with these options.
func bags(b bag.Options) func(*runtime.Options) {
	return func(o *runtime.Options) { o.Kinds = []runtime.Kind{bag.Kind(b)} }
}

func noKinds(o *runtime.Options) { o.Kinds = nil }

// edit runs f as one transaction and returns its message, nil if there is none.
func (d *doc) edit(f func(tx runtime.Tx) error) []byte {
	d.t.Helper()
	n := len(d.sent)
	if err := d.Transact(f); err != nil {
		d.t.Fatal(err)
	}
	if len(d.sent) == n {
		return nil
	}
	return d.sent[n]
}

// add makes one transaction that adds each value.
func (d *doc) add(values ...string) []byte {
	d.t.Helper()
	return d.edit(func(tx runtime.Tx) error {
		for _, v := range values {
			if err := d.bag.Add(tx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove makes one transaction that removes the entries at these places.
func (d *doc) remove(places ...int) []byte {
	d.t.Helper()
	return d.edit(func(tx runtime.Tx) error { return d.bag.Remove(tx, places...) })
}

// take receives updates that must be accepted and returns the last result.
func (d *doc) take(updates ...[]byte) (res runtime.Result) {
	d.t.Helper()
	for _, u := range updates {
		var err error
		if res, err = d.Receive(u); err != nil {
			d.t.Fatal(err)
		}
	}
	d.check()
	return res
}

// refuse receives an update that must be refused without any effect and returns the error.
func (d *doc) refuse(update []byte) error {
	d.t.Helper()
	was := d.save()
	res, err := d.Receive(update)
	if err == nil {
		d.t.Fatalf("accepted: %+v", res)
	}
	if !bytes.Equal(d.save(), was) {
		d.t.Fatalf("refused, but the state changed: %v", err)
	}
	tellsOnce(d.t, err)
	d.check()
	return err
}

// tellsOnce fails unless the package's name stands in front of the error, and not in front of each of its causes again.
func tellsOnce(t testing.TB, err error) {
	t.Helper()
	if text := err.Error(); !strings.HasPrefix(text, "runtime: ") || strings.Count(text, "runtime: ") != 1 {
		t.Errorf("the error reads %q", text)
	}
}

func (d *doc) check() {
	d.t.Helper()
	if err := d.Check(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *doc) save(opts ...runtime.SaveOption) []byte {
	d.t.Helper()
	b, err := d.Save(opts...)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

func (d *doc) since(c vclock.Clock, opts ...runtime.SaveOption) []byte {
	d.t.Helper()
	b, err := d.SaveSince(c, opts...)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// text returns the bag's values.
func (d *doc) text() string { return runtime.Read(d.Runtime, d.bag.Text) }

// want fails unless the bag holds these values.
func (d *doc) want(text string) {
	d.t.Helper()
	if got := d.text(); got != text {
		d.t.Errorf("%v holds %q, want %q", d.Replica(), got, text)
	}
}

// same fails unless all are equal, in state and in bytes.
func same(t testing.TB, docs ...*doc) {
	t.Helper()
	for _, d := range docs {
		d.check()
		if !d.Clock().Equal(docs[0].Clock()) {
			t.Fatalf("clocks %v and %v", docs[0].Clock(), d.Clock())
		}
		if a, b := docs[0].Canonical(), d.Canonical(); !bytes.Equal(a, b) {
			t.Fatalf("canonical bytes differ:\n%x\n%x\n%v\n%v", a, b, docs[0].Export(), d.Export())
		}
		if docs[0].Digest() != d.Digest() {
			t.Fatal("digests differ")
		}
		if a, b := fmt.Sprint(docs[0].Export()), fmt.Sprint(d.Export()); a != b {
			t.Fatalf("%s and %s", a, b)
		}
	}
}

func reversed(m [][]byte) [][]byte {
	m = slices.Clone(m)
	slices.Reverse(m)
	return m
}

func shuffled(r *rand.Rand, m [][]byte) [][]byte {
	m = slices.Clone(m)
	r.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
	return m
}

// dotOf returns dot seq of d.
func dotOf(d *doc, seq uint64) vclock.Dot { return vclock.Dot{Replica: d.Replica(), Seq: seq} }
