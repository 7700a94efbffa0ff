package runtime

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// Result says what an update did.
type Result struct {
	// Applied counts transactions that are applied now and were not before, those that had waited included. A state or
	// delta counts as one if it brought anything.
	Applied int
	// Waiting counts messages of this update that wait for others, and did not before.
	Waiting int
	// Redundant counts messages that were known already; for a state or delta it is 1 if it brought nothing.
	Redundant int
	// Missing names what the messages of this update that wait, now or since before, lack as far as their envelopes tell.
	Missing []vclock.Span
}

// decoder holds buffers that receiving reuses.
type decoder struct {
	msg     *message // see message
	state   *StateReader
	scratch []byte
	nodes   []*Node
	ends    []uint64
	// The object table of the last message, when it was a single root: most messages have the same.
	lastObj  []byte
	lastNode *Node
	woken    []*waitingMessage
}

// message returns the message that parsing reuses.
func (d *decoder) message() *message {
	if d.msg == nil {
		d.msg = new(message)
	}
	return d.msg
}

// Restore says that what is received or loaded comes from the store that lent the replica ID under which this runtime
// writes: transactions under that ID were written by an earlier runtime of the same store, and the next local one
// continues behind them. Without it a message under the own ID that is new here shows that another copy writes under it,
// and a new ID is taken; so it is with a state, unless it is loaded before anything else.
//
// Give it everything that the store has before the first Transact: a snapshot, then what was logged after it, in any
// order. If own messages still wait for others then, or others' for own ones, the store has lost something: Transact takes
// a new ID. Two different transactions under one own dot are equivocation as ever, and cost the ID.
//
// Limits do not hold for what is restored, those of what waits apart: it was taken once, under limits that may have been greater.
func Restore() TxOption { return func(o *callOptions) { o.restore = true } }

// FirstHop says that whoever brings the update answers for it, and not the sender that it names: a transaction under a
// dot that another one has, or with a timestamp out of range, is an error and nothing more. Without it nothing is taken from
// that sender any more, which anybody could bring about who may bring transactions of others. Likewise an operation that
// an object's kind, known here, does not know is ErrNewerOp; without it the object becomes opaque, and with any code that is
// made up a writer could do that to every object for ever. For servers, which turn to who brought it.
func FirstHop() TxOption { return func(o *callOptions) { o.firstHop = true } }

// beforeOwn is called before a local transaction takes dots: those of messages of this replica that wait, or that others wait
// for, are taken.
func (r *Runtime) beforeOwn() error {
	if r.restored <= r.next[r.self] {
		return nil
	}
	return r.changeReplica()
}

// Receive takes an update of any kind: a message, a bundle, a saved state or a delta; their first bytes say which. It
// keeps no reference to data. What is known already changes nothing and emits nothing. On error the document is
// unchanged, except that messages of a bundle before the failing one stay applied, as Result tells.
//
// Errors: *DecodeError, *LimitError, *DocumentError, *MissingDepsError (delta), *EquivocationError, *ClockJumpError,
// ErrRefused, ErrNewerOp (with FirstHop), ErrNested, ErrInternal.
func (r *Runtime) Receive(data []byte, opts ...TxOption) (Result, error) {
	if err := r.lock(); err != nil {
		return Result{}, err
	}
	if checked {
		data = bytes.Clone(data)
		defer forget(data)
	}
	o := optionsOf(opts)
	r.restoring, r.firstHop = o.restore, o.firstHop
	res, own, err := r.receive(data, o.origin)
	r.drain(own)
	return res, err
}

// Load is Receive for a saved state or delta; any other update is an error.
func (r *Runtime) Load(data []byte, opts ...TxOption) error {
	switch k, err := KindOf(data); {
	case err != nil:
		return err
	case k != StateUpdate && k != DeltaUpdate:
		return fmt.Errorf("%w: Load takes a state or delta, this is a %v; use Receive", ErrCorrupt, k)
	}
	_, err := r.Receive(data, opts...)
	return err
}

