package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// step is something that can happen, drawn in proportion to its weight: in short histories, and in long ones, where the
// costly steps are rarer.
type step struct {
	name        string
	short, long int
	do          func(w *world, d *Draw)
}

var steps = []step{
	{"edit", 10, 48, (*world).edit},
	{"fail", 1, 1, (*world).fail},
	{"deliver", 8, 36, (*world).deliver},
	{"repeat", 1, 1, (*world).repeat},
	{"bundle", 1, 1, (*world).bundle},
	{"catch-up", 2, 8, (*world).catchUp},
	{"state", 2, 1, (*world).state},
	{"stale-state", 1, 1, (*world).staleState},
	{"delta", 2, 3, (*world).delta},
	{"delta-since", 2, 2, (*world).deltaSince},
	{"restart", 1, 1, (*world).restart},
	{"reopen", 1, 1, (*world).reopen},
	{"compact", 1, 1, (*world).compact},
	{"part", 1, 2, (*world).part},
	{"meet", 1, 3, (*world).meet},
	{"join", 1, 1, (*world).join},
	{"leave", 1, 1, (*world).leave},
	{"laws", 0, 0, (*world).laws},
}

func stepNamed(name string) *step {
	for i := range steps {
		if steps[i].name == name {
			return &steps[i]
		}
	}
	return nil
}

// do makes a step. It reports false if there was nothing to do.
func (w *world) do(s *step, d *Draw) (done bool) {
	d.line, d.used = w.current, nil
	if w.script != nil && !d.replay() {
		d.line = &line{name: s.name}
		w.script.steps = append(w.script.steps, d.line)
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case skipped:
			if w.script != nil && !d.replay() {
				w.script.steps = w.script.steps[:len(w.script.steps)-1]
			}
		default:
			panic(v)
		}
	}()
	s.do(w, d)
	w.count.Steps++
	w.count.did(s.name, 1)
	w.keep()
	w.settle(false)
	return true
}

// operations makes one to four edits in tx and returns what they did.
func (w *world) operations(d *Draw, tx runtime.Tx, r *replica) (did []any, err error) {
	n := 0
	if d.replay() {
		n = len(d.line.ops)
	} else if most := 4; true {
		if w.mode.long && d.index("long", 4) == 0 {
			most = 24
		}
		n = 1 + d.index("operations", most)
	}
	for i := range n {
		op := Draw{src: d.src}
		name := ""
		if d.replay() {
			op.line = d.line.ops[i]
			name = op.line.name
		} else {
			name = w.s.names[d.index("edit", len(w.s.names))]
			if d.line != nil {
				op.line = &line{name: name}
				d.line.ops = append(d.line.ops, op.line)
			}
		}
		one, err := w.operation(&op, tx, r, name)
		if errors.Is(err, ErrNothing) {
			continue
		}
		if err != nil {
			return did, fmt.Errorf("%s %v: %w", name, one, err)
		}
		did = append(did, one)
	}
	return did, nil
}

func (w *world) operation(op *Draw, tx runtime.Tx, r *replica, name string) (did any, err error) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(skipped); !ok {
				panic(v)
			}
			did, err = nil, ErrNothing
		}
	}()
	edit := w.s.edits[name]
	if edit == nil {
		return nil, ErrNothing // of a script that was edited
	}
	return edit(op, tx, r.h)
}

func (w *world) edit(d *Draw) {
	r := w.draw(d, "writer", nil)
	name := w.fresh(d, "is", "m", &w.named, func(s string) bool { return w.byName[s] != nil })
	before := r.rt.Clock()
	var did []any
	err := r.rt.Transact(func(tx runtime.Tx) (err error) {
		did, err = w.operations(d, tx, r)
		return err
	})
	if err != nil {
		w.failf("%s: %v", r.name, err)
	}
	w.committed(r, name, before, did)
	w.touched(r)
}

