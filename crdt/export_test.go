package crdt

import "github.com/seed1312cc15/weft/runtime"

// SequenceKinds lets tests make a runtime that knows the kinds of this part of the package.
var SequenceKinds = sequenceKinds

// IndexedByDot reports whether a Map or Set keeps an index of its entries by dot.
func IndexedByDot(n *runtime.Node) bool { return n.Object().(*keyedState).table.dots != nil }
