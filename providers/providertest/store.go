package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// Backend is a store under test, and what a suite does to it.
type Backend interface {
	// Store returns the store that is open now.
	Store() providers.Store
	// Crash ends the store as the death of its process would, without Close, and opens it again. What was durable is there.
	Crash(t testing.TB)
	// Damage changes a byte of the record at a position, or of the snapshot for position 0; false: it cannot do that.
	Damage(t testing.TB, document string, position uint64) bool
}

// Open returns a new, empty backend; the suite closes its store.
type Open func(t testing.TB) Backend

// TestStore checks the contract of providers.Store.
func TestStore(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b Backend)
	}{
		{"1 append and load", storeAppend},
		{"1 many documents in one call", storeManyAtOnce},
		{"2 positions", storePositions},
		{"2 many writers", storeWriters},
		{"3 snapshots", storeSnapshots},
		{"4 trim", storeTrim},
		{"5 damage", storeDamage},
		{"7 names", storeNames},
		{"8 close", storeClose},
		{"8 close among writers", storeCloseBusy},
		{"bytes are copied", storeCopies},
		{"contexts", storeContexts},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer CheckLeaks(t)()
			b := open(t)
			defer func() { b.Store().Close() }()
			c.run(t, b)
		})
	}
	t.Run("model", func(t *testing.T) {
		defer CheckLeaks(t)()
		rapid.Check(t, func(rt *rapid.T) { storeModel(t, rt, open) })
	})
}

func put(t testing.TB, s providers.Store, document string, data ...string) []uint64 {
	t.Helper()
	var records []providers.Record
	for _, d := range data {
		records = append(records, providers.Record{Document: document, Data: []byte(d)})
	}
	positions, err := s.Append(t.Context(), records)
	if err != nil || len(positions) != len(data) {
		t.Fatalf("Append: %v, %v", positions, err)
	}
	return positions
}

func load(t testing.TB, s providers.Store, document string) *providers.Stored {
	t.Helper()
	x, err := s.Load(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func contents(x *providers.Stored) (out []string) {
	for _, r := range x.Records {
		out = append(out, string(r.Data))
	}
	return out
}

func storeAppend(t *testing.T, b Backend) {
	if x := load(t, b.Store(), "new"); x.Snapshot != nil || len(x.Records) != 0 {
		t.Errorf("a document that is not there holds %+v", x)
	}
	data := []byte("one")
	if _, err := b.Store().Append(t.Context(), []providers.Record{{Document: "a", Data: data}, {Document: "b", Data: []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	clear(data)
	put(t, b.Store(), "a", "three", strings.Repeat("long ", 100_000))
	b.Crash(t)
	if got := contents(load(t, b.Store(), "a")); len(got) != 3 || got[0] != "one" || got[1] != "three" || len(got[2]) != 500_000 {
		t.Errorf("%.100q", got)
	}
	if got := contents(load(t, b.Store(), "b")); !slices.Equal(got, []string{"two"}) {
		t.Errorf("%q", got)
	}
	for _, bad := range []providers.Record{{Document: "", Data: []byte("x")}, {Document: "a"}, {Document: strings.Repeat("n", providers.MaxName+1), Data: []byte("x")}} {
		if _, err := b.Store().Append(t.Context(), []providers.Record{{Document: "a", Data: []byte("with it")}, bad}); err == nil {
			t.Errorf("taken: %.20q", bad.Document)
		}
	}
	if got := contents(load(t, b.Store(), "a")); len(got) != 3 {
		t.Errorf("part of a refused batch is there: %.100q", got)
	}
}

// storeManyAtOnce appends to documents that are there and to new ones, hundreds of records a call.
func storeManyAtOnce(t *testing.T, b Backend) {
	want := make(map[string][]string)
	check := func(when string) {
		t.Helper()
		for name, data := range want {
			if got := contents(load(t, b.Store(), name)); !slices.Equal(got, data) {
				t.Errorf("%s: %s holds %.200q, want %.200q", when, name, got, data)
			}
		}
	}
	for call := range 3 {
		var records []providers.Record
		for i := range 300 {
			name, data := fmt.Sprint("doc", i*i%(3+4*call)), fmt.Sprint(call, "-", i)
			records = append(records, providers.Record{Document: name, Data: []byte(data)})
			want[name] = append(want[name], data)
		}
		if _, err := b.Store().Append(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprint("call ", call))
	}
	b.Crash(t)
	check("after a crash")
}

func storePositions(t *testing.T, b Backend) {
	var last uint64
	for i := range 20 {
		if i%5 == 4 {
			b.Crash(t)
		}
		for _, p := range put(t, b.Store(), "doc", "x", "y") {
			if p <= last {
				t.Fatalf("position %d after %d", p, last)
			}
			last = p
		}
	}
	var positions []uint64
	for _, r := range load(t, b.Store(), "doc").Records {
		positions = append(positions, r.Position)
	}
	if len(positions) != 40 || !slices.IsSorted(positions) || positions[39] != last {
		t.Errorf("%v", positions)
	}
}

func storeWriters(t *testing.T, b Backend) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				put(t, b.Store(), fmt.Sprint("doc", w%4), fmt.Sprintf("%d-%02d", w, i))
			}
		})
	}
	wg.Wait()
	b.Crash(t)
	for d := range 4 {
		got := contents(load(t, b.Store(), fmt.Sprint("doc", d)))
		if len(got) != 50 {
			t.Fatalf("%d records of 50", len(got))
		}
		for _, w := range []int{d, d + 4} {
			own := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, fmt.Sprint(w, "-")) })
			if !slices.IsSorted(own) {
				t.Errorf("writer %d's records are out of order: %v", w, own)
			}
		}
	}
}

