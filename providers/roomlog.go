package providers

import (
	"errors"
	"fmt"
	"hash/crc64"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// RoomLog numbers the transactions of a document in the order in which one process took them and made them durable, from 1
// on, and holds the last ones packed, once for all sessions that send it (Options.Log). A Keeper makes it.
//
//  1. What has a number is durable, if the Keeper's store makes things durable: nobody sees a number before.
//  2. data holds the packed messages first to next-1; ends and digests have an entry for each, and digests one more.
//  3. Those who follow a log from a number on, with the state that belongs to it, get exactly its messages.
//  4. An update that is no message takes a number too, but stands in the store alone: whoever followed from before it is
//     brought up to date by clock.
//
// Safe for concurrent use. Its lock is a leaf.
type RoomLog struct {
	mu       sync.Mutex
	epoch    [8]byte           // of the store that numbers; another one, other numbers
	packer   *runtime.Packer   // nil: to be made
	mirror   *runtime.Unpacker // what followers know; it checks what they get
	first    uint64
	next     uint64
	data     []byte
	ends     []int
	digests  []uint64
	begun    uint64 // number with which the stream began, in its present form
	start    []byte // state there
	state    []byte // state at next; nil: to be made
	time     int64  // of the last one, ms
	sessions map[*Session]struct{}
	broken   bool
}

// Bounds of a RoomLog.
const (
	// logBytes bounds the packed messages that are kept for those who are behind; beyond twice as much half is dropped.
	logBytes = 128 << 10
	// A stream begins anew with so many replicas or bytes of object tables.
	maxLogReplicas = 4096
	maxLogObjects  = 32 << 10
)

var ecma = crc64.MakeTable(crc64.ECMA)

func newRoomLog(epoch [8]byte) *RoomLog {
	l := &RoomLog{epoch: epoch, sessions: make(map[*Session]struct{})}
	l.begin(1, 0)
	return l
}

// begin starts an empty stream at a number.
func (l *RoomLog) begin(next, digest uint64) {
	l.packer, l.mirror = &runtime.Packer{Split: true}, &runtime.Unpacker{Split: true}
	l.packer.StartAt(next)
	l.start = l.packer.AppendState(nil)
	l.resume(next, digest)
}

// resume empties the log at the state l.start.
func (l *RoomLog) resume(next, digest uint64) {
	if err := l.mirror.Restore(l.start); err != nil {
		panic(err) // a Packer made it
	}
	l.first, l.next, l.begun = next, next, next
	l.data, l.ends, l.digests, l.state = nil, nil, []uint64{digest}, l.start
}

// digest returns that of all before next.
func (l *RoomLog) digest() uint64 { return l.digests[len(l.digests)-1] }

// Next returns the number that the next transaction gets, and the server's time of the last, in ms.
func (l *RoomLog) Next() (number uint64, ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, l.time
}

// pack packs messages as the next ones of the log, which does not show them yet: publish does.
func (l *RoomLog) pack(messages [][]byte) (packed []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.writer()
	for _, m := range messages {
		if packed, err = p.Append(packed, m); err != nil {
			return nil, err
		}
	}
	return packed, nil
}

// publish shows what pack has packed, and wakes the sessions. It reports whether the stream began anew after it, with the same
// places and without tables.
func (l *RoomLog) publish(packed []byte, ms int64) (restarted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.extend(packed); err != nil {
		l.broken = true // followers would go astray
		return false, err
	}
	l.time, l.state = ms, nil
	if len(l.data) > 2*logBytes {
		l.trim()
	}
	if ids, objects := l.writer().Weight(); ids > maxLogReplicas || objects > maxLogObjects {
		l.restart()
		restarted = true
	}
	l.wake()
	return restarted, nil
}

// writer returns the packer; after a load it is that of the mirror.
func (l *RoomLog) writer() *runtime.Packer {
	if l.packer == nil {
		l.packer = l.mirror.Packer()
	}
	return l.packer
}

func (l *RoomLog) restart() {
	l.writer().Restart()
	l.start = l.packer.AppendState(nil)
	l.resume(l.next, l.digest())
}

var errLogMirror = errors.New("providers: a packed message does not unpack")

func (l *RoomLog) extend(packed []byte) error {
	base, digest := len(l.data), l.digest()
	for rest := packed; len(rest) > 0; {
		var m []byte
		var err error
		if m, rest, err = l.mirror.Next(rest); err != nil {
			return errors.Join(errLogMirror, err)
		}
		digest = crc64.Update(digest, ecma, m)
		l.ends = append(l.ends, base+len(packed)-len(rest))
		l.digests = append(l.digests, digest)
		l.next++
	}
	l.data = append(l.data, packed...)
	return nil
}

// trim drops the older half of what is kept.
func (l *RoomLog) trim() {
	k := 0
	for l.ends[k] < len(l.data)-logBytes {
		k++
	}
	cut := l.ends[k]
	l.data = append([]byte(nil), l.data[cut:]...)
	ends := make([]int, 0, len(l.ends)-k-1)
	for _, e := range l.ends[k+1:] {
		ends = append(ends, e-cut)
	}
	l.ends = ends
	l.digests = append([]uint64(nil), l.digests[k+1:]...)
	l.first += uint64(k + 1)
}

// replay takes packed messages that were stored, before anybody else sees the log: fn gets each.
func (l *RoomLog) replay(packed []byte, ms int64, fn func(message []byte, sender vclock.Replica, end uint64) error) error {
	probe := len(l.data)
	for rest := packed; len(rest) > 0; {
		m, after, err := l.mirror.Next(rest)
		if err != nil {
			return err
		}
		sender, end := l.mirror.Last()
		if err := fn(m, sender, end); err != nil {
			return err
		}
		l.ends = append(l.ends, probe+len(packed)-len(after))
		l.digests = append(l.digests, crc64.Update(l.digest(), ecma, m))
		l.next++
		rest = after
	}
	l.data = append(l.data, packed...)
	l.packer, l.time, l.state = nil, ms, nil
	if len(l.data) > 2*logBytes {
		l.trim()
	}
	return nil
}

// load makes the log go on after a snapshot.
func (l *RoomLog) load(h *snapshotHead) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	mirror := runtime.Unpacker{Split: true}
	if err := mirror.Restore(h.stream); err != nil {
		return err
	}
	if mirror.Place() != h.place.number {
		return fmt.Errorf("%w: the stream is at another number", ErrMalformed)
	}
	l.epoch, l.start, l.time = h.place.epoch, h.stream, h.ms
	l.resume(h.place.number, h.place.digest)
	l.packer = nil
	return nil
}

