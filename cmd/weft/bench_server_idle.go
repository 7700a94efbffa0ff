//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idle is L1: clients that do nothing. What the server's memory grows by is told apart: connections first, then a document
// for each of some of them, then the same documents for all others.
func (l *load) idle() (err error) {
	ctx := context.Background()
	dir, remove, err := l.scratch()
	if err != nil {
		return err
	}
	defer remove()
	server, err := l.start(dir, 0)
	if err != nil {
		return err
	}
	var all []*light
	defer func() {
		each(all, 32, func(_ int, p *light) error { p.conn.CloseNow(); return nil })
		err = errors.Join(err, server.stop())
	}()
	begin := time.Now()
	connect := func(from, n int) error {
		fresh := make([]*light, n)
		err := each(fresh, 32, func(i int, _ *light) error {
			p := new(light)
			if err := dialLight(ctx, server.url, fmt.Sprint("user ", (from+i)/50), p); err != nil {
				return fmt.Errorf("connection %d: %w", from+i, err)
			}
			fresh[i] = p
			return p.wait(ctx, p.admitted)
		})
		for _, p := range fresh {
			if p != nil {
				all = append(all, p)
			}
		}
		return err
	}
	const first = 20 // what the first ones cost is not for each
	if err := connect(0, first); err != nil {
		return err
	}
	before, err := server.ask("collect")
	if err != nil {
		return err
	}
	if err := connect(first, l.clients); err != nil {
		return err
	}
	connected := time.Since(begin)
	bare, err := server.ask("collect")
	if err != nil {
		return err
	}
	idlers, documents := all[first:], min(l.documents, l.clients)
	open := func(from, to int) (f serverFigures, err error) {
		err = each(idlers[from:to], 32, func(i int, p *light) error {
			document := roomName((from + i) % documents)
			if from == 0 {
				if err := p.startNote(); err != nil {
					return err
				}
			}
			if err := p.open(1, document, true); err != nil {
				return err
			}
			if err := p.wait(ctx, p.synced); err != nil || from > 0 {
				return err
			}
			return p.writer.edit(time.Now())
		})
		if err != nil {
			return f, err
		}
		return server.ask("collect")
	}
	some, err := open(0, documents)
	if err != nil {
		return err
	}
	full, err := open(documents, len(idlers))
	if err != nil {
		return err
	}
	used := cpuTime()
	time.Sleep(l.duration)
	used = cpuTime() - used
	after, err := server.ask("figures")
	if err != nil {
		return err
	}
	end, err := server.ask("collect")
	if err != nil {
		return err
	}
	if l.memProfile != "" {
		if _, err := server.ask("heap " + l.memProfile); err != nil {
			return err
		}
	}
	n := float64(l.clients)
	l.most("RSS a connection", "bytes", float64(bare.RSS-before.RSS)/n, 20_000)
	l.most("RSS a document, one session", "bytes", float64(some.RSS-bare.RSS)/float64(documents), 40_000)
	if rest := l.clients - documents; rest > 0 {
		l.add("RSS a further session", "bytes", float64(full.RSS-some.RSS)/float64(rest))
	}
	l.add("RSS a connection, in all", "bytes", float64(full.RSS-before.RSS)/n)
	l.add("server RSS", "MB", float64(full.RSS)/1e6)
	l.add("drift", "bytes a connection", float64(end.RSS-full.RSS)/n)
	l.most("server CPU", "%", 100*(after.CPU-full.CPU).Seconds()/l.duration.Seconds(), 3)
	l.add("generator CPU", "%", 100*used.Seconds()/l.duration.Seconds())
	l.add("connections", "/s", (n+first)/connected.Seconds())
	l.none("connections lost", l.clients+first-end.Stats.Connections)
	return nil
}

// startNote gives a client a small document to write.
func (p *light) startNote() (err error) {
	p.writer, err = newWriter(func(m []byte) { p.write(m) })
	if err == nil {
		p.writer.typed, p.replica = "a small document, as most are: a title, and a line or two", p.writer.doc.Replica()
	}
	return err
}