func snapshot(n, through uint64) *providers.Snapshot {
	return &providers.Snapshot{Clock: vclock.Clock{{1}: n}, Through: through, State: bytes.Repeat([]byte{byte(n)}, 1000)}
}

func storeSnapshots(t *testing.T, b Backend) {
	p := put(t, b.Store(), "doc", "x", "y")
	for _, n := range []uint64{3, 5} {
		if err := b.Store().Snapshot(t.Context(), "doc", snapshot(n, p[0])); err != nil {
			t.Fatal(err)
		}
		b.Crash(t)
		x := load(t, b.Store(), "doc")
		if x.Snapshot == nil || !x.Snapshot.Clock.Equal(snapshot(n, 0).Clock) || x.Snapshot.Through != p[0] || !bytes.Equal(x.Snapshot.State, snapshot(n, 0).State) {
			t.Fatalf("%+v", x.Snapshot)
		}
		if len(x.Records) != 2 {
			t.Error("a snapshot removed records")
		}
	}
	backwards := snapshot(6, p[0]-1)
	stale := snapshot(4, p[1])
	concurrent := &providers.Snapshot{Clock: vclock.Clock{{2}: 9}, Through: p[1], State: []byte("other")}
	for _, x := range []*providers.Snapshot{stale, concurrent, backwards} {
		if err := b.Store().Snapshot(t.Context(), "doc", x); !errors.Is(err, providers.ErrStaleSnapshot) {
			t.Errorf("a snapshot that does not cover the present one: %v", err)
		}
	}
	if x := load(t, b.Store(), "doc"); !x.Snapshot.Clock.Equal(snapshot(5, 0).Clock) {
		t.Error("it replaced the present one")
	}
}

func storeTrim(t *testing.T, b Backend) {
	p := put(t, b.Store(), "doc", "x", "y", "z")
	put(t, b.Store(), "other", "stays")
	if err := b.Store().Trim(t.Context(), "doc", p[0]); !errors.Is(err, providers.ErrNotCovered) {
		t.Errorf("trimmed without a snapshot: %v", err)
	}
	if err := b.Store().Trim(t.Context(), "nothing", 1); !errors.Is(err, providers.ErrNotCovered) {
		t.Errorf("trimmed what is not there: %v", err)
	}
	if err := b.Store().Snapshot(t.Context(), "doc", snapshot(1, p[1])); err != nil {
		t.Fatal(err)
	}
	if err := b.Store().Trim(t.Context(), "doc", p[2]); !errors.Is(err, providers.ErrNotCovered) {
		t.Errorf("trimmed beyond the snapshot: %v", err)
	}
	if got := contents(load(t, b.Store(), "doc")); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if err := b.Store().Trim(t.Context(), "doc", p[1]); err != nil {
		t.Fatal(err)
	}
	b.Crash(t)
	if got := contents(load(t, b.Store(), "doc")); !slices.Equal(got, []string{"z"}) {
		t.Errorf("%q", got)
	}
	if got := contents(load(t, b.Store(), "other")); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("%q", got)
	}
	if q := put(t, b.Store(), "doc", "later"); q[0] <= p[2] {
		t.Errorf("position %d comes again", q[0])
	}
}

