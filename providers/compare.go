package providers

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Diverged tells that this side and the peer hold different documents though both have applied the same transactions by
// their clocks: somebody wrote twice under one replica ID. The link goes on. It comes once a session, and again with a dot
// if it turns out where.
type Diverged struct {
	Channel  uint64
	Document string
	Dot      *vclock.Dot // first of two different transactions; nil: not known
	Remote   bool        // the peer says so; this side cannot check it
}

func (Diverged) event() {}

// Err returns it as an error that unwraps to ErrDiverged and, where there is a dot, to *runtime.EquivocationError.
func (d Diverged) Err() error {
	if d.Dot == nil {
		return ErrDiverged
	}
	return fmt.Errorf("%w: %w", ErrDiverged, &runtime.EquivocationError{Dot: *d.Dot, Reason: "the peer holds another transaction"})
}

// ErrDiverged marks two documents that differ at equal clocks; see Diverged.
var ErrDiverged = errors.New("providers: the documents differ although both hold the same transactions")

// Digest is a fingerprint of a document and the clock at which it was taken.
type Digest struct {
	Clock vclock.Clock
	Sum   [32]byte
}

// DigestOf returns the fingerprint of a document; false if it cannot be compared: it was changed meanwhile, or has objects of
// kinds that the runtime does not know. Cost: that of Runtime.Digest.
func DigestOf(rt *runtime.Runtime) (*Digest, bool) {
	d := &Digest{Clock: rt.Clock()}
	d.Sum = rt.Digest()
	return d, len(rt.Opaque()) == 0 && rt.Clock().Equal(d.Clock)
}

// digestVersion is what a side says of its digests when a document is opened: those of different versions are not compared.
// It goes up with the canonical bytes of the format.
const digestVersion = 1

// comparing is how a session finds out that the peer's document is another one.
//
//  1. Who opened the document sends a digest when both sides are up to date and nothing has changed for a while. The other
//     side compares it if its clock is the same, and answers if it differs.
//  2. Who opened it then sends what its history holds again, which shows where they part.
//  3. A digest costs as much as a state. Neither side takes more than one in comparePause.
type comparing struct {
	on     bool
	opener bool
	synced bool      // the peer has sent all that it had
	at     time.Time // when to compare; zero: when something has changed
	last   time.Time
	found  bool
	where  bool        // a dot was told
	dot    *vclock.Dot // to be told to the peer
}

const (
	// compareAfter is how long a document must have been quiet.
	compareAfter = 2 * time.Second
	// comparePause is the least time between two comparisons.
	comparePause = time.Minute
)

type digestFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	At      []byte // of the clock
	Sum     []byte
	Dot     *wireDot
}

// clockSum tells clocks apart, in 8 bytes.
func clockSum(c vclock.Clock) []byte {
	sum := sha256.Sum256(encodeClock(c))
	return sum[:8]
}

// soon makes the session compare after a while.
func (c *comparing) soon(now time.Time) {
	if c.on && c.opener && c.synced && !c.found {
		if c.at = now.Add(compareAfter); !c.last.IsZero() {
			c.at = latest(c.at, c.last.Add(comparePause))
		}
	}
}

// compare sends this side's digest, unless something is on its way.
func (s *Session) compare() {
	queued, behind, blind := s.out.status()
	x := &s.send
	if queued > 0 || behind || blind || x.transfer != nil || len(x.list) > 0 || x.due != dueNothing || x.owesSynced {
		s.cmp.soon(s.now)
		return
	}
	s.cmp.at = time.Time{}
	s.tell |= tellDigest
}

// digest returns a digest frame, nil if there is nothing to say.
func (s *Session) digest() []byte {
	f := digestFrame{Type: FrameDigest, Channel: s.channel, At: []byte{}, Sum: []byte{}}
	if d := s.cmp.dot; d != nil {
		s.cmp.dot = nil
		f.Dot = &wireDot{Replica: d.Replica[:], Seq: d.Seq}
		return encode(f)
	}
	d, ok := s.opt.Digest()
	if !ok {
		s.cmp.soon(s.now)
		return nil
	}
	s.cmp.last = s.now
	f.At, f.Sum = clockSum(d.Clock), d.Sum[:]
	return encode(f)
}

// digestIn takes a digest frame.
func (s *Session) digestIn(frame []byte) error {
	f, err := decode[digestFrame](FrameDigest, frame)
	switch {
	case err != nil:
		return err
	case !s.cmp.on:
		return &FrameError{Type: FrameDigest, Reason: "nothing was agreed on about digests"}
	case f.Dot != nil:
		id, err := uuid.FromBytes(f.Dot.Replica)
		if err != nil || f.Dot.Seq > vclock.MaxSeq {
			return &FrameError{Type: FrameDigest, Reason: "not a dot"}
		}
		s.diverged(&vclock.Dot{Replica: id, Seq: f.Dot.Seq}, true)
		return nil
	case len(f.At) != 8 || len(f.Sum) != sha256.Size:
		return &FrameError{Type: FrameDigest, Reason: "not a digest"}
	case s.cmp.found || !s.cmp.opener && !s.cmp.last.IsZero() && s.now.Before(s.cmp.last.Add(comparePause/2)):
		return nil
	case !bytes.Equal(f.At, clockSum(s.rt.Clock())):
		return nil // it is about another moment
	}
	d, ok := s.opt.Digest()
	s.cmp.last = s.now
	if !ok || !bytes.Equal(f.At, clockSum(d.Clock)) || bytes.Equal(f.Sum, d.Sum[:]) {
		return nil
	}
	s.diverged(nil, false)
	if !s.cmp.opener {
		s.tell |= tellDigest
	} else if !s.peer.refuses {
		s.send.due, s.send.base = dueKept, nil
	}
	return nil
}

// retell sends what history holds again.
func (s *Session) retell() {
	s.send.due = dueNothing
	ms, err := s.rt.MessagesSince(s.rt.Kept())
	if err != nil {
		return // it changes just now
	}
	s.send.list, s.send.owesSynced = ms[max(0, len(ms)-maxList):], true
}

// diverged tells it once, and once more where.
func (s *Session) diverged(dot *vclock.Dot, remote bool) {
	if s.cmp.where || s.cmp.found && dot == nil {
		return
	}
	s.cmp.found, s.cmp.where, s.cmp.at = true, dot != nil, time.Time{}
	s.events.add(Diverged{s.channel, s.document, dot, remote})
}

// twin tells the peer, if it can be told, under which dot both hold something else.
func (s *Session) twin(err *runtime.EquivocationError) {
	if !s.cmp.on || err.Waiting {
		return
	}
	s.cmp.dot = &err.Dot
	s.tell |= tellDigest
	s.diverged(&err.Dot, false)
}
