package mem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/providers"
)

// queued is how many frames one direction of a pipe holds before Send blocks.
const queued = 8

// Pipe returns the two ends of a link. Frames are copied. See providers.Link for the contract.
func Pipe() (providers.Link, providers.Link) {
	a, b := make(chan []byte, queued), make(chan []byte, queued)
	x, y := &end{in: b, out: a, done: make(chan struct{})}, &end{in: a, out: b, done: make(chan struct{})}
	x.peer, y.peer = y, x
	return x, y
}

type end struct {
	in, out chan []byte
	done    chan struct{}
	once    sync.Once
	peer    *end
}

var errPeerClosed = fmt.Errorf("mem: the peer closed the link: %w", io.EOF)

// ErrTooBig marks a frame longer than providers.MaxFrame.
var ErrTooBig = errors.New("mem: frame too big")

func (e *end) Send(ctx context.Context, frame []byte) error {
	if len(frame) > providers.MaxFrame {
		return ErrTooBig
	}
	select { // first what is certain: select chooses at random
	case <-e.done:
		return providers.ErrClosed
	case <-e.peer.done:
		return errPeerClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	select {
	case e.out <- slices.Clone(frame):
		return nil
	case <-e.done:
		return providers.ErrClosed
	case <-e.peer.done:
		return errPeerClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *end) Receive(ctx context.Context) ([]byte, error) {
	select {
	case <-e.done:
		return nil, providers.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
	}
	select {
	case f := <-e.in:
		return f, nil
	default:
	}
	select {
	case f := <-e.in:
		return f, nil
	case <-e.done:
		return nil, providers.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.peer.done:
	}
	select { // what the peer sent before it closed
	case f := <-e.in:
		return f, nil
	default:
		return nil, errPeerClosed
	}
}

func (e *end) Close() error {
	e.once.Do(func() { close(e.done) })
	return nil
}