func storeDamage(t *testing.T, b Backend) {
	p := put(t, b.Store(), "doc", "first record", "second record", "third record")
	put(t, b.Store(), "healthy", "record")
	if !b.Damage(t, "doc", p[1]) {
		t.Skip("this backend cannot damage a record")
	}
	var damage *providers.DamageError
	if x, err := b.Store().Load(t.Context(), "doc"); !errors.As(err, &damage) || damage.Document != "doc" {
		t.Fatalf("%v, %v", x, err)
	}
	if got := contents(load(t, b.Store(), "healthy")); !slices.Equal(got, []string{"record"}) {
		t.Errorf("another document: %q", got)
	}
	if err := b.Store().Snapshot(t.Context(), "healthy", snapshot(1, 1)); err != nil {
		t.Fatal(err)
	}
	if b.Damage(t, "healthy", 0) {
		if x, err := b.Store().Load(t.Context(), "healthy"); !errors.As(err, &damage) {
			t.Errorf("%v, %v", x, err)
		}
	}
}

// names are such as stores have been broken with.
var names = []string{"a", "A", "a/b", "../x", "..", ".", "a:b", "a\x00b", "\xff\xfe", "CON", "*", "a.b.>", " ", "\n", strings.Repeat("n", providers.MaxName)}

func storeNames(t *testing.T, b Backend) {
	for _, n := range names {
		put(t, b.Store(), n, "of "+n)
	}
	b.Crash(t)
	var listed []string
	for n, err := range b.Store().List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, n)
	}
	want := slices.Sorted(slices.Values(names))
	if !slices.Equal(listed, want) {
		t.Errorf("%q", listed)
	}
	for _, n := range names {
		if got := contents(load(t, b.Store(), n)); !slices.Equal(got, []string{"of " + n}) {
			t.Errorf("%q holds %q", n, got)
		}
	}
	for range b.Store().List(t.Context()) {
		break
	}
}

func storeClose(t *testing.T, b Backend) {
	put(t, b.Store(), "doc", "x")
	if err := b.Store().Close(); err != nil {
		t.Fatal(err)
	}
	s, ctx := b.Store(), context.Background()
	_, err1 := s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte("y")}})
	_, err2 := s.Load(ctx, "doc")
	var err5 error
	for _, err := range s.List(ctx) {
		err5 = err
	}
	for i, err := range []error{err1, err2, s.Snapshot(ctx, "doc", snapshot(1, 1)), s.Trim(ctx, "doc", 1), err5} {
		if !errors.Is(err, providers.ErrStoreClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
}

// storeCloseBusy closes a store while others write: what was acknowledged is there, the rest was refused for being closed.
func storeCloseBusy(t *testing.T, b Backend) {
	s := b.Store()
	var wg sync.WaitGroup
	acknowledged := make([]int, 4)
	began := make(chan struct{}, len(acknowledged))
	for w := range acknowledged {
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := s.Append(context.Background(), []providers.Record{{Document: fmt.Sprint("doc", w), Data: []byte(fmt.Sprint(i))}})
				if i == 0 {
					began <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, providers.ErrStoreClosed) {
						t.Error(err)
					}
					return
				}
				acknowledged[w]++
			}
		})
	}
	for range acknowledged {
		<-began
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	b.Crash(t)
	for w, n := range acknowledged {
		if got := contents(load(t, b.Store(), fmt.Sprint("doc", w))); len(got) != n {
			t.Errorf("writer %d: %d records, %d were acknowledged", w, len(got), n)
		}
	}
}

