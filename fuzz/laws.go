package fuzz

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Laws proves, as far as tests can, the laws that a type has to keep, each by itself, so that a failure names the law:
//
//  1. Merge is commutative, associative and idempotent.
//  2. Messages in the order of commit, in any causal order and in any order at all, bundles, states and deltas lead to
//     the same state.
//  3. Saving and loading give the same canonical bytes, and these the same saved bytes.
//  4. A transaction that fails leaves every byte as it was.
//
// The histories are short, and driven by rapid alone; Check makes the others. A failure is shortened, logged and written
// as there.
func Laws[H any](t testing.TB, s *Subject[H], o *Options) {
	t.Helper()
	laws(t, s, o)
}

func laws(t testing.TB, s Schema, o *Options) {
	t.Helper()
	opts := o.fill()
	e, err := s.erase()
	if err != nil {
		t.Fatal(err)
	}
	if *flagReplay != "" {
		replayFlag(t, e)
		return
	}
	c := checker{t, e, opts}
	c.drive(mode{every: math.MaxInt, laws: true}, func(w *world, t *rapid.T) { w.property(t, lawful) })
}

// lawful makes histories for Laws: nothing is checked but at the end.
var lawful = plan{replicas: 3, weight: func(s *step) int {
	switch s.name {
	case "edit":
		return 4
	case "deliver":
		return 2
	case "catch-up", "state", "delta":
		return 1
	}
	return 0
}, last: "laws"}

// laws checks the laws on the states that the replicas have and the messages that there are.
func (w *world) laws(d *Draw) {
	a, b, c := w.draw(d, "a", nil), w.draw(d, "b", nil), w.draw(d, "c", nil)
	w.mergeLaws(a, b, c)
	w.pathLaws(d)
	for _, r := range w.replicas {
		w.roundTrip(r)
	}
	w.failed(d, a, false)
	w.failed(d, b, true)
}

// law fails unless two documents have equal canonical bytes.
func (w *world) law(name string, x, y *replica) {
	if bx, by := x.rt.Canonical(), y.rt.Canonical(); !bytes.Equal(bx, by) {
		w.failf("law: %s does not hold:\n%v\n%v\n%x\n%x", name, x.rt.Export(), y.rt.Export(), bx, by)
	}
}

// empty opens a replica that takes no part in the history.
func (w *world) empty() *replica {
	return w.open("empty", runtime.Options{Replica: vclock.Replica{0: 0xff, 15: 0xff}})
}

// merged opens a replica and loads states into it.
func (w *world) merged(states ...[]byte) *replica {
	e := w.empty()
	for _, s := range states {
		w.receive(e, s, "a state")
	}
	w.check(e)
	return e
}

func (w *world) mergeLaws(a, b, c *replica) {
	sa, sb, sc := w.save(a), w.save(b), w.save(c)
	ab, ba := w.merged(sa, sb), w.merged(sb, sa)
	w.law("merge is commutative: a ⊔ b = b ⊔ a", ab, ba)
	bc := w.merged(sb, sc)
	w.law("merge is associative: (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)", w.merged(w.save(ab), sc), w.merged(sa, w.save(bc)))
	w.law("a state merged into nothing is the state: 0 ⊔ a = a", w.merged(sa), a)
	was := w.snapshot(ab)
	for _, s := range [][]byte{sa, sb, w.save(ab)} {
		if res := w.receive(ab, s, "a state again"); res.Applied != 0 || res.Redundant == 0 {
			w.failf("law: merge is idempotent does not hold: the result is %+v", res)
		}
		w.unchanged(ab, was, "law: merge is idempotent: a state merged again")
	}
}

// pathLaws leads every message to empty replicas in all ways.
func (w *world) pathLaws(d *Draw) {
	first := w.empty()
	for _, m := range w.log {
		w.receive(first, m.data, m.name)
	}
	w.check(first)
	compare := func(way string, r *replica) {
		w.check(r)
		w.law("message path = "+way, first, r)
	}
	r := w.empty()
	for _, m := range w.causalOrder(d) {
		if res := w.receive(r, m.data, m.name); res.Applied != 1 {
			w.failf("%s, in causal order: %+v", m.name, res)
		}
	}
	compare("any causal order", r)
	r = w.empty()
	var data [][]byte
	for _, m := range w.anyOrder(d) {
		w.receive(r, m.data, m.name)
		data = append(data, m.data)
	}
	compare("any order at all", r)
	r = w.empty()
	w.receive(r, w.pack(data), "all messages as a bundle")
	compare("one bundle", r)
	r = w.empty()
	for _, o := range w.replicas {
		w.receive(r, w.save(o), o.name+"'s state")
	}
	w.rest(r)
	compare("state path", r)
	r = w.empty()
	for _, o := range w.replicas {
		delta, err := o.rt.SaveSince(r.rt.Clock())
		if err != nil {
			w.failf("%s: SaveSince: %v", o.name, err)
		}
		w.receive(r, delta, o.name+"'s delta")
	}
	w.rest(r)
	compare("delta path", r)
}

// rest hands over every message.
func (w *world) rest(r *replica) {
	for _, m := range w.log {
		w.receive(r, m.data, m.name)
	}
}

// causalOrder draws a linear extension of the causal order.
func (w *world) causalOrder(d *Draw) (out []*sent) {
	left, have := slices.Clone(w.log), vclock.Clock{}
	have.Merge(w.empty().rt.Clock()) // genesis
	for len(left) > 0 {
		var ready []int
		for i, m := range left {
			if have.CoversClock(m.Before) {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			w.failf("the messages %s and others depend on each other", left[0].name)
		}
		i := ready[d.Int("order", 0, len(ready)-1)]
		have.Set(left[i].Dot.Replica, left[i].End)
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

func (w *world) anyOrder(d *Draw) []*sent {
	out := slices.Clone(w.log)
	for i := len(out) - 1; i > 0; i-- {
		k := d.Int("swap", 0, i)
		out[i], out[k] = out[k], out[i]
	}
	return out
}

func (w *world) roundTrip(r *replica) {
	bare := w.save(r, runtime.CanonicalOnly())
	for i, name := range forms {
		e := w.merged(w.save(r, formOptions[i]...))
		w.law("saving and loading gives the same bytes, "+name, r, e)
		if again := w.save(e, runtime.CanonicalOnly()); !bytes.Equal(again, bare) {
			w.failf("law: what is loaded saves to the same bytes does not hold:\n%x\n%x", bare, again)
		}
	}
}
