package runtime

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"sync"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// history keeps the last messages, so that a peer which misses a few gets exactly those. Messages of one replica that
// are alike but for their operations are kept as those alone: a typed character takes three or four bytes here.
//
//  1. of[rep] holds messages of rep in order, without a gap, the last ending at the clock, in blocks.
//  2. Others' blocks are dropped oldest first once there are more messages or bytes than the bounds allow; own ones only
//     if an acknowledgement covers them.
//  3. messages and bytes add up to what the blocks hold.
//  4. Fresh messages are the newest of all, by the template's sender, in order. Whoever looks at blocks settles them first.
type history struct {
	opts     History
	of       map[Rep][]*historyBlock
	others   []*historyBlock // others' blocks by age; some are dropped already
	own      map[Rep]uint64  // replica IDs that this runtime wrote under -> dots that are acknowledged
	acked    bool            // own blocks may have become droppable
	messages int
	bytes    int
	last     *historyBlock // the block that took the last message
	settling sync.Mutex    // of readers who find fresh messages
	// from and to bound the fresh messages in the runtime's slab, if there are any: own ones, made from its template, one
	// after the other, that stand in no block yet. Putting them there together costs a fraction of doing it one by one.
	from, to int
	log      streamLog // of the messages in the order in which they were applied

	msg     *message // reused, as those below
	deps    []dependency
	places  []uint64
	compare streamCompare
	entry   []byte
}

// historyBlock is a run of messages of one replica. An entry is a uvarint 2 * length + x and so many bytes: x = 0, the
// operations of a message of one dot that has start + 1 as timestamp and, apart from them, head and objects; x = 1, what
// addFull makes of any other message.
type historyBlock struct {
	rep        Rep
	start, end uint64
	messages   int
	most       int // messages that it may hold
	dropped    bool
	objects    []byte // object table of the short entries
	node       *Node  // the root that objects names, if own short entries come next
	buf        []byte
	noted      uint64 // the log knows the messages that end here or before
	need       uint64 // entries need the log from this place on
	place      uint64 // of the last entry with one
	lamport    uint64 // after that
}

// blockMessages bounds the messages of a block, and so the work of finding one in it.
const (
	blockMessages = 256
	blockBytes    = 8 << 10
)

// keep notes a message that was just cut from the slab, r.slab[from:to], after the template.
func (h *history) keep(r *Runtime, from, to int) {
	if from != h.to {
		h.settle(r)
		h.from = from
	}
	h.to = to
}

// settle puts the fresh messages into blocks. The write lock is held, or settling under the read lock.
func (h *history) settle(r *Runtime) {
	fresh, t := r.slab[h.from:h.to], &r.template
	h.from, h.to = 0, 0
	if len(fresh) == 0 {
		return
	}
	start, _ := binary.Uvarint(fresh[len(t.head):])
	for len(fresh) > 0 {
		if b := h.last; b != nil && b.rep == t.sender && b.node == t.node && b.end == start && b.room() && !b.dropped {
			n := h.takeRun(b, fresh, t.size)
			fresh = fresh[n:]
			if start = b.end; n > 0 {
				continue
			}
		}
		data := fresh[:shortHead+int(fresh[1])]
		fresh = fresh[len(data):]
		m := keptMessage{start: start, end: start + 1, flags: data[shortHead+1], data: data}
		at := len(t.head) + uvarintLen(start)
		if m.flags != 0 { // flagCount
			dots, _ := binary.Uvarint(data[at:])
			m.end = start + dots
		} else {
			m.objects, m.ops = t.objects[:t.size], data[at+t.size:]
		}
		h.add(r, t.sender, &m)
		if start = m.end; m.flags == 0 {
			h.last.node = t.node
		}
	}
	if h.over() {
		h.evictSome()
	}
}

// takeRun appends to b the fresh messages that are like its short entries, up to the first that is not or for which b has
// no room, and returns their length. size is that of their object table.
func (h *history) takeRun(b *historyBlock, fresh []byte, size int) int {
	at, start := 0, b.end
	last := start + uint64(b.most-b.messages)
	width := uvarintLen(start)
	head := len(messageTemplate{}.head) + width + size - 1 // of what stands before an operation, less a byte for its length
	buf := b.buf
	longer := uint64(1) << (7 * width) // the next width is beyond what a block holds
	for ; at < len(fresh) && start < last && len(buf) < blockBytes; start++ {
		if start == longer {
			head++
		}
		end := at + shortHead + int(fresh[at+1])
		if fresh[at+shortHead+1] != 0 {
			break
		}
		k, n := len(buf), end-at-head
		if cap(buf)-k < n+stroke { // room for all that the block will hold if it goes on like this
			buf = slices.Grow(buf, n*int(last-start)+stroke)
		}
		if from := at + head; n <= stroke && len(fresh)-from >= stroke {
			*(*[stroke]byte)(buf[k : k+stroke]) = [stroke]byte(fresh[from : from+stroke])
			buf = buf[:k+n]
		} else {
			buf = append(buf, fresh[from:end]...)
		}
		buf[k] = byte(n-1) << 1
		at = end
	}
	n := int(start - b.end)
	b.messages += n
	h.messages += n
	h.bytes += len(buf) - len(b.buf)
	b.buf, b.end = buf, start
	return at
}

