package trace_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/trace"
)

func TestAgentReplica(t *testing.T) {
	if got := trace.AgentReplica(0x01020304).String(); got != "01020304-0000-4000-8000-000000000000" {
		t.Error(got)
	}
}

// drawGraph draws a graph in which each agent's transactions form a chain.
func drawGraph(t *rapid.T) *trace.Trace {
	tr := &trace.Trace{Concurrent: true, Agents: rapid.IntRange(1, 6).Draw(t, "agents")}
	last := map[int]int{}
	n := rapid.IntRange(0, 150).Draw(t, "txns")
	for i := range n {
		k := rapid.IntRange(0, tr.Agents-1).Draw(t, "agent")
		parents := map[int]bool{}
		if i > 0 {
			for range rapid.IntRange(0, 3).Draw(t, "parents") {
				parents[rapid.IntRange(0, i-1).Draw(t, "parent")] = true
			}
		}
		if own, ok := last[k]; ok {
			parents[own] = true
		}
		txn := trace.Txn{Agent: k}
		for p := range i {
			if parents[p] {
				txn.Parents = append(txn.Parents, p)
			}
		}
		tr.Txns = append(tr.Txns, txn)
		last[k] = i
	}
	return tr
}

// ancestors is the definition, by sets.
func ancestors(tr *trace.Trace) []map[int]bool {
	all := make([]map[int]bool, len(tr.Txns))
	for i, txn := range tr.Txns {
		all[i] = map[int]bool{}
		for _, p := range txn.Parents {
			all[i][p] = true
			for a := range all[p] {
				all[i][a] = true
			}
		}
	}
	return all
}

func TestDeliveriesGiveExactlyTheAncestors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := drawGraph(t)
		if err := tr.Validate(); err != nil {
			t.Fatal(err)
		}
		want := ancestors(tr)
		held := make([]map[int]bool, tr.Agents)
		for k := range held {
			held[k] = map[int]bool{}
		}
		next := 0
		for i, missing := range tr.Deliveries() {
			if i != next {
				t.Fatalf("yielded %d, want %d", i, next)
			}
			next++
			mine := held[tr.Txns[i].Agent]
			if !slices.IsSorted(missing) {
				t.Fatalf("not ascending: %v", missing)
			}
			for _, j := range missing {
				if mine[j] {
					t.Fatalf("%d delivered twice", j)
				}
				for _, p := range tr.Txns[j].Parents {
					if !mine[p] {
						t.Fatalf("%d delivered before its parent %d", j, p)
					}
				}
				mine[j] = true
			}
			if !reflect.DeepEqual(mine, want[i]) {
				t.Fatalf("before %d the replica holds %v, want %v", i, mine, want[i])
			}
			list := tr.Ancestors(i)
			if len(list) != len(want[i]) || !slices.IsSorted(list) {
				t.Fatalf("Ancestors(%d) = %v, want %v", i, list, want[i])
			}
			for _, j := range list {
				if !want[i][j] {
					t.Fatalf("Ancestors(%d) = %v, want %v", i, list, want[i])
				}
			}
			mine[i] = true
		}
		if next != len(tr.Txns) {
			t.Fatalf("%d of %d yielded", next, len(tr.Txns))
		}
	})
}

func TestValidateRefusesBrokenChains(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		tr := drawGraph(t)
		for i := range tr.Txns { // cut parents at random
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				tr.Txns[i].Parents = nil
			}
		}
		want, last, all := true, map[int]int{}, ancestors(tr)
		for i, txn := range tr.Txns {
			if own, ok := last[txn.Agent]; ok && !all[i][own] {
				want = false
			}
			last[txn.Agent] = i
		}
		if !want {
			refused++
		}
		if err := tr.Validate(); (err == nil) != want {
			t.Fatalf("Validate = %v, want valid %v", err, want)
		}
	})
	if refused == 0 {
		t.Error("no trial broke a chain")
	}
}

func TestDeliveriesPanicsOnABrokenChain(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	tr := &trace.Trace{Concurrent: true, Agents: 1, Txns: make([]trace.Txn, 2)}
	for range tr.Deliveries() {
	}
}

func TestGenerate(t *testing.T) {
	for seed := range uint64(20) {
		a, b := trace.Generate(seed, 3000), trace.Generate(seed, 3000)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: not deterministic", seed)
		}
		if a.Edits() != 3000 {
			t.Errorf("seed %d: %d edits", seed, a.Edits())
		}
		if err := a.Validate(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if got := replay(a); got != a.End {
			t.Errorf("seed %d: End differs from the replayed text", seed)
		}
		if n := utf8.RuneCountInString(a.End); n < 1000 {
			t.Errorf("seed %d: the text has only %d code points", seed, n)
		}
		checkRoundTrip(t, a)
	}
	if trace.Generate(1, 50).End == trace.Generate(2, 50).End {
		t.Error("seeds 1 and 2 give one text")
	}
}

func replay(tr *trace.Trace) string {
	text := []rune(tr.Start)
	for _, txn := range tr.Txns {
		for _, p := range txn.Patches {
			text = slices.Replace(text, p.Pos, p.Pos+p.Deleted, []rune(p.Inserted)...)
		}
	}
	return string(text)
}

func ExampleTrace_Deliveries() {
	tr := &trace.Trace{Concurrent: true, Agents: 3, Txns: []trace.Txn{
		{Agent: 0},
		{Agent: 1, Parents: []int{0}},
		{Agent: 0, Parents: []int{0}},
		{Agent: 2, Parents: []int{1, 2}},
	}}
	for i, missing := range tr.Deliveries() {
		fmt.Println("agent", tr.Txns[i].Agent, "receives", missing, "and writes", i)
	}
	// Output:
	// agent 0 receives [] and writes 0
	// agent 1 receives [0] and writes 1
	// agent 0 receives [] and writes 2
	// agent 2 receives [0 1 2] and writes 3
}
