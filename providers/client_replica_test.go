package providers_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// TestPresenceMovesWithTheReplica has a runtime take a new replica ID while it is connected: what it shows moves to that, and a
// server that believes peers for themselves alone believes it.
func TestPresenceMovesWithTheReplica(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		eph, err := providers.NewEphemeral(&providers.EphemeralOptions{OwnKeysOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		a.set(func() { a.ephemeral = eph })
		r := newReplica(t)
		d, err := c.Open(r.rt, "notes", &providers.DocumentOptions{Handle: h.document})
		if err != nil {
			t.Fatal(err)
		}
		within(t, time.Second, "synced", d.Synced)
		r.add(t, "x")
		d.Ephemeral().Set([]byte("here"))
		within(t, time.Second, "saved", d.Saved)
		time.Sleep(time.Second)
		shown := func() (out []runtime.ReplicaChange) {
			for _, p := range eph.Values() {
				out = append(out, runtime.ReplicaChange{New: p.Replica})
			}
			return out
		}
		old := r.rt.Replica()
		if got := shown(); len(got) != 1 || got[0].New != old {
			t.Fatalf("shown by %v", got)
		}
		// Another copy writes under this ID.
		copied, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: old})
		if err != nil {
			t.Fatal(err)
		}
		state, err := r.rt.Save()
		if err != nil {
			t.Fatal(err)
		}
		if err := copied.Load(state); err != nil {
			t.Fatal(err)
		}
		text, err := crdt.NewText(copied, "text")
		if err != nil {
			t.Fatal(err)
		}
		base := copied.Clock()
		if err := copied.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, "y") }); err != nil {
			t.Fatal(err)
		}
		ms, err := copied.MessagesSince(base)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.rt.Receive(ms[0]); err != nil {
			t.Fatal(err)
		}
		now := r.rt.Replica()
		if now == old || d.Ephemeral().Own() != now {
			t.Fatalf("own presence is of %v, the replica %v, before %v", d.Ephemeral().Own(), now, old)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if _, ok := eph.Value(now); !ok {
			t.Error("nothing is shown under the new ID")
		}
		time.Sleep(30 * time.Second)
		if got := shown(); len(got) != 1 || got[0].New != now {
			t.Errorf("shown by %v, want %v", got, now)
		}
		d.Ephemeral().Set([]byte("moved"))
		time.Sleep(time.Second)
		if p, ok := eph.Value(now); !ok || string(p.Value) != "moved" {
			t.Errorf("%+v", p)
		}
		within(t, time.Second, "saved", d.Saved)
		if s, err := d.Status(); s != providers.Online {
			t.Error(s, err)
		}
		if events := h.take(); slices.Contains(events, "stopped") {
			t.Error(events)
		}
	})
}
