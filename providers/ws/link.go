package ws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
)

const (
	// closeBase is added to a providers.Code to make the close code of a WebSocket.
	closeBase = 4000
	// linger bounds how long Close waits for the peer's answer.
	linger = time.Second
	// maxReason is what fits into a close frame beside the code: RFC 6455, section 5.5.
	maxReason = 123
)

// link is a providers.Link over a WebSocket: each frame is one binary message.
//
//  1. The close code is 4000 + the code of the last bye frame that was sent, else 1000.
//  2. Only a close frame of the peer ends Receive with io.EOF; a connection that breaks off does not.
type link struct {
	conn *websocket.Conn
	once sync.Once
	done chan struct{}

	mu  sync.Mutex
	bye *byeFrame // the one that was sent
}

// byeFrame is what the link needs to know of docs/protocol.md, section 1.
type byeFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    uint64
	Channel uint64
	Code    uint16
	Reason  string
}

// NewLink returns a link over a connection that stands, which it owns from here on. It sets the read limit to
// providers.MaxFrame; lower it afterwards for peers that are not known yet.
//
// Where the peer closed with a code from 4000 to 4999, the error of Receive is also an *providers.EndedError with its
// code, less 4000. Close waits for the peer's answer, for a second at most. It starts a goroutine for that time.
func NewLink(conn *websocket.Conn) providers.Link {
	conn.SetReadLimit(providers.MaxFrame)
	return &link{conn: conn, done: make(chan struct{})}
}

func (l *link) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *link) Send(ctx context.Context, frame []byte) error {
	if l.closed() {
		return providers.ErrClosed
	}
	if len(frame) > providers.MaxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", providers.ErrLimit, len(frame))
	}
	if len(frame) > 3 && frame[0] == 0x84 && frame[1] == byte(providers.FrameBye) && frame[2] == 0 {
		var bye byeFrame
		if cbor.Unmarshal(frame, &bye) == nil {
			l.mu.Lock()
			l.bye = &bye
			l.mu.Unlock()
		}
	}
	if err := l.conn.Write(ctx, websocket.MessageBinary, frame); err != nil {
		return l.reason(ctx, err)
	}
	return nil
}

// buffers are for messages that arrive: nobody holds one while there is none.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (l *link) Receive(ctx context.Context) ([]byte, error) {
	if l.closed() {
		return nil, providers.ErrClosed
	}
	kind, r, err := l.conn.Reader(ctx)
	if err != nil {
		return nil, l.reason(ctx, err)
	}
	if kind != websocket.MessageBinary {
		l.close(websocket.StatusUnsupportedData, "binary messages only")
		return nil, fmt.Errorf("ws: a message of type %v: %w", kind, providers.ErrMalformed)
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return nil, l.reason(ctx, err)
	}
	return bytes.Clone(b.Bytes()), nil
}

// reason turns an error of the connection into what the contract of a link says.
func (l *link) reason(ctx context.Context, err error) error {
	var c websocket.CloseError
	switch {
	case l.closed():
		return providers.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &c):
		return closeReason(c)
	case errors.Is(err, io.EOF):
		return errors.New("ws: the connection broke off")
	}
	return fmt.Errorf("ws: %w", err)
}

func closeReason(c websocket.CloseError) error {
	end := &providers.EndedError{Reason: c.Reason, Remote: true}
	switch {
	case c.Code >= closeBase && c.Code < closeBase+1000:
		end.Code = providers.Code(c.Code - closeBase)
	case c.Code == websocket.StatusGoingAway, c.Code == websocket.StatusServiceRestart:
		end.Code = providers.CodeGoingAway
	case c.Code == websocket.StatusMessageTooBig:
		end.Code = providers.CodeTooBig
	case c.Code == websocket.StatusTryAgainLater:
		end.Code = providers.CodeUnavailable
	case c.Code == websocket.StatusAbnormalClosure: // in browsers: no close frame came
		return errors.New("ws: the connection broke off")
	default:
		return fmt.Errorf("ws: the peer closed with status %d: %w", c.Code, io.EOF)
	}
	return fmt.Errorf("ws: the peer closed with status %d: %w: %w", c.Code, io.EOF, end)
}

func (l *link) Close() error {
	code, reason := websocket.StatusNormalClosure, ""
	l.mu.Lock()
	if l.bye != nil {
		code, reason = closeBase+websocket.StatusCode(l.bye.Code), l.bye.Reason
	}
	l.mu.Unlock()
	l.close(code, reason)
	return nil
}

func (l *link) close(code websocket.StatusCode, reason string) {
	l.once.Do(func() {
		close(l.done)
		if code > 4999 {
			code = websocket.StatusNormalClosure
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			l.conn.Close(code, cut(reason))
		}()
		t := time.NewTimer(linger)
		defer t.Stop()
		select {
		case <-over:
		case <-t.C:
			abandon(l.conn, over)
		}
	})
}

// cut returns as much of s as fits into a close frame, in whole characters.
func cut(s string) string {
	if len(s) <= maxReason {
		return s
	}
	n := maxReason
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
