package runtime

import (
	"cmp"
	"container/heap"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// waitingRoom holds messages whose dependencies are not applied yet. Each stands under one dot that it lacks; when that
// comes, it is looked at again. Any order of arrival thus costs O(log waiting) a message.
//
//  1. Every waiting message stands in exactly one heap, under a dot that the clock does not cover.
//  2. No two have the same first dot.
//  3. count, bytes and origins add up to what waits.
type waitingRoom struct {
	lacking map[uuid.UUID]*waitingHeap
	byDot   map[vclock.Dot]*waitingMessage
	origins map[any]int
	bytes   int
	looks   int // how often a message was looked at again: tests count steps by it
}

type waitingMessage struct {
	data   []byte
	origin any
	first  vclock.Dot
	end    uint64
	lacks  uint64 // seq of the dot that it waits for
	// restored says that it came with Restore, firstHop that it came with FirstHop.
	restored bool
	firstHop bool
}

type waitingHeap []*waitingMessage

func (h waitingHeap) Len() int           { return len(h) }
func (h waitingHeap) Less(i, j int) bool { return h[i].lacks < h[j].lacks }
func (h waitingHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *waitingHeap) Push(x any)        { *h = append(*h, x.(*waitingMessage)) }
func (h *waitingHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}

// originKey makes any tag usable as a map key.
func originKey(o any) any {
	if o == nil || !reflect.ValueOf(o).Comparable() {
		return nil
	}
	return o
}

func (w *waitingRoom) admit(size int, origin any, lim *Limits) error {
	switch o := w.origins[originKey(origin)]; {
	case len(w.byDot) >= lim.Waiting:
		return &LimitError{"Waiting", uint64(len(w.byDot)) + 1, uint64(lim.Waiting)}
	case o >= lim.WaitingOrigin:
		return &LimitError{"WaitingOrigin", uint64(o) + 1, uint64(lim.WaitingOrigin)}
	case w.bytes+size > lim.WaitingBytes:
		return &LimitError{"WaitingBytes", uint64(w.bytes + size), uint64(lim.WaitingBytes)}
	}
	return nil
}

func (w *waitingRoom) add(m *waitingMessage, lacks vclock.Dot) {
	if w.byDot == nil {
		w.lacking, w.byDot, w.origins = make(map[uuid.UUID]*waitingHeap), make(map[vclock.Dot]*waitingMessage), make(map[any]int)
	}
	if w.byDot[m.first] == nil {
		w.byDot[m.first] = m
		w.origins[originKey(m.origin)]++
		w.bytes += len(m.data)
	}
	m.lacks = lacks.Seq
	h := w.lacking[lacks.Replica]
	if h == nil {
		h = new(waitingHeap)
		w.lacking[lacks.Replica] = h
	}
	heap.Push(h, m)
}

// take removes and returns a message whose lacking dot of this replica is now below end, or nil. The message still
// counts until forget.
func (w *waitingRoom) take(rep uuid.UUID, end uint64) *waitingMessage {
	h := w.lacking[rep]
	if h == nil || (*h)[0].lacks >= end {
		return nil
	}
	m := heap.Pop(h).(*waitingMessage)
	if len(*h) == 0 {
		delete(w.lacking, rep)
	}
	return m
}

func (w *waitingRoom) forget(m *waitingMessage) {
	if w.byDot[m.first] != m {
		return
	}
	delete(w.byDot, m.first)
	w.bytes -= len(m.data)
	key := originKey(m.origin)
	if w.origins[key]--; w.origins[key] == 0 {
		delete(w.origins, key)
	}
}

// drop forgets what came from an origin. Cost: O(waiting).
func (w *waitingRoom) drop(origin any) {
	key := originKey(origin)
	if w.origins[key] == 0 {
		return
	}
	for id, h := range w.lacking {
		kept := (*h)[:0]
		for _, m := range *h {
			if originKey(m.origin) == key {
				w.forget(m)
			} else {
				kept = append(kept, m)
			}
		}
		clear((*h)[len(kept):])
		if *h = kept; len(kept) == 0 {
			delete(w.lacking, id)
		} else {
			heap.Init(h)
		}
	}
}

// sorted returns what waits by sender and start: the order in which it is saved.
func (w *waitingRoom) sorted() []*waitingMessage {
	ms := make([]*waitingMessage, 0, len(w.byDot))
	for _, m := range w.byDot {
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b *waitingMessage) int { return a.first.Compare(b.first) })
	return ms
}

// Waiting returns the number of messages that wait for others.
func (r *Runtime) Waiting() int {
	r.rlock()
	defer r.mu.RUnlock()
	return len(r.waiting.byDot)
}

// WaitingFrom returns the number of messages that came from an origin (From) and wait for others. Cost: O(1).
func (r *Runtime) WaitingFrom(origin any) int {
	r.rlock()
	defer r.mu.RUnlock()
	return r.waiting.origins[originKey(origin)]
}

// ForgetWaiting drops the messages that came from an origin (From) and still wait for others: whoever wants them has to
// ask for them again. Providers call it for what has waited for too long. Errors: ErrNested. Cost: O(messages that wait).
func (r *Runtime) ForgetWaiting(origin any) error {
	if err := r.lock(); err != nil {
		return err
	}
	defer r.unlock()
	r.waiting.drop(origin)
	return nil
}

// Missing returns the dots that waiting messages need and that have not arrived, sorted by replica and start. Cost:
// O(w log w) for w waiting messages and their dependencies.
func (r *Runtime) Missing() []vclock.Span {
	r.rlock()
	defer r.mu.RUnlock()
	need := make(map[uuid.UUID]uint64)
	here := make(map[uuid.UUID][]vclock.Span)
	var m message
	for _, w := range r.waiting.sorted() {
		if m.parse(w.data, &anySize) != nil {
			continue
		}
		need[m.sender] = max(need[m.sender], m.start)
		here[m.sender] = append(here[m.sender], m.span())
		for _, e := range m.table {
			need[e.id] = max(need[e.id], e.end)
		}
	}
	var out []vclock.Span
	for id, end := range need {
		at := r.nextOf(id)
		for _, s := range here[id] {
			if s.Start > at && at < end {
				out = append(out, vclock.Span{Replica: id, Start: at, End: min(s.Start, end)})
			}
			at = max(at, s.End)
		}
		if at < end {
			out = append(out, vclock.Span{Replica: id, Start: at, End: end})
		}
	}
	slices.SortFunc(out, func(a, b vclock.Span) int {
		return cmp.Or(vclock.CompareReplicas(a.Replica, b.Replica), cmp.Compare(a.Start, b.Start))
	})
	return out
}

func (r *Runtime) nextOf(id uuid.UUID) uint64 {
	if i, ok := r.repOf[id]; ok {
		return r.next[i]
	}
	return 0
}
