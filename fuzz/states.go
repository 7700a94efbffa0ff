package fuzz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

var (
	forms       = []string{"plain", "compressed", "canonical"}
	formOptions = [][]runtime.SaveOption{nil, {runtime.Compressed(1)}, {runtime.CanonicalOnly()}}
)

func (w *world) form(d *Draw) []runtime.SaveOption {
	return formOptions[slices.Index(forms, Pick(d, "form", forms))]
}

// state loads one replica's state into another, and may keep it for later.
func (w *world) state(d *Draw) {
	from, to := w.draw(d, "from", online), w.draw(d, "to", online)
	s := &saved{of: from.name, data: w.save(from, w.form(d)...), clock: from.rt.Clock()}
	if d.Bool("keep") {
		s.name = w.fresh(d, "as", "s", &w.named, func(n string) bool { return w.savedAs(n) != nil })
		w.saves = append(w.saves, s)
	}
	w.load(to, s)
}

func (w *world) savedAs(name string) *saved {
	for _, s := range w.saves {
		if s.name == name {
			return s
		}
	}
	return nil
}

// drawSaved draws one of the states that were kept.
func (w *world) drawSaved(d *Draw) *saved {
	if d.replay() {
		name, _ := d.token("state")
		if s := w.savedAs(name); s != nil {
			return s
		}
		skip()
	}
	if len(w.saves) == 0 {
		skip()
	}
	s := w.saves[d.index("state", len(w.saves))]
	d.note("state", s.name)
	return s
}

func (w *world) staleState(d *Draw) {
	to := w.draw(d, "to", online)
	w.load(to, w.drawSaved(d))
}

func (w *world) load(to *replica, s *saved) {
	was := to.rt.Clock()
	res := w.receive(to, s.data, s.of+"'s state")
	w.tracef("%s loads %s's state: %s", to.name, s.of, show(res))
	if was.CoversClock(s.clock) && res.Redundant == 0 || !to.rt.Clock().CoversClock(s.clock) {
		w.failf("%s: result %+v of a state at %v, the clock before was %v", to.name, res, s.clock, was)
	}
	to.forget()
}

// delta sends what a replica lacks.
func (w *world) delta(d *Draw) {
	from, to := w.draw(d, "from", online), w.draw(d, "to", online)
	w.sendDelta(d, from, to, to.rt.Clock())
	to.forget()
}

// deltaSince sends a delta against a clock that may have nothing to do with the receiver: that of the writers of some
// messages, joined.
func (w *world) deltaSince(d *Draw) {
	from, to := w.draw(d, "from", online), w.draw(d, "to", online)
	asked := vclock.Clock{}
	for _, m := range w.messages(d, w.log, 0, 3) {
		asked.Merge(m.Before)
		asked.Set(m.Dot.Replica, max(asked.Get(m.Dot.Replica), m.End))
	}
	w.sendDelta(d, from, to, asked)
}

func (w *world) sendDelta(d *Draw, from, to *replica, asked vclock.Clock) {
	delta, err := from.rt.SaveSince(asked, w.form(d)...)
	if err != nil {
		w.failf("%s: SaveSince: %v", from.name, err)
	}
	base := from.rt.Clock().Min(asked)
	need := missing(to.rt, base)
	if need == nil {
		res := w.receive(to, delta, from.name+"'s delta")
		w.tracef("%s loads %s's delta, %d bytes: %s", to.name, from.name, len(delta), show(res))
		if lacks := missing(to.rt, from.rt.Clock()); lacks != nil {
			w.failf("%s lacks %v after the delta", to.name, lacks)
		}
		if res.Applied > 0 {
			w.count.did("delta: applied", 1)
		}
		return
	}
	was := w.snapshot(to)
	_, err = to.rt.Receive(delta)
	w.tracef("%s refuses %s's delta: %v", to.name, from.name, err)
	var m *runtime.MissingDepsError
	if !errors.As(err, &m) || !slices.Equal(m.Need, need) {
		w.failf("%s: a delta whose base %v is not covered gave %v; it lacks %v", to.name, base, err, need)
	}
	w.unchanged(to, was, "a delta that was refused")
	w.count.did("delta: refused", 1)
	w.touched(to)
}

