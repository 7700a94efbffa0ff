package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// copyOf is a replica of a document, wherever it is.
type copyOf struct {
	who    string
	rt     *runtime.Runtime
	reader bool
}

// copies returns all honest replicas of a document that are alive.
func (w *world) copies(doc *document) (out []copyOf) {
	for _, s := range w.servers {
		if s.alive && s.rooms[doc.index] != nil {
			out = append(out, copyOf{s.name, s.rooms[doc.index].rt, false})
		}
	}
	for _, c := range w.clients {
		if c.alive {
			out = append(out, copyOf{c.name, c.docs[doc.index].rt, c.reader})
		}
	}
	return out
}

// check looks at what must hold at any time.
func (w *world) check() {
	w.raise()
	if w.step%16 == 0 {
		w.bounds()
	}
	if w.step%128 == 0 {
		w.equal()
	}
}

// logBound is the most that a room log keeps, bytes.
const logBound = 256 << 10

// bounds checks that nothing grows without one.
func (w *world) bounds() {
	for _, doc := range w.docs {
		for _, c := range w.copies(doc) {
			if n := c.rt.Waiting(); n > waiting {
				w.fail("%d messages wait in %s", n, c.who)
			}
		}
		for _, s := range w.servers {
			if !s.alive || s.rooms[doc.index] == nil {
				continue
			}
			log := s.rooms[doc.index].keeper.Log()
			if n := log.Bytes(); n > logBound {
				w.fail("the log of %s has %d bytes", s.name, n)
			}
			s.numbers[doc.index], _ = log.Next()
		}
	}
	for _, c := range w.conns {
		for _, e := range c.ends {
			for _, doc := range w.docs {
				if e.lost || e.mux.Session(doc.name) == nil || e.owner.about().name == hostileName {
					continue
				}
				most, mostBytes := serverQueue, serverQueueBytes
				if c, ok := e.owner.(*client); ok {
					most, mostBytes = c.queue, clientQueueBytes
				}
				if n, bytes := e.mux.Session(doc.name).Queued(); n > most || bytes > mostBytes {
					w.fail("%d updates of %d bytes wait in %s", n, bytes, e.owner.about().name)
				}
			}
		}
	}
}

// equal checks that replicas with equal clocks are equal.
func (w *world) equal() {
	for _, doc := range w.docs {
		first := make(map[string]copyOf)
		for _, c := range w.copies(doc) {
			for r := range c.rt.Clock() {
				if w.readers[r] && c.rt.Replica() != r {
					w.fail("%s has what %v wrote, who may only read", c.who, r)
				}
			}
			key := c.rt.Clock().String()
			if x, ok := first[key]; !ok {
				first[key] = c
			} else if !same(x.rt, c.rt) {
				w.fail("%s: %s and %s have the clock %s and differ", doc.name, x.who, c.who, key)
			}
		}
	}
}

// same reports whether two replicas with one clock are equal. How an object is kept that nobody here understands, which hostile
// operations bring about, depends on the way, and so does what is known of objects that it made. Then all others are compared, by
// the sizes of their states.
func same(a, b *runtime.Runtime) bool {
	if len(a.Opaque()) == 0 && len(b.Opaque()) == 0 {
		return a.Digest() == b.Digest()
	}
	return slices.Equal(understood(a), understood(b))
}

func understood(rt *runtime.Runtime) []runtime.ObjectInfo {
	return slices.DeleteFunc(rt.Objects(), func(o runtime.ObjectInfo) bool { return o.Opaque || strings.Contains(o.Path, "@") })
}

// rounds is how long, in rounds of a second, a system without faults may take to come to rest.
const rounds = 400

// settle ends all faults, and waits until all are equal. Then the servers are killed once more: what is there afterwards
// was durable.
func (w *world) settle() {
	w.heal()
	held := make(map[*replica]vclock.Clock)
	for _, c := range w.clients {
		for i, r := range c.docs {
			if !c.reader {
				held[r] = r.rt.Clock()
				w.trace("%s: %s holds %v", w.docs[i].name, c.name, held[r])
			}
		}
	}
	w.join(false)
	for round, quiet := 0, 0; quiet < 2; round++ {
		w.turn()
		if why := w.restless(); why == nil {
			quiet++
		} else if quiet = 0; round >= rounds {
			w.fail("after %d s without faults: %w", round, why)
		}
	}
	for i, doc := range w.docs {
		must := make(vclock.Clock)
		for _, c := range w.clients {
			must.Merge(held[c.docs[i]]) // none if a store that had failed before ended that life: it held what was nowhere else
		}
		w.verify(doc, must)
	}
	w.equal()
	w.kept()
	w.lastCrash()
}