// committed puts the message of a transaction into the log and on its way to all others.
func (w *world) committed(r *replica, name string, before vclock.Clock, did []any) {
	own := r.own
	r.own = nil
	if len(own) == 0 {
		w.tracef("no message: nothing to do, or all without effect")
		return
	}
	if len(own) != 1 {
		w.failf("%s: a transaction gave %d messages", r.name, len(own))
	}
	u := own[0]
	info, err := runtime.Inspect(u.Data)
	if err != nil {
		w.failf("%s: Inspect: %v", r.name, err)
	}
	dot := vclock.Dot{Replica: u.Sender, Seq: u.Start}
	tx := Transaction{dot, u.End, info.Lamport + 1 - (u.End - u.Start), before, did}
	m := &sent{tx, name, r.seat, u.Data}
	w.log = append(w.log, m)
	w.byName[name] = m
	w.count.Ops += len(did)
	w.count.Messages++
	w.tracef("message %s: dots [%d, %d), %d bytes", name, u.Start, u.End, len(u.Data))
	for _, o := range w.replicas {
		if o != r {
			o.todo = append(o.todo, m)
		}
	}
}

var errOnPurpose = errors.New("fuzz: on purpose")

func (w *world) fail(d *Draw) {
	r := w.draw(d, "writer", nil)
	panics := d.Bool("panics")
	w.failed(d, r, panics)
	if panics {
		w.count.did("fail: panic", 1)
	}
}

// failed makes a transaction that fails.
func (w *world) failed(d *Draw, r *replica, panics bool) {
	was := w.snapshot(r)
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil && v != errOnPurpose {
				panic(v)
			} else if v != nil {
				err = errOnPurpose
			}
		}()
		return r.rt.Transact(func(tx runtime.Tx) error {
			if _, err := w.operations(d, tx, r); err != nil {
				return err
			}
			if panics {
				panic(errOnPurpose)
			}
			return errOnPurpose
		})
	}()
	if err != errOnPurpose {
		w.failf("%s: Transact returned %v", r.name, err)
	}
	if len(r.own) != 0 {
		w.failf("%s: a transaction that failed gave a message", r.name)
	}
	w.unchanged(r, was, "a transaction that failed")
	w.touched(r)
}

// messages draws some messages of from, which a replay does not look at.
func (w *world) messages(d *Draw, from []*sent, least, most int) (out []*sent) {
	if d.replay() {
		for {
			name, ok := d.token("message")
			if !ok {
				break
			}
			if m := w.byName[name]; m != nil {
				out = append(out, m)
			}
		}
		if len(out) < least {
			skip()
		}
		return out
	}
	if len(from) == 0 && least > 0 {
		skip()
	}
	n := least + d.index("messages", most-least+1)
	for range n {
		if len(from) == 0 {
			break
		}
		out = append(out, from[d.index("message", len(from))])
		d.note("message", out[len(out)-1].name)
	}
	return out
}

// deliver hands over a few undelivered messages, mostly the oldest, in any order.
func (w *world) deliver(d *Draw) {
	r := w.draw(d, "to", online)
	if d.replay() {
		for _, m := range w.messages(d, nil, 1, 0) {
			w.handOver(r, m)
		}
		return
	}
	if len(r.todo) == 0 {
		skip()
	}
	near := d.index("near", 4) > 0
	for range min(1+d.index("messages", 6), len(r.todo)) {
		n := len(r.todo)
		if near {
			n = min(n, 4)
		}
		m := r.todo[d.index("message", n)]
		d.note("message", m.name)
		w.handOver(r, m)
	}
}

func (w *world) handOver(r *replica, m *sent) {
	if i := slices.Index(r.todo, m); i >= 0 {
		r.todo = slices.Delete(r.todo, i, i+1)
	}
	res := w.receive(r, m.data, m.name)
	w.tracef("%s receives %s: %s", r.name, m.name, show(res))
	if res.Applied == 0 && res.Waiting+res.Redundant != 1 {
		w.failf("%s: result %+v of one message", r.name, res)
	}
	if res.Waiting > 0 {
		w.count.did("deliver: waits", 1)
	}
}

func show(r runtime.Result) string {
	return fmt.Sprintf("%d applied, %d waiting, %d redundant", r.Applied, r.Waiting, r.Redundant)
}

// repeat hands over a message whether it was delivered before or not.
func (w *world) repeat(d *Draw) {
	r := w.draw(d, "to", online)
	m := w.messages(d, w.log, 1, 1)[0]
	was := w.snapshot(r)
	known := was.clock.Covers(m.Dot)
	res := w.receive(r, m.data, m.name)
	w.tracef("%s receives %s, maybe again: %s", r.name, m.name, show(res))
	if known {
		if res.Redundant != 1 || res.Applied != 0 {
			w.failf("%s: result %+v of a known message", r.name, res)
		}
		w.unchanged(r, was, "a known message")
		w.count.did("repeat: known", 1)
	}
}

