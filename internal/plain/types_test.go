package plain_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/plain"
)

// doc is one of each twin at one site.
type doc struct {
	site *plain.Site
	c    *plain.Counter
	r    *plain.Register[int]
	s    *plain.Set[int]
	m    *plain.Map[string, int]
	l    *plain.MoveList[int]
}

func newDoc(k int) *doc {
	s := site(k)
	return &doc{s, plain.NewCounter(s), plain.NewRegister[int](s), plain.NewSet[int](s),
		plain.NewMap[string, int](s), plain.NewMoveList[int](s)}
}

func (d *doc) merge(o *doc) {
	d.c.Merge(o.c)
	d.r.Merge(o.r)
	d.s.Merge(o.s)
	d.m.Merge(o.m)
	d.l.Merge(o.l)
	d.site.Observe(o.site.Lamport)
}

func (d *doc) clone() *doc {
	return &doc{plain.NewSite(plain.ReaderID), d.c.Clone(nil), d.r.Clone(nil), d.s.Clone(nil), d.m.Clone(nil), d.l.Clone(nil)}
}

func (d *doc) dump() string {
	return fmt.Sprint(d.c.Rows(), d.r.Entries(), d.s.Entries(), d.m.Entries(), d.l.Places(), d.l.Values(), d.l.Deleted())
}

// edit makes one random operation.
func (d *doc) edit(t *rapid.T) {
	v := rapid.IntRange(0, 4).Draw(t, "value")
	n := d.l.Len()
	at := rapid.IntRange(0, n).Draw(t, "at")
	count := rapid.IntRange(0, n-at).Draw(t, "count")
	edits := []func() error{
		func() error { return d.c.Add(int64(v) - 2) },
		func() error { d.c.Reset(); return nil },
		func() error { d.r.Set(v); return nil },
		func() error { d.r.Clear(); return nil },
		func() error { d.s.Add(v); return nil },
		func() error { d.s.Remove(v); return nil },
		func() error { d.m.Set(string(rune('a'+v)), at); return nil },
		func() error { d.m.Delete(string(rune('a' + v))); return nil },
		func() error { return d.l.Insert(at, v, v+10) },
		func() error { return d.l.Delete(at, min(count, 1)) },
		func() error { return d.l.Move(at, count, rapid.IntRange(0, n).Draw(t, "to")) },
		func() error {
			if at == n {
				return nil
			}
			return d.l.Set(at, v+100)
		},
	}
	if err := edits[rapid.IntRange(0, len(edits)-1).Draw(t, "edit")](); err != nil {
		t.Fatal(err)
	}
}

// TestTypeLaws: replicas that edit and merge at random are equal once all have heard of all, in whatever order, also
// of old states; and merging is idempotent.
func TestTypeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := make([]*doc, rapid.IntRange(2, 4).Draw(t, "replicas"))
		for k := range docs {
			docs[k] = newDoc(k)
		}
		var old []*doc
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d := rapid.SampledFrom(docs).Draw(t, "replica")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				d.merge(rapid.SampledFrom(docs).Draw(t, "from"))
			case 1:
				d.site.Transact(func() { d.edit(t); d.edit(t) })
			default:
				d.edit(t)
			}
			old = append(old, d.clone())
		}
		for _, d := range docs {
			for _, from := range rapid.Permutation(append(docs[:len(docs):len(docs)], old...)).Draw(t, "order") {
				d.merge(from)
			}
			before := d.dump()
			d.merge(d.clone())
			if d.dump() != before {
				t.Fatalf("merging a state with itself changed it:\n%s\n%s", before, d.dump())
			}
			if d.dump() != docs[0].dump() {
				t.Fatalf("not equal:\n%s\n%s", d.dump(), docs[0].dump())
			}
		}
	})
}

func TestR29CounterReset(t *testing.T) {
	a, b := newDoc(1), newDoc(2)
	for range 2 { // the second time round, on top of the first
		must(t, a.c.Add(1))
		b.merge(a)
		b.c.Reset()
		must(t, a.c.Add(2))
		a.merge(b)
		b.merge(a)
		for _, d := range []*doc{a, b} {
			if v, err := d.c.Value(); v != 2 || err != nil {
				t.Errorf("value %d, %v, want 2", v, err)
			}
		}
		a.c.Reset()
		b.merge(a)
	}
}

func TestR13CounterOverflow(t *testing.T) {
	a, b := newDoc(1), newDoc(2)
	must(t, a.c.Add(math.MaxInt64))
	if err := a.c.Add(1); !errors.Is(err, plain.ErrOverflow) {
		t.Errorf("Add beyond: %v", err)
	}
	must(t, b.c.Add(1))
	a.merge(b)
	if _, err := a.c.Value(); !errors.Is(err, plain.ErrOverflow) {
		t.Errorf("Value beyond: %v", err)
	}
	must(t, a.c.Add(-1))
	if v, err := a.c.Value(); v != math.MaxInt64 || err != nil {
		t.Errorf("value %d, %v", v, err)
	}
}

