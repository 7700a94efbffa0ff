package providers

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ConnOptions configure a Conn. nil and zero fields mean the defaults.
type ConnOptions struct {
	Mux MuxOptions
	// Handle is called for every event, one at a time, in order, with no lock held. It answers with Do, now or later; while
	// it runs, the connection may stand still. Default: peers are admitted, and refused the documents they want to open.
	Handle func(c *Conn, e Event)
	// WriteAfter bounds the sending of one frame: a peer that does not read for so long is dropped; default 10 s.
	WriteAfter time.Duration
	// Now reads the clock; default time.Now.
	Now func() time.Time
}

// Conn drives a Mux over a link. It is the only place of this package, Keeper apart, that starts goroutines: Run is the
// reader; a writer lives while there is something to send; a timer rings at deadlines. An idle connection costs the
// goroutine of Run alone. All of them have ended when Run returns.
//
// Safe for concurrent use.
type Conn struct {
	opt  ConnOptions
	link Link

	// mu guards mux, and is never held while a Link or a handler of an event runs. Handlers of a runtime run under it when
	// an update arrives; they may edit documents and call Do, which does not wait.
	mu    sync.Mutex
	mux   *Mux
	timer *time.Timer
	tick  time.Time // the last Tick

	ctx    context.Context
	writer atomic.Int32 // 0: none; 1: runs; 2: runs, and must look again
	calls  struct {
		sync.Mutex
		list []func(*Mux)
	}
	news struct {
		sync.Mutex
		list  []Event
		owned bool // somebody delivers
	}
	life struct {
		sync.Mutex
		running bool
		done    bool
		wg      sync.WaitGroup
	}
}

// NewConn returns a Conn for a new link, which it owns from here on. Errors: ErrInvalidOptions.
func NewConn(link Link, o *ConnOptions) (*Conn, error) {
	c := &Conn{link: link}
	if o != nil {
		c.opt = *o
	}
	if c.opt.WriteAfter == 0 {
		c.opt.WriteAfter = 10 * time.Second
	}
	if c.opt.Now == nil {
		c.opt.Now = time.Now
	}
	if c.opt.Handle == nil {
		c.opt.Handle = func(c *Conn, e Event) {
			switch e := e.(type) {
			case Admission:
				c.Do(func(m *Mux) { m.Admit() })
			case Opening:
				c.Do(func(m *Mux) { m.Refuse(e, &RefusedError{Code: CodeNotFound}) })
			}
		}
	}
	mo := c.opt.Mux
	mo.Wake = c.kick
	var err error
	c.mux, err = NewMux(&mo)
	return c, err
}

// Do calls fn with the Mux, soon and not before Run; it does not wait. fn must not block. After Run has returned fn may
// not be called any more.
func (c *Conn) Do(fn func(*Mux)) {
	c.calls.Lock()
	c.calls.list = append(c.calls.list, fn)
	c.calls.Unlock()
	c.kick()
}

// Run runs the connection until one side ends it, the link is lost, or ctx ends, and returns why: an *EndedError, or the
// error of the link or the context. It closes the link. Call it once.
func (c *Conn) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.life.Lock()
	if c.life.running {
		c.life.Unlock()
		return ErrClosed
	}
	c.ctx, c.life.running = ctx, true
	c.life.Unlock()
	c.kick()
	var err error
	for {
		var frame []byte
		if frame, err = c.link.Receive(ctx); err != nil {
			break
		}
		if c.with(func(m *Mux) { m.Receive(frame) }) && c.writer.Load() == 0 {
			break // a writer that is at it closes the link itself, after the last frame
		}
	}
	c.with(func(m *Mux) {
		if m.ended == nil {
			m.Lost(err.Error())
		} else {
			err = m.Err()
		}
		m.bye = false
	})
	c.life.Lock()
	c.life.done = true
	c.life.Unlock()
	cancel()
	c.link.Close()
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.life.wg.Wait()
	c.deliver()
	return err
}

