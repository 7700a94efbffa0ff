//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// presence is L6: the same clients in one document first write, as in L3, then move cursors.
func (l *load) presence() (err error) {
	ctx := context.Background()
	c, err := l.enter(ctx, func(int) bool { return false })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave()) }()
	updates, err := c.drive(1, editNote)
	if err != nil {
		return err
	}
	if _, err := c.settle(); err != nil {
		return err
	}
	shown, presences := c.presences()
	moves, begin := 0, time.Now()
	cursors, err := c.drive(l.rate, func(v *visitor, due time.Time) error {
		moves++
		cursor := fmt.Appendf(nil, `{"cursor":%d,"name":"somebody"}`, moves)
		if v.light == nil {
			return v.document.Ephemeral().Set(cursor)
		}
		return v.light.show(moves, cursor)
	})
	if err != nil {
		return err
	}
	shownAfter, presencesAfter := c.presences()
	whole := time.Since(begin).Seconds()
	lights := float64(c.lights())
	perFrame := func(p *phase) float64 {
		return float64(p.server.Microseconds()) / float64(p.after.Stats.FramesOut-p.before.Stats.FramesOut)
	}
	l.most("frames with presence a receiver", "/s", float64(presencesAfter-presences)/whole/lights, 20)
	l.add("values a receiver", "/s", float64(shownAfter-shown)/whole/lights)
	l.add("values shown", "/s", float64(moves)/whole)
	l.add("server CPU, presence", "%", 100*cursors.server.Seconds()/cursors.took.Seconds())
	l.add("server CPU, updates", "%", 100*updates.server.Seconds()/updates.took.Seconds())
	l.most("server CPU, presence of updates", "%", 100*cursors.server.Seconds()/updates.server.Seconds()*updates.took.Seconds()/cursors.took.Seconds(), 115)
	l.add("server CPU a frame, presence", "us", perFrame(&cursors))
	l.add("server CPU a frame, updates", "us", perFrame(&updates))
	l.add("generator CPU, presence", "%", 100*cursors.generator.Seconds()/cursors.took.Seconds())
	l.add("presence dropped", "", float64(cursors.after.Stats.PresenceDropped))
	l.add("server RSS, most", "MB", float64(cursors.after.Peak)/1e6)
	return nil
}

// show sends a value of the client's own presence.
func (p *light) show(counter int, value []byte) error {
	return p.send([]any{providers.FramePresence, 1, []any{[]any{p.replica[:], counter, 30_000, value, nil}}})
}

func (c *crowd) presences() (values, frames int64) {
	for _, v := range c.all {
		if v.light != nil {
			values += v.light.shown.Load()
			frames += v.light.presences.Load()
		}
	}
	return values, frames
}

func (c *crowd) lights() (n int) {
	for _, v := range c.all {
		if v.light != nil {
			n++
		}
	}
	return n
}
