//go:build !js

package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
)

// connection is one client. Idle it costs one goroutine, which reads; a worker lives while there is something to send or a
// deadline to see to. It is started by wake, at most once in Server.opt.WriteEvery, and sends all there is in few writes.
//
// Order of locks: mu, those of a document, those of rooms, then run; the locks of timers and wire are leaves.
type connection struct {
	server    *Server
	id        uint64
	ws        *websocket.Conn
	wire      wire
	address   netip.Prefix
	began     time.Time
	live      bool            // the upgrade is through; guarded by Server.mu
	ctx       context.Context // ends with the connection
	cancel    context.CancelFunc
	principal Principal // constant once admitted
	admitted  atomic.Bool
	checks    atomic.Uint32 // times that access was to be checked again

	// mu guards what follows, and is never held while the socket or the application's functions run.
	mu      sync.Mutex
	mux     *providers.Mux
	ticked  time.Time
	next    time.Time     // when to tick at the latest
	armed   time.Time     // what next was when the worker last looked: it rings then
	request *http.Request // until the peer is admitted
	members map[uint64]*member
	recheck time.Time
	broken  bool // the Mux has panicked
	goodbye bool // the close frame has been written

	pace pace // of the reader

	// run is where the worker is started and stopped.
	run struct {
		sync.Mutex
		state   runState
		again   bool
		dead    bool
		flushed time.Time // when the last worker began
		alarm   alarm
		tasks   sync.WaitGroup
	}
}

type runState uint8

const (
	runIdle    runState = iota
	runWaiting          // the alarm rings when the worker may begin
	runWorking
)

// lingerAfter bounds the wait for the peer's close frame.
const lingerAfter = time.Second

func newConnection(s *Server, r *http.Request, at netip.Prefix) (*connection, error) {
	c := &connection{server: s, id: s.ids.Add(1), address: at, began: time.Now(), pace: newPace(&s.opt.Limits)}
	l := &s.opt.Limits
	var err error
	c.mux, err = providers.NewMux(&providers.MuxOptions{
		Acceptor: true, Agent: s.opt.Agent, Documents: l.Documents, Heartbeat: l.Heartbeat, HelloAfter: l.HelloAfter, Wake: c.wake,
	})
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.request = r.WithContext(c.ctx)
	c.wire.account, c.wire.ask, c.wire.frameAfter = c.account, c.wake, l.FrameAfter
	c.run.alarm.ring = c.due
	return c, nil
}

// wake makes a worker look for something to send, soon. Any goroutine may call it, with any lock held.
func (c *connection) wake() {
	c.run.Lock()
	defer c.run.Unlock()
	switch {
	case c.run.dead:
	case c.run.state == runWorking:
		c.run.again = true
	case c.run.state == runIdle:
		c.begin(time.Now())
	}
}

// begin starts a worker, or lets one start when it may; run is locked.
func (c *connection) begin(now time.Time) {
	if at := c.run.flushed.Add(c.server.opt.WriteEvery); now.Before(at) {
		c.run.state = runWaiting
		c.server.timers.set(&c.run.alarm, at)
		return
	}
	c.run.state, c.run.flushed = runWorking, now
	c.run.tasks.Add(1)
	go c.work()
}

// arm sets the alarm for the first time.
func (c *connection) arm() {
	var at time.Time
	c.step(func() { at = c.deadline(); c.next, c.armed = at, at })
	c.server.timers.set(&c.run.alarm, at)
}

// due is called by the timers.
func (c *connection) due() {
	c.run.Lock()
	defer c.run.Unlock()
	switch {
	case c.run.dead:
	case c.run.state == runWorking:
		c.run.again = true
	default:
		c.begin(time.Now().Add(time.Millisecond)) // timers ring a little early, or late
	}
}

// task runs fn in a goroutine that the connection waits for; false: the connection is over.
func (c *connection) task(fn func()) bool {
	c.run.Lock()
	defer c.run.Unlock()
	if c.run.dead {
		return false
	}
	c.run.tasks.Add(1)
	go func() {
		defer c.run.tasks.Done()
		fn()
	}()
	return true
}

