package converge

import (
	"bytes"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// finish delivers everything to all and compares.
func (w *world[H]) finish(t *rapid.T) {
	all := vclock.Clock{}
	for _, m := range w.log {
		all.Set(m.Dot.Replica, max(all.Get(m.Dot.Replica), m.End))
	}
	for _, r := range w.replicas {
		all.Merge(r.rt.Clock()) // a genesis transaction is in no log
		for _, i := range rapid.Permutation(r.todo).Draw(t, "rest of "+r.name) {
			w.receive(t, r, w.log[i].data, w.log[i].name)
		}
		t.Logf("%s receives the rest", r.name)
	}
	first := w.replicas[0]
	for _, r := range w.replicas {
		w.touched(t, r)
		if n := r.rt.Waiting(); n != 0 {
			t.Fatalf("%s: %d messages wait, though all are delivered; missing: %v", r.name, n, r.rt.Missing())
		}
		if c := r.rt.Clock(); !c.Equal(all) {
			t.Fatalf("%s: the clock is %v, not %v, though all is delivered", r.name, c, all)
		}
		if r.rt.Digest() != first.rt.Digest() {
			t.Fatalf("%s and %s: digests differ", first.name, r.name)
		}
	}
	for _, r := range w.replicas {
		w.reload(t, r)
	}
}

// reload loads what r saves into empty runtimes.
func (w *world[H]) reload(t *rapid.T, r *replica[H]) {
	for _, form := range []struct {
		name string
		opts []runtime.SaveOption
	}{{"state", nil}, {"compressed state", []runtime.SaveOption{runtime.Compressed(1)}}, {"bare state", []runtime.SaveOption{runtime.CanonicalOnly()}}} {
		w.reloaded(t, r, w.save(t, r, form.opts...), form.name)
	}
	delta, err := r.rt.SaveSince(nil)
	if err != nil {
		t.Fatalf("%s: SaveSince: %v", r.name, err)
	}
	w.reloaded(t, r, delta, "delta from nothing")
}

func (w *world[H]) reloaded(t *rapid.T, r *replica[H], data []byte, what string) {
	e := w.openWith(t, r.name+" reloaded", &runtime.Options{Replica: vclock.Replica{0: 0xff, 15: 0xff}})
	if err := e.rt.Load(data); err != nil {
		t.Fatalf("%s: load of its %s: %v", r.name, what, err)
	}
	if a, b := r.rt.Canonical(), e.rt.Canonical(); !bytes.Equal(a, b) {
		t.Fatalf("%s: its %s loads to other canonical bytes:\n%x\n%x", r.name, what, a, b)
	}
	w.touched(t, e)
}
