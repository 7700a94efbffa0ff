//go:build !js

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Sizes of L7: what a writer types at a time, so that a client that does not read is felt, and how much such a client's system
// takes for it.
const (
	slowText   = 1000
	slowBuffer = 4 << 10
)

// slow is L7: the load of L2 with larger updates, first with everybody there, then one tenth stands still, as programs do that a
// system has suspended: it neither reads nor writes, and catches up in the end.
func (l *load) slow() (err error) {
	ctx := context.Background()
	c, err := l.enter(ctx, func(i int) bool { return i/l.documents%10 == min(9, (l.clients-1)/l.documents) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave()) }()
	for _, v := range c.all {
		v.typed = letters(fixedRand(), slowText)
	}
	all, err := c.drive(l.rate, editNote)
	if err != nil {
		return err
	}
	if _, err := c.settle(); err != nil {
		return err
	}
	c.delays.mu.Lock()
	before := c.delays.deliveries
	c.delays.deliveries = newHistogram()
	c.delays.mu.Unlock()
	if _, err := c.server.ask("collect"); err != nil {
		return err
	}
	slow := 0
	var open []func()
	for _, v := range c.all {
		if v.gate != nil {
			slow++
			open = append(open, v.gate.shut())
		}
	}
	without, err := c.drive(l.rate, func(v *visitor, due time.Time) error {
		if v.gate != nil {
			return nil
		}
		return v.edit(due)
	})
	held, askErr := c.server.ask("collect")
	err = errors.Join(err, askErr)
	for _, fn := range open {
		fn()
	}
	if err != nil {
		return err
	}
	begin := time.Now()
	lost, err := c.settle()
	if err != nil {
		return err
	}
	differing, compared, err := c.differing(ctx)
	if err != nil {
		return err
	}
	caught := time.Since(begin)
	after, err := c.server.ask("collect")
	if err != nil {
		return err
	}
	d := c.delays
	d.mu.Lock()
	defer d.mu.Unlock()
	l.add("delivery p99, all read", "ms", percentile(before, 99))
	l.add("delivery p99, to the others", "ms", percentile(d.deliveries, 99))
	l.most("p99, of that when all read", "%", 100*percentile(d.deliveries, 99)/percentile(before, 99), 120)
	l.add("clients that stand still", "", float64(slow))
	l.most("RSS for each of these", "bytes", float64(held.RSS-after.RSS)/float64(slow), 256<<10)
	l.add("server RSS, all read", "MB", float64(all.after.Peak)/1e6)
	l.add("server RSS, most", "MB", float64(without.after.Peak)/1e6)
	l.add("connections dropped by the server", "", float64(without.after.Stats.Stalled-all.after.Stats.Stalled))
	l.add("all have caught up after", "s", caught.Seconds())
	l.none("deliveries lost", lost)
	l.none("replicas that differ", differing)
	l.add("replicas compared", "", float64(compared))
	l.add("server CPU, all read", "%", 100*all.server.Seconds()/all.took.Seconds())
	l.add("server CPU", "%", 100*without.server.Seconds()/without.took.Seconds())
	return nil
}

// smallBuffers makes connections for which this system holds little that was not read.
var smallBuffers = &http.Client{Transport: &http.Transport{
	DialContext: (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setReadBuffer(c, slowBuffer) }}).DialContext,
}}
