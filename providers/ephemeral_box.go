package providers

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed1312cc15/weft/vclock"
)

// ephemeralBox is what waits for one session's peer. reached and sentAt are the session's; the rest is guarded by the lock of the
// Ephemeral.
type ephemeralBox struct {
	e       *Ephemeral
	session *Session
	casts   [][]byte    // frames without their heads
	waiting atomic.Bool // there are casts
	reached uint64      // the number of the last value that the peer has got
	sentAt  time.Time
}

// join adds a session: its peer is to get all values that stand. The own one is shown anew: a server that had lost this side
// has made it leave under the next counter.
func (e *Ephemeral) join(s *Session) *ephemeralBox {
	now := e.opt.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.entries[e.opt.Own]; p != nil && e.own.set {
		e.counter = max(e.counter+2, uint64(max(0, now.UnixMilli())))
		p.counter, p.expires, e.own.refresh = e.counter, now.Add(e.opt.TTL), now.Add(e.opt.TTL/2)
		if p.held != nil {
			e.counter++
			p.held.counter = e.counter
		}
		clear(e.runs) // they have the counter that was
	}
	b := &ephemeralBox{e: e, session: s}
	e.boxes[b] = true
	return b
}

func (e *Ephemeral) leave(b *ephemeralBox) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.boxes, b)
}

// presencePause is how often a peer gets presence: at most 20 frames a second.
const presencePause = 50 * time.Millisecond

// due returns when there is something to send or, if sessions see to that, to be done; zero: nothing.
func (b *ephemeralBox) due() (at time.Time) {
	if b.reached < b.e.seq.Load() {
		at = b.sentAt.Add(presencePause)
	}
	if b.e.opt.Alarm != nil {
		return at
	}
	return earliest(at, b.e.Deadline())
}

// castHead is the length of what stands before the bytes that all peers get of a cast, in a frame of channel 0.
const castHead = 3

// next returns the next frame for the peer, in two parts, nil if none is due.
func (b *ephemeralBox) next(channel uint64) (head, body []byte) {
	if b.waiting.Load() {
		head = appendHead(append(make([]byte, 0, 8), 0x87), 0, uint64(FrameCast))
		return appendHead(head, 0, channel), b.cast()
	}
	for b.reached < b.e.seq.Load() {
		now := b.e.opt.Now()
		if now.Before(b.sentAt.Add(presencePause)) {
			return nil, nil
		}
		r, at := b.e.run(b.reached, now)
		if b.reached = r.through; at.IsZero() {
			at = now
		}
		if n, body := r.without(b); n > 0 {
			b.sentAt = at
			head = appendHead(append(make([]byte, 0, 12), 0x83), 0, uint64(FramePresence))
			return appendHead(appendHead(head, 0, channel), 0x80, uint64(n)), body
		}
	}
	return nil, nil
}

func (b *ephemeralBox) cast() []byte {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	body := b.casts[0]
	b.casts[0] = nil
	if b.casts = b.casts[1:]; len(b.casts) == 0 {
		b.casts = nil
		b.waiting.Store(false)
	}
	return body
}

// presenceRun is what all peers get that have got as far as one number.
type presenceRun struct {
	body    []byte          // entries of a presence frame, one after the other
	ends    []int           // of each, in body
	origins []*ephemeralBox // of each
	through uint64          // the number that a peer has got to with it
	at      time.Time       // when it was encoded: it tells how long values stand
}

// maxRuns bounds the runs that are kept: most peers are at the same number, and a few behind.
const maxRuns = 16

// run returns the run after a number; if it is the last, also when that was begun, else zero.
func (e *Ephemeral) run(after uint64, now time.Time) (*presenceRun, time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[after]
	if r == nil || now.Sub(r.at) > presencePause {
		r = e.encode(after, now)
		if e.runs == nil || len(e.runs) == maxRuns {
			e.runs = make(map[uint64]*presenceRun)
		}
		e.runs[after] = r
	}
	if r.through == e.seq.Load() {
		return r, e.numbered
	}
	return r, time.Time{}
}

func (e *Ephemeral) encode(after uint64, now time.Time) *presenceRun {
	type entry struct {
		r vclock.Replica
		p *presence
	}
	var list []entry
	for r, p := range e.entries {
		if p.seq > after && (after > 0 || !p.gone) {
			list = append(list, entry{r, p})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.p.seq, b.p.seq) })
	run := &presenceRun{through: e.seq.Load(), at: now}
	for i, x := range list {
		if i == maxPresence || len(run.body) > packTarget {
			run.through = list[i-1].p.seq
			break
		}
		p := x.p
		f := presenceEntry{Key: x.r[:], Counter: p.counter, Value: p.value, Stamp: p.stamp}
		if !p.gone {
			f.TTL = uint64(max(1, p.expires.Sub(now).Milliseconds()))
		}
		run.body = append(run.body, encode(f)...)
		run.ends = append(run.ends, len(run.body))
		run.origins = append(run.origins, p.origin)
	}
	return run
}

// without returns the number of entries that a peer did not bring itself, and their bytes.
func (r *presenceRun) without(b *ephemeralBox) (n int, body []byte) {
	if !slices.Contains(r.origins, b) {
		return len(r.ends), r.body
	}
	body = make([]byte, 0, len(r.body))
	from := 0
	for i, end := range r.ends {
		if r.origins[i] != b {
			n++
			body = append(body, r.body[from:end]...)
		}
		from = end
	}
	return n, body
}
