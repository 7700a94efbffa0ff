package crdt

// SequenceKinds lets tests make a runtime that knows the kinds of this part of the package.
var SequenceKinds = sequenceKinds
