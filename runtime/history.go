package runtime

import (
	"slices"
	"sort"

	"github.com/seed1312cc15/weft/vclock"
)

// history keeps the last messages, so that a peer which misses a few gets exactly those.
//
//  1. of[rep] holds messages of rep in order, without a gap, the last ending at the clock.
//  2. Others' messages are dropped oldest first once there are more than the bounds allow; own ones only if an
//     acknowledgement covers them.
type history struct {
	opts    History
	of      map[Rep][]keptMessage
	others  []evictable // others' messages in order of arrival; some are dropped already
	count   int         // messages kept
	bytes   int
	arrived uint64
	acked   uint64 // own dots below are acknowledged
}

type keptMessage struct {
	data       []byte
	start, end uint64
	arrival    uint64
}

type evictable struct {
	rep   Rep
	start uint64
}

func (h *history) init(o History) {
	h.opts = o
	h.of = make(map[Rep][]keptMessage)
}

// add keeps a message that has just been applied.
func (h *history) add(r *Runtime, rep Rep, start, end uint64, data []byte) {
	if h.opts.Off {
		return
	}
	list := h.of[rep]
	if n := len(list); n > 0 && list[n-1].end != start {
		h.drop(rep, n) // a state brought what lies between
		list = nil
	}
	h.arrived++
	h.of[rep] = append(list, keptMessage{data, start, end, h.arrived})
	h.count++
	h.bytes += len(data)
	if rep != r.self {
		h.others = append(h.others, evictable{rep, start})
	}
	h.evict(r)
}

func (h *history) drop(rep Rep, n int) {
	list := h.of[rep]
	for i := range list[:n] {
		h.bytes -= len(list[i].data)
		list[i] = keptMessage{}
	}
	h.count -= n
	if n == len(list) {
		delete(h.of, rep)
	} else {
		h.of[rep] = list[n:]
	}
}

// evict drops the oldest messages that may go while the bounds are passed. Each is looked at once.
func (h *history) evict(r *Runtime) {
	for h.count > h.opts.Messages || h.bytes > h.opts.Bytes {
		for len(h.others) > 0 {
			e := h.others[0]
			if list := h.of[e.rep]; len(list) > 0 && list[0].start == e.start {
				break
			}
			h.others = h.others[1:] // dropped already
		}
		own := h.of[r.self]
		ownGoes := len(own) > 0 && own[0].end <= h.acked
		switch {
		case ownGoes && (len(h.others) == 0 || own[0].arrival < h.of[h.others[0].rep][0].arrival):
			h.drop(r.self, 1)
		case len(h.others) > 0:
			h.drop(h.others[0].rep, 1)
			h.others = h.others[1:]
		default:
			return
		}
	}
}

// find returns the message that holds a dot.
func (h *history) find(rep Rep, seq uint64) (keptMessage, bool) {
	list := h.of[rep]
	i := sort.Search(len(list), func(i int) bool { return list[i].end > seq })
	if i == len(list) || list[i].start > seq {
		return keptMessage{}, false
	}
	return list[i], true
}

// Acknowledge tells that everything a clock covers is durable elsewhere, so that own messages below it need not be
// kept. Providers call it.
func (r *Runtime) Acknowledge(c vclock.Clock) {
	if err := r.lock(); err != nil {
		panic(err)
	}
	defer r.unlock()
	r.history.acked = max(r.history.acked, c.Get(r.replicas[r.self]))
	r.history.evict(r)
}

// Unacknowledged returns the own dots that no acknowledgement covers; false if there are none.
func (r *Runtime) Unacknowledged() (vclock.Span, bool) {
	r.rlock()
	defer r.mu.RUnlock()
	s := vclock.Span{Replica: r.replicas[r.self], Start: r.history.acked, End: r.next[r.self]}
	return s, s.Start < s.End
}

// MessagesSince returns the messages that a replica with this clock misses, in causal order. The bytes are immutable.
// When history no longer holds them all it returns ErrEvicted: use SaveSince. Cost: O(replicas + messages returned).
func (r *Runtime) MessagesSince(c vclock.Clock) ([][]byte, error) {
	if err := r.tryRLock(); err != nil {
		return nil, err
	}
	defer r.mu.RUnlock()
	var found []keptMessage
	for rep, end := range r.next {
		have := c.Get(r.replicas[rep])
		if have >= end {
			continue
		}
		list := r.history.of[Rep(rep)]
		i := sort.Search(len(list), func(i int) bool { return list[i].start >= have })
		if i == len(list) || list[i].start != have || list[len(list)-1].end != end {
			return nil, ErrEvicted
		}
		found = append(found, list[i:]...)
	}
	slices.SortFunc(found, func(a, b keptMessage) int {
		if a.arrival < b.arrival {
			return -1
		}
		return 1
	})
	out := make([][]byte, len(found))
	for i := range found {
		out[i] = found[i].data
	}
	return out, nil
}
