// Package vclock names the operations of a document and says which of them a replica has.
//
// Three types, from small to large:
//
//   - [Dot] names one operation for ever: the replica that wrote it and its number there, from 0.
//   - [Span] names a run of consecutive dots of one replica, half-open: [Start, End).
//   - [Clock] is a vector clock: for each replica the number of its dots applied. Clock{A: 3} holds A's
//     dots 0, 1 and 2, so its values are exclusive ends, and the next dot it lacks of A is A:3.
//
// Start with [Clock]. A replica that applies operations calls [Clock.Add] for each span, which refuses gaps
// and repetitions. Two replicas that meet call [Clock.Compare], whose answer is one of four: equal, before,
// after or concurrent. [Clock.Diff] gives what one has to send to the other, and [Clock.Merge] is the clock of
// a replica that has both.
//
// # Reading the source
//
//	dot.go      Replica, Dot and its text form
//	span.go     Span
//	order.go    Ordering, the answer of Clock.Compare
//	clock.go    Clock: reading, comparing, writing
//	binary.go   the binary form of a Clock, drawn at the top
//	json.go     the JSON form of a Clock
//	uvarint.go  integers in their shortest form
//	errors.go   every error of the package
//
// # What it does not do
//
// Nothing here does I/O, starts a goroutine, reads a clock on the wall or locks. A Clock is a Go map and is
// shared under the same rules: any number of readers, or one writer.
//
// Clocks grow with every replica that ever wrote. All operations are linear in the number of replicas, or
// better, up to sorting where the result is sorted; clocks of 100,000 replicas are benchmarked.
package vclock