func (r *Runtime) receive(data []byte, origin any) (res Result, own bool, err error) {
	defer func() {
		r.letGo()
		own = r.events.claim()
		r.unlock()
	}()
	if r.broken != nil {
		return res, false, r.broken
	}
	kind, err := KindOf(data)
	if err != nil {
		return res, false, err
	}
	switch kind {
	case MessageUpdate:
		err = r.receiveMessage(data, origin, &res)
	case BundleUpdate:
		res, err = r.receiveBundle(data, origin)
	default:
		res, err = r.receiveState(data, origin)
	}
	r.verify()
	return res, false, err
}

// bounds returns the limits for the update at hand.
func (r *Runtime) bounds() *Limits {
	if r.restoring {
		return &anySize
	}
	return &r.limits
}

// letGo forgets what the decoders hold of an update: a short one may be a part of something long.
func (r *Runtime) letGo() {
	r.tx.op.buf = nil
	if s := r.dec.state; s != nil && s.buf != nil {
		*s = StateReader{Reader: Reader{ends: s.ends[:0]}, list: s.list[:0]} // room for the next one
	}
	if m := r.dec.msg; m != nil {
		m.data, m.ext, m.objBytes, m.opBytes = nil, nil, nil, nil
	}
}

// receiveMessage applies one message and whatever waited for it, or lets it wait.
func (r *Runtime) receiveMessage(data []byte, origin any, res *Result) error {
	m := r.dec.message()
	if err := m.parse(data, r.bounds()); err != nil {
		return err
	}
	return r.receiveParsed(m, origin, res)
}

func (r *Runtime) receiveParsed(m *message, origin any, res *Result) error {
	if err := r.checkDocument(m.document); err != nil {
		return err
	}
	outcome, lacks, err := r.integrate(m, origin, nil)
	switch outcome {
	case messageKnown:
		res.Redundant++
	case messageWaitsAlready:
		res.Redundant++
		res.missing(r, m)
	case messageWaits:
		if err := r.letWait(m, origin, lacks, res); err != nil {
			return err
		}
	case messageApplied:
		res.Applied++
		r.wake(m.sender, res)
	}
	return err
}

func (r *Runtime) checkDocument(id uuid.UUID) error {
	if id != uuid.Nil && r.document != uuid.Nil && id != r.document {
		return &DocumentError{id, r.document}
	}
	return nil
}

type outcome uint8

const (
	messageRefused outcome = iota
	messageKnown
	messageWaits
	messageWaitsAlready // it came before
	messageApplied
)

// integrate looks at a parsed message: known, waiting for a dot, refused, or applied now. woken is set if
// it comes out of the waiting room, where it is still listed.
func (r *Runtime) integrate(m *message, origin any, woken *waitingMessage) (outcome, vclock.Dot, error) {
	var none vclock.Dot
	first := vclock.Dot{Replica: m.sender, Seq: m.start}
	if len(m.reps) == 0 {
		r.lookUp(m)
	}
	rep := m.reps[0]
	var have uint64
	if rep != noRep {
		have = r.next[rep]
		if m.end() <= have {
			if kept, ok := r.history.find(r, rep, m.start); ok && !bytes.Equal(kept, m.bytes()) {
				if err := r.meetSelf(rep); err != nil {
					return messageRefused, none, err
				}
				return messageRefused, none, r.blame(rep, woken, first, &EquivocationError{Dot: first, Reason: "another transaction has this dot"})
			}
			return messageKnown, none, nil
		}
		restored := r.restoring
		if woken != nil {
			restored = woken.restored
		}
		if !restored || m.start < have {
			if err := r.meetSelf(rep); err != nil {
				return messageRefused, none, err
			}
		}
		if err := r.refused[rep]; err != nil {
			return messageRefused, none, fmt.Errorf("%w: %w", ErrRefused, inner{err})
		}
		if m.start < have {
			return messageRefused, none, r.blame(rep, woken, first, &EquivocationError{Dot: first, Reason: "a transaction that is applied ends inside this one"})
		}
	}
	if lacks, waits := r.lacks(m, have); woken == nil && len(r.waiting.byDot) > 0 {
		switch w := r.waiting.byDot[first]; {
		case w != nil && bytes.Equal(w.data, m.bytes()) && waits:
			return messageWaitsAlready, none, nil
		case w != nil && waits:
			return messageRefused, none, &EquivocationError{Dot: first, Reason: "another transaction with this dot is waiting", Waiting: true}
		case waits:
			return messageWaits, lacks, nil
		}
		// One that can be applied goes before one that may never be.
	} else if waits {
		return messageWaits, lacks, nil
	}
	if rep == noRep {
		if n, most := r.writers, r.bounds().Replicas; n >= most {
			return messageRefused, none, &LimitError{"Replicas", uint64(n) + 1, uint64(most)}
		}
		rep = r.rep(m.sender)
		m.reps[0] = rep
	}
	if m.lamport > r.lamport+1 {
		return messageRefused, none, r.blame(rep, woken, first, &ClockJumpError{first, m.lamport, r.lamport + 1})
	}
	r.answers = answers(r, woken)
	if err := r.apply(m, origin); err != nil {
		return messageRefused, none, err
	}
	return messageApplied, none, nil
}

