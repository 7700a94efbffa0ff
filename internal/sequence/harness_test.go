package sequence_test

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/internal/trace"
)

// reversed orders replica indexes the other way round: replica index i is agent agents-1-i.
type reversed struct{ agents int }

func (r reversed) CompareReplicas(a, b uint32) int { return int(b) - int(a) }

func (r reversed) agent(rep uint32) int { return r.agents - 1 - int(rep) }

func (r reversed) rep(agent int) uint32 { return uint32(r.agents - 1 - agent) }

func (r reversed) repOf(id uuid.UUID) uint32 {
	return r.rep(int(id[0])<<24 | int(id[1])<<16 | int(id[2])<<8 | int(id[3]))
}

func (r reversed) id(d plain.Dot) sequence.ID {
	return sequence.ID{Rep: r.repOf(d.Replica), Seq: d.Seq}
}

// op is one operation as it would travel.
type op struct {
	id     sequence.ID
	n      int
	text   string
	origin sequence.Origin
	hide   []sequence.IDSpan // a delete, if not nil
	plain  plain.Op
}

// tester is what both testing.TB and *rapid.T can do.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// replica is a Sequence and its slow twin, edited in step.
type replica struct {
	t     tester
	order reversed
	rep   uint32
	s     *sequence.Sequence
	l     *plain.List
	clock map[uint32]uint64
}

func newReplica(t tester, order reversed, rep uint32) *replica {
	return &replica{
		t: t, order: order, rep: rep, s: sequence.New(order, true), clock: map[uint32]uint64{},
		l: plain.NewList(plain.NewSite(trace.AgentReplica(order.agent(rep)))),
	}
}

func (r *replica) insert(index int, text string) op {
	r.t.Helper()
	p, err := r.l.Insert(index, []rune(text)...)
	if err != nil {
		r.t.Fatal(err)
	}
	o := op{id: r.order.id(p.Dot), n: utf8.RuneCountInString(text), text: text, plain: p}
	if o.origin, _, err = r.s.Insert(index, o.id, o.n, text); err != nil {
		r.t.Fatal(err)
	}
	want := p.Insert[0]
	if o.origin.Root != want.AtStart || o.origin.Left != (want.Side == plain.Left) ||
		!want.AtStart && o.origin.Parent != r.order.id(want.Parent) {
		r.t.Fatalf("insert at %d hangs from %+v, the twin says %+v", index, o.origin, want)
	}
	r.clock[r.rep] = o.id.Seq + uint64(o.n)
	return o
}

func (r *replica) remove(index, n int) op {
	r.t.Helper()
	p, err := r.l.Delete(index, n)
	if err != nil {
		r.t.Fatal(err)
	}
	o := op{id: r.order.id(p.Dot), n: 1, plain: p}
	if o.hide, err = r.s.DeleteRange(index, n, nil); err != nil {
		r.t.Fatal(err)
	}
	i := 0
	for _, d := range o.hide {
		for k := range d.N {
			if got := (sequence.ID{Rep: d.ID.Rep, Seq: d.ID.Seq + uint64(k)}); i >= len(p.Delete) || got != r.order.id(p.Delete[i]) {
				r.t.Fatalf("delete of %d at %d hides %v, the twin %v", n, index, o.hide, p.Delete)
			}
			i++
		}
	}
	if i != len(p.Delete) {
		r.t.Fatalf("delete of %d at %d hides %v, the twin %v", n, index, o.hide, p.Delete)
	}
	r.clock[r.rep] = o.id.Seq + 1
	return o
}

func (r *replica) apply(o op) {
	r.t.Helper()
	if err := r.l.Apply(o.plain); err != nil {
		r.t.Fatal(err)
	}
	if o.hide == nil {
		if _, err := r.s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, d := range o.hide {
		if _, err := r.s.Hide(d.ID, d.N, nil); err != nil {
			r.t.Fatal(err)
		}
	}
	r.clock[o.id.Rep] = o.id.Seq + uint64(o.n)
}

// covers says whether the replica has applied o.
func (r *replica) covers(id sequence.ID) bool { return id.Seq < r.clock[id.Rep] }

// compare tests that the replica and its twin are equal, element by element, and checks the invariants.
func (r *replica) compare() {
	r.t.Helper()
	if err := r.s.Check(); err != nil {
		r.t.Fatal(err)
	}
	want := r.l.Elements()
	i := 0
	for lid, visible := range r.s.All() {
		if i == len(want) {
			r.t.Fatalf("more than %d elements", len(want))
		}
		e := want[i]
		o := r.s.OriginOf(lid)
		if r.s.IDOf(lid) != r.order.id(e.Dot) || visible == e.Deleted || o.Root != e.AtStart ||
			!o.Root && (o.Parent != r.order.id(e.Parent) || o.Left != (e.Side == plain.Left)) {
			r.t.Fatalf("element %d is %v (visible %v, %+v), the twin has %+v", i, r.s.IDOf(lid), visible, o, e)
		}
		i++
	}
	if i != len(want) {
		r.t.Fatalf("%d elements, the twin has %d", i, len(want))
	}
	if got, want := textOf(r.t, r.s), r.l.Text(); got != want {
		r.t.Fatalf("text %q, the twin has %q", got, want)
	}
}

func textOf(t tester, s *sequence.Sequence) string {
	t.Helper()
	b, err := s.AppendText(nil, 0, s.Len(sequence.CodePoints))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// edit applies one patch and returns its operations.
func (r *replica) edit(p trace.Patch) (ops []op) {
	r.t.Helper()
	if p.Deleted > 0 {
		ops = append(ops, r.remove(p.Pos, p.Deleted))
	}
	if p.Inserted != "" {
		ops = append(ops, r.insert(p.Pos, p.Inserted))
	}
	return ops
}

// replay replays tr with one replica for each agent and returns one that received everything. check is called after
// each transaction on the replica that wrote it.
func replay(t tester, tr *trace.Trace, check func(*replica)) *replica {
	t.Helper()
	order := reversed{tr.Agents + 1}
	reader := newReplica(t, order, order.rep(tr.Agents))
	replicas := map[int]*replica{}
	sent := make([][]op, len(tr.Txns))
	for i, missing := range tr.Deliveries() {
		txn := &tr.Txns[i]
		r := replicas[txn.Agent]
		if r == nil {
			r = newReplica(t, order, order.rep(txn.Agent))
			replicas[txn.Agent] = r
		}
		for _, j := range missing {
			for _, o := range sent[j] {
				r.apply(o)
			}
		}
		for _, p := range txn.Patches {
			sent[i] = append(sent[i], r.edit(p)...)
		}
		check(r)
		for _, o := range sent[i] {
			reader.apply(o)
		}
	}
	return reader
}

// shared opens a file of the shared data beside the repository, and skips the test where there is none.
func shared(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", filepath.FromSlash(name)))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI the shared data must be there: %v", err)
		}
		t.Skipf("no shared data beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
