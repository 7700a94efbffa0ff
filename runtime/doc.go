// Package runtime holds a replicated document: transactions, messages, causal delivery, saved states, history, events,
// and the contract that a replicated object implements.
//
// Start with Runtime: New makes one, Transact edits it, Receive takes updates of every kind from others, Save and
// SaveSince give its state. The types that users want are in package crdt, and package weft puts both together; this
// package is for those who write types or providers of their own.
//
// # The golden rule
//
// Two replicas that have applied the same transactions are in the same state, and their Canonical bytes are equal,
// however the transactions came.
//
// # What callers must do
//
//  1. Use a Tx only inside the function it was handed to. Plain reads (those that return no error) panic on a Tx that has
//     ended or is of another document; everything else returns an error.
//  2. Inside Transact and View use only the Tx: calling Transact, View, Receive, Load, Save or an accessor of the same
//     document there gives ErrNested, or a panic with it where the method returns no error. (Inside of a View, calls that
//     only read go through while nobody waits to write: do not rely on it.)
//  3. Treat bytes that come out (messages, Update.Data) as immutable. Bytes that go in may be reused afterwards.
//  4. Event handlers run after the lock is released, in commit order, one at a time, each transaction once, in the
//     goroutine that drains the queue: a commit of another goroutine may return before its events ran. A handler may call
//     Transact; reads in it may see a later state, while the deltas of events are exact.
//  5. Never let two runtimes write under one replica ID. The default is a new random ID for each.
//
// # Where things are
//
// transact.go, tx.go: transactions; commit_local.go: turning one into a message; message.go, bundle.go: their bytes;
// receive.go, resolve.go, waiting.go: causal delivery; state_save.go, state_open.go, state_load.go, state_local.go: states and deltas;
// deletions.go: what deltas say of deletions; history.go; events.go, commit.go; node.go: objects and their identity;
// object.go, state_writer.go, state_reader.go: the contract; opaque.go: kinds that are not known; check.go.
package runtime