// lacks returns a dot that a message depends on and that is not applied; false: there is none.
func (r *Runtime) lacks(m *message, have uint64) (vclock.Dot, bool) {
	if m.start > have {
		return vclock.Dot{Replica: m.sender, Seq: m.start - 1}, true
	}
	for i := range m.table {
		if e := &m.table[i]; r.nextOf(e.id) < e.end {
			return vclock.Dot{Replica: e.id, Seq: e.end - 1}, true
		}
	}
	return vclock.Dot{}, false
}

// blame refuses the sender of a message, unless who brought it answers for it. A store does not say who brought what waits
// in it: with a message under another's dots anybody could close the document, of which more is stored.
func (r *Runtime) blame(rep Rep, woken *waitingMessage, d vclock.Dot, err error) error {
	if !answers(r, woken) && !r.restoring && (woken == nil || !woken.restored) {
		r.refuse(rep, d, err)
	}
	return err
}

// answers says whether who brought a message answers for it, see FirstHop.
func answers(r *Runtime, woken *waitingMessage) bool {
	if woken != nil {
		return woken.firstHop
	}
	return r.firstHop
}

// refuse takes nothing more from a sender.
func (r *Runtime) refuse(rep Rep, d vclock.Dot, err error) {
	if r.refused[rep] != nil || rep == r.self {
		return
	}
	if r.refused == nil {
		r.refused = make(map[Rep]error)
	}
	r.refused[rep] = err
	r.log.Warn("weft: sender refused", "replica", r.replicas[rep], "error", err)
	r.report(Problem{Dot: d, Err: err})
}

// report queues a problem of no transaction.
func (r *Runtime) report(p Problem) {
	n := r.commits + 1
	r.events.push(r, &Update{}, []func(){func() { r.events.problems.send(r, &p, n) }})
}

func (r *Runtime) letWait(m *message, origin any, lacks vclock.Dot, res *Result) error {
	if err := r.waiting.admit(len(m.bytes()), origin, &r.limits); err != nil {
		return err
	}
	w := &waitingMessage{data: bytes.Clone(m.data), origin: origin, first: vclock.Dot{Replica: m.sender, Seq: m.start}, end: m.end()}
	r.waiting.add(w, lacks)
	w.firstHop = r.firstHop
	if w.restored = r.restoring; w.restored && m.sender == r.replicas[r.self] {
		r.restored = max(r.restored, w.end)
	}
	res.Waiting++
	res.missing(r, m)
	return r.meetOwnDependencies(m)
}

// missing notes what a message waits for.
func (res *Result) missing(r *Runtime, m *message) {
	if have := r.nextOf(m.sender); have < m.start {
		res.Missing = append(res.Missing, vclock.Span{Replica: m.sender, Start: have, End: m.start})
	}
	for _, e := range m.table {
		if have := r.nextOf(e.id); have < e.end {
			res.Missing = append(res.Missing, vclock.Span{Replica: e.id, Start: have, End: e.end})
		}
	}
}

