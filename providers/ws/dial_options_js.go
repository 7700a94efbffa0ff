package ws

import (
	"fmt"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
)

func (o *DialOptions) options() (*websocket.DialOptions, error) {
	if o.HTTPClient != nil || o.Header != nil {
		return nil, fmt.Errorf("%w: DialOptions mean nothing in a browser", providers.ErrInvalidOptions)
	}
	return nil, nil
}
