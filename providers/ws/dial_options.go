//go:build !js

package ws

import "github.com/coder/websocket"

func (o *DialOptions) options() (*websocket.DialOptions, error) {
	return &websocket.DialOptions{HTTPClient: o.HTTPClient, HTTPHeader: o.Header}, nil
}