func TestRegisterWinnerAndConflicts(t *testing.T) {
	a, b := newDoc(1), newDoc(2)
	a.r.Set(1)
	a.r.Set(2)
	b.r.Set(3)
	a.merge(b)
	if v, _ := a.r.Get(); v != 2 || len(a.r.Entries()) != 2 {
		t.Errorf("%d of %v, want 2: the greater Lamport timestamp", v, a.r.Entries())
	}
	b.merge(a)
	b.r.Set(4)
	a.merge(b)
	if v, ok := a.r.Get(); v != 4 || !ok || len(a.r.Entries()) != 1 {
		t.Errorf("%d of %v", v, a.r.Entries())
	}
	a.site.Transact(func() { a.r.Set(5); a.r.Set(6) })
	if v, _ := a.r.Get(); v != 6 {
		t.Errorf("R27: %d, want the later write of a transaction", v)
	}
	if !a.r.Clear() || a.r.Clear() {
		t.Error("Clear")
	}
	b.merge(a)
	if _, ok := b.r.Get(); ok {
		t.Error("a cleared value is back")
	}
}

func TestSetAddWins(t *testing.T) {
	a, b := newDoc(1), newDoc(2)
	a.s.Add(1)
	a.s.Add(2)
	b.merge(a)
	a.s.Remove(1)
	a.s.Remove(2)
	b.s.Add(1)
	a.merge(b)
	b.merge(a)
	if want := map[int]bool{1: true}; !reflect.DeepEqual(a.s.Values(), want) || !reflect.DeepEqual(b.s.Values(), want) {
		t.Errorf("a %v, b %v", a.s.Values(), b.s.Values())
	}
	if !a.s.Has(1) || a.s.Has(2) || a.s.Remove(2) || !a.s.Clear() {
		t.Error("Has, Remove or Clear")
	}
}

func TestR2MapDelete(t *testing.T) {
	a := newDoc(1)
	a.m.Set("k", 1)
	saved := a.clone()
	b := newDoc(2)
	b.merge(saved)
	b.m.Delete("k")
	c := newDoc(3)
	c.merge(b)
	c.merge(saved)
	a.merge(c)
	for _, d := range []*doc{a, b, c} {
		if _, ok := d.m.Get("k"); ok || len(d.m.Keys()) != 0 {
			t.Error("the key is back")
		}
	}
	a.m.Set("k", 2)
	b.merge(a)
	a.m.Set("k", 3)
	b.m.Delete("k")
	b.merge(a)
	if v, ok := b.m.Get("k"); v != 3 || !ok || len(b.m.At("k")) != 1 {
		t.Error("a set must beat a concurrent delete")
	}
}

func TestMoveListMoves(t *testing.T) {
	tests := []struct {
		from, n, to int
		want        []int
	}{
		{0, 1, 4, []int{2, 3, 4, 1}},
		{3, 1, 0, []int{4, 1, 2, 3}},
		{1, 2, 0, []int{2, 3, 1, 4}},
		{0, 2, 3, []int{3, 1, 2, 4}},
		{0, 3, 1, []int{1, 2, 3, 4}},
		{1, 0, 3, []int{1, 2, 3, 4}},
	}
	for _, test := range tests {
		d := newDoc(1)
		must(t, d.l.Insert(0, 1, 2, 3, 4))
		must(t, d.l.Move(test.from, test.n, test.to))
		if got := d.l.Values(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("Move(%d, %d, %d): %v, want %v", test.from, test.n, test.to, got, test.want)
		}
		if want := uint64(4 + test.n); d.site.Next != want {
			t.Errorf("%d dots, want %d", d.site.Next, want)
		}
	}
	d := newDoc(1)
	for _, err := range []error{d.l.Insert(1, 0), d.l.Move(0, 1, 0), d.l.Set(0, 0), d.l.Delete(0, 1)} {
		if !errors.Is(err, plain.ErrRange) {
			t.Error(err)
		}
	}
}

func TestR28MoveBesideDelete(t *testing.T) {
	a, b, c := newDoc(1), newDoc(2), newDoc(3)
	must(t, a.l.Insert(0, 1, 2, 3, 4))
	b.merge(a)
	must(t, a.l.Move(0, 3, 4))
	must(t, b.l.Delete(1, 1))
	c.merge(a)
	must(t, c.l.Insert(3, 9)) // behind the new place of 2
	b.merge(c)
	a.merge(b)
	c.merge(b)
	for _, d := range []*doc{a, b, c} {
		if got, want := d.l.Values(), []int{4, 1, 9, 3}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestMoveListConcurrentMovesAndSets(t *testing.T) {
	a, b := newDoc(1), newDoc(2)
	must(t, a.l.Insert(0, 1, 2, 3))
	b.merge(a)
	must(t, a.l.Move(0, 1, 2))
	must(t, a.l.Set(0, 20))
	must(t, b.l.Move(0, 1, 3)) // equal timestamp, greater replica
	must(t, b.l.Set(2, 10))
	a.merge(b)
	b.merge(a)
	for _, d := range []*doc{a, b} {
		if got, want := d.l.Values(), []int{20, 3, 10}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