// skip gives a number to an update that is no message.
func (l *RoomLog) skip(update []byte, ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.time = ms
	l.begin(l.next+1, crc64.Update(l.digest(), ecma, update))
	l.wake()
}

func (l *RoomLog) wake() {
	for s := range l.sessions {
		s.Poke()
	}
}

func (l *RoomLog) join(s *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s] = struct{}{}
}

func (l *RoomLog) leave(s *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, s)
}

// place is where somebody stands in a log.
type place struct {
	epoch  [8]byte
	number uint64 // the next one
	digest uint64 // of all before
}

// now returns where the log stands, and the state with which one follows from there. Many who join at once share it.
func (l *RoomLog) now() (place, []byte, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		l.state = l.mirror.Packer().AppendState(nil)
	}
	return place{l.epoch, l.next, l.digest()}, l.state, l.time
}

// at reports whether one who stands at p can go on following.
func (l *RoomLog) at(p place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.epoch == l.epoch && p.number >= l.first && p.number <= l.next && (p.number > l.begun || l.begun == 1) &&
		l.digests[p.number-l.first] == p.digest && !l.broken
}

// began returns the number with which the stream began, in its present form.
func (l *RoomLog) began() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// logRun is what a follower gets next.
type logRun struct {
	packed []byte // shares memory with the log
	next   uint64
	ms     int64
	state  []byte // not nil: the stream begins anew here, before packed
	digest uint64 // with state
	lost   bool   // the log no longer reaches back so far
}

// run returns up to about target bytes of packed messages from a number on. begun is the number with which the follower's
// stream began.
func (l *RoomLog) run(number, begun uint64, target int) logRun {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case number < l.first || number > l.next || l.broken:
		return logRun{lost: true}
	case begun < l.begun && number == l.begun:
		return logRun{next: number, state: l.start, digest: l.digests[0], ms: l.time}
	case begun < l.begun && number < l.begun:
		return logRun{lost: true}
	case number == l.next:
		return logRun{next: number}
	}
	i := int(number - l.first)
	from := 0
	if i > 0 {
		from = l.ends[i-1]
	}
	k := i
	for k+1 < len(l.ends) && l.ends[k+1]-from <= target {
		k++
	}
	return logRun{packed: l.data[from:l.ends[k]:l.ends[k]], next: number + uint64(k-i+1), ms: l.time}
}

// unpack decodes one packed message that may name places of the log.
func (l *RoomLog) unpack(u *runtime.Unpacker, data []byte) (message, rest []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.Follow(l.writer())
	return u.Next(data)
}
