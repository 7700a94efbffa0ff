// Package crdt holds the replicated types of a Weft document. It is written against the public contract of package
// runtime alone: a type of your own can do all that these do.
//
// # Handles
//
// What a program holds of an object is a handle: a small value such as Text or Map[string, int], copied freely, of which
// any number may stand for one object. A New function makes the handle of a root object by name; weft.Open fills a struct
// of handles; containers give handles of what they hold. The zero handle is bound to nothing: its edits return
// runtime.ErrUnbound, its plain reads panic with it.
//
//	var doc, _ = runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
//	votes, err := crdt.NewCounter(doc, "votes")
//	err = doc.Transact(func(tx runtime.Tx) error { return votes.Add(tx, 1) })
//
// # Rules for all types
//
//  1. Every method that reads or writes takes a runtime.Tx. Methods that return an error return what is wrong with it;
//     the others panic. OnChange takes none: it subscribes outside of a transaction.
//  2. An edit that returns an error has changed nothing. One without effect (deleting what is not there) makes no
//     operation.
//  3. Objects that were deleted show their last state; editing them gives runtime.ErrDeleted.
//  4. Values are CBOR. What this package encodes is in core deterministic form (RFC 8949 section 4.2.1); what others wrote
//     is kept byte for byte. A stored value that is not of a handle's type is a *TypeError when it is read. A handle for Go
//     values that CBOR cannot hold, a func or chan, is a *ShapeError where it is made.
//  5. Events tell exactly what one transaction, state or delta changed: a view that is rebuilt from events alone equals
//     the value after each. See runtime.Runtime for when handlers run.
//  6. Two kinds under one root name are two objects; see runtime.Runtime.Root.
//
// # Where things are
//
// Counter: counter.go, counter_state.go. Register, MVRegister and the flags: register.go, mvregister.go, flag.go over
// cell_state.go. Set and Map: set.go, map.go over keyed_state.go, keyed_save.go and key_table.go, with key_order.go for
// sorted reads. Values: codec.go, storable.go; what their operations share: entries.go. Kinds: kinds.go.
package crdt