// heal ends the faults.
func (w *world) heal() {
	w.calm = true
	w.trace("faults end")
	if w.hostile != nil {
		w.abandon(&w.hostile.process)
	}
	for _, c := range w.conns {
		c.latency = time.Millisecond // half-open ones stay: whoever is at their ends has to notice
	}
	for _, s := range w.servers {
		w.repair(s.disk)
		if !s.alive {
			s.boot()
		} else if s.store.failed {
			s.kill()
			s.boot()
		}
	}
	for _, c := range w.clients {
		if c.disk != nil {
			w.repair(c.disk)
		}
		if c.alive && c.failed() {
			c.kill()
		}
		if !c.alive {
			c.boot()
		}
	}
}

func (w *world) repair(d *disk) {
	d.full, d.syncFails, d.slow, d.unreadable = false, false, time.Time{}, time.Time{}
}

// turn is a second without faults.
func (w *world) turn() {
	w.step++
	w.raise()
	for range 5 {
		w.now = w.now.Add(200 * time.Millisecond)
		w.revive()
		for _, s := range w.servers {
			for i := range w.docs {
				if s.damaged[i] { // an operator removes it; clients have it still
					s.disk.wipe(w.docs[i].name)
					s.damaged[i] = false
				}
			}
		}
		for _, t := range append([]*task(nil), w.tasks...) {
			w.run(t)
		}
		for _, c := range append([]*conn(nil), w.conns...) {
			for n := 0; n < 40 && w.pump(c, 16) > 0; n++ {
			}
		}
	}
}

// restless says why the system has not come to rest, nil if it has.
func (w *world) restless() error {
	for _, c := range w.conns {
		if c.silent[0] || c.silent[1] {
			return fmt.Errorf("link %d is half-open, and nobody has noticed", c.id)
		}
	}
	for _, doc := range w.docs {
		all := w.copies(doc)
		if len(all) != len(w.clients)+len(w.servers) {
			return fmt.Errorf("%s: only %d replicas", doc.name, len(all))
		}
		want := all[0].rt.Clock()
		for _, c := range all {
			if have := c.rt.Clock(); !have.Equal(want) && !(c.reader && have.CoversClock(want)) {
				return fmt.Errorf("%s: %s lacks %v, %s lacks %v", doc.name, c.who, want.Diff(have), all[0].who, have.Diff(want))
			}
			for _, m := range c.rt.Missing() {
				if !w.readers[m.Replica] && w.lives(doc, m.Replica) {
					return fmt.Errorf("%s: %s waits for %v", doc.name, c.who, m)
				}
			}
		}
		for _, s := range w.servers {
			k := s.rooms[doc.index].keeper
			for r, end := range want {
				if k.Durable(r) != end {
					return fmt.Errorf("%s: not all is durable in %s", doc.name, s.name)
				}
			}
		}
		for _, c := range w.clients {
			if c.end == nil || c.end.mux.Session(doc.name) == nil {
				return fmt.Errorf("%s: %s is not connected", doc.name, c.name)
			}
			if u := c.end.mux.Session(doc.name).Unsaved(); len(u) > 0 && !c.reader {
				return fmt.Errorf("%s: %v is unsaved in %s", doc.name, u, c.name)
			}
		}
		if err := w.seen(doc); err != nil {
			return err
		}
	}
	return nil
}

// lives reports whether somebody writes under a replica ID still. What waits for dots of a client that was killed, or never was,
// waits for good, in a bounded room.
func (w *world) lives(doc *document, id vclock.Replica) bool {
	for _, c := range w.clients {
		if c.docs[doc.index].rt.Replica() == id {
			return true
		}
	}
	return false
}

// verify compares the replicas of a document when all is delivered.
func (w *world) verify(doc *document, must vclock.Clock) {
	all := w.copies(doc)
	digest := all[0].rt.Digest()
	w.note(-1-doc.index, digest[:])
	for _, c := range all {
		if err := c.rt.Check(); err != nil {
			w.fail("%s: %s: %w", doc.name, c.who, err)
		}
		if c.reader {
			continue // it may have what it brought to nobody; equal compares the others
		}
		if !same(all[0].rt, c.rt) {
			w.fail("%s: %s and %s have the same clock and differ", doc.name, all[0].who, c.who)
		}
		if have := c.rt.Clock(); !have.CoversClock(must) {
			w.fail("%s: %s lacks %v, which a client has made", doc.name, c.who, must.Diff(have))
		}
	}
	for _, s := range w.servers {
		s.acked[doc.index].Merge(all[0].rt.Clock()) // nothing is unsaved
	}
}

// lastCrash kills the servers and the clients with stores: all that is acknowledged must be there. boot and room look.
func (w *world) lastCrash() {
	for _, s := range w.servers {
		s.kill()
		s.boot()
		for i := range w.docs {
			r, err := s.room(i)
			if r == nil && w.report.Faults[StoreBitFlip] > 0 {
				continue // reported, as it should be
			}
			if err != nil {
				w.fail("%s: %w", s.name, err)
			}
			if err := r.rt.Check(); err != nil {
				w.fail("%s: %w", s.name, err)
			}
		}
	}
	for _, c := range w.clients {
		c.kill()
		c.boot()
	}
	w.raise()
}
