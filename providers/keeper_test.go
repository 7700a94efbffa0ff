package providers_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

func keep(t *testing.T, n *node, s providers.Store, o *providers.KeeperOptions) *providers.Keeper {
	t.Helper()
	k, err := providers.Keep(t.Context(), n.rt, s, "doc", o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestKeeperKeeps(t *testing.T) {
	store := mem.NewStore()
	a := newNode(t, 1, runtime.Options{})
	a.insert(t, 0, "before ")
	k := keep(t, a, store, &providers.KeeperOptions{SnapshotRecords: 3})
	eventually(t, func() bool { return k.Durable(a.rt.Replica()) == 7 })
	other := newNode(t, 2, runtime.Options{})
	for range 10 {
		a.insert(t, 0, "x")
		other.insert(t, 0, "y")
		eventually(t, func() bool { return k.Durable(a.rt.Replica()) == a.rt.Clock()[a.rt.Replica()] })
	}
	state, err := other.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.rt.Receive(state); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return k.Durable(other.rt.Replica()) == 10 && k.Durable(a.rt.Replica()) == 17 })
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	stored, err := store.Load(t.Context(), "doc")
	if err != nil || stored.Snapshot == nil || len(stored.Records) > 3 {
		t.Fatal(err, stored)
	}
	b := newNode(t, 3, runtime.Options{})
	k = keep(t, b, store, nil)
	equal(t, a, b)
	if k.Durable(a.rt.Replica()) != 17 {
		t.Fatal("what was loaded is not durable")
	}
	k.Close()
}

// What waits for others is neither relayed nor kept, not even inside of a state.
func TestKeeperKeepsNothingThatWaits(t *testing.T) {
	store := mem.NewStore()
	a, b, c := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), newNode(t, 3, runtime.Options{})
	c.insert(t, 0, "1")
	c.insert(t, 0, "2")
	ms, _ := c.rt.MessagesSince(nil)
	b.rt.Receive(ms[1])
	b.insert(t, 0, "b")
	state, err := b.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	k := keep(t, a, store, nil)
	a.rt.Receive(state)
	if a.rt.Waiting() != 1 {
		t.Fatal("the state holds nothing that waits")
	}
	k.Close()
	d := newNode(t, 4, runtime.Options{})
	k = keep(t, d, store, nil)
	defer k.Close()
	if d.rt.Waiting() != 0 || d.String() != "b" {
		t.Fatal(d.rt.Waiting(), d)
	}
}

func TestKeeperOfAFailingStore(t *testing.T) {
	store := mem.NewStore()
	a := newNode(t, 1, runtime.Options{})
	var mu sync.Mutex
	var told []error
	k := keep(t, a, store, &providers.KeeperOptions{OnError: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}})
	a.insert(t, 0, "safe")
	eventually(t, func() bool { return k.Durable(a.rt.Replica()) == 4 })
	store.Fail(providers.ErrStoreFailed)
	a.insert(t, 0, "lost")
	a.insert(t, 0, "lost")
	if err := k.Close(); !errors.Is(err, providers.ErrStoreFailed) || !errors.Is(k.Err(), err) {
		t.Fatal(err)
	}
	if k.Durable(a.rt.Replica()) != 4 || len(told) != 1 {
		t.Fatal(k.Durable(a.rt.Replica()), told)
	}
}

// A document that cannot be loaded is not opened empty, and nothing is written over it.
func TestKeeperRefusesDamage(t *testing.T) {
	store := mem.NewStore()
	a := newNode(t, 1, runtime.Options{})
	k := keep(t, a, store, nil)
	a.insert(t, 0, "text")
	k.Close()
	store.Damage("doc", 1)
	b := newNode(t, 2, runtime.Options{})
	if _, err := providers.Keep(context.Background(), b.rt, store, "doc", nil); !errors.Is(err, providers.ErrDamaged) {
		t.Fatal(err)
	}
	b.insert(t, 0, "other")
	store.Damage("doc", 1) // healed
	c := newNode(t, 3, runtime.Options{})
	k = keep(t, c, store, nil)
	defer k.Close()
	if c.String() != "text" {
		t.Fatal(c)
	}
}

// changedStore hands out something else than it holds.
type changedStore struct {
	providers.Store
	change func(x *providers.Stored)
}

func (s *changedStore) Load(ctx context.Context, document string) (*providers.Stored, error) {
	x, err := s.Store.Load(ctx, document)
	if err == nil {
		s.change(x)
	}
	return x, err
}

// TestKeeperRefusesAPart: a store that does not notice that something is wrong is no reason to go on with what can be read.
func TestKeeperRefusesAPart(t *testing.T) {
	store := mem.NewStore()
	a := newNode(t, 1, runtime.Options{})
	k := keep(t, a, store, nil)
	for i := range 3 {
		a.insert(t, 0, "x")
		eventually(t, func() bool { return k.Durable(a.rt.Replica()) == uint64(i+1) })
	}
	k.Close()
	for name, change := range map[string]func(x *providers.Stored){
		"a record is cut short": func(x *providers.Stored) { x.Records[1].Data = x.Records[1].Data[:len(x.Records[1].Data)-1] },
		"a record is empty":     func(x *providers.Stored) { x.Records[2].Data = nil },
		"the first is missing":  func(x *providers.Stored) { x.Records = x.Records[1:] },
		"one is missing":        func(x *providers.Stored) { x.Records = slices.Delete(x.Records, 1, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newNode(t, 2, runtime.Options{})
			if _, err := providers.Keep(t.Context(), b.rt, &changedStore{store, change}, "doc", nil); err == nil {
				t.Errorf("loaded: %q", b)
			}
		})
	}
}

// TestKeeperOfInitialContent: what a document holds before it is loaded, such as its genesis, is stored once.
func TestKeeperOfInitialContent(t *testing.T) {
	store := mem.NewStore()
	a := newNode(t, 1, runtime.Options{})
	a.insert(t, 0, "genesis")
	for i := range 3 {
		n := newNode(t, 2+i, runtime.Options{})
		ms, _ := a.rt.MessagesSince(nil)
		if _, err := n.rt.Receive(ms[0]); err != nil {
			t.Fatal(err)
		}
		k := keep(t, n, store, nil)
		eventually(t, func() bool { return k.Durable(a.rt.Replica()) == 7 })
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if stored, err := store.Load(t.Context(), "doc"); err != nil || len(stored.Records) != 1 {
			t.Fatalf("%d records, %v", len(stored.Records), err)
		}
	}
}