// bundle hands over some messages in one piece, in any order.
func (w *world) bundle(d *Draw) {
	r := w.draw(d, "to", online)
	var data [][]byte
	for _, m := range w.messages(d, w.log, 1, 6) {
		data = append(data, m.data)
	}
	res := w.receive(r, w.pack(data), "a bundle")
	w.tracef("%s receives a bundle: %s", r.name, show(res))
}

func (w *world) pack(messages [][]byte) []byte {
	b, err := runtime.Bundle(messages)
	if err != nil {
		w.failf("Bundle: %v", err)
	}
	split, err := runtime.SplitBundle(b)
	if err != nil || len(split) != len(messages) {
		w.failf("SplitBundle: %d messages of %d, %v", len(split), len(messages), err)
	}
	for i := range split {
		if !bytes.Equal(split[i], messages[i]) {
			w.failf("a bundle changed a message:\n%x\n%x", messages[i], split[i])
		}
	}
	return b
}

// catchUp sends what one replica lacks of another from history, if it is still there.
func (w *world) catchUp(d *Draw) {
	from, to := w.draw(d, "from", online), w.draw(d, "to", online)
	have := to.rt.Clock()
	messages, err := from.rt.MessagesSince(have)
	if errors.Is(err, runtime.ErrEvicted) {
		w.tracef("%s: its history does not reach back", from.name)
		w.count.did("catch-up: evicted", 1)
		return
	} else if err != nil {
		w.failf("%s: MessagesSince: %v", from.name, err)
	}
	dots := uint64(0)
	for _, m := range messages {
		info, err := runtime.Inspect(m)
		if err != nil {
			w.failf("%s: Inspect: %v", from.name, err)
		}
		dots += info.End - info.Start
	}
	if want := dotsOf(from.rt.Clock().Diff(have)); dots != want {
		w.failf("%s: MessagesSince gave %d dots of %d", from.name, dots, want)
	}
	res := w.receive(to, w.pack(messages), "a bundle of "+from.name+"'s history")
	w.tracef("%s receives %d messages of %s's history: %s", to.name, len(messages), from.name, show(res))
	if missing(to.rt, from.rt.Clock()) != nil {
		w.failf("%s lacks something of %s after all messages", to.name, from.name)
	}
	to.forget()
}

// forget drops from todo what has come in other ways; some is left, so that duplicates stay common.
func (r *replica) forget() {
	clock := r.rt.Clock()
	n := 0
	r.todo = slices.DeleteFunc(r.todo, func(m *sent) bool { n++; return n%8 != 0 && clock.Covers(m.Dot) })
}

func dotsOf(s []vclock.Span) (n uint64) {
	for _, s := range s {
		n += s.End - s.Start
	}
	return n
}

func (w *world) part(d *Draw) {
	w.draw(d, "who", online).offline = true
}

func (w *world) meet(d *Draw) {
	w.draw(d, "who", func(r *replica) bool { return r.offline }).offline = false
}

var (
	deletionRecords = []string{"512", "4", "none", "1"}
	deletionBounds  = []int{512, 4, -1, 1}
	histories       = []string{"all", "3-messages", "100-bytes", "off"}
	historyBounds   = []runtime.History{{}, {Messages: 3}, {Bytes: 100}, {Off: true}}
)

func (w *world) options(d *Draw) runtime.Options {
	o := runtime.Options{Replica: w.freshID(d.Int("id", 0, 255))}
	o.Deletions = deletionBounds[slices.Index(deletionRecords, Pick(d, "deletions", deletionRecords))]
	o.History = historyBounds[slices.Index(histories, Pick(d, "history", histories))]
	return o
}

func (w *world) join(d *Draw) {
	if len(w.replicas) >= w.s.replicas {
		skip()
	}
	name := w.fresh(d, "name", "", &w.letters, func(s string) bool { return w.find(s) != nil })
	r := w.open(name, w.options(d))
	r.seat, r.todo = name, slices.Clone(w.log)
	r.kept, r.disk = d.Bool("disk"), fmt.Sprint(name, w.opened)
	w.replicas = append(w.replicas, r)
	w.touched(r)
}

func (w *world) leave(d *Draw) {
	if len(w.replicas) <= 3 {
		skip()
	}
	r := w.draw(d, "who", nil)
	w.replicas = slices.DeleteFunc(w.replicas, func(x *replica) bool { return x == r })
}
