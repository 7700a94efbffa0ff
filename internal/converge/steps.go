package converge

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// actions are the steps of a run. Some stand twice: they are drawn more often.
func (w *world[H]) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"edit": w.edit, "edit again": w.edit, "edit more": w.edit,
		"fail":    w.fail,
		"deliver": w.deliver, "deliver more": w.deliver,
		"repeat": w.repeat, "bundle": w.bundle, "catch up": w.catchUp,
		"state": w.state, "stale state": w.staleState,
		"delta": w.delta, "delta for all": w.deltaBetween,
		"restart": w.restart, "join late": w.joinLate,
	}
}

// run makes one to four edits in tx and returns what they did.
func (w *world[H]) run(t *rapid.T, tx runtime.Tx, r *replica[H]) (did []any, err error) {
	for range rapid.IntRange(1, 4).Draw(t, "operations") {
		name := rapid.SampledFrom(w.edits).Draw(t, "edit")
		d, err := w.s.Edits[name](t, tx, r.h)
		if errors.Is(err, ErrNothing) {
			continue
		}
		if err != nil {
			return did, fmt.Errorf("%s %v: %w", name, d, err)
		}
		did = append(did, d)
		t.Logf("    %s %v", name, d)
	}
	return did, nil
}

func (w *world[H]) edit(t *rapid.T) {
	r := w.draw(t, "writer")
	t.Logf("%s edits", r.name)
	before := r.rt.Clock()
	var did []any
	err := r.rt.Transact(func(tx runtime.Tx) (err error) {
		did, err = w.run(t, tx, r)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	w.committed(t, r, before, did)
	w.touched(t, r)
}

// committed puts the message of a transaction into the log and on its way to all others.
func (w *world[H]) committed(t *rapid.T, r *replica[H], before vclock.Clock, did []any) {
	own := r.own
	r.own = nil
	if len(own) == 0 {
		return // nothing to do, or all of it without effect
	}
	if len(own) != 1 {
		t.Fatalf("%s: a transaction gave %d messages", r.name, len(own))
	}
	u := own[0]
	info, err := runtime.Inspect(u.Data)
	if err != nil {
		t.Fatalf("%s: Inspect: %v", r.name, err)
	}
	i := len(w.log)
	dot := vclock.Dot{Replica: u.Sender, Seq: u.Start}
	tx := Transaction{dot, u.End, info.Lamport + 1 - (u.End - u.Start), before, did}
	w.log = append(w.log, sent{tx, fmt.Sprintf("%s%d", r.name, u.Start), u.Data})
	t.Logf("    is message %s, %d bytes", w.log[i].name, len(u.Data))
	for _, o := range w.replicas {
		if o != r {
			o.todo = append(o.todo, i)
		}
	}
}

var errOnPurpose = errors.New("converge: on purpose")

func (w *world[H]) fail(t *rapid.T) {
	r := w.draw(t, "writer")
	panics := rapid.Bool().Draw(t, "panics")
	t.Logf("%s edits and fails, by panic: %v", r.name, panics)
	was := w.snapshot(t, r)
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil && v != errOnPurpose {
				panic(v)
			} else if v != nil {
				err = errOnPurpose
			}
		}()
		return r.rt.Transact(func(tx runtime.Tx) error {
			if _, err := w.run(t, tx, r); err != nil {
				return err
			}
			if panics {
				panic(errOnPurpose)
			}
			return errOnPurpose
		})
	}()
	if err != errOnPurpose {
		t.Fatalf("%s: Transact returned %v", r.name, err)
	}
	if len(r.own) != 0 {
		t.Fatalf("%s: a transaction that failed gave a message", r.name)
	}
	w.unchanged(t, r, was, "a transaction that failed")
	w.touched(t, r)
}

// deliver hands over a few undelivered messages in any order.
func (w *world[H]) deliver(t *rapid.T) {
	r := w.draw(t, "receiver")
	if len(r.todo) == 0 {
		t.Skip("nothing to deliver")
	}
	for range rapid.IntRange(1, min(4, len(r.todo))).Draw(t, "messages") {
		k := rapid.IntRange(0, len(r.todo)-1).Draw(t, "message")
		m := w.log[r.todo[k]]
		r.todo = slices.Delete(r.todo, k, k+1)
		res := w.receive(t, r, m.data, m.name)
		t.Logf("%s receives %s: %s", r.name, m.name, show(res))
		if res.Applied == 0 && res.Waiting+res.Redundant != 1 {
			t.Fatalf("%s: result %+v of one message", r.name, res)
		}
		w.touched(t, r)
	}
}

