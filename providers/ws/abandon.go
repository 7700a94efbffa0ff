//go:build !js

package ws

import (
	"context"

	"github.com/coder/websocket"
)

// abandon ends a connection whose peer does not answer, also while Close waits for it: a read whose context has ended
// closes the connection.
func abandon(conn *websocket.Conn, over <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	conn.CloseRead(ctx)
	<-over
}
