package runtime

import (
	"slices"
)

// commitLocal turns the open transaction into a message and makes it part of the document.
func (r *Runtime) commitLocal() error {
	tx := &r.tx
	if tx.dots == 0 {
		if len(r.touched) > 0 {
			r.rollback() // an object was touched but nothing recorded
		}
		return nil
	}
	tx.abandon()
	if !tx.single() || tx.dots > uint64(r.limits.MessageDots) || tx.start-1 >= maxEnd/2 { // else no limit can be passed
		if err := r.checkLocalLimits(); err != nil {
			return err
		}
	}
	data, short := r.shortMessage()
	if !short {
		data = r.buildMessage()
	}
	if len(data) > r.limits.MessageBytes {
		return &LimitError{"MessageBytes", uint64(len(data)), uint64(r.limits.MessageBytes)}
	}
	if tx.deps == 0 && tx.start > 0 && r.heads.has(tx.sender) { // the last transaction was one's own too
		r.next[tx.sender], r.lamport = tx.start+tx.dots, tx.lamport+tx.dots-1
	} else {
		r.advance(tx.sender, tx.start+tx.dots, tx.lamport+tx.dots-1, tx.reps[1:1+tx.deps], tx.ends[1:1+tx.deps])
	}
	switch {
	case r.history.opts.Off:
	case short:
		r.history.keep(r, len(r.slab)-len(data), len(r.slab))
	default:
		r.keepLocal(data)
	}
	c := r.newCommit(tx.origin, true, false)
	r.commitTouched(c)
	r.pushLocal(data, c.posts)
	return nil
}

// pushLocal queues the event of the open transaction. It is put together where it is delivered from: an edit pays for
// each copy.
func (r *Runtime) pushLocal(data []byte, posts []func()) {
	q, tx := &r.events, &r.tx
	if len(r.problems) > 0 {
		posts = q.withProblems(r, posts)
	}
	if !q.updates.any() && len(posts) == 0 {
		return
	}
	e := q.next()
	e.number = r.commits
	u := &e.update
	u.Data, u.Kind, u.Local = data, MessageUpdate, true
	u.Sender, u.Start, u.End = r.replicas[tx.sender], tx.start, tx.start+tx.dots
	if tx.origin != nil {
		u.Origin = tx.origin
	}
	if posts != nil {
		e.posts, tx.commit.posts = posts, nil
	}
	if e != &q.direct {
		q.put(e)
	}
}

// keepLocal puts the message of the open transaction into history.
func (r *Runtime) keepLocal(data []byte) {
	tx, h, rec := &r.tx, &r.history, &r.tx.recs[0]
	h.settle(r)
	m := keptMessage{start: tx.start, end: tx.start + tx.dots, flags: flagMulti, data: data} // kept whole
	if data[shortHead+1] == 0 && r.template.node == rec.node && len(data) >= 24+shortHead && len(data) < 1<<8 {
		m.flags, m.objects, m.ops = 0, r.template.objects[:r.template.size], tx.ops[rec.start:rec.end]
	}
	h.add(r, tx.sender, &m)
	if m.flags == 0 {
		h.last.node = rec.node
	}
}

func (r *Runtime) checkLocalLimits() error {
	tx := &r.tx
	switch {
	case tx.dots > uint64(r.limits.MessageDots):
		return &LimitError{"MessageDots", tx.dots, uint64(r.limits.MessageDots)}
	case tx.framed+len(tx.recs) > r.limits.MessageOps:
		return &LimitError{"MessageOps", uint64(tx.framed + len(tx.recs)), uint64(r.limits.MessageOps)}
	case tx.start+tx.dots > maxEnd:
		return &LimitError{"Seq", tx.start + tx.dots, maxEnd}
	case tx.start == 0 && r.writers >= r.limits.Replicas:
		return &LimitError{"Replicas", uint64(r.writers) + 1, uint64(r.limits.Replicas)}
	}
	return nil
}

// advance applies one transaction's envelope to the clock, the heads and the Lamport timestamp. deps are its
// dependencies other than the sender's own previous dot; ends are 1 + their seqs.
func (r *Runtime) advance(sender Rep, end, lamport uint64, deps []Rep, ends []uint64) {
	if r.next[sender] == 0 {
		r.writers++
	}
	r.next[sender] = end
	r.lamport = max(r.lamport, lamport)
	for i, d := range deps {
		if r.next[d] <= ends[i] {
			r.heads.remove(d)
		}
	}
	r.heads.add(sender)
}

// finish commits the touched objects and queues the update's event.
func (r *Runtime) finish(u *Update) error {
	c := r.newCommit(u.Origin, u.Local, u.Kind != MessageUpdate)
	err := r.commitObjects(c)
	if err == nil {
		r.events.push(r, u, c.posts)
	}
	c.posts = nil
	return err
}

// newCommit returns what objects are told when the open transaction ends; its events get a number of their own.
func (r *Runtime) newCommit(origin any, local, load bool) *Commit {
	c := &r.tx.commit
	if c.rt == nil {
		c.rt = r
	}
	c.Local, c.Load = local, load
	if c.Origin != nil || origin != nil {
		c.Origin = origin
	}
	r.commits++
	return c
}

// sortTable sorts replicas by ID, ends along with them.
func (r *Runtime) sortTable(reps []Rep, ends []uint64) {
	type entry struct {
		rep Rep
		end uint64
	}
	es := make([]entry, len(reps))
	for i := range reps {
		es[i] = entry{reps[i], ends[i]}
	}
	slices.SortFunc(es, func(a, b entry) int { return r.CompareReplicas(a.rep, b.rep) })
	for i, e := range es {
		reps[i], ends[i] = e.rep, e.end
	}
}

// headSet is the set of replicas whose last applied dot is causally maximal: no other applied transaction comes after
// it. A replica's own last dot is the only one that can be.
type headSet struct {
	reps []Rep
	at   []int32 // per replica: its place in reps, or -1
}

func (h *headSet) has(r Rep) bool { return h.at[r] >= 0 }

func (h *headSet) add(r Rep) {
	if h.at[r] < 0 {
		h.at[r] = int32(len(h.reps))
		h.reps = append(h.reps, r)
	}
}

func (h *headSet) remove(r Rep) {
	i := h.at[r]
	if i < 0 {
		return
	}
	last := h.reps[len(h.reps)-1]
	h.reps[i], h.at[last] = last, i
	h.reps = h.reps[:len(h.reps)-1]
	h.at[r] = -1
}