// wake looks again at messages that waited for dots of a replica, and at those that waited for these.
func (r *Runtime) wake(id uuid.UUID, res *Result) {
	if len(r.waiting.byDot) == 0 {
		return
	}
	ready := r.takeReady(r.dec.woken[:0], id)
	for len(ready) > 0 {
		w := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		r.waiting.looks++
		var m message // r.dec.msg may be in use by the caller
		if err := m.parse(w.data, &anySize); err != nil {
			r.waiting.forget(w)
			r.report(Problem{Dot: w.first, Err: err})
			continue
		}
		outcome, lacks, err := messageRefused, vclock.Dot{}, r.checkDocument(m.document) // it may have become known meanwhile
		if err == nil {
			outcome, lacks, err = r.integrate(&m, w.origin, w)
		}
		switch outcome {
		case messageWaits:
			r.waiting.add(w, lacks)
		case messageApplied:
			res.Applied++
			r.waiting.forget(w)
			ready = r.takeReady(ready, m.sender)
		default:
			r.waiting.forget(w)
			if err != nil {
				r.report(Problem{Dot: w.first, Err: err})
			}
		}
	}
	clear(ready[:cap(ready)])
	r.dec.woken = ready[:0]
}

func (r *Runtime) takeReady(ready []*waitingMessage, id uuid.UUID) []*waitingMessage {
	end := r.nextOf(id)
	for w := r.waiting.take(id, end); w != nil; w = r.waiting.take(id, end) {
		ready = append(ready, w)
	}
	return ready
}

// apply integrates a message whose dependencies are covered: all of it, or on a fault nothing.
func (r *Runtime) apply(m *message, origin any) (err error) {
	done := false
	defer func() {
		if done {
			return
		}
		v := recover()
		if r.tx.committing {
			err = r.commitFailed(v)
			return
		}
		r.rollback()
		if v != nil {
			err = &PanicError{"applying a message", v}
			if checked {
				panic(err)
			}
		}
	}()
	reps, ends := m.reps, append(r.dec.ends[:0], m.end())
	rep := reps[0]
	for i := range m.table {
		ends = append(ends, m.table[i].end)
	}
	r.dec.ends = ends
	if err := r.applyOps(m, reps, ends); errors.Is(err, ErrLimit) || errors.Is(err, ErrNewerOp) {
		return err
	} else if err != nil {
		return internal(err)
	}
	if r.document == uuid.Nil && m.document != uuid.Nil {
		r.setDocument(m.document)
	}
	r.advance(rep, m.end(), m.lamport+m.count-1, reps[1:1+m.deps], ends[1:1+m.deps])
	var data []byte
	if r.events.updates.any() {
		data = r.intoSlab(r.content(m))
	}
	r.history.settle(r)
	r.history.add(r, rep, &keptMessage{m.start, m.end(), m.lamport, m.flags, m.objBytes, m.opBytes, m.data, m})
	c := r.newCommit(origin, false, false)
	r.commitTouched(c)
	done = true
	if data != nil || len(c.posts) > 0 || len(r.problems) > 0 {
		r.events.push(r, &Update{Data: data, Kind: MessageUpdate, Origin: origin, Sender: m.sender, Start: m.start, End: m.end()}, c.posts)
		c.posts = nil
	}
	return nil
}

// content returns the content of a message, until the next call.
func (r *Runtime) content(m *message) []byte {
	if m.data == nil {
		r.dec.scratch = m.appendContent(r.dec.scratch[:0])
		return r.dec.scratch
	}
	content, _, _ := cutBstr(m.data)
	return content
}

// lookUp finds the replicas of a message.
func (r *Runtime) lookUp(m *message) {
	find := func(id uuid.UUID) Rep {
		if rep, ok := r.repOf[id]; ok {
			return rep
		}
		return noRep
	}
	m.reps = append(m.reps[:0], find(m.sender))
	for i := range m.table {
		m.reps = append(m.reps, find(m.table[i].id))
	}
}