// with is step, and then a look for something to send.
func (c *Conn) with(fn func(*Mux)) (over bool) {
	over = c.step(fn)
	c.kick()
	return over
}

// step calls fn under the lock, after the time and the calls of Do; it delivers the events after it. It reports whether
// the connection is over.
func (c *Conn) step(fn func(*Mux)) (over bool) {
	c.mu.Lock()
	now := c.opt.Now()
	if now.Sub(c.tick) >= 100*time.Millisecond || c.tick.IsZero() || !now.Before(c.mux.Deadline()) {
		c.tick = now
		c.mux.Tick(now)
	}
	for _, f := range c.takeCalls() {
		f(c.mux)
	}
	fn(c.mux)
	c.mux.clean()
	c.news.Lock()
	for e, ok := c.mux.NextEvent(); ok; e, ok = c.mux.NextEvent() {
		c.news.list = append(c.news.list, e)
	}
	c.news.Unlock()
	over = c.mux.Over()
	c.arm(now)
	c.mu.Unlock()
	c.deliver()
	return over
}

// deliver hands events to the handler unless another goroutine is at it, which then goes on with these.
func (c *Conn) deliver() {
	for {
		c.news.Lock()
		list := c.news.list
		if c.news.owned || len(list) == 0 {
			c.news.Unlock()
			return
		}
		c.news.list, c.news.owned = nil, true
		c.news.Unlock()
		for _, e := range list {
			c.opt.Handle(c, e)
		}
		c.news.Lock()
		c.news.owned = false
		c.news.Unlock()
	}
}

func (c *Conn) takeCalls() []func(*Mux) {
	c.calls.Lock()
	defer c.calls.Unlock()
	list := c.calls.list
	c.calls.list = nil
	return list
}

// arm sets the timer to the next deadline; mu is held.
func (c *Conn) arm(now time.Time) {
	at := c.mux.Deadline()
	switch {
	case at.IsZero():
		if c.timer != nil {
			c.timer.Stop()
		}
		return
	case c.timer == nil:
		c.timer = time.AfterFunc(max(at.Sub(now), time.Millisecond), func() {
			if c.start() {
				defer c.life.wg.Done()
				c.with(func(*Mux) {})
			}
		})
		return
	}
	c.timer.Reset(max(at.Sub(now), time.Millisecond))
}

// start counts a goroutine that Run waits for; false: Run has not begun, or is about to return.
func (c *Conn) start() bool {
	c.life.Lock()
	defer c.life.Unlock()
	if c.life.done || !c.life.running {
		return false
	}
	c.life.wg.Add(1)
	return true
}

// kick makes sure that a writer looks for something to send. Any goroutine may call it, with any lock held.
func (c *Conn) kick() {
	if !c.start() {
		return
	}
	for {
		switch c.writer.Load() {
		case 0:
			if c.writer.CompareAndSwap(0, 1) {
				go func() {
					defer c.life.wg.Done()
					c.write()
				}()
				return
			}
		case 1:
			if c.writer.CompareAndSwap(1, 2) {
				c.life.wg.Done()
				return
			}
		default:
			c.life.wg.Done()
			return
		}
	}
}

// write sends until there is nothing to send.
func (c *Conn) write() {
	for {
		var frame []byte
		var ok bool
		over := c.step(func(m *Mux) { frame, ok = m.Next() })
		if ok && c.ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(c.ctx, c.opt.WriteAfter)
			err := c.link.Send(ctx, frame)
			late := errors.Is(ctx.Err(), context.DeadlineExceeded)
			cancel()
			if err != nil {
				c.step(func(m *Mux) {
					if late && m.ended == nil {
						m.End(CodeStalled, "the peer does not read")
					}
					m.Lost(err.Error())
				})
				c.link.Close()
			} else {
				continue
			}
		}
		if over {
			c.link.Close()
		}
		if c.writer.CompareAndSwap(1, 0) {
			return
		}
		c.writer.Store(1)
	}
}