func show(r runtime.Result) string {
	return fmt.Sprintf("%d applied, %d waiting, %d redundant", r.Applied, r.Waiting, r.Redundant)
}

// repeat hands over a message whether it was delivered before or not.
func (w *world[H]) repeat(t *rapid.T) {
	if len(w.log) == 0 {
		t.Skip("no messages")
	}
	r := w.draw(t, "receiver")
	m := w.log[rapid.IntRange(0, len(w.log)-1).Draw(t, "message")]
	was := w.snapshot(t, r)
	known := was.clock.Covers(m.Dot)
	res := w.receive(t, r, m.data, m.name)
	t.Logf("%s receives %s, maybe again: %s", r.name, m.name, show(res))
	if known {
		if res.Redundant != 1 || res.Applied != 0 {
			t.Fatalf("%s: result %+v of a known message", r.name, res)
		}
		w.unchanged(t, r, was, "a known message")
	}
	w.touched(t, r)
}

// bundle hands over some messages in one piece, in any order.
func (w *world[H]) bundle(t *rapid.T) {
	if len(w.log) == 0 {
		t.Skip("no messages")
	}
	r := w.draw(t, "receiver")
	var data [][]byte
	var names []string
	for range rapid.IntRange(1, 6).Draw(t, "messages") {
		m := w.log[rapid.IntRange(0, len(w.log)-1).Draw(t, "message")]
		data, names = append(data, m.data), append(names, m.name)
	}
	res := w.receive(t, r, w.pack(t, data), fmt.Sprint("bundle ", names))
	t.Logf("%s receives bundle %v: %s", r.name, names, show(res))
	w.touched(t, r)
}

func (w *world[H]) pack(t *rapid.T, messages [][]byte) []byte {
	b, err := runtime.Bundle(messages)
	if err != nil {
		t.Fatalf("Bundle: %v", err)
	}
	split, err := runtime.SplitBundle(b)
	if err != nil || len(split) != len(messages) {
		t.Fatalf("SplitBundle: %d messages of %d, %v", len(split), len(messages), err)
	}
	for i := range split {
		if !bytes.Equal(split[i], messages[i]) {
			t.Fatalf("a bundle changed a message:\n%x\n%x", messages[i], split[i])
		}
	}
	return b
}

// catchUp sends what one replica lacks of another from history, if it is still there.
func (w *world[H]) catchUp(t *rapid.T) {
	from, to := w.draw(t, "sender"), w.draw(t, "receiver")
	have := to.rt.Clock()
	messages, err := from.rt.MessagesSince(have)
	if errors.Is(err, runtime.ErrEvicted) {
		t.Skip("evicted")
	} else if err != nil {
		t.Fatalf("%s: MessagesSince: %v", from.name, err)
	}
	dots := uint64(0)
	for _, m := range messages {
		info, err := runtime.Inspect(m)
		if err != nil {
			t.Fatalf("%s: Inspect: %v", from.name, err)
		}
		dots += info.End - info.Start
	}
	if want := dotsOf(from.rt.Clock().Diff(have)); dots != want {
		t.Fatalf("%s: MessagesSince gave %d dots of %d", from.name, dots, want)
	}
	res := w.receive(t, to, w.pack(t, messages), "a bundle of "+from.name+"'s history")
	t.Logf("%s receives %d messages of %s's history: %s", to.name, len(messages), from.name, show(res))
	if missing(to.rt, from.rt.Clock()) != nil {
		t.Fatalf("%s lacks something of %s after all messages", to.name, from.name)
	}
	w.touched(t, to)
}

func dotsOf(s []vclock.Span) (n uint64) {
	for _, s := range s {
		n += s.End - s.Start
	}
	return n
}

func (w *world[H]) options(t *rapid.T) []runtime.SaveOption {
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return []runtime.SaveOption{runtime.Compressed(rapid.IntRange(1, 4).Draw(t, "level"))}
	case 1:
		return []runtime.SaveOption{runtime.CanonicalOnly()}
	}
	return nil
}

// state loads one replica's state into another, and may keep it for later.
func (w *world[H]) state(t *rapid.T) {
	from, to := w.draw(t, "sender"), w.draw(t, "receiver")
	s := saved{from.name, w.save(t, from, w.options(t)...), from.rt.Clock()}
	if rapid.IntRange(0, 2).Draw(t, "keep") == 0 {
		w.saves = append(w.saves, s)
	}
	w.load(t, to, s)
}

func (w *world[H]) staleState(t *rapid.T) {
	if len(w.saves) == 0 {
		t.Skip("none kept")
	}
	w.load(t, w.draw(t, "receiver"), w.saves[rapid.IntRange(0, len(w.saves)-1).Draw(t, "state")])
}

