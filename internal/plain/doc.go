// Package plain holds slow, obviously right twins of the replicated types, for tests to compare the fast ones with.
// It favours the words of the definition over speed everywhere; nothing outside tests should import it.
//
// Start at [Site], which gives dots and Lamport timestamps to every twin of one replica, then at [List], the order of
// lists and texts. tree.go is the definition of that order: a tree that is really built and really walked.
//
//	Counter   per replica (seq, total) and (resetSeq, resetTotal)
//	Register  the writes that no other replaced: winner, conflicts, or all in dot order
//	Set       observed-remove
//	Map       a Register for each key
//	List      Fugue order over code points, with operations and states
//	MoveList  Fugue order over places, one place to an element
//
// All merge whole states. A state is the sum of its history, so merging the author's state as it was at a transaction
// equals receiving that transaction and all before it: tests of messages keep a Clone for each transaction. List also
// has operations, because list order is where operations can go wrong.
//
// [Replay] runs an editing trace, [GenerateConcurrent] makes one. A twin belongs to one goroutine at a time.
package plain
