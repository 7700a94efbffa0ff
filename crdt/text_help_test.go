package crdt_test

import (
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// newRuntime returns a runtime with the replica ID of agent k.
func newRuntime(t testing.TB, k int) *runtime.Runtime {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Replica: trace.AgentReplica(k), Kinds: crdt.SequenceKinds()})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// newText returns a runtime with the replica ID of agent k and its text "text".
func newText(t testing.TB, k int) (*runtime.Runtime, crdt.Text) {
	t.Helper()
	rt := newRuntime(t, k)
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	return rt, text
}
