// Package plugin is a provider of about a page: a link over any stream, such as a TCP connection or a pipe between
// processes. docs/providers.md explains it.
package plugin

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// NewLink returns a link over a stream: before each frame stands its length, four bytes.
func NewLink(conn net.Conn) providers.Link {
	return &link{conn: conn, in: bufio.NewReader(conn)}
}

type link struct {
	conn net.Conn
	in   *bufio.Reader
	once sync.Once
	err  error
}

func (l *link) Send(ctx context.Context, frame []byte) error {
	if len(frame) > providers.MaxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", providers.ErrLimit, len(frame))
	}
	defer l.until(ctx, l.conn.SetWriteDeadline)()
	head := binary.BigEndian.AppendUint32(nil, uint32(len(frame)))
	_, err := (&net.Buffers{head, frame}).WriteTo(l.conn)
	return reason(ctx, err)
}

func (l *link) Receive(ctx context.Context) ([]byte, error) {
	defer l.until(ctx, l.conn.SetReadDeadline)()
	var head [4]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return nil, reason(ctx, err) // io.EOF between two frames: the peer closed in good order
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > providers.MaxFrame { // before anything is allocated for it
		return nil, fmt.Errorf("%w: a frame of %d bytes", providers.ErrMalformed, n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(l.in, frame); err != nil {
		return nil, reason(ctx, err)
	}
	return frame, nil
}

func (l *link) Close() error {
	l.once.Do(func() { l.err = l.conn.Close() })
	return l.err
}

// until ends what goes on when ctx ends; the link is of no use after that.
func (l *link) until(ctx context.Context, deadline func(time.Time) error) (stop func() bool) {
	return context.AfterFunc(ctx, func() { deadline(time.Unix(1, 0)) })
}

func reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
