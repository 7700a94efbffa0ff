//go:build !js

package ws

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// wire is the socket under a WebSocket connection. What is written is collected, so that many frames go out in one call of
// the system; what is read is counted, and a frame has to come within a time.
//
// The buffers of an HTTP server and of its connections are 4 KiB each; an idle connection keeps readBuffer and writeBuffer.
type wire struct {
	net.Conn
	head    []byte            // read before the upgrade was through
	account func(n int) error // of what was read; may wait
	ask     func()            // tells that something was written

	frameAfter time.Duration
	began      time.Time // of the frame that is being read; zero: none is
	bounded    bool      // a read deadline stands; of the reader

	mu     sync.Mutex // a leaf
	out    []byte     // written and not sent
	corked bool       // the worker writes and will send
	shut   bool       // nothing more goes out
	linger time.Time  // reads end here at the latest
}

const (
	readBuffer  = 1 << 10
	writeBuffer = 256 // a control frame goes out in one piece
	// fullWire is how much is collected before it is sent.
	fullWire = 32 << 10
	// mostWire bounds what a peer can make this side write besides the frames that wait for it.
	mostWire = fullWire + 512<<10
)

var wireBuffers = sync.Pool{New: func() any { b := make([]byte, 0, fullWire+(4<<10)); return &b }}

var errWireFull = errors.New("ws: the peer makes this side write and does not read")

// hijacker gives websocket.Accept a wire in place of the socket.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	socket, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	head, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err == nil {
		err = socket.SetDeadline(time.Time{})
	}
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	h.wire.Conn, h.wire.head = socket, slices.Clone(head)
	return h.wire, bufio.NewReadWriter(bufio.NewReaderSize(h.wire, readBuffer), bufio.NewWriterSize(h.wire, writeBuffer)), nil
}

// Read implements net.Conn, for the reader of the connection alone.
func (w *wire) Read(p []byte) (n int, err error) {
	if len(w.head) > 0 {
		n = copy(p, w.head)
		if w.head = w.head[n:]; len(w.head) == 0 {
			w.head = nil
		}
		return n, w.account(n)
	}
	if !w.began.IsZero() && !w.bounded {
		w.bound(w.began.Add(w.frameAfter))
	}
	n, err = w.Conn.Read(p)
	if n > 0 {
		if e := w.account(n); err == nil {
			err = e
		}
	}
	return n, err
}

// bound sets the time at which reads end; zero: none.
func (w *wire) bound(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bounded = !at.IsZero()
	if !w.linger.IsZero() && (at.IsZero() || w.linger.Before(at)) {
		at = w.linger
	}
	w.Conn.SetReadDeadline(at)
}

// frame tells whether a frame is being read.
func (w *wire) frame(now time.Time) {
	w.began = now
	if now.IsZero() && w.bounded {
		w.bound(time.Time{})
	}
}

// Write implements net.Conn: it collects.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.shut {
		w.mu.Unlock()
		return len(p), nil
	}
	if len(w.out)+len(p) > mostWire {
		w.mu.Unlock()
		return 0, errWireFull
	}
	if w.out == nil {
		w.out = *wireBuffers.Get().(*[]byte)
	}
	w.out = append(w.out, p...)
	corked := w.corked
	w.mu.Unlock()
	if !corked {
		w.ask()
	}
	return len(p), nil
}

func (w *wire) cork(on bool) {
	w.mu.Lock()
	w.corked = on
	w.mu.Unlock()
}

func (w *wire) collected() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.out)
}

// take hands out what was collected; give takes the buffer back.
func (w *wire) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.out
	w.out = nil
	return b
}

func (w *wire) give(b []byte) {
	if cap(b) > 0 && cap(b) <= 4*fullWire {
		b = b[:0]
		wireBuffers.Put(&b)
	}
}

// send writes what was collected to the socket. As long as the peer takes anything within StalledAfter it goes on.
func (w *wire) send(l *Limits) (n int, err error) {
	b := w.take()
	defer w.give(b)
	moved, after := time.Now(), min(l.WriteAfter, l.StalledAfter)
	if _, ok := w.Conn.(*tls.Conn); ok {
		after = l.StalledAfter // TLS does not go on after a write that timed out
	}
	for rest := b; len(rest) > 0; {
		w.Conn.SetWriteDeadline(time.Now().Add(after))
		k, err := w.Conn.Write(rest)
		n, rest = n+k, rest[k:]
		now := time.Now()
		if k > 0 {
			moved = now
		}
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(moved) >= l.StalledAfter || w.over()) {
			return n, err
		}
	}
	return n, nil
}

func (w *wire) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut
}

// end discards what is written from now on, and lets reads go on until a time: for the peer's own goodbye.
func (w *wire) end(linger time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	if w.linger.IsZero() || linger.Before(w.linger) {
		w.linger = linger
		w.Conn.SetReadDeadline(linger)
	}
}

// Close implements net.Conn for the WebSocket library: reads end. The socket itself is closed once the goroutines of the
// connection have ended, and what was collected is sent.
func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.linger = time.Unix(1, 0)
	return w.Conn.SetReadDeadline(w.linger)
}
