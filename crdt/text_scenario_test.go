package crdt_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// The scenarios that a published library of this design, or an earlier draft of this one, fails. They are named as in
// the conformance data.

func insertAt(text crdt.Text, i int, s string) func(runtime.Tx) error {
	return func(tx runtime.Tx) error { return text.Insert(tx, i, s) }
}

func deleteAt(text crdt.Text, i, n int) func(runtime.Tx) error {
	return func(tx runtime.Tx) error { return text.Delete(tx, i, n) }
}

func TestR3DeletedTextStaysDeleted(t *testing.T) {
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	c, tc := newText(t, 3)
	do(t, a, insertAt(ta, 0, "hello"))
	receive(t, c, save(t, a))
	do(t, b, insertAt(tb, 0, "b"))
	do(t, a, deleteAt(ta, 0, 5))
	receive(t, b, save(t, a))
	do(t, c, insertAt(tc, 5, "C"))
	receive(t, b, save(t, c))
	receive(t, a, save(t, b))
	receive(t, b, save(t, a))
	receive(t, c, save(t, a))
	same(t, a, b, c)
	wantText(t, c, tc, "Cb")
}

func TestR6CodePointsBeyond16Bits(t *testing.T) {
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	messages := collect(a)
	do(t, a, insertAt(ta, 0, "🚀👩\u200d👧x"))
	do(t, a, func(tx runtime.Tx) error { return ta.In(crdt.UTF16).Insert(tx, 2, "é") })
	do(t, a, func(tx runtime.Tx) error { return ta.In(crdt.Bytes).Delete(tx, 0, 4) })
	receive(t, b, messages()...)
	same(t, a, b)
	wantText(t, b, tb, "é👩\u200d👧x")
	for i, unit := range []crdt.Unit{crdt.CodePoints, crdt.UTF16, crdt.Bytes} {
		if got := runtime.Read(b, tb.In(unit).Len); got != []int{5, 7, 14}[i] {
			t.Errorf("%d %v", got, unit)
		}
	}
}

func TestR7LongInserts(t *testing.T) {
	rt, text := newText(t, 1)
	messages := collect(rt)
	do(t, rt, insertAt(text, 0, "ab"))
	long := strings.Repeat("0123456789", 20_000)
	do(t, rt, insertAt(text, 1, long))
	wantText(t, rt, text, "a"+long+"b")
	other, copied := newText(t, 2)
	receive(t, other, messages()...)
	wantText(t, other, copied, "a"+long+"b")
	same(t, rt, other)

	before := string(rt.Canonical())
	huge := strings.Repeat("x", 5_000_000)
	if err := rt.Transact(insertAt(text, 1, huge)); !errors.Is(err, runtime.ErrLimit) {
		t.Fatalf("5,000,000 code points: %v", err)
	}
	if string(rt.Canonical()) != before {
		t.Fatal("what was refused left a trace")
	}
	var open []*runtime.Runtime
	for k := range 2 {
		big, err := runtime.New(&runtime.Options{Replica: trace.AgentReplica(k + 3), Kinds: crdt.SequenceKinds(),
			Limits: runtime.Limits{MessageBytes: 16 << 20, MessageDots: 1 << 23}})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, big)
	}
	text, err := crdt.NewText(open[0], "text")
	if err != nil {
		t.Fatal(err)
	}
	messages = collect(open[0])
	do(t, open[0], insertAt(text, 0, "ab"))
	do(t, open[0], insertAt(text, 1, huge))
	receive(t, open[1], messages()...)
	if string(open[0].Canonical()) != string(open[1].Canonical()) { // Check of so many elements takes seconds
		t.Error("the replicas differ")
	}
	if n := runtime.Read(open[0], text.Len); n != 5_000_002 {
		t.Errorf("length %d", n)
	}
}

// TestR15FrontInserts counts what inserts at the front pass and allocate, where they are made and elsewhere.
func TestR15FrontInserts(t *testing.T) {
	const n = 10_000
	type cost struct{ steps, bytes int }
	// The first and the second half apart, to see whether later inserts cost more.
	halves := func(text crdt.Text, insert func(i int)) (costs [2]cost) {
		for half := range costs {
			before := crdt.Steps(text.Node())
			bytes, _ := allocates(func() {
				for i := range n / 2 {
					insert(half*n/2 + i)
				}
			})
			costs[half] = cost{crdt.Steps(text.Node()) - before, int(bytes)}
		}
		return costs
	}
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	messages := collect(a)
	local := halves(ta, func(int) { do(t, a, insertAt(ta, 0, "x")) })
	sent := messages()
	remote := halves(tb, func(i int) { receive(t, b, sent[i]) })
	same(t, a, b)
	for where, c := range map[string][2]cost{"local": local, "remote": remote} {
		if c[0].steps+c[1].steps > 2*n || c[1].bytes > 2*c[0].bytes {
			t.Errorf("%s: %+v for the first half of %d inserts, %+v for the second", where, c[0], n, c[1])
		}
	}
}

