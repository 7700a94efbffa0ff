// Package decoders hands damaged and forged bytes to everything that decodes bytes from outside, round after round, each a pure
// function of its seed:
//
//	report, err := decoders.Run(decoders.Options{Seed: 42})
//
// "weft fuzz -decoders 100000000" makes rounds with one seed after the other.
//
// # What a round is
//
// A round is about one decoder: seed n has the decoder n modulo their number. Its inputs grow from a random history of its own,
// written in every form that this decoder reads. Each is changed in a few places, as bytes or as numbers, or put together
// from two of them; lengths and checksums around what was changed are made right again in three of four, so that damage
// gets past them. What a decoder accepts is changed further.
//
// This knows nothing of the code that an input reaches, as the fuzzer of the Go tool does (make fuzz); instead it is many
// times as fast, starts from a new history every time, and repeats exactly.
//
// # What must hold
//
//  1. Nothing panics, and the input is not written to.
//  2. What is refused is refused with an error that a caller can test for, and leaves what was there as it was.
//  3. What is accepted keeps every invariant (Runtime.Check), is redundant the second time, and is the same again after it
//     was saved and loaded; canonical forms are written as they were read.
//
// # Reading the source
//
// soak.go has rounds and many of them; mutate.go the changes; seal.go envelopes and their checksums; history.go what
// inputs grow from; updates.go, frames.go and pieces.go the decoders.
package decoders
