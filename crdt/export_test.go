package crdt

import (
	"math/rand/v2"

	"github.com/seed1312cc15/weft/runtime"
)

// SequenceKinds lets tests make a runtime that knows the kinds of this part of the package.
var SequenceKinds = sequenceKinds

// IndexedByDot reports whether a Map or Set keeps an index of its entries by dot.
func IndexedByDot(n *runtime.Node) bool { return n.Object().(*keyedState).table.dots != nil }

// Steps returns how many things of an object changes have looked at one by one.
func Steps(n *runtime.Node) (steps int) {
	switch s := n.Object().(type) {
	case *cellState:
		if s.more != nil {
			steps += s.more.many.steps
		}
	case *keyedState:
		for _, b := range s.table.many {
			steps += b.steps
		}
	case *objectMapState:
		for _, c := range s.children {
			if c.more != nil && c.more.hidden != nil {
				steps += c.more.hidden.steps
			}
		}
	case *textState:
		steps = s.seq.Steps()
	case *objectListState:
		for _, x := range s.shelved {
			steps += x.tokens.steps
		}
	}
	return steps
}

// DeltaSteps returns what it costs to tell n edits at random places.
func DeltaSteps(n int) int {
	var b deltaBuilder[int]
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		if at := rng.IntN(i + 1); i%3 == 2 {
			b.delete(at, 1)
		} else {
			b.insert(at, i)
		}
	}
	return b.steps
}
