// Package weft holds documents that many people edit at once, offline or online: every replica edits its own copy, and
// copies that have applied the same transactions are equal, byte for byte.
//
// # Start
//
// Describe a document by a struct of handles, open it, edit it in transactions, and send what OnUpdate gives to the
// others, who hand it to Receive:
//
//	type Board struct {
//		Title weft.Register[string]        `weft:"title"`
//		Body  weft.Text                    `weft:"body"`
//		Tasks weft.ObjectMap[string, Task] `weft:"tasks"`
//	}
//
//	type Task struct {
//		Name weft.Text                    `weft:"name"`
//		Done weft.Flag                    `weft:"done"`
//		Subs weft.ObjectMap[string, Task] `weft:"subs"`
//	}
//
//	doc, err := weft.Open[Board](nil)
//	err = doc.Transact(func(tx weft.Tx) error {
//		return doc.Root.Body.Insert(tx, 0, "hello")
//	})
//	s := weft.Read(doc, doc.Root.Body.String)
//	stop := doc.OnUpdate(func(u weft.Update) { send(u.Data) })
//	res, err := doc.Receive(data, weft.From(peer))
//
// # What callers must do
//
//  1. Use a Tx only inside the function it was handed to. Plain reads (those that return no error: Len, String, iterators)
//     panic on a Tx that has ended or is of another document; everything else returns an error.
//  2. Inside Transact and View use only the Tx: calling Transact, View, Receive, Load or Save of the same document there
//     gives ErrNested, or a panic with it where the method returns no error. (Inside of a View, calls that only read go
//     through while nobody waits to write: do not rely on it.)
//  3. Treat bytes that come out as immutable. Bytes that go in may be reused afterwards.
//  4. Event handlers run after the lock is released, in commit order, one at a time. A handler may call Transact; reads in
//     it may see a later state, while the deltas of events are exact.
//  5. Never let two documents write under one replica ID. The default is a new random ID for each.
//
// # Types
//
// Counter, Register, MVRegister, Flag, Set and Map hold values; Text and List hold sequences; Record (a struct of
// handles), LazyMap, ObjectMap, ObjectSet and ObjectList hold other objects, to any depth. Each says who wins, what a
// delete does against a concurrent change, and what it costs; docs/types.md compares them.
//
// # Where things are
//
// This package is a thin front: the types are those of package crdt, everything else is that of package runtime, under
// the same names. Those who write types or providers of their own start there; vclock holds dots and clocks.
package weft
