package providers

import (
	"slices"
	"time"

	"github.com/seed1312cc15/weft/vclock"
)

// ephemeralBox is what waits for one session's peer; guarded by the lock of the Ephemeral.
type ephemeralBox struct {
	e       *Ephemeral
	session *Session
	dirty   map[vclock.Replica]bool
	casts   []castFrame
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
	}
	b := &ephemeralBox{e: e, session: s, dirty: make(map[vclock.Replica]bool)}
	for r, p := range e.entries {
		if !p.gone {
			b.dirty[r] = true
		}
	}
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

// due returns when there is something to send; zero: nothing.
func (b *ephemeralBox) due() time.Time {
	b.e.mu.Lock()
	at := time.Time{}
	if len(b.dirty) > 0 {
		at = b.sentAt.Add(presencePause)
	}
	b.e.mu.Unlock()
	return earliest(at, b.e.Deadline())
}

// next returns the next frame for the peer, nil if none is due.
func (b *ephemeralBox) next(channel uint64) []byte {
	e := b.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(b.casts) > 0 {
		f := b.casts[0]
		b.casts[0] = castFrame{}
		if b.casts = b.casts[1:]; len(b.casts) == 0 {
			b.casts = nil
		}
		f.Type, f.Channel = FrameCast, channel
		return encode(f)
	}
	if len(b.dirty) == 0 {
		return nil
	}
	now := e.opt.Now()
	if now.Before(b.sentAt.Add(presencePause)) {
		return nil
	}
	keys := make([]vclock.Replica, 0, len(b.dirty))
	for r := range b.dirty {
		keys = append(keys, r)
	}
	slices.SortFunc(keys, vclock.CompareReplicas)
	f := presenceFrame{Type: FramePresence, Channel: channel}
	size := 0
	for _, r := range keys {
		if len(f.Entries) == maxPresence || size > packTarget {
			break
		}
		delete(b.dirty, r)
		p := e.entries[r]
		if p == nil {
			continue
		}
		entry := presenceEntry{Key: r[:], Counter: p.counter, Value: p.value, Stamp: p.stamp}
		if !p.gone {
			left := p.expires.Sub(now)
			entry.TTL = uint64(max(1, left.Milliseconds()))
		}
		size += len(p.value) + len(p.stamp) + 32
		f.Entries = append(f.Entries, entry)
	}
	if len(b.dirty) == 0 {
		b.sentAt = now
	}
	if len(f.Entries) == 0 {
		return nil
	}
	return encode(f)
}