// meetSelf takes a new replica ID if rep is the own one: a message of it that was not written here shows that another
// copy writes under it.
func (r *Runtime) meetSelf(rep Rep) error {
	if rep != r.self {
		return nil
	}
	return r.changeReplica()
}

// meetOwnDependencies is meetSelf for a message of somebody else that waits for own dots: who wrote it has seen them.
func (r *Runtime) meetOwnDependencies(m *message) error {
	for i := range m.table {
		switch e := &m.table[i]; {
		case e.id != r.replicas[r.self] || e.end <= r.next[r.self]:
		case r.restoring:
			r.restored = max(r.restored, e.end)
		default:
			return r.changeReplica()
		}
	}
	return nil
}

// changeReplica takes a new replica ID: another copy writes under the present one.
func (r *Runtime) changeReplica() error {
	id, err := r.randomReplica()
	if err != nil {
		return err
	}
	r.history.settle(r) // as own messages
	old := r.replicas[r.self]
	r.self, r.restored = r.rep(id), 0
	r.log.Warn("weft: another copy writes under this replica ID; took a new one", "old", old, "new", id)
	e, n := ReplicaChange{old, id}, r.commits+1
	r.events.push(r, &Update{}, []func(){func() { r.events.replica.send(r, &e, n) }})
	return nil
}

func (r *Runtime) applyOps(m *message, reps []Rep, ends []uint64) error {
	if len(m.objects) == 1 && m.ops == 1 && r.dec.lastNode != nil && bytes.Equal(m.objBytes, r.dec.lastObj) {
		return r.applyOp(m, &opFrame{0, m.count, m.opBytes, m.opsAt}, r.dec.lastNode, m.start, reps, ends)
	}
	nodes := append(r.dec.nodes[:0], make([]*Node, len(m.objects))...)
	r.dec.nodes = nodes
	seq := m.start
	for f := range m.frames {
		n, err := r.resolveOne(m, f.object, nodes, reps)
		switch {
		case err != nil:
			r.noteProblem(Problem{Dot: r.Dot(LocalDot{reps[0], seq}), Err: err})
		case n != nil:
			if err := r.applyOp(m, f, n, seq, reps, ends); err != nil {
				return err
			}
		}
		seq += f.dots
	}
	if len(nodes) == 1 && nodes[0] != nil && nodes[0].class == classRoot {
		r.dec.lastObj, r.dec.lastNode = append(r.dec.lastObj[:0], m.objBytes...), nodes[0]
	}
	return nil
}

// maxProblems bounds the problems of one update that are told: whoever writes what makes no sense may do so in every byte.
const maxProblems = 100

// noteProblem adds to the problems of the update at hand.
func (r *Runtime) noteProblem(p Problem) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, p)
	}
}

func (r *Runtime) applyOp(m *message, f *opFrame, n *Node, seq uint64, reps []Rep, ends []uint64) error {
	if n.state != alive {
		return nil // deleted: that is final and beats what others do to it meanwhile
	}
	dot := LocalDot{reps[0], seq}
	r.touch(n)
	if n.opaque() != nil {
		n.ownOpaque().keep(r, opaqueOp{dot, f.dots, m.lamport + seq - m.start, f.payload, reps, ends})
		return nil
	}
	op := &r.tx.op
	op.reset(n, dot, int(f.dots), m.lamport+seq-m.start)
	op.buf, op.off, op.base, op.err = f.payload, 0, f.at, nil
	op.reps, op.ends, op.self = reps, ends, seq
	err := n.obj.Apply(op)
	switch {
	case err == nil:
	case errors.Is(err, ErrNewerOp):
		if r.answers {
			return fmt.Errorf("runtime: object %s: %w", n, inner{err})
		}
		r.makeOpaque(n, dot, r.next)
		n.ownOpaque().keep(r, opaqueOp{dot, f.dots, m.lamport + seq - m.start, f.payload, reps, ends})
	case errors.Is(err, ErrInvalidOp), errors.Is(err, ErrCorrupt):
		if len(r.problems) < maxProblems {
			r.noteProblem(Problem{Dot: r.Dot(dot), Object: n.String(), Err: err})
		}
	default:
		return err
	}
	return nil
}