// step calls fn under the lock, after the time, and sees to the events. It reports whether the connection is over. What
// panics in it ends this connection alone.
func (c *connection) step(fn func()) (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return true
	}
	defer func() {
		if p := recover(); p != nil {
			c.broken, over = true, true
			c.server.count.panics.Add(1)
			c.server.log.Error("weft: panic in a connection", "connection", c.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if now := time.Now(); now.Sub(c.ticked) >= 100*time.Millisecond || !now.Before(c.next) {
		c.ticked, c.next = now, now.Add(time.Hour)
		c.mux.Tick(now)
		c.tick(now)
	}
	fn()
	c.events()
	return c.mux.Over()
}

// events sees to what the Mux tells, and reports whether there was anything; mu is held.
func (c *connection) events() (any bool) {
	for e, ok := c.mux.NextEvent(); ok; e, ok = c.mux.NextEvent() {
		c.event(e)
		any = true
	}
	return any
}

// do is step for other goroutines than the reader and the worker.
func (c *connection) do(fn func(m *providers.Mux)) {
	c.step(func() { fn(c.mux) })
	c.wake()
}

// end ends the connection.
func (c *connection) end(code providers.Code, reason string) {
	c.do(func(m *providers.Mux) { m.End(code, reason) })
}

// tick sees to what the server has to do at some time; mu is held.
func (c *connection) tick(now time.Time) {
	if !c.admitted.Load() {
		return
	}
	switch {
	case !c.principal.Expires.IsZero() && !now.Before(c.principal.Expires):
		c.mux.End(providers.CodeUnauthenticated, "expired")
	case !c.recheck.IsZero() && !now.Before(c.recheck):
		c.recheck = now.Add(c.server.opt.RecheckEvery)
		c.task(c.checkAgain)
	}
}

// deadline is when the worker has something to do if nothing happens before; mu is held.
func (c *connection) deadline() time.Time {
	at := c.mux.Deadline()
	if !c.admitted.Load() {
		return at
	}
	for _, t := range []time.Time{c.principal.Expires, c.recheck} {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// read is the goroutine of the connection.
func (c *connection) read() {
	defer c.finish()
	var reason error
	for ended := false; ; {
		kind, r, err := c.ws.Reader(context.Background())
		if err != nil {
			reason = err
			break
		}
		c.wire.frame(time.Now())
		if ended {
			if _, err := io.Copy(io.Discard, r); err != nil {
				break
			}
			continue
		}
		buf := frameBuffers.Get().(*[]byte)
		frame, err := c.frame(r, (*buf)[:0])
		c.wire.frame(time.Time{})
		if err == nil {
			if ended = c.receive(kind, frame); ended {
				_, err = io.Copy(io.Discard, r)
			}
		}
		*buf = frame
		frameBuffers.Put(buf)
		if err != nil {
			reason = err
			break
		}
	}
	c.step(func() { c.mux.Lost(ending(reason)) })
}

// ending is what is said of a connection that was lost.
func ending(err error) string {
	if code := websocket.CloseStatus(err); code != -1 {
		return fmt.Sprintf("the peer closed with status %d", code)
	}
	return "the connection broke off"
}

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// frame reads a message: of one that is too long, as much as shows that.
func (c *connection) frame(r io.Reader, b []byte) ([]byte, error) {
	most := providers.MaxHello
	if c.admitted.Load() {
		most = providers.MaxFrame
	}
	for {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(4*cap(b), providers.MaxFrame+1))
			copy(grown, b)
			b = grown
		}
		n, err := r.Read(b[len(b):min(cap(b), most+1)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) || len(b) > most {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// receive hands a frame to the Mux, and then waits if the peer is too fast. It reports whether the connection has ended,
// apart from the goodbyes.
func (c *connection) receive(kind websocket.MessageType, frame []byte) (ended bool) {
	s := c.server
	s.count.framesIn.Add(1)
	ended = true
	c.step(func() {
		if kind != websocket.MessageBinary {
			c.mux.End(providers.CodeMalformed, "binary messages only")
			return
		}
		c.mux.Receive(frame)
		if c.mux.Err() != nil {
			return
		}
		ended = false
		c.pace.pause = max(c.pace.pause, spend(c.pace.frames, time.Now(), 1))
	})
	wake := true
	if !ended {
		c.step(func() { wake = c.answer() })
	}
	if wake {
		c.wake()
	}
	if c.pace.pause > 0 {
		s.count.pauses.Add(1)
		pauseFor(c.ctx, c.pace.pause)
		c.pace.pause = 0
	}
	return ended
}

// answer takes the first frame that what was received has made due, and reports whether to wake the worker: most often there is
// none, and no reason to start one. mu is held.
func (c *connection) answer() (wake bool) {
	if c.wire.collected() >= fullWire {
		return true
	}
	if head, body, ok := c.mux.NextParts(); ok {
		c.server.count.framesOut.Add(1)
		c.wire.message(head, body)
		return true
	}
	news := c.events() // they may have something to say
	c.next = c.deadline()
	return news || !c.next.IsZero() && c.next.Before(c.armed)
}

// account counts what was read, and reads no more for a while if that was too much.
func (c *connection) account(n int) error {
	c.server.count.bytesIn.Add(int64(n))
	if wait := spend(c.pace.bytes, time.Now(), n); wait > 0 {
		c.server.count.pauses.Add(1)
		pauseFor(c.ctx, wait)
	}
	return nil
}

// control counts the WebSocket's own pings and pongs; false: too many.
func (c *connection) control() bool {
	if c.pace.pings.Allow() {
		return true
	}
	c.end(providers.CodeRate, "too many pings")
	return false
}

// work is the worker: one round of it.
func (c *connection) work() {
	defer c.run.tasks.Done()
	var deadline time.Time
	sent := 0
	for more := true; more; {
		deadline, more = c.collect()
		n, err := c.send()
		if sent += n; err != nil {
			break
		}
	}
	c.run.Lock()
	defer c.run.Unlock()
	c.run.state = runIdle
	if sent == 0 {
		c.run.flushed = time.Time{} // nothing went out: what comes next need not wait for company
	}
	switch {
	case c.run.dead:
	case c.run.again:
		c.run.again = false
		c.begin(time.Now())
	default:
		c.server.timers.set(&c.run.alarm, deadline)
	}
}

// collect takes frames from the Mux until a write is full or there are none; more: there may be others.
func (c *connection) collect() (deadline time.Time, more bool) {
	c.wire.cork(true)
	defer c.wire.cork(false)
	n := 0
	over := c.step(func() {
		for {
			head, body, ok := c.mux.NextParts()
			if !ok {
				deadline = c.deadline()
				c.next, c.armed = deadline, deadline
				return
			}
			n++
			if c.wire.message(head, body) >= fullWire {
				more = true
				return
			}
		}
	})
	c.server.count.framesOut.Add(int64(n))
	if over && !more {
		c.closing()
	}
	return deadline, more
}

// closing writes the close frame: code and reason of the end.
func (c *connection) closing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goodbye {
		return
	}
	c.goodbye = true
	code, reason := providers.CodeInternal, ""
	var e *providers.EndedError
	if !c.broken && errors.As(c.mux.Err(), &e) {
		code, reason = e.Code, e.Reason
	}
	c.wire.Write(closeFrame(code, reason))
}

// closeFrame is a WebSocket close frame of a server, RFC 6455 section 5.5.1. The library's Close waits for the peer, while
// here the reader goes on to do that.
func closeFrame(code providers.Code, reason string) []byte {
	status, reason := uint16(websocket.StatusNormalClosure), cut(reason)
	if code != providers.CodeNone && closeBase+int(code) < 5000 {
		status = closeBase + uint16(code)
	}
	b := []byte{0x88, byte(2 + len(reason)), byte(status >> 8), byte(status)}
	return append(b, reason...)
}

// send writes what was collected, and returns how many bytes that were.
func (c *connection) send() (n int, err error) {
	n, err = c.wire.send(&c.server.opt.Limits)
	if n > 0 {
		c.server.count.writes.Add(1)
		c.server.count.bytesOut.Add(int64(n))
	}
	c.mu.Lock()
	said := c.goodbye
	c.mu.Unlock()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !said {
		c.server.count.stalled.Add(1)
		c.step(func() { c.mux.End(providers.CodeStalled, "the peer does not read"); c.mux.Lost("") })
	}
	switch {
	case err != nil:
		c.wire.end(time.Unix(1, 0))
	case said:
		c.wire.end(time.Now().Add(lingerAfter))
	}
	return n, err
}

// finish ends the connection after its reader: it waits for what else runs, sends what is left and closes the socket.
func (c *connection) finish() {
	s := c.server
	defer s.ended(c)
	c.run.Lock()
	c.run.dead = true
	s.timers.set(&c.run.alarm, time.Time{})
	c.run.Unlock()
	c.cancel()
	c.run.tasks.Wait()
	c.step(func() { c.mux.Lost("the connection broke off") })
	c.mu.Lock()
	broken, members := c.broken, c.members
	c.members, c.request = nil, nil
	c.mu.Unlock()
	if broken { // of the sessions, as far as that works
		func() {
			defer func() { recover() }()
			c.mux.Lost("a fault")
		}()
	}
	for _, m := range members {
		m.room.leave(m)
		s.rooms.release(m.room)
	}
	c.ws.CloseNow()
	if p := c.wire.take(); p.size > 0 {
		c.wire.Conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := p.writeTo(c.wire.Conn)
		s.count.bytesOut.Add(int64(n))
		c.wire.give(p)
	}
	c.wire.Conn.Close()
}
