//go:build !js && !wasip1 && !plan9

package fs_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/vclock"
)

// quiet is for tests that look at goroutines' work one step at a time.
var quiet = &fs.StoreOptions{ScrubEvery: -1}

func openStore(t testing.TB, dir string, o *fs.StoreOptions) *fs.Store {
	t.Helper()
	s, err := fs.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// storeBackend ends stores by copying their file away, which is what the death of a process leaves.
type storeBackend struct {
	s   *fs.Store
	dir string
	o   *fs.StoreOptions
}

func newStoreBackend(o *fs.StoreOptions) providertest.Open {
	return func(t testing.TB) providertest.Backend {
		dir := t.TempDir()
		return &storeBackend{openStore(t, dir, o), dir, o}
	}
}

func (b *storeBackend) Store() providers.Store { return b.s }

func (b *storeBackend) Crash(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	b.s.Close()
	b.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(b.dir, "store.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	b.s = openStore(t, b.dir, b.o)
}

func (b *storeBackend) Damage(t testing.TB, document string, position uint64) bool {
	t.Helper()
	x, err := b.s.Load(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	var what []byte
	if position == 0 {
		what = x.Snapshot.State
	}
	for _, r := range x.Records {
		if r.Position == position {
			what = r.Data
		}
	}
	damageBytes(t, b.dir, what)
	return true
}

// damageBytes flips a bit in the middle of each place where the data file holds what.
func damageBytes(t testing.TB, dir string, what []byte) {
	t.Helper()
	path := filepath.Join(dir, "store.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(what) > 1000 {
		what = what[:1000] // larger things are in pieces
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for at := 0; ; n++ {
		i := bytes.Index(data[at:], what)
		if i < 0 {
			break
		}
		at += i + len(what)
		middle := at - len(what) + len(what)/2
		if _, err := f.WriteAt([]byte{data[middle] ^ 1}, int64(middle)); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Fatal("the file does not hold this")
	}
}

func TestStore(t *testing.T) {
	fewerChecks(t, "40")
	providertest.TestStore(t, newStoreBackend(nil))
}

// fewerChecks is for disks, which sync slowly; a number that was asked for stays.
func fewerChecks(t *testing.T, n string) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if testing.Short() {
		n = "5"
	}
	f.Value.Set(n)
	t.Cleanup(func() { f.Value.Set(before) })
}

func TestStoreInSmallBatches(t *testing.T) {
	fewerChecks(t, "15")
	providertest.TestStore(t, newStoreBackend(&fs.StoreOptions{BatchBytes: 4096, QueueBytes: 4096, ScrubEvery: -1}))
}

func put(t testing.TB, s providers.Store, document string, data ...string) []uint64 {
	t.Helper()
	var records []providers.Record
	for _, d := range data {
		records = append(records, providers.Record{Document: document, Data: []byte(d)})
	}
	p, err := s.Append(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func snap(t testing.TB, s providers.Store, document string, n, through uint64, state []byte) {
	t.Helper()
	if err := s.Snapshot(t.Context(), document, &providers.Snapshot{Clock: vclock.Clock{{1}: n}, Through: through, State: state}); err != nil {
		t.Fatal(err)
	}
}

// held returns what a store holds of a document: the state, then the records.
func held(t testing.TB, s providers.Store, document string) string {
	t.Helper()
	x, err := s.Load(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return describe(x)
}

func describe(x *providers.Stored) (out string) {
	if x.Snapshot != nil {
		out = fmt.Sprintf("%s@%d", x.Snapshot.State, x.Snapshot.Through)
	}
	for _, r := range x.Records {
		out += fmt.Sprintf(" %d:%s", r.Position, r.Data)
	}
	return out
}

// contentsOf returns the contents of a document's snapshot and records.
func contentsOf(x *providers.Stored) (all string) {
	if x.Snapshot != nil {
		_, all, _ = strings.Cut(string(x.Snapshot.State), "_.")
		if all == "" {
			all = strings.TrimPrefix(string(x.Snapshot.State), ".")
		}
	}
	for _, r := range x.Records {
		all += string(r.Data)
	}
	return all
}

func lend(t *testing.T, s *fs.Store, document string) uuid.UUID {
	t.Helper()
	id, _, err := s.Lend(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestStoreLargeSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	state := make([]byte, 64<<20)
	for i := range state {
		state[i] = byte(i * i >> 7)
	}
	p := put(t, s, "doc", "one")
	for n := range uint64(3) {
		state[0] = byte(n)
		snap(t, s, "doc", n+1, p[0], state)
	}
	s.Close()
	s = openStore(t, dir, quiet)
	x, err := s.Load(t.Context(), "doc")
	if err != nil || !bytes.Equal(x.Snapshot.State, state) {
		t.Fatalf("%v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "store.db")); err != nil || info.Size() > 4*64<<20 {
		t.Errorf("the file has %d bytes: old generations stay", info.Size())
	}
}

func TestStoreKeepsTrimmedRecordsForTheOlderSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	p := put(t, s, "doc", "r1", "r2", "r3", "r4")
	snap(t, s, "doc", 1, p[1], []byte("first state"))
	if err := s.Trim(t.Context(), "doc", p[1]); err != nil {
		t.Fatal(err)
	}
	snap(t, s, "doc", 2, p[3], []byte("second state"))
	if err := s.Trim(t.Context(), "doc", p[3]); err != nil {
		t.Fatal(err)
	}
	put(t, s, "doc", "r5")
	if got := held(t, s, "doc"); got != "second state@4 7:r5" && got != fmt.Sprintf("second state@%d %d:r5", p[3], p[3]+3) {
		t.Fatal(got)
	}
	s.Close()
	s = openStore(t, dir, quiet)
	damageBytes(t, dir, []byte("second state"))
	if got, want := held(t, s, "doc"), fmt.Sprintf("first state@%d %d:r3 %d:r4 %d:r5", p[1], p[2], p[3], p[3]+3); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if d := s.Damaged(); len(d) != 1 || d[0].Document != "doc" || d[0].Position != 0 || d[0].Offset == 0 {
		t.Errorf("%v", d)
	}
	// A new snapshot takes the damaged one's place and leaves the good one.
	q := put(t, s, "doc", "r6")
	snap(t, s, "doc", 3, q[0], []byte("third state"))
	if len(s.Damaged()) != 0 {
		t.Errorf("%v", s.Damaged())
	}
	damageBytes(t, dir, []byte("third state"))
	if got := held(t, s, "doc"); got[:11] != "first state" {
		t.Error(got)
	}
	damageBytes(t, dir, []byte("first state"))
	var damage *providers.DamageError
	if _, err := s.Load(t.Context(), "doc"); !errors.As(err, &damage) {
		t.Error(err)
	}
	x, missing, err := s.Salvage(t.Context(), "doc")
	if err != nil || len(missing) != 2 || len(x.Records) != 4 || x.Snapshot != nil {
		t.Errorf("%v, %v, %v", x, missing, err)
	}
	if err := s.Remove(t.Context(), "doc"); err != nil {
		t.Fatal(err)
	}
	if got := held(t, s, "doc"); got != "" || len(s.Damaged()) != 0 {
		t.Error(got, s.Damaged())
	}
	s.Close()
	openStore(t, dir, quiet)
}

// TestStoreReadersAmongRemovals reads a document all the time while its records and snapshots come and go.
func TestStoreReadersAmongRemovals(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for seen := 0; ctx.Err() == nil; {
				x, err := s.Load(context.Background(), "doc")
				if err != nil {
					t.Error(err)
					return
				}
				distinct := map[string]bool{}
				for c := range strings.SplitSeq(contentsOf(x), ".") {
					distinct[c] = true
				}
				if len(distinct) < seen {
					t.Errorf("%d contents after %d", len(distinct), seen)
					return
				}
				seen = len(distinct)
			}
		})
	}
	state := "."
	for n := range uint64(60) {
		var c []string
		for i := range 3 {
			c = append(c, fmt.Sprintf("%d.", 3*n+uint64(i)))
		}
		p := put(t, s, "doc", c...)
		state += strings.Join(c, "")
		snap(t, s, "doc", n+1, p[2], []byte(state))
		if err := s.Trim(t.Context(), "doc", p[2]); err != nil {
			t.Fatal(err)
		}
		if n%20 == 19 {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	readers.Wait()
	if d := s.Damaged(); len(d) > 0 {
		t.Errorf("%v", d)
	}
}

// TestStoreUnfinishedSnapshot leaves parts of a snapshot behind, as a crash does, and a caller who gives up.
func TestStoreUnfinishedSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, &fs.StoreOptions{ScrubEvery: -1, BatchBytes: 64 << 10})
	p := put(t, s, "doc", "x")
	snap(t, s, "doc", 1, p[0], make([]byte, 300_000))
	whole := fs.Chunks(s)
	if err := fs.PutStray(s, "doc"); err != nil || fs.Chunks(s) <= whole {
		t.Fatal(err)
	}
	fs.Abandon(s)
	s = openStore(t, dir, &fs.StoreOptions{ScrubEvery: -1, BatchBytes: 64 << 10})
	if n := fs.Chunks(s); n != whole {
		t.Errorf("%d parts are left, not %d", n, whole)
	}
	ctx, cancel := context.WithCancel(t.Context())
	blocked, release := make(chan struct{}), make(chan struct{})
	go fs.HoldCommitter(s, blocked, release)
	<-blocked
	given := make(chan error)
	go func() {
		given <- s.Snapshot(ctx, "doc", &providers.Snapshot{Clock: vclock.Clock{{1}: 2}, Through: p[0], State: make([]byte, 300_000)})
	}()
	for fs.Waiting(s) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(release)
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := fs.Chunks(s); n != whole {
		t.Errorf("%d parts are left, not %d", n, whole)
	}
}

func TestStoreVerify(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	for i := range 10 {
		p := put(t, s, fmt.Sprint("doc", i), fmt.Sprint("first of ", i), fmt.Sprint("second of ", i))
		snap(t, s, fmt.Sprint("doc", i), 1, p[0], []byte(fmt.Sprint("state of ", i)))
	}
	r, err := s.Verify(t.Context())
	if err != nil || r.Documents != 10 || r.Records != 20 || r.Snapshots != 10 || len(r.Damaged) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	damageBytes(t, dir, []byte("second of 7"))
	damageBytes(t, dir, []byte("state of 3"))
	if r, err = s.Verify(t.Context()); err != nil || len(r.Damaged) != 2 || r.Damaged[0].Document != "doc3" || r.Damaged[1].Document != "doc7" || r.Damaged[1].Position == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

var (
	storeRounds = flag.Int("storerounds", 20, "how often TestStoreKilled kills")
	storeImages = flag.Int("storeimages", 400, "crash images of TestStoreCrashImages; 0: some of every prefix")
)
