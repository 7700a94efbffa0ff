package providers

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// outbox is where a document's updates meet one of its sessions. It alone is touched from other goroutines than the
// session's: handlers of the runtime add to it, also while the session is inside Runtime.Receive. Its lock is a leaf.
//
//  1. While !behind, items are the updates that the peer lacks, in commit order, apart from what the session is sending.
//  2. While behind, items is empty, and for each replica the peer lacks at most its dots from lacks[replica] on; unless
//     blind, then only the peer can tell.
//  3. unsaved holds, for each replica, dots of the document that the peer has not acknowledged.
type outbox struct {
	mu      sync.Mutex
	session *Session
	wake    func() // tells the driver that there is something to send

	live           bool // updates are wanted
	items          []outItem
	bytes          int
	maxBytes, maxN int
	behind         bool
	blind          bool
	lacks          map[vclock.Replica]uint64
	drops          int         // times that the queue was dropped
	news           atomic.Bool // the document has changed

	unsaved map[vclock.Replica]dots // nil: nobody wants to know
	held    vclock.Clock            // what the peer has acknowledged; an event may come late
	known   bool                    // the peer has told its clock: unsaved is exact

	owes map[vclock.Replica]owing // applied from the peer, not all acknowledged to it; nil: it wants to hear nothing
}

type owing struct{ end, told uint64 }

type outItem struct {
	data       []byte
	sender     vclock.Replica
	start, end uint64
}

type dots struct{ start, end uint64 }

// add is the handler of the runtime's updates.
func (o *outbox) add(u runtime.Update) {
	o.news.Store(true)
	o.mu.Lock()
	wake := o.take(&u)
	o.mu.Unlock()
	if wake && o.wake != nil {
		o.wake()
	}
}

func (o *outbox) take(u *runtime.Update) bool {
	if u.Origin == any(o.session) {
		if u.Kind == runtime.MessageUpdate && o.owes != nil {
			o.oweLocked(u.Sender, u.End)
		}
		return true
	}
	if u.Kind != runtime.MessageUpdate {
		o.known = false
		if o.live {
			o.drop()
			o.blind = true
		}
		return o.live
	}
	if o.unsaved != nil && u.End > o.held[u.Sender] {
		d, ok := o.unsaved[u.Sender]
		if !ok {
			d.start = u.Start
		}
		o.unsaved[u.Sender] = dots{min(d.start, u.Start), max(d.end, u.End)}
	}
	switch {
	case !o.live:
	case o.behind:
		o.lack(u.Sender, u.Start)
	case len(o.items) >= o.maxN || o.bytes+len(u.Data) > o.maxBytes:
		o.drop()
		o.drops++
		o.lack(u.Sender, u.Start)
	default:
		o.items = append(o.items, outItem{u.Data, u.Sender, u.Start, u.End})
		o.bytes += len(u.Data)
	}
	return o.live
}

// drop turns the queue into lacks.
func (o *outbox) drop() {
	o.behind = true
	for i := range o.items {
		o.lack(o.items[i].sender, o.items[i].start)
	}
	o.items, o.bytes = nil, 0
}

func (o *outbox) lack(r vclock.Replica, from uint64) {
	if o.lacks == nil {
		o.lacks = make(map[vclock.Replica]uint64)
	}
	if have, ok := o.lacks[r]; !ok || from < have {
		o.lacks[r] = from
	}
}

// restart empties the outbox before what the peer lacks is computed from the document, and says what was known of that.
func (o *outbox) restart() (lacks map[vclock.Replica]uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lacks = o.lacks
	o.items, o.bytes, o.lacks = nil, 0, nil
	o.behind, o.blind = false, false
	return lacks
}

// first returns up to n items, which stay.
func (o *outbox) first(n int, into []outItem) []outItem {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(into, o.items[:min(n, len(o.items))]...)
}

