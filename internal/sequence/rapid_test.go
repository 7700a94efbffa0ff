package sequence_test

import (
	"bytes"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/sequence"
)

// group is some replicas, each with the operations it holds in causal order.
type group struct {
	t        *rapid.T
	order    reversed
	replicas []*replica
	logs     [][]op
	alphabet []string
}

func newGroup(t *rapid.T) *group {
	n := rapid.IntRange(2, 9).Draw(t, "replicas")
	g := &group{t: t, order: reversed{n}, logs: make([][]op, n)}
	g.alphabet = rapid.SampledFrom([][]string{{"a", "b", "c"}, {"a", "é", "漢", "🚀", "b"}}).Draw(t, "alphabet")
	for k := range n {
		g.replicas = append(g.replicas, newReplica(t, g.order, g.order.rep(k)))
	}
	return g
}

func (g *group) any() int { return rapid.IntRange(0, len(g.replicas)-1).Draw(g.t, "replica") }

func (g *group) text() string {
	n := rapid.IntRange(1, 5).Draw(g.t, "n")
	if rapid.IntRange(0, 40).Draw(g.t, "long") == 0 {
		n += 600
	}
	var b bytes.Buffer
	for i := range n {
		b.WriteString(g.alphabet[i%len(g.alphabet)])
	}
	return b.String()
}

// edit makes one edit at r; nil if there is nothing to delete.
func (g *group) edit(r *replica) (o *op) {
	size := r.l.Len()
	if rapid.IntRange(0, 2).Draw(g.t, "kind") == 0 {
		if size == 0 {
			return nil
		}
		at := rapid.IntRange(0, size-1).Draw(g.t, "at")
		e := r.remove(at, min(size-at, rapid.IntRange(1, 6).Draw(g.t, "n")))
		return &e
	}
	e := r.insert(min(size, rapid.IntRange(0, 12).Draw(g.t, "at")), g.text())
	return &e
}

// pass has replica j apply, or only note, what i holds and j does not.
func (g *group) pass(i, j int, apply bool) {
	r := g.replicas[j]
	for _, o := range g.logs[i] {
		if r.covers(o.id) {
			continue
		}
		g.logs[j] = append(g.logs[j], o)
		if apply {
			r.apply(o)
		}
	}
	if !apply {
		for rep, end := range g.replicas[i].clock {
			r.clock[rep] = max(r.clock[rep], end)
		}
	}
}

func (g *group) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"edit": func(*rapid.T) {
			i := g.any()
			if o := g.edit(g.replicas[i]); o != nil {
				g.logs[i] = append(g.logs[i], *o)
			}
			g.replicas[i].compare()
		},
		"send": func(*rapid.T) {
			i, j := g.any(), g.any()
			g.pass(i, j, true)
			g.replicas[j].compare()
		},
		"load":  func(*rapid.T) { g.load() },
		"merge": func(*rapid.T) { g.merge() },
		"delta": func(*rapid.T) { g.delta() },
		"undo":  func(*rapid.T) { g.undo() },
		"":      func(*rapid.T) {},
	}
}

// load has a replica go on with its own saved and loaded state.
func (g *group) load() {
	r := g.replicas[g.any()]
	r.s = reload(g.t, g.order, save(r.s), true)
	r.compare()
}

// merge merges the state of one replica into another, events followed by a view.
func (g *group) merge() {
	i, j := g.any(), g.any()
	if i == j {
		return
	}
	from, to := g.replicas[i], g.replicas[j]
	st, err := sequence.Decode(save(from.s), known, sequence.Limits{Order: g.order})
	if err != nil {
		g.t.Fatal(err)
	}
	view := []rune(textOf(g.t, to.s))
	if err := to.s.Merge(st, to.covers, watch(to.s, &view)); err != nil {
		g.t.Fatal(err)
	}
	if got := textOf(g.t, to.s); got != string(view) {
		g.t.Fatalf("events tell %q, the text is %q", string(view), got)
	}
	to.l.Merge(from.l)
	g.pass(i, j, false)
	to.compare()
}

// watch returns Events that keep a copy of the text by what they tell.
func watch(s *sequence.Sequence, view *[]rune) sequence.Events {
	return sequence.Events{
		Inserted: func(lid sequence.LID, n int, _ sequence.ID, _, index int, hidden bool) {
			if hidden {
				return
			}
			at := s.IndexOf(lid)
			text, _ := s.AppendText(nil, at, at+n)
			*view = append((*view)[:index:index], append([]rune(string(text)), (*view)[index:]...)...)
		},
		Hidden: func(index, n int) { *view = append((*view)[:index:index], (*view)[index+n:]...) },
	}
}