// storeCopies writes over what was given to a store and what it gave.
func storeCopies(t *testing.T, b Backend) {
	p := put(t, b.Store(), "doc", "record")
	x := snapshot(1, p[0])
	if err := b.Store().Snapshot(t.Context(), "doc", x); err != nil {
		t.Fatal(err)
	}
	clear(x.State)
	clear(x.Clock)
	for range 2 {
		got := load(t, b.Store(), "doc")
		if want := snapshot(1, p[0]); !bytes.Equal(got.Snapshot.State, want.State) || !got.Snapshot.Clock.Equal(want.Clock) || string(got.Records[0].Data) != "record" {
			t.Fatalf("%+v", got)
		}
		clear(got.Snapshot.State)
		clear(got.Snapshot.Clock)
		clear(got.Records[0].Data)
	}
}

// storeContexts calls with a context that has ended: nothing happens.
func storeContexts(t *testing.T, b Backend) {
	p := put(t, b.Store(), "doc", "record")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := b.Store()
	_, err1 := s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte("late")}})
	_, err2 := s.Load(ctx, "doc")
	var err3 error
	for _, err := range s.List(ctx) {
		err3 = err
	}
	for i, err := range []error{err1, err2, err3, s.Snapshot(ctx, "doc", snapshot(1, p[0])), s.Trim(ctx, "doc", p[0])} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if x := load(t, s, "doc"); x.Snapshot != nil || !slices.Equal(contents(x), []string{"record"}) {
		t.Errorf("%+v", x)
	}
}

// storeModel compares a store with maps.
func storeModel(t *testing.T, rt *rapid.T, open Open) {
	type doc struct {
		snapshot *providers.Snapshot
		records  []providers.StoredRecord
		last     uint64
		clock    uint64
	}
	b := open(t)
	defer func() { b.Store().Close() }()
	docs := map[string]*doc{}
	pick := func() (string, *doc) {
		n := rapid.SampledFrom([]string{"a", "b", "a/b"}).Draw(rt, "document")
		if docs[n] == nil {
			docs[n] = &doc{}
		}
		return n, docs[n]
	}
	rt.Repeat(map[string]func(*rapid.T){
		"append": func(rt *rapid.T) {
			n, d := pick()
			data := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(rt, "data")
			p, err := b.Store().Append(t.Context(), []providers.Record{{Document: n, Data: data}})
			if err != nil || p[0] <= d.last {
				rt.Fatal(p, err)
			}
			d.last = p[0]
			d.records = append(d.records, providers.StoredRecord{Position: p[0], Data: data})
		},
		"snapshot": func(rt *rapid.T) {
			n, d := pick()
			d.clock++
			x := snapshot(d.clock, d.last)
			if err := b.Store().Snapshot(t.Context(), n, x); err != nil {
				rt.Fatal(err)
			}
			d.snapshot = x
		},
		"trim": func(rt *rapid.T) {
			n, d := pick()
			if d.snapshot == nil {
				return
			}
			if err := b.Store().Trim(t.Context(), n, d.snapshot.Through); err != nil {
				rt.Fatal(err)
			}
			d.records = slices.DeleteFunc(d.records, func(r providers.StoredRecord) bool { return r.Position <= d.snapshot.Through })
		},
		"crash": func(*rapid.T) { b.Crash(t) },
		"": func(rt *rapid.T) {
			for n, d := range docs {
				x, err := b.Store().Load(t.Context(), n)
				if err != nil {
					rt.Fatal(err)
				}
				same := slices.EqualFunc(x.Records, d.records, func(a, b providers.StoredRecord) bool {
					return a.Position == b.Position && bytes.Equal(a.Data, b.Data)
				})
				if !same || (x.Snapshot == nil) != (d.snapshot == nil) || x.Snapshot != nil && !x.Snapshot.Clock.Equal(d.snapshot.Clock) {
					rt.Fatalf("document %q: %+v, not %+v", n, x, d)
				}
			}
		},
	})
}
