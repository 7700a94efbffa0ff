package converge

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// ErrNothing is what an Edit returns where the present state offers nothing to do: the transaction goes on without it.
var ErrNothing = errors.New("converge: nothing to do")

// Edit makes one operation in tx. It returns what it did, for the step list and for Subject.Model.
type Edit[H any] func(t *rapid.T, tx runtime.Tx, h H) (did any, err error)

// Subject is what is tested. Open and Edits are required.
type Subject[H any] struct {
	// Open makes an empty replica with these options, to which it may add, and returns it with the handles.
	Open func(o *runtime.Options) (*runtime.Runtime, H, error)
	// Edits are the operations, by name. Each is drawn equally often; list one twice under two names to weigh it.
	Edits map[string]Edit[H]
	// Value returns what the document shows, in a form that reflect.DeepEqual compares. nil: Export alone is compared.
	Value func(tx runtime.Tx, h H) any
	// Watch subscribes to the events of a document that is empty (but for its genesis) and returns a function that gives
	// the value as rebuilt from events alone, in the form of Value. nil: events are not tested.
	Watch func(rt *runtime.Runtime, h H) (value func() any)
	// Model computes, in the form of Value, what a replica shows that has applied these transactions. They come in an
	// order that extends causality. nil: no model.
	Model func(applied []Transaction) any
	// Examine is called in a View of each replica that a step touched, for whatever else there is to check. nil: nothing.
	Examine func(tx runtime.Tx, h H) error
	// Replicas bounds the replicas that run at one time; zero: 6, at least 2.
	Replicas int
}

// Transaction is one committed transaction as Subject.Model sees it.
type Transaction struct {
	Dot     vclock.Dot   // the first
	End     uint64       // exclusive
	Lamport uint64       // of the first dot; dot Seq+i has Lamport+i
	Before  vclock.Clock // what its writer had applied
	Did     []any        // what its edits returned, in order
}

// Test runs the checks under rapid, as many as -rapid.checks says.
func (s *Subject[H]) Test(t *testing.T) {
	t.Helper()
	rapid.Check(t, s.Check)
}

// Fuzz lets the fuzzer choose the steps.
func (s *Subject[H]) Fuzz(f *testing.F) {
	f.Helper()
	f.Fuzz(rapid.MakeFuzz(s.Check))
}

// Check is one random run.
func (s *Subject[H]) Check(t *rapid.T) {
	w := newWorld(t, s)
	t.Repeat(w.actions())
	w.finish(t)
}
