package ws

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
)

// DialOptions configure Dial. nil and zero fields mean the defaults. In browsers all fields must be zero: the browser
// makes the connection, with the page's cookies and origin.
type DialOptions struct {
	// HTTPClient makes the handshake; default http.DefaultClient. For proxies, certificates and cookies.
	HTTPClient *http.Client
	// Header is sent with the handshake.
	Header http.Header
}

// Dial connects to a server, ws://host/path or wss://host/path, and returns the link. What says who this is belongs into
// providers.ClientOptions.Token, or into a header, and not into the URL, which ends up in logs.
//
// Errors: ErrInvalidOptions for the URL; an *EndedError with UNAUTHENTICATED or FORBIDDEN where the server answered 401 or
// 403; else those of the network.
func Dial(ctx context.Context, url string, o *DialOptions) (providers.Link, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	if o == nil {
		o = &DialOptions{}
	}
	opts, err := o.options()
	if err != nil {
		return nil, err
	}
	conn, response, err := websocket.Dial(ctx, url, opts)
	if err != nil {
		if code := statusCode(response); code != providers.CodeNone {
			return nil, fmt.Errorf("ws: %w", &providers.EndedError{Code: code, Reason: response.Status, Remote: true})
		}
		return nil, fmt.Errorf("ws: %w", err)
	}
	return NewLink(conn), nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%w: the URL does not parse", providers.ErrInvalidOptions)
	case u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "":
		return fmt.Errorf("%w: the URL begins with ws://host or wss://host", providers.ErrInvalidOptions)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("%w: the URL has no user, password or fragment; use the token", providers.ErrInvalidOptions)
	}
	return nil
}

// statusCode translates what a server may answer instead of a WebSocket; CodeNone: come again.
func statusCode(r *http.Response) providers.Code {
	if r == nil {
		return providers.CodeNone
	}
	switch r.StatusCode {
	case http.StatusUnauthorized:
		return providers.CodeUnauthenticated
	case http.StatusForbidden:
		return providers.CodeForbidden
	}
	return providers.CodeNone
}