// settleShared is settle for those who hold the read lock.
func (h *history) settleShared(r *Runtime) {
	h.settling.Lock()
	h.settle(r)
	h.settling.Unlock()
}

// keptMessage is a message on its way into or out of history.
type keptMessage struct {
	start, end uint64
	lamport    uint64
	flags      byte
	objects    []byte   // object table
	ops        []byte   // operations
	data       []byte   // the whole message
	parsed     *message // the same; nil if it was not parsed
}

func (h *history) init(o History) {
	h.opts = o
	h.of, h.own = make(map[Rep][]*historyBlock), make(map[Rep]uint64)
	h.log.keep = true
}

// add keeps a message that has just been applied; it copies what it keeps.
func (h *history) add(r *Runtime, rep Rep, m *keptMessage) {
	if h.opts.Off {
		return
	}
	short := m.flags == 0
	b := h.last
	if b == nil || b.rep != rep || b.dropped || !b.takes(m, short) {
		h.note()
		b = h.open(r, rep, m, short)
	}
	if short {
		size := len(b.buf)
		b.buf = append(appendUvarint(b.buf, uint64(len(m.ops))<<1), m.ops...)
		b.end = m.end
		b.messages++
		h.messages++
		h.bytes += len(b.buf) - size
	} else {
		h.note()
		if m.parsed == nil {
			if h.msg == nil {
				h.msg = new(message)
			}
			m.parsed = h.msg
			h.msg.parseOwn(m.data)
		}
		h.addFull(r, b, m.parsed)
		if len(m.data) > keptBuffer {
			h.msg = nil
		}
		h.shrink(r)
	}
	if h.over() {
		h.evictSome()
	}
}

// evictSome is evict if there can be anything to drop.
func (h *history) evictSome() {
	if len(h.others) > 0 || h.acked {
		h.evict()
	}
}

func (b *historyBlock) room() bool { return b.messages < b.most && len(b.buf) < blockBytes }

// takes reports whether the next message fits into the block.
func (b *historyBlock) takes(m *keptMessage, short bool) bool {
	return b.end == m.start && b.room() &&
		(!short || len(b.objects) == 0 || string(b.objects) == string(m.objects)) && (!short || b.adopt(m))
}

// adopt makes the message's object table that of the block's short entries, if it has none yet.
func (b *historyBlock) adopt(m *keptMessage) bool {
	if len(b.objects) == 0 {
		b.objects = append(b.objects, m.objects...)
	}
	return true
}

// open returns the block that a message of rep goes to: its last one if that takes it, else a new one.
func (h *history) open(r *Runtime, rep Rep, m *keptMessage, short bool) *historyBlock {
	list := h.of[rep]
	if n := len(list); n > 0 {
		if h.last = list[n-1]; h.last.takes(m, short) {
			return h.last
		}
		if h.last.end != m.start {
			for range list {
				h.drop(rep) // a state brought what lies between
			}
		}
	}
	b := &historyBlock{rep: rep, start: m.start, end: m.start, noted: m.start, most: min(blockMessages, 1+h.opts.Messages/8), need: noPlace}
	if short {
		b.adopt(m)
	}
	h.of[rep] = append(h.of[rep], b)
	if _, own := h.own[rep]; rep == r.self && !own {
		h.own[rep] = 0
	} else if !own {
		h.others = append(h.others, b)
	}
	h.last = b
	return b
}

// drop forgets the oldest block of a replica.
func (h *history) drop(rep Rep) {
	b := h.of[rep][0]
	b.dropped = true
	h.messages -= b.messages
	h.bytes -= len(b.buf)
	if h.of[rep] = h.of[rep][1:]; len(h.of[rep]) == 0 {
		delete(h.of, rep)
	}
}

// evict drops the oldest blocks that may go while the bounds are passed. Each is looked at once.
func (h *history) evict() {
	if h.acked {
		h.acked = false
		for rep, acked := range h.own {
			for h.over() && len(h.of[rep]) > 0 && h.of[rep][0].end <= acked {
				h.drop(rep)
			}
			h.acked = h.acked || len(h.of[rep]) > 0 && h.of[rep][0].end <= acked
		}
	}
	for h.over() && len(h.others) > 0 {
		b := h.others[0]
		// What another copy wrote under an ID that was given up stands behind own messages and goes with them.
		if h.others = h.others[1:]; !b.dropped && h.of[b.rep][0] == b {
			h.drop(b.rep)
		}
	}
}