func TestR17StateDeletesWhatIsCovered(t *testing.T) {
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	messages := collect(a)
	do(t, a, insertAt(ta, 0, "abc"))
	receive(t, b, messages()...)
	do(t, b, insertAt(tb, 3, "d"))
	do(t, a, deleteAt(ta, 1, 1))
	receive(t, b, save(t, a))
	wantText(t, b, tb, "acd")
	receive(t, b, messages()...)
	wantText(t, b, tb, "acd")
	receive(t, a, save(t, b))
	same(t, a, b)
}

func TestR18NeighboursThatAreNotARun(t *testing.T) {
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	fromA, fromB := collect(a), collect(b)
	do(t, b, insertAt(tb, 0, "ab"))
	receive(t, a, fromB()...)
	do(t, a, insertAt(ta, 2, "x"))
	receive(t, b, fromA()...)
	do(t, b, insertAt(tb, 2, "c"))
	receive(t, a, fromB()...)
	c, tc := newText(t, 3)
	receive(t, c, save(t, b))
	same(t, a, b, c)
	wantText(t, c, tc, "abcx")
}

// replayShared replays each history of a shared file with a runtime for each agent.
func replayShared(t *testing.T, r io.Reader, want int) {
	t.Helper()
	n := 0
	for tr, err := range trace.Lines(r, trace.Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		replayConcurrently(t, tr)
	}
	if n != want {
		t.Errorf("%d histories, want %d", n, want)
	}
}

// replayConcurrently replays tr, and checks that a reader of all messages in order, one in another order, and one of
// saved states see the text that it ends with.
func replayConcurrently(t *testing.T, tr *trace.Trace) {
	t.Helper()
	type replica struct {
		rt   *runtime.Runtime
		text crdt.Text
		sent func() [][]byte
	}
	replicas := map[int]*replica{}
	open := func(k int) *replica {
		if r := replicas[k]; r != nil {
			return r
		}
		rt, text := newText(t, k)
		r := &replica{rt: rt, text: text}
		r.sent = collect(rt)
		replicas[k] = r
		return r
	}
	reader := open(1 << 20)
	sent := make([][]byte, len(tr.Txns))
	for i, missing := range tr.Deliveries() {
		w := open(tr.Txns[i].Agent)
		for _, j := range missing {
			receive(t, w.rt, sent[j])
		}
		w.sent()
		do(t, w.rt, func(tx runtime.Tx) error {
			for _, p := range tr.Txns[i].Patches {
				if err := w.text.Splice(tx, p.Pos, p.Deleted, p.Inserted); err != nil {
					return err
				}
			}
			return nil
		})
		sent[i] = w.sent()[0]
		receive(t, reader.rt, sent[i])
	}
	shuffled, loaded := open(1<<20+1), open(1<<20+2)
	for _, i := range rand.New(rand.NewPCG(uint64(len(sent)), 1)).Perm(len(sent)) {
		receive(t, shuffled.rt, sent[i])
	}
	for k, w := range replicas {
		if k < 1<<20 {
			receive(t, loaded.rt, save(t, w.rt))
		}
	}
	same(t, reader.rt, shuffled.rt, loaded.rt)
	wantText(t, reader.rt, reader.text, tr.End)
}

func TestTextConformance(t *testing.T) {
	for name, histories := range map[string]int{"list-order": 500, "list-order-unicode": 200} {
		t.Run(name, func(t *testing.T) {
			replayShared(t, shared(t, "conformance/"+name+".ndjson.gz"), histories)
		})
	}
}

// TestTypingAllocatesNothing allows for the blocks that messages and history share.
func TestTypingAllocatesNothing(t *testing.T) {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.SequenceKinds(), History: runtime.History{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	do(t, rt, insertAt(text, 0, strings.Repeat("grow the buffers ", 10_000)))
	i := 0
	typing := func(tx runtime.Tx) error { i++; return text.Insert(tx, 100+i, "x") }
	erasing := func(tx runtime.Tx) error { i--; return text.Delete(tx, 100+i, 1) } // what was typed, so after it
	for _, c := range []struct {
		name string
		edit func(runtime.Tx) error
	}{{"typing", typing}, {"erasing", erasing}} {
		if n := testing.AllocsPerRun(2000, func() { do(t, rt, c.edit) }); n > 0 {
			t.Errorf("%s allocates %v times", c.name, n)
		}
	}
}

func TestTypingTraceMessageBytes(t *testing.T) {
	tr := readTrace(t, "automerge-paper")
	rt, text := newText(t, 1)
	bytes, messages := 0, 0
	rt.OnUpdate(func(u runtime.Update) { bytes += len(u.Data); messages++ })
	replayLocally(t, rt, text, tr)
	wantText(t, rt, text, tr.End)
	if average := float64(bytes) / float64(messages); average > 32 {
		t.Errorf("%.1f bytes a message", average)
	}
}
