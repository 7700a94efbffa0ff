//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
)

// settleFor bounds the wait for what is still on its way after a load.
const settleFor = 30 * time.Second

// crowd is everybody who is connected, in rooms.
type crowd struct {
	l      *load
	server *child
	remove func()
	tapes  []*tape
	all    []*visitor
	delays *delays

	mu     sync.Mutex
	failed error
}

// visitor is a connection that has one document open: a light client, or a whole one.
type visitor struct {
	*writer
	room     int
	light    *light
	client   *ws.Client // a whole one
	document *providers.Document
	gate     *gate // of a whole one
}

// whole is one visitor in how many that keeps a whole replica, as an application does.
const whole = 25

// enter starts a server and connects everybody. slow says who is to be a whole client that can stop reading.
func (l *load) enter(ctx context.Context, slow func(i int) bool) (c *crowd, err error) {
	c = &crowd{l: l, delays: newDelays()}
	dir, remove, err := l.scratch()
	if err != nil {
		return nil, err
	}
	c.remove = remove
	defer func() {
		if err != nil {
			err = errors.Join(err, c.leave())
		}
	}()
	if c.server, err = l.start(dir, 0); err != nil {
		return c, err
	}
	for range l.documents {
		c.tapes = append(c.tapes, newTape(c.delays))
	}
	for i := range l.clients {
		c.all = append(c.all, &visitor{room: i % l.documents})
		if slow(i) {
			c.all[i].gate = newGate()
		}
	}
	return c, each(c.all, 32, func(i int, v *visitor) error { return c.connect(ctx, i, v) })
}

// each calls fn for all of a list, some at a time, and returns the first error.
func each[T any](list []T, atOnce int, fn func(i int, v T) error) (first error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, atOnce)
	for i, v := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := fn(i, v); err != nil {
				mu.Lock()
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first
}

func roomName(room int) string { return fmt.Sprintf("room %d", room) }

func (c *crowd) connect(ctx context.Context, i int, v *visitor) (err error) {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	t := c.tapes[v.room]
	seats := (len(c.all) + len(c.tapes) - 1) / len(c.tapes)
	if v.gate != nil || (v.room*seats+i/len(c.tapes))%whole == 0 {
		if v.writer, err = newWriter(nil); err != nil {
			return err
		}
		t.join(v.writer)
		v.client, v.document, err = wholeClient(c.server.url, roomName(v.room), v.doc, v.gate)
		if err != nil {
			return err
		}
		return v.document.Synced(ctx)
	}
	p := &light{room: t}
	v.light = p
	if v.writer, err = newWriter(func(m []byte) {
		if err := p.write(m); err != nil {
			c.fail(err)
		}
	}); err != nil {
		return err
	}
	t.join(v.writer)
	p.writer, p.replica = v.writer, v.doc.Replica()
	if err := dialLight(ctx, c.server.url, fmt.Sprint("user ", i), p); err != nil {
		return err
	}
	if err := p.wait(ctx, p.admitted); err != nil {
		return err
	}
	if err := p.open(1, roomName(v.room), true); err != nil {
		return err
	}
	return p.wait(ctx, p.synced)
}

// wholeClient opens a document as applications do.
func wholeClient(url, document string, doc *weft.Document[note], g *gate) (*ws.Client, *providers.Document, error) {
	dial := func(ctx context.Context) (providers.Link, error) {
		if g == nil {
			return ws.Dial(ctx, url, nil)
		}
		link, err := ws.Dial(ctx, url, &ws.DialOptions{HTTPClient: smallBuffers})
		if err != nil {
			return nil, err
		}
		return &gatedLink{link, g}, nil
	}
	client, err := providers.NewClient(dial, &providers.ClientOptions{
		Token: func(context.Context) ([]byte, error) { return []byte("a whole client"), nil }, Agent: "weft bench-server", Pause: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, nil, err
	}
	d, err := client.Open(doc.Runtime, document, &providers.DocumentOptions{Session: providers.Options{Follow: &providers.Follower{}}})
	return client, d, err
}

// gate lets links read, or not.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() (open func()) {
	c := make(chan struct{})
	g.mu.Lock()
	g.open = c
	g.mu.Unlock()
	return func() { close(c) }
}

