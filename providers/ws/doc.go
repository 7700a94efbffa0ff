// Package ws carries the sync protocol over WebSocket: a link for clients, in programs and in browsers, and a server.
//
// A client is a providers.Client, or a providers.Conn, over the link that [Dial] returns. [NewLink] makes a link of a
// connection of github.com/coder/websocket that was made elsewhere.
//
// A server is an http.Handler:
//
//	server, err := ws.NewServer(&ws.ServerOptions{
//		Authenticate: func(ctx context.Context, r *http.Request, token []byte) (ws.Principal, error) { ... },
//		Authorize:    func(ctx context.Context, p ws.Principal, document string) (ws.Access, error) { ... },
//		Store:        store, // a providers.Store
//	})
//	h := ws.HTTPServer(server)
//	h.Addr = ":8080"
//	go h.ListenAndServe()
//	...
//	server.Shutdown(ctx) // ends the connections and makes durable what was taken
//	h.Shutdown(ctx)
//
// docs/operating.md says how to run one, docs/threat-model.md what it defends against and what not. Each frame of
// docs/protocol.md is one binary message; a connection closes with status 4000 + the code of the end.
//
// # Reading the source of the server
//
//	limits.go         every bound, its default, and what happens beyond
//	server.go         options, upgrade, shutdown; server_visitors.go: who comes from where
//	server_conn.go    a connection: one reader, a worker when there is something to send
//	server_wire.go    the socket under it; server_timers.go: the deadlines of all
//	server_open.go    admission, access, and the documents of a connection
//	server_peer.go    links to other servers
//	auth.go           principals, access, origins, addresses
//	rate.go           what a connection may send in a second
//	room.go           a document; room_table.go: all of them; room_store.go and room_quota.go: their sizes
//	metrics.go, health.go
//
// The server is not built for js/wasm.
package ws
