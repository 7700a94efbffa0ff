package fs_test

import (
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// replica is a document with one text.
type replica struct {
	rt   *runtime.Runtime
	text crdt.Text
}

func newReplica(t testing.TB, o runtime.Options) *replica {
	t.Helper()
	o.Kinds = crdt.Kinds()
	rt, err := runtime.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "body")
	if err != nil {
		t.Fatal(err)
	}
	return &replica{rt, text}
}

// numbered returns a replica with the ID n.
func numbered(t testing.TB, n byte) *replica {
	return newReplica(t, runtime.Options{Replica: vclock.Replica{0: n, 15: n}})
}

func (r *replica) write(t testing.TB, s string) {
	t.Helper()
	err := r.rt.Transact(func(tx runtime.Tx) error { return r.text.Insert(tx, r.text.Len(tx), s) })
	if err != nil {
		t.Fatal(err)
	}
}

func (r *replica) String() (s string) {
	r.rt.View(func(tx runtime.Tx) error { s = r.text.String(tx); return nil })
	return s
}

// equal checks that replicas are in the same state, and sound.
func equal(t testing.TB, replicas ...*replica) {
	t.Helper()
	for _, r := range replicas {
		if err := r.rt.Check(); err != nil {
			t.Fatal(err)
		}
		if r.rt.Digest() != replicas[0].rt.Digest() {
			t.Fatalf("the replicas differ: %q, %q", replicas[0], r)
		}
	}
}