type gatedLink struct {
	providers.Link
	gate *gate
}

// Receive implements providers.Link.
func (l *gatedLink) Receive(ctx context.Context) ([]byte, error) {
	l.gate.mu.Lock()
	open := l.gate.open
	l.gate.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l.Link.Receive(ctx)
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
	}
}

func (c *crowd) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// leave ends everything.
func (c *crowd) leave() error {
	each(c.all, 32, func(_ int, v *visitor) error {
		if v.client != nil {
			v.client.Close()
		}
		if v.light != nil && v.light.conn != nil {
			v.light.close()
		}
		return nil
	})
	var err error
	if c.server != nil {
		err = c.server.stop()
	}
	c.remove()
	return err
}

// phase is what was seen in the time that counts.
type phase struct {
	took              time.Duration
	server, generator time.Duration // processor time
	waited            time.Duration // of the server, for its core
	late              float64       // 99th percentile of how late the generator was, ms
	before, after     serverFigures
	received          int64 // by light clients, bytes
	frames            int64
}

// drive has everybody do something at random times of their own in each period, whatever comes back, and watches the time
// from warmup to its end.
func (c *crowd) drive(rate float64, do func(v *visitor, due time.Time) error) (p phase, err error) {
	order := slices.Clone(c.all)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	period := time.Duration(float64(time.Second) / rate)
	offset := make([]time.Duration, len(order))
	for i := range offset {
		offset[i] = time.Duration(rand.Int64N(int64(period)))
	}
	slices.Sort(offset)
	start := time.Now()
	c.delays.mu.Lock()
	c.delays.from, c.delays.to = start.Add(c.l.warmup), start.Add(c.l.warmup+c.l.duration)
	c.delays.mu.Unlock()
	late := newHistogram()
	watched := make(chan error, 1)
	go func() { watched <- c.watch(&p) }()
	for due := start; ; {
		for i, v := range order {
			if due = start.Add(offset[i]); !due.Before(c.delays.to) {
				err = errors.Join(<-watched, c.failure())
				p.late = percentile(late, 99)
				return p, err
			}
			time.Sleep(time.Until(due))
			record(late, time.Since(due))
			if err := do(v, due); err != nil {
				c.fail(err)
			}
		}
		start = start.Add(period)
	}
}

func editNote(v *visitor, due time.Time) error { return v.edit(due) }

// watch reads the meters when the time begins that counts, and at its end.
func (c *crowd) watch(p *phase) (err error) {
	time.Sleep(time.Until(c.delays.from))
	question := "figures"
	if c.l.cpuProfile != "" {
		question = "profile " + c.l.cpuProfile
	}
	if p.before, err = c.server.ask(question); err != nil {
		return err
	}
	begin, used := time.Now(), cpuTime()
	received, frames := c.traffic()
	time.Sleep(time.Until(c.delays.to))
	p.received, p.frames = c.traffic()
	p.received, p.frames = p.received-received, p.frames-frames
	p.generator, p.took = cpuTime()-used, time.Since(begin)
	if c.l.cpuProfile != "" {
		question = "profiled"
	}
	if p.after, err = c.server.ask(question); err != nil {
		return err
	}
	p.server, p.waited = p.after.CPU-p.before.CPU, p.after.Waited-p.before.Waited
	if c.l.memProfile != "" {
		_, err = c.server.ask("heap " + c.l.memProfile)
	}
	return err
}

func (c *crowd) traffic() (received, frames int64) {
	for _, v := range c.all {
		if v.light != nil {
			received += v.light.received.Load()
			frames += v.light.frames.Load()
		}
	}
	return received, frames
}

