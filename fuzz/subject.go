package fuzz

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// ErrNothing is what an Edit returns where the present state offers nothing to do: the transaction goes on without it.
var ErrNothing = errors.New("fuzz: nothing to do")

// Edit makes one operation in tx. It takes what it needs to choose from d. It returns what it did, for Subject.Model.
//
// An Edit is a function of d and of the document alone, so that a script repeats it: it draws everything that varies, and
// keeps nothing between calls.
type Edit[H any] func(d *Draw, tx runtime.Tx, h H) (did any, err error)

// Subject is what is tested. Name, Open and Edits are required. Of makes one for the types of package crdt and structs
// of them.
type Subject[H any] struct {
	// Name stands in scripts: a word of letters, digits, '-', '_' and '.'.
	Name string
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

	weights map[string]int // of edits; absent: 1
}

// Transaction is one committed transaction as Subject.Model sees it.
type Transaction struct {
	Dot     vclock.Dot   // the first
	End     uint64       // exclusive
	Lamport uint64       // of the first dot; dot Seq+i has Lamport+i
	Before  vclock.Clock // what its writer had applied
	Did     []any        // what its edits returned, in order
}

// Saw reports whether the writer of dot, which is one of this transaction, had seen d when it wrote it.
func (t *Transaction) Saw(dot, d vclock.Dot) bool {
	return t.Before.Covers(d) || d.Replica == dot.Replica && d.Seq < dot.Seq
}

// Schema is a Subject whatever its handles; see Replay.
type Schema interface {
	// String returns the name that stands in scripts.
	String() string
	erase() (*subject, error)
}

// String returns the name.
func (s *Subject[H]) String() string { return s.Name }

// subject is a Subject without its type parameter.
type subject struct {
	name     string
	open     func(o *runtime.Options) (*runtime.Runtime, any, error)
	names    []string // of edits, sorted, as often as they weigh
	edits    map[string]Edit[any]
	value    func(tx runtime.Tx, h any) any
	watch    func(rt *runtime.Runtime, h any) func() any
	model    func([]Transaction) any
	examine  func(tx runtime.Tx, h any) error
	replicas int
}

func (s *Subject[H]) erase() (*subject, error) {
	if s == nil || s.Open == nil || len(s.Edits) == 0 || !isWord(s.Name) {
		return nil, errors.New("fuzz: a Subject needs Open, Edits, and a Name of letters, digits, '-', '_' and '.'")
	}
	if _, _, err := s.Open(&runtime.Options{}); err != nil { // no script makes it any clearer
		return nil, fmt.Errorf("fuzz: %s does not open: %w", s.Name, err)
	}
	e := &subject{name: s.Name, edits: make(map[string]Edit[any], len(s.Edits)), model: s.Model, replicas: s.Replicas}
	e.open = func(o *runtime.Options) (*runtime.Runtime, any, error) {
		rt, h, err := s.Open(o)
		return rt, h, err
	}
	for name, edit := range s.Edits {
		if !isWord(name) {
			return nil, fmt.Errorf("fuzz: the edit %q is not named by a word of letters, digits, '-', '_' and '.'", name)
		}
		for range max(1, s.weights[name]) {
			e.names = append(e.names, name)
		}
		e.edits[name] = func(d *Draw, tx runtime.Tx, h any) (any, error) { return edit(d, tx, h.(H)) }
	}
	slices.Sort(e.names)
	if s.Value != nil {
		e.value = func(tx runtime.Tx, h any) any { return s.Value(tx, h.(H)) }
	}
	if s.Watch != nil {
		e.watch = func(rt *runtime.Runtime, h any) func() any { return s.Watch(rt, h.(H)) }
	}
	if s.Examine != nil {
		e.examine = func(tx runtime.Tx, h any) error { return s.Examine(tx, h.(H)) }
	}
	if e.replicas == 0 {
		e.replicas = 6
	}
	e.replicas = max(2, e.replicas)
	return e, nil
}