// delta merges into one replica what another has beyond the common part of their clocks, and hides what within it
// is no longer live.
func (g *group) delta() {
	i, j := g.any(), g.any()
	if i == j {
		return
	}
	from, to := g.replicas[i], g.replicas[j]
	base := map[uint32]uint64{}
	for rep, end := range to.clock {
		base[rep] = min(end, from.clock[rep])
	}
	baseOf := func(rep uint32) uint64 { return base[rep] }
	data := from.s.AppendDelta(nil, same, baseOf)
	live := from.s.LiveRuns(baseOf)
	st, err := sequence.DecodeDelta(data, known, baseOf, sequence.Limits{Order: g.order})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := to.s.Merge(st, to.covers, sequence.Events{}); err != nil {
		g.t.Fatal(err)
	}
	alive := map[sequence.ID]bool{}
	for _, d := range live {
		for k := range d.N {
			alive[sequence.ID{Rep: d.ID.Rep, Seq: d.ID.Seq + uint64(k)}] = true
		}
	}
	for _, d := range to.s.LiveRuns(func(rep uint32) uint64 { return base[rep] }) {
		for k := range d.N {
			id := sequence.ID{Rep: d.ID.Rep, Seq: d.ID.Seq + uint64(k)}
			if alive[id] {
				continue
			}
			if _, err := to.s.Hide(id, 1, nil); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	to.l.Merge(from.l)
	g.pass(i, j, false)
	to.compare()
}

// undo makes edits, receives and merges in a transaction that is rolled back.
func (g *group) undo() {
	i := g.any()
	r := g.replicas[i]
	before := save(r.s)
	clock, s := maps.Clone(r.clock), r.s
	mark := s.Mark()
	for range rapid.IntRange(1, 6).Draw(g.t, "steps") {
		g.wildEdit(r, g.any())
	}
	s.Rollback(mark)
	s.Commit()
	if err := s.Check(); err != nil {
		g.t.Fatal(err)
	}
	if after := save(s); !bytes.Equal(before, after) {
		g.t.Fatalf("rolled back to %x from %x", after, before)
	}
	r.clock = clock
	r.compare()
}

// wildEdit changes the sequence of r alone: a local edit, or what it lacks of replica i.
func (g *group) wildEdit(r *replica, i int) {
	s := r.s
	size := s.Len(sequence.CodePoints)
	switch rapid.IntRange(0, 3).Draw(g.t, "wild") {
	case 0:
		text := g.text()
		n := len([]rune(text))
		id := sequence.ID{Rep: r.rep, Seq: r.clock[r.rep]}
		if _, _, err := s.Insert(rapid.IntRange(0, size).Draw(g.t, "at"), id, n, text); err != nil {
			g.t.Fatal(err)
		}
		r.clock[r.rep] += uint64(n)
	case 1:
		at := rapid.IntRange(0, size).Draw(g.t, "at")
		if _, err := s.DeleteRange(at, rapid.IntRange(0, size-at).Draw(g.t, "n"), nil); err != nil {
			g.t.Fatal(err)
		}
	case 2:
		for _, o := range g.logs[i] {
			if r.covers(o.id) {
				continue
			}
			if o.hide == nil {
				if _, err := s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
					g.t.Fatal(err)
				}
			}
			for _, d := range o.hide {
				if _, err := s.Hide(d.ID, d.N, nil); err != nil {
					g.t.Fatal(err)
				}
			}
			r.clock[o.id.Rep] = o.id.Seq + uint64(o.n)
		}
	case 3:
		if g.replicas[i] == r {
			return
		}
		st, err := sequence.Decode(save(g.replicas[i].s), known, sequence.Limits{Order: r.order})
		if err != nil {
			g.t.Fatal(err)
		}
		if err := s.Merge(st, r.covers, sequence.Events{}); err != nil {
			g.t.Fatal(err)
		}
		for rep, end := range g.replicas[i].clock {
			r.clock[rep] = max(r.clock[rep], end)
		}
	}
}

// converge has everybody receive everything and tests that all are equal.
func (g *group) converge() {
	for i := range g.replicas {
		for j := range g.replicas {
			g.pass(i, j, true)
		}
	}
	for i := range g.replicas {
		for j := range g.replicas {
			g.pass(i, j, true)
		}
	}
	want := save(g.replicas[0].s)
	for _, r := range g.replicas {
		r.compare()
		if got := save(r.s); !bytes.Equal(got, want) {
			g.t.Fatalf("canonical bytes differ: %x and %x", got, want)
		}
		again := reload(g.t, g.order, want, true)
		if textOf(g.t, again) != textOf(g.t, r.s) {
			g.t.Fatal("the loaded text differs")
		}
	}
}

// TestConvergence compares random histories with the twin after each step, and canonical bytes at the end.
func TestConvergence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGroup(rt)
		rt.Repeat(g.actions())
		g.converge()
	})
}
