package providers_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

// TestClaimsAreNotStored: whoever may write can claim any number of replicas. Those that write nothing are bounded, and take no
// room in the store; those that do belong to who claimed them, for ever.
func TestClaimsAreNotStored(t *testing.T) {
	store := mem.NewStore()
	s, a, relayed := newNode(t, 9, runtime.Options{}), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	relayed.insert(t, 0, "relayed")
	ms, err := relayed.rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.rt.Receive(ms[0]); err != nil {
		t.Fatal(err)
	}
	k := keep(t, s, store, nil)
	id := func(n int) uuid.UUID { return uuid.UUID{0: 0xaa, 14: byte(n >> 8), 15: byte(n)} }
	claim := func(r uuid.UUID, principal, want string) {
		t.Helper()
		if got := k.Claim(r, principal); got != want {
			t.Errorf("replica %v belongs to %q, not %q", r, got, want)
		}
	}
	claim(a.rt.Replica(), "ann", "ann")
	const many = 1<<12 + 1
	for n := range many {
		claim(id(n), "hostile", "hostile")
	}
	claim(id(0), "", "") // the oldest is gone
	claim(id(1), "bob", "hostile")
	claim(a.rt.Replica(), "bob", "ann")

	a.insert(t, 0, "x")
	w := newWire(t, a, s, nil, &providers.Options{Log: k.Log(), Durable: k.Durable, Principal: "relay"})
	w.open(t, 0, "doc")
	settle := func() {
		t.Helper()
		eventually(t, func() bool {
			w.run(t)
			return k.Durable(a.rt.Replica()) == a.rt.Clock()[a.rt.Replica()]
		})
	}
	settle()
	claim(relayed.rt.Replica(), "cid", "cid") // he wrote once, and comes now
	a.insert(t, 0, "y")
	settle()
	// What comes as a delta belongs to who claimed it, too.
	late := newNode(t, 3, runtime.Options{})
	late.insert(t, 0, "late")
	claim(late.rt.Replica(), "dan", "dan")
	delta, err := late.rt.SaveSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.rt.Receive(delta); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return k.Durable(late.rt.Replica()) > 0 })
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	stored, err := store.Load(t.Context(), "doc")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, r := range stored.Records {
		size += len(r.Data)
	}
	if size > 1500 {
		t.Errorf("%d bytes in %d records", size, len(stored.Records))
	}

	s = newNode(t, 9, runtime.Options{})
	k = keep(t, s, store, nil)
	defer k.Close()
	claim(a.rt.Replica(), "bob", "ann")
	claim(relayed.rt.Replica(), "bob", "cid")
	claim(late.rt.Replica(), "bob", "dan")
	claim(id(1), "bob", "bob")
}
