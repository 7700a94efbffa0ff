package simulation

import (
	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// hostileName is what the hostile client calls itself; servers let it bring only what is its own.
const hostileName = "mallory"

// hostile is a client that wants to do harm: it sends garbage, other transactions under dots that it has used, transactions
// that wait for what never comes, and transactions in the name of others.
type hostile struct {
	process
	id     vclock.Replica
	end    *end
	way    int // what it does on this connection
	opened []providers.Opened
}

// Ways to do harm; others lie about transactions.
const (
	garbage = iota
	changed
	twice
	ahead
)

func newHostile(w *world) *hostile {
	return &hostile{process: process{w: w, name: hostileName, alive: true}, id: w.replica()}
}

// forget gives mallory another ID when a server has lost what was not durable. A session that catches up by clock is told of such
// transactions too: others under their dots, in the server that comes back, are seen by nobody as what they are.
func (w *world) forget() {
	if w.hostile != nil {
		w.hostile.id = w.replica()
	}
}

func (h *hostile) act() {
	w := h.w
	s := w.servers[0]
	if h.end == nil || h.end.lost {
		if s.alive {
			h.way, h.opened = w.upTo(4), nil
			h.end = w.connect(h, s).ends[0]
		}
		return
	}
	switch {
	case w.chance(12):
		w.sever(h.end.conn)
	case h.way == garbage:
		f := make([]byte, 1+w.upTo(60))
		w.Read(f)
		h.put(f)
	case h.way == changed:
		if f, ok := h.end.mux.Next(); ok {
			f[w.upTo(len(f)-1)] ^= 1 << w.upTo(7)
			h.put(f)
		}
	case h.way == ahead && len(h.opened) > 0:
		o := h.opened[w.upTo(len(h.opened)-1)]
		for range 1 + w.upTo(waiting) {
			h.fresh(w.doc(o.Document), o.Channel, w.replica(), 2)
		}
		w.pump(h.end.conn, 8)
	default:
		w.pump(h.end.conn, 8)
	}
}

// put sends a frame of its own.
func (h *hostile) put(f []byte) {
	w := h.w
	w.fault(Hostile, "%d bytes", len(f))
	w.note(h.end.id*2, f)
	if !h.end.cut && !h.end.silent[0] && len(h.end.queue) < capacity {
		h.end.queue = append(h.end.queue, flight{f, w.now})
	}
}

// event opens documents with replicas that lie.
func (h *hostile) event(e *end, ev providers.Event) {
	w := h.w
	switch ev := ev.(type) {
	case providers.Opened:
		if h.opened = append(h.opened, ev); h.way == twice {
			h.fresh(w.doc(ev.Document), ev.Channel, h.id, 1)
		}
	case providers.Admitted:
		for _, doc := range w.docs {
			if rt := h.liar(doc); rt != nil {
				e.mux.Open(rt, doc.name, nil)
			}
		}
	case providers.Refused:
		w.trace("mallory is refused: %v %s", ev.Code, ev.Reason)
	case providers.Ended:
		h.end = nil
	}
}

// fresh sends the nth transaction of a replica, another one each time.
func (h *hostile) fresh(doc *document, channel uint64, id vclock.Replica, n int) {
	w := h.w
	rt, edit, err := doc.schema.open(&runtime.Options{Replica: id, Now: h.now, Rand: w})
	for range n {
		if err == nil {
			err = rt.Transact(func(tx runtime.Tx) error { _, err := edit(w.rng, tx); return err })
		}
	}
	messages, _ := rt.MessagesSince(nil)
	if err != nil || len(messages) < n {
		return
	}
	packed, err := new(runtime.Packer).Append(nil, messages[n-1])
	if err != nil {
		w.fail("mallory: %v", err)
	}
	frame, err := cbor.Marshal([]any{providers.FrameFresh, channel, packed})
	if err != nil {
		w.fail("mallory: %v", err)
	}
	h.put(frame)
}

// liar returns a replica with transactions under dots that are used already, its own or those of somebody else.
func (h *hostile) liar(doc *document) *runtime.Runtime {
	w := h.w
	room := w.servers[0].rooms[doc.index]
	id := h.id
	var state []byte
	if room != nil && w.chance(2) {
		for _, c := range w.clients {
			if v := c.docs[doc.index].rt.Replica(); room.keeper.Claim(v, "") != "" && w.chance(2) {
				id = v
				state, _ = room.rt.Save()
				break
			}
		}
	}
	rt, edit, err := doc.schema.open(&runtime.Options{Replica: id, Now: h.now, Rand: w})
	if err != nil {
		w.fail("mallory: %v", err)
	}
	if state != nil {
		if _, err := rt.Receive(state, runtime.Restore()); err != nil {
			w.fail("mallory: %v", err)
		}
	}
	w.fault(Hostile, "transactions under used dots")
	for range 1 + w.upTo(3) {
		if err := rt.Transact(func(tx runtime.Tx) error { _, err := edit(w.rng, tx); return err }); err != nil {
			w.fail("mallory: %v", err)
		}
	}
	return rt
}
