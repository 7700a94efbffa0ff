package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// ErrClosed is what calls after Close return.
var ErrClosed = errors.New("fs: closed")

// sink is where a writer puts updates. Its methods run in the writer's goroutine.
type sink interface {
	// append makes messages durable. errLost: what was in the log before is not there any more, a state is needed.
	append(messages [][]byte) error
	// rewrite makes a state durable that holds at least all of the clock that it returns. errBusy: not now, poke will come.
	rewrite() (vclock.Clock, error)
	// due says that the log has become long enough to be rewritten; postpone, that this went wrong and may wait.
	due() bool
	postpone()
}

var (
	errLost  = errors.New("fs: the log is gone or was changed by others")
	errBusy  = errors.New("fs: what came from elsewhere is being merged")
	errDelta = errors.New("fs: a delta does not stand alone; write a state or messages")
)

// groupBytes bounds the messages of one record; queueBytes, what is queued before a state is written in its stead.
const (
	groupBytes = 4 << 20
	queueBytes = 32 << 20
)

// writer makes what one runtime applies durable, many updates with one sync. File and Folder are its sinks.
//
//  1. A dot counts as durable only after the sink returned nil for an update that holds it.
//  2. Messages are written in the order of their commits. What comes as a state or delta, or finds the queue full, is
//     written as the messages that it stands for, or as a state of the whole document.
//  3. After the first error nothing is written any more.
type writer struct {
	rt     *runtime.Runtime
	sink   sink
	origin any // updates of this origin are in files already; nil: none are
	log    *slog.Logger
	name   string // for the log
	failed func(error)
	stop   func()
	once   sync.Once

	mu      sync.Mutex // a leaf
	queue   []runtime.Update
	bytes   int
	lacks   lack
	want    vclock.Clock // somebody waits for this; nil: nobody
	calls   []*call
	durable dots
	changed chan struct{} // closed, and replaced, when durable or err changes
	err     error
	closing bool
	hooks   map[int]func()
	hookID  int

	wake chan struct{}
	done chan struct{}
}

// lack says what the queue does not hold.
type lack uint8

const (
	lacksNothing  lack = iota
	lacksMessages      // some that history may still have
	lacksState         // only a state makes up for it
)

// call is a function to run in the writer's goroutine.
type call struct {
	fn   func() error
	err  error
	done chan struct{}
}

func (w *writer) init(rt *runtime.Runtime, s sink, name string, log *slog.Logger) {
	w.rt, w.sink, w.name, w.log = rt, s, name, log
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.durable, w.changed, w.hooks = make(dots), make(chan struct{}), make(map[int]func())
	w.wake, w.done = make(chan struct{}, 1), make(chan struct{})
}

// start begins to write what is applied from now on, and what the runtime holds that is not durable.
func (w *writer) start() {
	w.stop = w.rt.OnUpdate(w.add)
	clock := w.rt.Clock()
	w.mu.Lock()
	if !w.durable.covers(clock) {
		w.lacks = max(w.lacks, lacksMessages)
	}
	w.mu.Unlock()
	w.poke()
	go w.run()
}

func (w *writer) add(u runtime.Update) {
	if w.origin != nil && u.Origin == w.origin {
		return
	}
	w.mu.Lock()
	switch {
	case w.err != nil || w.lacks != lacksNothing: // it is among what will make up for that
	case u.Kind != runtime.MessageUpdate || w.bytes+len(u.Data) > queueBytes:
		w.lacks, w.queue, w.bytes = lacksMessages, nil, 0
	default:
		w.queue = append(w.queue, u)
		w.bytes += len(u.Data)
	}
	w.mu.Unlock()
	w.poke()
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) run() {
	defer close(w.done)
	for range w.wake {
		for w.step() {
		}
		w.mu.Lock()
		end := w.closing && len(w.calls) == 0 && (w.err != nil || len(w.queue) == 0 && w.lacks == lacksNothing)
		w.mu.Unlock()
		if end {
			return
		}
	}
}

// step does one thing; false: there is nothing to do.
func (w *writer) step() bool {
	w.mu.Lock()
	if len(w.calls) > 0 {
		c := w.calls[0]
		w.calls = w.calls[1:]
		c.err = w.err
		w.mu.Unlock()
		if c.err == nil {
			c.err = c.fn()
		}
		close(c.done)
		return true
	}
	group, n := w.group()
	failed, lacks := w.err != nil, w.lacks
	if lacks == lacksNothing && n == 0 && w.want != nil {
		if w.durable.covers(w.want) {
			w.want = nil
		} else {
			lacks = lacksMessages // its event is on its way in another goroutine
		}
	}
	w.mu.Unlock()
	switch {
	case failed:
		return false
	case lacks != lacksNothing:
		return w.check(w.makeUp(lacks))
	case n > 0:
		if len(group) > 0 {
			if err := w.sink.append(group); err != nil {
				return w.check(err)
			}
		}
		w.settle(n)
	case w.sink.due():
		err := w.rewrite()
		if mayWait(err) {
			w.log.Warn("weft: the log stays long", "path", w.name, "error", err)
			w.sink.postpone()
			err = nil
		}
		return w.check(err)
	default:
		return false
	}
	return true
}

// mayWait reports whether a state that could not be written is no reason to stop writing messages.
func mayWait(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, runtime.ErrLimit)
}