// sent removes the first n items if they still stand there: the queue may have been dropped meanwhile.
func (o *outbox) sent(items []outItem) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(items) == 0 || len(o.items) < len(items) || &o.items[0].data[0] != &items[0].data[0] {
		return
	}
	for i := range items {
		o.bytes -= len(items[i].data)
		o.items[i] = outItem{}
	}
	if o.items = o.items[len(items):]; len(o.items) == 0 {
		o.items = nil
	}
}

func (o *outbox) status() (queued int, behind, blind bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items), o.behind, o.blind
}

// compare sets unsaved anew: all that the document has and a clock of the peer lacks. The clock belongs to the outbox from
// then on.
func (o *outbox) compare(rt *runtime.Runtime, peer vclock.Clock) {
	o.mu.Lock()
	if o.unsaved == nil {
		o.mu.Unlock()
		return
	}
	if peer == nil {
		peer = make(vclock.Clock)
	}
	o.unsaved, o.held, o.known = make(map[vclock.Replica]dots), peer, false
	o.mu.Unlock()
	spans := rt.Clock().Diff(peer)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = true
	for _, s := range spans {
		d, ok := o.unsaved[s.Replica]
		if !ok {
			d.start = s.Start
		}
		o.unsaved[s.Replica] = dots{min(d.start, s.Start), max(d.end, s.End)}
	}
}

// holds takes what a clock covers off unsaved; false as long as that is not exact. What the clock lacks is no news: the peer
// may have brought it and not hold it yet, and acknowledges only what is brought to it.
func (o *outbox) holds(c vclock.Clock) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.known {
		return o.unsaved == nil
	}
	o.held.Merge(c)
	for r, d := range o.unsaved {
		if d.start = max(d.start, c[r]); d.start >= d.end {
			delete(o.unsaved, r)
		} else {
			o.unsaved[r] = d
		}
	}
	return true
}

// acked notes that the peer holds a replica's dots below end, and reports whether that is news.
func (o *outbox) acked(r vclock.Replica, end uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held != nil {
		o.held.Set(r, max(o.held[r], end))
	}
	d, ok := o.unsaved[r]
	if !ok || end <= d.start {
		return false
	}
	if d.start = end; d.start >= d.end {
		delete(o.unsaved, r)
	} else {
		o.unsaved[r] = d
	}
	return true
}

// unsavedSpans returns what is unsaved, sorted; false as long as the peer's clock is not known.
func (o *outbox) unsavedSpans() ([]vclock.Span, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []vclock.Span
	for r, d := range o.unsaved {
		out = append(out, vclock.Span{Replica: r, Start: d.start, End: d.end})
	}
	slices.SortFunc(out, func(a, b vclock.Span) int {
		return cmp.Or(vclock.CompareReplicas(a.Replica, b.Replica), cmp.Compare(a.Start, b.Start))
	})
	return out, o.known
}

// owe notes dots that the peer brought and that were here before.
func (o *outbox) owe(r vclock.Replica, end uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.owes != nil {
		o.oweLocked(r, end)
	}
}

func (o *outbox) oweLocked(r vclock.Replica, end uint64) {
	w := o.owes[r]
	w.end = max(w.end, end)
	o.owes[r] = w
}

type owed struct {
	replica vclock.Replica
	end     uint64
}

// due returns what may be acknowledged now: what durable covers. What is beyond stays owed.
func (o *outbox) due(durable func(vclock.Replica) uint64, into []owed) []owed {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r, w := range o.owes {
		have := w.end
		if durable != nil {
			have = min(w.end, durable(r))
		}
		if have > w.told {
			into = append(into, owed{r, have})
		}
		if w.told = max(w.told, have); w.told == w.end {
			delete(o.owes, r)
		} else {
			o.owes[r] = w
		}
		if len(into) == maxAckEntries {
			break
		}
	}
	slices.SortFunc(into, func(a, b owed) int { return vclock.CompareReplicas(a.replica, b.replica) })
	return into
}
