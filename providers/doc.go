// Package providers moves updates between replicas: sessions that keep a document in sync with a peer, and the contracts
// of the links and stores under them.
//
// A program that syncs documents with a server uses [Client] over a dial function, such as that of package ws, and reads
// docs/providers.md. Below it are three layers, each usable alone:
//
//   - [Session] keeps one document in sync with one peer; [Mux] runs many sessions over one link, with admission,
//     heartbeat and end of the connection. Both are pure state machines: bytes in, bytes out, time passed in.
//   - [Conn] drives a Mux over a [Link]. It is what most programs use.
//   - [Keeper] ties a runtime to a [Store], so that "saved" means durable, and numbers what is: a [RoomLog].
//
// A client of a link a:
//
//	client, _ := providers.NewConn(a, &providers.ConnOptions{
//		Handle: func(c *providers.Conn, e providers.Event) {
//			switch e := e.(type) {
//			case providers.Admitted:
//				c.Do(func(m *providers.Mux) { notes, _ = m.Open(doc, "notes", nil) })
//			case providers.Synced:
//				doc.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, "hello") })
//			case providers.Saved: // of what there was then; the edit may have come since
//				if len(doc.Clock()) > 0 && len(notes.Unsaved()) == 0 {
//					fmt.Println(e.Document, "is", e.Level)
//					c.Do(func(m *providers.Mux) { m.End(providers.CodeNone, "done") })
//				}
//			}
//		},
//	})
//
// The example of this package has both sides.
//
// # How a session sends
//
// Each side chooses a pattern for what it sends: [State] sends its state once; [Ongoing] sends its state and then every
// update that did not come from this peer; [Clock], the default, takes the peer's clock and sends exactly the messages that
// it lacks, or a delta where history no longer has them, and then goes on like Ongoing. A new link gets a new session, which
// resumes by clock.
//
// # What is safe
//
// Each side acknowledges what it holds: with [Options.Durable] only what is durable. [Session.Unsaved] is what the peer has
// not acknowledged, [Saved] tells of progress, and Runtime.Acknowledge lets history forget.
//
// # Bounds
//
// What waits for a peer is bounded: a full queue is dropped, and the peer gets one delta when it takes frames again. Large
// updates travel in chunks, only as far as the peer gives credit, and are applied whole after their checksum or not at all.
//
// docs/protocol.md defines every byte; docs/adr has the decisions.
//
// # Reading the source
//
//	frame.go      the frames and their CBOR
//	code.go       error codes
//	session.go    a session's life: open, meet, timers
//	send.go       what a session sends: plans, packing, chunks
//	receive.go    what it takes
//	outbox.go     where the runtime's updates meet the session
//	roomlog.go    the numbered log of a document; numbered.go: sending it, following it
//	ephemeral.go  presence and casts; ephemeral_box.go: what waits for one peer
//	mux.go        many sessions on one link; mux_open.go: how documents are opened
//	conn.go       the driver
//	client.go     connections that come back; client_document.go: a document over all of them, client_ledger.go: what is saved
//	link.go, store.go, keeper.go; record.go: what a keeper stores
package providers
