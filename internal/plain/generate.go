package plain

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/seed1312cc15/weft/internal/trace"
)

// GenerateConcurrent returns a concurrent trace of txns transactions by agents writers, its End as the twin has it.
// The seed chooses the manner too: how often writers hear of each other, whether they fight for one place, type
// backward, delete much or write beyond the basic plane. Equal arguments give equal traces.
func GenerateConcurrent(seed uint64, agents, txns int) *trace.Trace {
	g := &generator{
		rnd:    rand.New(rand.NewPCG(seed, 2)),
		t:      &trace.Trace{Name: fmt.Sprintf("generated %d", seed), Concurrent: true, Agents: agents},
		reader: NewList(NewSite(ReaderID)),
	}
	for k := range agents {
		g.writers = append(g.writers, newWriter(k))
	}
	g.alphabet = []rune(alphabets[g.n(len(alphabets))])
	g.hear, g.back, g.fight, g.erase = g.n(100), g.n(100), g.n(100), g.n(45)
	for range txns {
		g.step()
	}
	g.t.End = g.reader.Text()
	return g.t
}

var alphabets = []string{
	"abcdefghijklmnopqrstuvwxyz ",
	"ab\n",
	"aé̀字漢🚀👩\u200d👧\ufe0f 𝒳",
	"e\u0301\u0308o🏳🌈\u200d",
}

type generator struct {
	rnd      *rand.Rand
	t        *trace.Trace
	writers  []*writer
	sent     [][]Op
	reader   *List
	alphabet []rune

	hear, back, fight, erase int // in percent
}

// writer is one agent: what it holds, and which of these transactions have no successor in it.
type writer struct {
	list   *List
	holds  map[int]bool
	heads  map[int]bool
	cursor int
}

func newWriter(k int) *writer {
	return &writer{
		list:  NewList(NewSite(trace.AgentReplica(k))),
		holds: map[int]bool{}, heads: map[int]bool{},
	}
}

// n draws from [0, max). It uses Uint64 alone, whose sequence is fixed by the definition of PCG.
func (g *generator) n(max int) int { return int(g.rnd.Uint64() % uint64(max)) }

func (g *generator) chance(percent int) bool { return g.n(100) < percent }

func (g *generator) step() {
	k := g.n(len(g.writers))
	w := g.writers[k]
	for len(g.sent) > 0 && g.chance(g.hear) {
		i := g.n(len(g.sent))
		for _, j := range append(g.t.Ancestors(i), i) {
			g.deliver(w, j)
		}
	}
	txn := trace.Txn{Agent: k, Parents: slices.Sorted(maps.Keys(w.heads))}
	var ops []Op
	w.list.site.Transact(func() {
		for range 1 + g.n(3) {
			p := g.patch(w)
			txn.Patches = append(txn.Patches, p)
			made, err := w.list.Edit(p)
			must(err)
			ops = append(ops, made...)
		}
	})
	i := len(g.sent)
	g.t.Txns = append(g.t.Txns, txn)
	g.sent = append(g.sent, ops)
	w.hold(i, txn.Parents)
	must(g.reader.applyAll(ops))
}

func (g *generator) deliver(w *writer, i int) {
	if w.holds[i] {
		return
	}
	must(w.list.applyAll(g.sent[i]))
	w.hold(i, g.t.Txns[i].Parents)
}

func (w *writer) hold(i int, parents []int) {
	for _, p := range parents {
		delete(w.heads, p)
	}
	w.holds[i], w.heads[i] = true, true
}

// patch draws an edit at the writer's cursor, at the one place that all fight for, or anywhere.
func (g *generator) patch(w *writer) trace.Patch {
	size := w.list.Len()
	switch {
	case g.chance(g.fight):
		w.cursor = size / 2
	case g.chance(20):
		w.cursor = g.n(size + 1)
	}
	p := trace.Patch{Pos: min(w.cursor, size)}
	if rest := size - p.Pos; rest > 0 && g.chance(g.erase) {
		p.Deleted = 1 + g.n(min(rest, 6))
	}
	if p.Deleted == 0 || g.chance(20) {
		p.Inserted = g.text()
	}
	w.cursor = p.Pos
	if !g.chance(g.back) {
		w.cursor += len([]rune(p.Inserted))
	}
	return p
}

func (g *generator) text() string {
	out := make([]rune, 1)
	if g.chance(30) {
		out = make([]rune, 2+g.n(5))
	}
	for i := range out {
		out[i] = g.alphabet[g.n(len(g.alphabet))]
	}
	return string(out)
}

// must stops the generator where its own bookkeeping would be wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