// replace puts a new runtime with the same name in the place of one that ended. All messages are on their way to it.
func (w *world) replace(old *replica, o runtime.Options) *replica {
	r := w.open(old.name, o)
	r.seat, r.kept, r.disk, r.offline, r.todo = old.seat, old.kept, old.disk, old.offline, slices.Clone(w.log)
	w.replicas[slices.Index(w.replicas, old)] = r
	old.gone = true
	w.touched(r)
	return r
}

// restart replaces a replica by one under a new ID that loads a saved state: its own, or an older one of anybody, as after
// a crash.
func (w *world) restart(d *Draw) {
	old := w.draw(d, "who", nil)
	s := &saved{of: old.name, data: w.save(old, w.form(d)...), clock: old.rt.Clock()}
	if d.Bool("crash") {
		s = w.drawSaved(d)
		w.count.did("restart: crash", 1)
	}
	r := w.replace(old, w.options(d))
	w.load(r, s)
	if r.disk = fmt.Sprint(r.seat, w.opened); r.kept {
		w.record(r, s.data) // as a program does that takes over a file
	}
}

// reopen restarts a replica with a disk from there, under the ID that it had: everything of its own is durable.
func (w *world) reopen(d *Draw) {
	old := w.draw(d, "who", func(r *replica) bool { return r.kept })
	had := old.rt.Clock()
	r := w.replace(old, old.opts)
	stored, err := w.store.Load(context.Background(), r.disk)
	if err != nil {
		w.failf("%s: Load: %v", r.name, err)
	}
	if stored.Snapshot != nil {
		w.count.did("reopen: snapshot", 1)
		w.receive(r, stored.Snapshot.State, "the snapshot on its disk", runtime.Restore())
	}
	for _, rec := range stored.Records {
		w.receive(r, rec.Data, "a record on its disk", runtime.Restore())
	}
	r.durable, r.unkept, r.last = r.rt.Clock(), nil, old.last
	w.tracef("%s reopens from a snapshot: %v, and %d records", r.name, stored.Snapshot != nil, len(stored.Records))
	if r.rt.Replica() != old.rt.Replica() {
		w.failf("%s: reopened from disk it took a new ID", r.name)
	}
	if c := r.rt.Clock(); !c.Equal(had) {
		w.failf("%s: the clock was %v, after reopening from disk it is %v", r.name, had, c)
	}
	r.forget()
}

// compact writes a snapshot to disk and trims the log there.
func (w *world) compact(d *Draw) {
	r := w.draw(d, "who", func(r *replica) bool { return r.kept && r.last > 0 })
	s := &providers.Snapshot{Clock: r.rt.Clock(), Through: r.last, State: w.save(r, w.form(d)...)}
	if err := w.store.Snapshot(context.Background(), r.disk, s); err != nil {
		w.failf("%s: Snapshot: %v", r.name, err)
	}
	if err := w.store.Trim(context.Background(), r.disk, r.last); err != nil {
		w.failf("%s: Trim: %v", r.name, err)
	}
}

// keep writes to disk what replicas with a disk were told of since.
func (w *world) keep() {
	for _, r := range w.replicas {
		updates := r.unkept
		r.unkept = nil
		if !r.kept || len(updates) == 0 {
			continue
		}
		whole := slices.ContainsFunc(updates, func(u runtime.Update) bool { return u.Kind != runtime.MessageUpdate })
		if whole {
			delta, err := r.rt.SaveSince(r.durable, runtime.CanonicalOnly())
			if err != nil {
				w.failf("%s: SaveSince: %v", r.name, err)
			}
			w.record(r, delta)
			continue
		}
		records := make([]providers.Record, len(updates))
		for i, u := range updates {
			records[i] = providers.Record{Document: r.disk, Data: u.Data}
		}
		w.append(r, records)
	}
}

func (w *world) record(r *replica, data []byte) {
	w.append(r, []providers.Record{{Document: r.disk, Data: data}})
}

