package runtime

import "fmt"

// Check walks the invariants of the document and of every object and returns the first that does not hold, nil if all do.
// It is for tests and for operators; its cost is that of reading everything.
func (r *Runtime) Check() error {
	if err := r.tryRLock(); err != nil {
		return err
	}
	defer r.mu.RUnlock()
	if r.broken != nil {
		return r.broken
	}
	return r.checkAll()
}

func (r *Runtime) checkAll() error {
	for _, f := range []func() error{r.checkClock, r.checkHeads, r.checkWaiting, r.checkHistory, r.checkNodes, r.checkRest} {
		if err := f(); err != nil {
			return fmt.Errorf("%w: %w", ErrInternal, inner{err})
		}
	}
	return nil
}

func (r *Runtime) checkClock() error {
	if len(r.next) != len(r.replicas) || len(r.heads.at) != len(r.replicas) || len(r.repOf) != len(r.replicas) {
		return fmt.Errorf("tables of %d, %d, %d and %d replicas", len(r.replicas), len(r.next), len(r.heads.at), len(r.repOf))
	}
	var sum uint64
	writers := 0
	for i, n := range r.next {
		if n > 0 {
			writers++
		}
		if r.repOf[r.replicas[i]] != Rep(i) {
			return fmt.Errorf("replica %v is not at its index", r.replicas[i])
		}
		if n > maxEnd {
			return fmt.Errorf("clock of %v is %d", r.replicas[i], n)
		}
		sum += n
	}
	if writers != r.writers {
		return fmt.Errorf("%d replicas have dots, %d are counted", writers, r.writers)
	}
	if r.lamport > sum {
		return fmt.Errorf("invariant 3: Lamport timestamp %d is over the clock's sum %d", r.lamport, sum)
	}
	return nil
}

func (r *Runtime) checkHeads() error {
	any := false
	for _, n := range r.next {
		any = any || n > 0
	}
	if any != (len(r.heads.reps) > 0) {
		return fmt.Errorf("invariant 2: %d heads", len(r.heads.reps))
	}
	for i, rep := range r.heads.reps {
		if r.heads.at[rep] != int32(i) || r.next[rep] == 0 {
			return fmt.Errorf("invariant 2: head of %v", r.replicas[rep])
		}
	}
	return nil
}

func (r *Runtime) checkWaiting() error {
	in, bytes := 0, 0
	for id, h := range r.waiting.lacking {
		for _, w := range *h {
			in++
			if r.nextOf(id) > w.lacks {
				return fmt.Errorf("invariant 4: %v waits for a dot of %v that is applied", w.first, id)
			}
			if r.waiting.byDot[w.first] != w {
				return fmt.Errorf("waiting message %v is not in the index", w.first)
			}
		}
	}
	origins := 0
	for _, w := range r.waiting.byDot {
		bytes += len(w.data)
	}
	for _, n := range r.waiting.origins {
		origins += n
	}
	if in != len(r.waiting.byDot) || bytes != r.waiting.bytes || origins != in {
		return fmt.Errorf("waiting room: %d in heaps, %d in index, %d by origin, %d bytes of %d", in, len(r.waiting.byDot), origins, bytes, r.waiting.bytes)
	}
	return nil
}

func (r *Runtime) checkHistory() error {
	r.history.settleShared(r)
	messages, bytes := 0, 0
	for rep, list := range r.history.of {
		for i, b := range list {
			messages += b.messages
			bytes += len(b.buf)
			if i > 0 && list[i-1].end != b.start || b.end > r.next[rep] || b.dropped {
				return fmt.Errorf("history of %v has a gap at %d", r.replicas[rep], b.start)
			}
			at := b.start
			for m := range b.since(r, 0) {
				if m.start != at {
					return fmt.Errorf("history of %v: message at %d, not %d", r.replicas[rep], m.start, at)
				}
				at = m.end
			}
			if at != b.end {
				return fmt.Errorf("history of %v: block ends at %d, not %d", r.replicas[rep], at, b.end)
			}
		}
	}
	if messages != r.history.messages || bytes != r.history.bytes {
		return fmt.Errorf("history: %d messages of %d, %d bytes of %d", messages, r.history.messages, bytes, r.history.bytes)
	}
	return nil
}

func (r *Runtime) checkNodes() error {
	if err := r.checkTable(); err != nil {
		return err
	}
	opaques := 0
	for _, n := range r.allNodes() {
		if n.opaque() != nil && n.opaque().holds() {
			opaques++
		}
		if n.state != alive {
			return fmt.Errorf("object %s is in the table but not alive", n)
		}
		if (n.obj == nil) != (n.kind.new == nil) {
			return fmt.Errorf("object %s has no state", n)
		}
		if n.obj != nil && n.opaque() == nil {
			if err := n.obj.Check(); err != nil {
				return fmt.Errorf("object %s: %w", n, inner{err})
			}
		}
	}
	if opaques != r.opaques {
		return fmt.Errorf("%d opaque objects hold something, %d are counted", opaques, r.opaques)
	}
	return nil
}

func (r *Runtime) checkTable() error {
	r.table.Lock()
	defer r.table.Unlock()
	for key, n := range r.roots {
		if n.class != classRoot || n.key != key.name || n.kind != key.kind {
			return fmt.Errorf("root %s stands under another name", n)
		}
	}
	for n := range r.made.all {
		if n.class != classDot || r.made.get(n.dot()) != n {
			return fmt.Errorf("object %s stands under another dot", n)
		}
		if _, orphan := r.orphans[n]; orphan != (n.parent == nil) || orphan && r.opaques == 0 {
			return fmt.Errorf("object %s has no container", n)
		}
	}
	for n := range r.orphans {
		if n.class != classDot || r.made.get(n.dot()) != n {
			return fmt.Errorf("object %s has no container, and is not in the table", n)
		}
	}
	return nil
}

func (r *Runtime) checkRest() error {
	if len(r.touched) != 0 || len(r.journal) != 0 || len(r.deletions.open) != 0 {
		return fmt.Errorf("a transaction left %d touched objects, %d journal entries, %d deletions", len(r.touched), len(r.journal), len(r.deletions.open))
	}
	if d := &r.deletions; len(d.runs) > max(d.max, 0) {
		return fmt.Errorf("deletion record has %d runs of %d", len(d.runs), d.max)
	}
	return nil
}