func (h *history) over() bool { return h.messages > h.opts.Messages || h.bytes > h.opts.Bytes }

// find returns the bytes of the message that holds a dot.
func (h *history) find(r *Runtime, rep Rep, seq uint64) ([]byte, bool) {
	h.settle(r)
	list := h.of[rep]
	i := sort.Search(len(list), func(i int) bool { return list[i].end > seq })
	if i == len(list) || list[i].start > seq {
		return nil, false
	}
	for m := range list[i].since(r, seq) {
		return m.data, true
	}
	return nil, false
}

// since yields the messages of a block that end beyond a seq, rebuilt.
func (b *historyBlock) since(r *Runtime, seq uint64) func(yield func(keptMessage) bool) {
	return func(yield func(keptMessage) bool) {
		at, place, lamport := b.start, uint64(0), uint64(0)
		for buf := b.buf; len(buf) > 0; {
			head, n := binary.Uvarint(buf)
			entry := buf[n : n+int(head>>1)]
			buf = buf[n+int(head>>1):]
			m := keptMessage{start: at, end: at + 1, lamport: at + 1}
			if head&1 != 0 {
				full := r.history.readFull(r, b, entry, at, &place, &lamport)
				m.end, m.lamport, m.data = full.end(), full.lamport, full.data
			}
			if at = m.end; at <= seq {
				continue
			}
			if m.data == nil {
				m.data = b.rebuild(r.replicas[b.rep], m.start, entry)
			}
			if !yield(m) {
				return
			}
		}
	}
}

// rebuild gives back the message of a short entry.
func (b *historyBlock) rebuild(sender uuid.UUID, start uint64, ops []byte) []byte {
	size := 18 + uvarintLen(start) + len(b.objects) + len(ops)
	m := bstrHeader(make([]byte, 0, size+5), size)
	m = append(append(m, formatMessage, 0), sender[:]...)
	m = appendUvarint(m, start)
	return append(append(m, b.objects...), ops...)
}

// Acknowledge tells that everything a clock covers is durable elsewhere, so that own messages below it need not be
// kept. Providers call it.
func (r *Runtime) Acknowledge(c vclock.Clock) {
	if err := r.lock(); err != nil {
		panic(err)
	}
	defer r.unlock()
	h := &r.history
	h.settle(r)
	h.own[r.self] = max(h.own[r.self], c.Get(r.replicas[r.self]))
	for rep, acked := range h.own {
		h.own[rep] = max(acked, c.Get(r.replicas[rep]))
	}
	h.acked = true
	h.evict()
}

// Unacknowledged returns the own dots that no acknowledgement covers; false if there are none.
func (r *Runtime) Unacknowledged() (vclock.Span, bool) {
	r.rlock()
	defer r.mu.RUnlock()
	s := vclock.Span{Replica: r.replicas[r.self], Start: r.history.own[r.self], End: r.next[r.self]}
	return s, s.Start < s.End
}

// Kept returns the clock from which on MessagesSince can tell all: what lies below it history no longer holds. Cost:
// O(replicas).
func (r *Runtime) Kept() vclock.Clock {
	r.rlock()
	defer r.mu.RUnlock()
	r.history.settleShared(r)
	c := make(vclock.Clock, len(r.next))
	for i, end := range r.next {
		if list := r.history.of[Rep(i)]; len(list) > 0 && list[len(list)-1].end == end {
			end = list[0].start
		}
		if end > 0 {
			c.Set(r.replicas[i], end)
		}
	}
	return c
}

// MessagesSince returns the messages that a replica with this clock misses, in causal order; the caller owns them. When
// history no longer holds them all, or the clock ends inside of a transaction, it returns ErrEvicted: use SaveSince. Cost:
// O(replicas + messages returned).
func (r *Runtime) MessagesSince(c vclock.Clock) ([][]byte, error) {
	if err := r.tryRLock(); err != nil {
		return nil, err
	}
	defer r.mu.RUnlock()
	r.history.settleShared(r)
	type found struct {
		keptMessage
		rep Rep
	}
	var missing []found
	for i, end := range r.next {
		rep, have := Rep(i), c.Get(r.replicas[i])
		if have >= end {
			continue
		}
		list := r.history.of[rep]
		k := sort.Search(len(list), func(i int) bool { return list[i].end > have })
		if k == len(list) || list[len(list)-1].end != end {
			return nil, ErrEvicted
		}
		first := true
		for _, b := range list[k:] {
			for m := range b.since(r, have) {
				if first && m.start != have {
					return nil, ErrEvicted
				}
				first = false
				missing = append(missing, found{m, rep})
			}
		}
	}
	// A message has a greater timestamp than all that it depends on.
	slices.SortFunc(missing, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.lamport, b.lamport), r.CompareReplicas(a.rep, b.rep))
	})
	out := make([][]byte, len(missing))
	for i := range missing {
		out[i] = missing[i].data
	}
	return out, nil
}