func (w *world) append(r *replica, records []providers.Record) {
	at, err := w.store.Append(context.Background(), records)
	if err != nil {
		w.failf("%s: Append: %v", r.name, err)
	}
	r.last, r.durable, r.unkept = at[len(at)-1], r.rt.Clock(), nil
}

// finish delivers everything to all and compares.
func (w *world) finish(d *Draw) {
	all := vclock.Clock{}
	for _, m := range w.log {
		all.Set(m.Dot.Replica, max(all.Get(m.Dot.Replica), m.End))
	}
	if len(w.replicas) == 0 {
		return
	}
	for _, r := range w.replicas {
		all.Merge(r.rt.Clock()) // a genesis transaction is in no log
		w.deliverAll(r, d)
		w.touched(r)
	}
	w.keep()
	w.settle(true)
	first := w.replicas[0]
	for _, r := range w.replicas {
		if n := r.rt.Waiting(); n != 0 {
			w.failf("%s: %d messages wait, though all are delivered; missing: %v", r.name, n, r.rt.Missing())
		}
		if c := r.rt.Clock(); !c.Equal(all) {
			w.failf("%s: the clock is %v, not %v, though all is delivered", r.name, c, all)
		}
		if r.rt.Digest() != first.rt.Digest() {
			w.failf("%s and %s: digests differ", first.name, r.name)
		}
		if !w.mode.full && !equal(r.rt.Export(), first.rt.Export()) {
			w.failf("%s and %s have equal digests, but show\n%v\n%v", first.name, r.name, first.rt.Export(), r.rt.Export())
		}
		for _, m := range w.log {
			if m.seat != r.seat {
				w.count.Delivered += len(m.Did)
			}
		}
	}
	for i, r := range w.replicas {
		if w.mode.full || i == w.opened%len(w.replicas) {
			w.reload(r)
		}
	}
	if !w.mode.full && w.count.Ops <= mostModelled {
		w.values(first, all, true)
	}
	w.count.Histories++
}

// deliverAll hands over what is on its way to a replica, in an order that is drawn; in a script that stands as the steps
// that do it.
func (w *world) deliverAll(r *replica, d *Draw) {
	rest := r.todo
	r.todo = nil
	l := &line{name: "deliver", args: []arg{{"to", r.name}}}
	for i := len(rest) - 1; i >= 0; i-- {
		k := i // a replay delivers from the end
		if !d.replay() {
			k = d.index("rest", i+1)
		}
		rest[k], rest[i] = rest[i], rest[k]
		if w.script != nil {
			l.args = append(l.args, arg{"message", rest[i].name})
		}
	}
	if w.script != nil && len(rest) > 0 {
		if r.offline {
			w.script.steps = append(w.script.steps, &line{name: "meet", args: []arg{{"who", r.name}}})
		}
		w.script.steps = append(w.script.steps, l)
	}
	for _, m := range slices.Backward(rest) {
		w.receive(r, m.data, m.name)
	}
}

// mostModelled bounds the operations of a long history whose model is asked at the end.
const mostModelled = 300

// reload loads what r saves into empty runtimes.
func (w *world) reload(r *replica) {
	for i, name := range forms {
		w.reloaded(r, w.save(r, formOptions[i]...), name+" state")
	}
	delta, err := r.rt.SaveSince(nil)
	if err != nil {
		w.failf("%s: SaveSince: %v", r.name, err)
	}
	w.reloaded(r, delta, "delta from nothing")
}

func (w *world) reloaded(r *replica, data []byte, what string) {
	e := w.open(r.name+" reloaded", runtime.Options{Replica: vclock.Replica{0: 0xff, 15: 0xff}})
	if err := e.rt.Load(data); err != nil {
		w.failf("%s: load of its %s: %v", r.name, what, err)
	}
	if a, b := r.rt.Canonical(), e.rt.Canonical(); !bytes.Equal(a, b) {
		w.failf("%s: its %s loads to other canonical bytes:\n%x\n%x", r.name, what, a, b)
	}
	w.check(e)
}