// settle waits until everybody has got everything, and returns what was lost: deliveries that did not come.
func (c *crowd) settle() (lost int, err error) {
	sent := make([]int, len(c.tapes))
	for _, v := range c.all {
		sent[v.room] += v.count()
	}
	for deadline := time.Now().Add(settleFor); ; time.Sleep(50 * time.Millisecond) {
		lost = 0
		for _, v := range c.all {
			if v.light != nil {
				lost += sent[v.room] - int(max(v.light.reached.Load(), 1)-1)
				if v.light.err != nil { // it is over
					c.fail(v.light.err)
				}
			}
		}
		if lost == 0 || time.Now().After(deadline) || c.failure() != nil {
			return lost, c.failure()
		}
	}
}

// differing compares the whole replicas of each room with each other and with that of somebody who comes now, and returns how many are
// not equal to the first of their room.
func (c *crowd) differing(ctx context.Context) (differing, compared int, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	rooms := make(map[int][]*visitor)
	for _, v := range c.all {
		if v.document != nil {
			rooms[v.room] = append(rooms[v.room], v)
		}
	}
	for room, list := range rooms {
		last, err := newWriter(nil)
		if err != nil {
			return 0, 0, err
		}
		client, d, err := wholeClient(c.server.url, roomName(room), last.doc, nil)
		if err != nil {
			return 0, 0, err
		}
		err = d.Synced(ctx)
		client.Close()
		if err != nil {
			return 0, 0, err
		}
		want := last.doc.Digest()
		for _, v := range list {
			for v.doc.Digest() != want && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			compared++
			if v.doc.Digest() != want {
				differing++
			}
		}
	}
	return differing, compared, nil
}

// join makes a writer known, whose messages will come.
func (t *tape) join(w *writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writers[w.doc.Replica()] = w
}

// rooms is L2 and L3.
func (l *load) rooms() (err error) {
	ctx := context.Background()
	c, err := l.enter(ctx, func(int) bool { return false })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave()) }()
	p, err := c.drive(l.rate, editNote)
	if err != nil {
		return err
	}
	return c.finish(ctx, &p)
}

// finish adds the figures of a load that has ended.
func (c *crowd) finish(ctx context.Context, p *phase) error {
	lost, err := c.settle()
	if err != nil {
		return err
	}
	differing, compared, err := c.differing(ctx)
	if err != nil {
		return err
	}
	l, d := c.l, c.delays
	p50, p99, ack := 10.0, 30.0, 40.0
	if l.documents == 1 {
		p50, p99, ack = 0, 50, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.deliveries.TotalCount()
	l.add("deliveries", "/s", float64(n)/p.took.Seconds())
	l.most("delivery p50", "ms", percentile(d.deliveries, 50), p50)
	l.most("delivery p99", "ms", percentile(d.deliveries, 99), p99)
	l.add("delivery max", "ms", float64(d.deliveries.Max())/1000)
	l.add("acknowledgement p50", "ms", percentile(d.acks, 50))
	l.most("acknowledgement p99", "ms", percentile(d.acks, 99), ack)
	l.none("deliveries lost", lost)
	l.none("replicas that differ", differing)
	l.add("replicas compared", "", float64(compared))
	l.add("server CPU", "%", 100*p.server.Seconds()/p.took.Seconds())
	l.add("server CPU a delivery", "us", float64(p.server.Microseconds())/float64(n))
	l.add("server kept waiting by others", "%", 100*p.waited.Seconds()/p.took.Seconds())
	l.add("generator CPU", "%", 100*p.generator.Seconds()/p.took.Seconds())
	l.add("generator late, p99", "ms", p.late)
	l.add("wire a delivery", "bytes", float64(p.received)/float64(n))
	l.add("frames out", "/s", float64(p.after.Stats.FramesOut-p.before.Stats.FramesOut)/p.took.Seconds())
	l.add("writes to sockets", "/s", float64(p.after.Stats.Writes-p.before.Stats.Writes)/p.took.Seconds())
	l.add("server RSS", "MB", float64(p.after.RSS)/1e6)
	l.add("server RSS, most", "MB", float64(p.after.Peak)/1e6)
	return nil
}
