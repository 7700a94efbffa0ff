package ws

import "github.com/coder/websocket"

// abandon leaves it to the browser to give up on the peer: it has no other way to end a connection.
func abandon(*websocket.Conn, <-chan struct{}) {}
