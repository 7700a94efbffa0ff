package ws

import (
	"context"

	"github.com/seed1312cc15/weft/providers"
)

// Client is a providers.Client over WebSocket.
type Client = providers.Client

// ClientOptions configure a Client. nil and zero fields mean the defaults.
type ClientOptions struct {
	providers.ClientOptions
	// Dial is for the WebSocket handshake.
	Dial DialOptions
}

// NewClient returns a client of the server at a URL, see Dial, and begins to dial at once. Errors:
// providers.ErrInvalidOptions.
func NewClient(url string, o *ClientOptions) (*Client, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	var opt ClientOptions
	if o != nil {
		opt = *o
	}
	if _, err := opt.Dial.options(); err != nil {
		return nil, err
	}
	return providers.NewClient(func(ctx context.Context) (providers.Link, error) {
		return Dial(ctx, url, &opt.Dial)
	}, &opt.ClientOptions)
}