// check deals with the error of a step and reports whether to go on at once.
func (w *writer) check(err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, errBusy):
		return false
	case errors.Is(err, errLost):
		w.log.Warn("weft: a log of this process is gone or was changed; it is written anew", "path", w.name)
		w.mu.Lock()
		w.lacks, w.queue, w.bytes = lacksState, nil, 0
		w.mu.Unlock()
	default:
		w.fail(err)
	}
	return true
}

// group returns the messages that come next, those that are durable already left out, and how many of the queue that is;
// mu is held. They stay queued until they are durable.
func (w *writer) group() (messages [][]byte, n int) {
	size := 0
	for i := range w.queue {
		u := &w.queue[i]
		if w.durable.prefix(u.Sender) < u.End {
			if size += len(u.Data); size > groupBytes && len(messages) > 0 {
				break
			}
			messages = append(messages, u.Data)
		}
		n++
	}
	return messages, n
}

// settle counts the first n messages of the queue as durable.
func (w *writer) settle(n int) {
	w.mu.Lock()
	n = min(n, len(w.queue)) // it was emptied if something is lacking now
	for i := range w.queue[:n] {
		u := &w.queue[i]
		w.durable.add(u.Sender, u.Start, u.End)
		w.bytes -= len(u.Data)
	}
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	w.mu.Unlock()
	w.tell()
}

// makeUp writes everything that is not durable: the messages if history has them and they are few, else a state.
func (w *writer) makeUp(l lack) error {
	w.mu.Lock()
	w.lacks = lacksNothing // what comes from here on is queued
	have := make(vclock.Clock, len(w.durable))
	for r := range w.durable {
		have.Set(r, w.durable.prefix(r))
	}
	w.mu.Unlock()
	err := error(runtime.ErrEvicted)
	if l == lacksMessages {
		err = w.appendSince(have)
	}
	if errors.Is(err, runtime.ErrEvicted) {
		err = w.rewrite()
	}
	if err != nil {
		w.mu.Lock()
		w.lacks = max(w.lacks, l)
		w.mu.Unlock()
	}
	return err
}

// appendSince writes the messages that a clock lacks. Errors: ErrEvicted if there are none, or too many, in history.
func (w *writer) appendSince(have vclock.Clock) error {
	clock := w.rt.Clock()
	messages, err := w.rt.MessagesSince(have)
	switch {
	case err != nil:
		return err
	case len(messages) == 0 && have.CoversClock(clock):
		return nil
	case len(messages) == 0:
		return runtime.ErrEvicted
	}
	size, reach := 0, make(dots)
	for _, m := range messages {
		if size += len(m); size > groupBytes {
			return runtime.ErrEvicted
		}
		if err := reach.addUpdate(m); err != nil {
			return err
		}
	}
	if err := w.sink.append(messages); err != nil {
		return err
	}
	w.credit(reach)
	return nil
}

// rewrite has the sink write a state.
func (w *writer) rewrite() error {
	clock, err := w.sink.rewrite()
	if err != nil {
		return err
	}
	reach := make(dots)
	reach.addClock(clock)
	w.credit(reach)
	return nil
}

// addQueued adds what will be written next.
func (w *writer) addQueued(d dots) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.queue {
		d.add(w.queue[i].Sender, w.queue[i].Start, w.queue[i].End)
	}
}

// credit counts what files hold as durable.
func (w *writer) credit(d dots) {
	w.mu.Lock()
	w.durable.addAll(d)
	w.mu.Unlock()
	w.tell()
}

// tell wakes those who wait, and calls the hooks.
func (w *writer) tell() {
	w.mu.Lock()
	close(w.changed)
	w.changed = make(chan struct{})
	hooks := make([]func(), 0, len(w.hooks))
	for _, h := range w.hooks {
		hooks = append(hooks, h)
	}
	w.mu.Unlock()
	for _, h := range hooks {
		h()
	}
}

// fail ends the writing, unless err is nil or it had failed before.
func (w *writer) fail(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", providers.ErrStoreFull, err)
	}
	err = fmt.Errorf("%w: %s: %w", providers.ErrStoreFailed, w.name, err)
	w.mu.Lock()
	first := w.err == nil
	if first {
		w.err = err
		w.queue, w.bytes = nil, 0 // the document holds it
	}
	w.mu.Unlock()
	if !first {
		return
	}
	w.log.Error("weft: nothing is written any more", "path", w.name, "error", err)
	w.tell()
	if w.failed != nil {
		w.failed(err)
	}
}

// do runs fn in the writer's goroutine, or returns the error that the writing ended with.
func (w *writer) do(ctx context.Context, fn func() error) error {
	c := &call{fn: fn, done: make(chan struct{})}
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return ErrClosed
	}
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	w.poke()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) flush(ctx context.Context) error {
	clock := w.rt.Clock()
	for {
		w.mu.Lock()
		covered, err, changed := w.durable.covers(clock), w.err, w.changed
		switch {
		case covered:
			err = nil
		case err == nil && w.closing:
			err = ErrClosed
		case err == nil:
			if w.want == nil {
				w.want = make(vclock.Clock)
			}
			w.want.Merge(clock)
		}
		w.mu.Unlock()
		if covered || err != nil {
			return err
		}
		w.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// quiet takes no more updates.
func (w *writer) quiet() { w.once.Do(w.stop) }

// end writes what is left and ends the goroutine.
func (w *writer) end() {
	w.quiet()
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.poke()
	<-w.done
	w.tell()
}

func (w *writer) errOf() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *writer) durableOf(r vclock.Replica) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.durable.prefix(r)
}

func (w *writer) onDurable(fn func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.hookID
	w.hookID++
	w.hooks[id] = fn
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.hooks, id)
	}
}