func (w *world[H]) load(t *rapid.T, to *replica[H], s saved) {
	was := to.rt.Clock()
	res := w.receive(t, to, s.data, s.name+"'s state")
	t.Logf("%s loads %s's state at %s: %s", to.name, s.name, w.clock(s.clock), show(res))
	if was.CoversClock(s.clock) && res.Redundant == 0 || !to.rt.Clock().CoversClock(s.clock) {
		t.Fatalf("%s: result %+v of a state at %v, the clock before was %v", to.name, res, s.clock, was)
	}
	w.touched(t, to)
}

// delta sends what a replica lacks, or seems to lack by its clock.
func (w *world[H]) delta(t *rapid.T) {
	from, to := w.draw(t, "sender"), w.draw(t, "receiver")
	w.sendDelta(t, from, to, to.rt.Clock())
}

// deltaBetween sends a delta against a clock that may have nothing to do with the receiver.
func (w *world[H]) deltaBetween(t *rapid.T) {
	from, to := w.draw(t, "sender"), w.draw(t, "receiver")
	pick := func() vclock.Clock {
		return w.clocks[rapid.IntRange(0, len(w.clocks)-1).Draw(t, "clock")].Clone()
	}
	asked := pick()
	switch rapid.IntRange(0, 2).Draw(t, "mix") {
	case 1:
		asked.Merge(pick())
	case 2:
		asked = asked.Min(pick())
	}
	w.sendDelta(t, from, to, asked)
}

func (w *world[H]) sendDelta(t *rapid.T, from, to *replica[H], asked vclock.Clock) {
	delta, err := from.rt.SaveSince(asked, w.options(t)...)
	if err != nil {
		t.Fatalf("%s: SaveSince: %v", from.name, err)
	}
	base := from.rt.Clock().Min(asked)
	need := missing(to.rt, base)
	if need == nil {
		res := w.receive(t, to, delta, from.name+"'s delta")
		t.Logf("%s loads %s's delta from %s to %s: %s", to.name, from.name, w.clock(base), w.clock(from.rt.Clock()), show(res))
		if lacks := missing(to.rt, from.rt.Clock()); lacks != nil {
			t.Fatalf("%s lacks %v after the delta", to.name, lacks)
		}
		w.touched(t, to)
		return
	}
	was := w.snapshot(t, to)
	_, err = to.rt.Receive(delta)
	t.Logf("%s refuses %s's delta from %s: %v", to.name, from.name, w.clock(base), err)
	if m := asMissing(err); m == nil || !slices.Equal(m.Need, need) {
		t.Fatalf("%s: a delta whose base %v is not covered gave %v; it lacks %v", to.name, base, err, need)
	}
	w.unchanged(t, to, was, "a delta that was refused")
	w.touched(t, to)
}

// restart replaces a replica by one that loads a saved state: its own, or an older one of anybody, as after a crash.
func (w *world[H]) restart(t *rapid.T) {
	i := rapid.IntRange(0, len(w.replicas)-1).Draw(t, "replica")
	old := w.replicas[i]
	s := saved{old.name, w.save(t, old, w.options(t)...), old.rt.Clock()}
	if len(w.saves) > 0 && rapid.IntRange(0, 3).Draw(t, "crash") == 0 {
		s = w.saves[rapid.IntRange(0, len(w.saves)-1).Draw(t, "state")]
	}
	r := w.open(t, fmt.Sprintf("%c%d", old.name[0], w.opened))
	t.Logf("%s restarts as %s from %s's state at %s", old.name, r.name, s.name, w.clock(s.clock))
	for k := range w.log {
		r.todo = append(r.todo, k)
	}
	w.replicas[i] = r
	w.load(t, r, s)
	if !r.rt.Clock().CoversClock(s.clock) {
		t.Fatalf("%s: clock %v after loading %v", r.name, r.rt.Clock(), s.clock)
	}
}

func (w *world[H]) joinLate(t *rapid.T) {
	if len(w.replicas) >= w.most() {
		t.Skip("enough replicas")
	}
	w.join(t)
}

// clock names a clock by the last messages that it covers.
func (w *world[H]) clock(c vclock.Clock) string {
	last := make(map[vclock.Replica]string)
	var order []vclock.Replica
	for _, m := range w.log {
		if c.Covers(m.Dot) {
			if last[m.Dot.Replica] == "" {
				order = append(order, m.Dot.Replica)
			}
			last[m.Dot.Replica] = m.name
		}
	}
	names := make([]string, len(order))
	for i, id := range order {
		names[i] = last[id]
	}
	return fmt.Sprint(names)
}
