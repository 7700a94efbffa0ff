//go:build !js

package ws

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
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
	until      time.Time // the write deadline; of the worker

	mu     sync.Mutex // a leaf
	out    pieces     // written and not sent
	corked bool       // the worker writes and will send
	closed bool       // a close frame was written: no frame may follow
	shut   bool       // nothing more goes out
	linger time.Time  // reads end here at the latest
}

// pieces are bytes that go out together: own ones, and between them such as belong to many connections.
type pieces struct {
	own    []byte
	buffer *[]byte // from a pool: empty, with what own was made of
	shared []sharedPiece
	size   int // bytes of both
	sent   int
	rest   net.Buffers // what is left, once writing has begun and something is shared
}

type sharedPiece struct {
	at   int // where in own it comes
	body []byte
}

const (
	readBuffer  = 1 << 10
	writeBuffer = 136 // a control frame goes out in one piece
	// sharedFrom is from what length on the body of a frame is not copied.
	sharedFrom = 4 << 10
	// fullWire is how much is collected before it is sent.
	fullWire = 32 << 10
	// mostWire bounds what a peer can make this side write besides the frames that wait for it.
	mostWire = fullWire + 512<<10
)

// The buffers of what is collected: most connections write little at a time, and one whose peer does not read holds its buffer.
var (
	smallBuffers = bufferPool(1 << 10)
	largeBuffers = bufferPool(fullWire + 4<<10)
)

func bufferPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, size); return &b }}
}

var errWireFull = errors.New("ws: the peer makes this side write and does not read")

// hijacker gives websocket.Accept a wire in place of the socket.
type hijacker struct {
	http.ResponseWriter
	wire        *wire
	socketBytes int
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
	if err == nil {
		err = h.bound(socket)
	}
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	h.wire.Conn, h.wire.head = socket, slices.Clone(head)
	return h.wire, bufio.NewReadWriter(bufio.NewReaderSize(h.wire, readBuffer), bufio.NewWriterSize(h.wire, writeBuffer)), nil
}

// bound keeps the system from growing the socket's write buffer, as it does for a peer that takes much.
func (h *hijacker) bound(socket net.Conn) error {
	if s, ok := socket.(interface{ NetConn() net.Conn }); ok { // TLS
		socket = s.NetConn()
	}
	if s, ok := socket.(interface{ SetWriteBuffer(n int) error }); ok {
		return s.SetWriteBuffer(h.socketBytes)
	}
	return nil
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
	if w.out.size+len(p) > mostWire {
		w.mu.Unlock()
		return 0, errWireFull
	}
	w.append(p)
	w.closed = w.closed || p[0] == closeOpcode // the library writes control frames alone, each whole
	corked := w.corked
	w.mu.Unlock()
	if !corked {
		w.ask()
	}
	return len(p), nil
}

func (w *wire) append(p []byte) {
	o := &w.out
	if o.own == nil {
		o.buffer = smallBuffers.Get().(*[]byte)
		o.own = *o.buffer
	}
	if small := cap(*o.buffer) < fullWire; small && len(o.own)+len(p) > cap(o.own) {
		large := largeBuffers.Get().(*[]byte)
		o.own = append(*large, o.own...)
		smallBuffers.Put(o.buffer)
		o.buffer = large
	}
	o.own = append(o.own, p...)
	o.size += len(p)
}

// First bytes of WebSocket frames that are whole messages, RFC 6455 section 5.2.
const (
	binaryOpcode = 0x82
	closeOpcode  = 0x88
)

// message collects a binary message of two parts, the second of which does not change any more, and returns how much is collected.
// The library's own Write would copy it, and lock and unlock five times.
func (w *wire) message(head, body []byte) (collected int) {
	var buf [10]byte
	h := append(buf[:0], binaryOpcode)
	switch n := len(head) + len(body); {
	case n < 126:
		h = append(h, byte(n))
	case n < 1<<16:
		h = append(h, 126, byte(n>>8), byte(n))
	default:
		h = binary.BigEndian.AppendUint64(append(h, 127), uint64(n))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut || w.closed {
		return w.out.size
	}
	w.append(h)
	w.append(head)
	if len(body) < sharedFrom {
		w.append(body)
	} else {
		w.out.shared = append(w.out.shared, sharedPiece{len(w.out.own), body})
		w.out.size += len(body)
	}
	return w.out.size
}

func (w *wire) cork(on bool) {
	w.mu.Lock()
	w.corked = on
	w.mu.Unlock()
}

func (w *wire) collected() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.size
}

// take hands out what was collected; give takes the buffer back.
func (w *wire) take() pieces {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.out
	w.out = pieces{}
	return p
}

func (w *wire) give(p pieces) {
	switch {
	case p.buffer == nil:
	case cap(*p.buffer) < fullWire:
		smallBuffers.Put(p.buffer)
	default:
		largeBuffers.Put(p.buffer)
	}
}

// writeTo writes what is left.
func (p *pieces) writeTo(c net.Conn) (n int, err error) {
	if p.shared == nil {
		n, err = c.Write(p.own[p.sent:])
	} else {
		if p.rest == nil {
			p.rest = p.buffers()
		}
		rest := p.rest
		var wrote int64
		wrote, err = rest.WriteTo(c)
		n, p.rest = int(wrote), rest
	}
	p.sent += n
	return n, err
}

func (p *pieces) buffers() net.Buffers {
	list := make(net.Buffers, 0, 2*len(p.shared)+1)
	from := 0
	for _, s := range p.shared {
		list = append(list, p.own[from:s.at], s.body)
		from = s.at
	}
	if from < len(p.own) {
		list = append(list, p.own[from:])
	}
	return list
}

// send writes what was collected to the socket. As long as the peer takes anything within StalledAfter it goes on.
func (w *wire) send(l *Limits) (n int, err error) {
	p := w.take()
	if p.size == 0 {
		return 0, nil
	}
	defer w.give(p)
	now := time.Now()
	moved, after := now, min(l.WriteAfter, l.StalledAfter)
	_, secure := w.Conn.(*tls.Conn)
	if secure {
		after = l.StalledAfter // TLS does not go on after a write that timed out
	}
	for p.sent < p.size {
		if secure || w.until.Sub(now) < after/2 { // most writes do not wait, and find a deadline that is good enough
			w.until = now.Add(after)
			if stalled := moved.Add(l.StalledAfter); stalled.Before(w.until) {
				w.until = stalled
			}
			w.Conn.SetWriteDeadline(w.until)
		}
		k, err := p.writeTo(w.Conn)
		if now = time.Now(); k > 0 {
			moved = now
		}
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(moved) >= l.StalledAfter || w.over()) {
			return p.sent, err
		}
	}
	return p.sent, nil
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
