package providers

import (
	"encoding/binary"
	"hash/crc64"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// MaxPrincipal is the longest name of a principal, bytes.
const MaxPrincipal = 128

// maxLogFrame is the most that a log frame holds; what is longer, one large message, travels in chunks.
const maxLogFrame = 64 << 10

// Follower is where a document stands in a server's log: what the next session resumes with, so that it costs neither
// clocks nor what is known. The zero value is ready. It must not be used again for another document or another server.
type Follower struct {
	at     place
	ms     int64
	stream runtime.Unpacker
	server vclock.Clock // what the server surely holds; nil: it has not told its clock since it last began the log anew
}

// Number returns the number of the last transaction that came by the log and the server's time then, in ms; 0 as long as
// there is none. Not safe while a session uses the Follower.
func (f *Follower) Number() (number uint64, ms int64) {
	return max(f.at.number, 1) - 1, f.ms
}

// leading is the side of a session that sends a log.
type leading struct {
	on     bool
	at     uint64 // the next number to send
	begun  uint64 // number with which the peer's stream began
	target uint64 // what the peer missed while it was away ends here
	ms     int64  // time of the last log frame
	state  []byte // to be sent before anything else of the log, if not nil
	place  place  // with state
}

// following is the side of a session that follows one.
type following struct {
	*Follower
	on   bool  // the peer has said from where
	told bool  // its clock has come
	ms   int64 // what the time of the next log frame is told from; 0 after a resumption
}

// holds notes the peer's clock.
func (f *following) holds(c vclock.Clock) {
	if f.Follower != nil {
		f.server, f.told = c.Clone(), true
	}
}

// logOption is what this side says of logs in open and accept. The place is taken before the clock that goes with it: what
// the clock lacks the log will tell.
func (s *Session) logOption() *wirePlace {
	switch {
	case s.opt.Follow != nil && s.phase == phaseOpening:
		return s.opt.Follow.at.wire()
	case s.lead.on && s.lead.target != 0:
		p := place{s.opt.Log.epoch, s.lead.at, s.lead.place.digest}
		return p.wire()
	case s.lead.on:
		s.lead.plan(s)
		return new(place).wire()
	}
	return nil
}

func (p *place) wire() *wirePlace {
	if p.number == 0 {
		return &wirePlace{Epoch: []byte{}, Digest: []byte{}}
	}
	return &wirePlace{Epoch: p.epoch[:], Number: p.number, Digest: binary.BigEndian.AppendUint64(nil, p.digest)}
}

func (w *wirePlace) check(t FrameType) error {
	if size := len(w.Epoch); size != len(w.Digest) || (size != 0) != (w.Number != 0) || size != 0 && size != 8 || w.Number > vclock.MaxSeq {
		return &FrameError{Type: t, Reason: "not a place in a log"}
	}
	return nil
}

func (w *wirePlace) place() (p place) {
	if w.Number != 0 {
		copy(p.epoch[:], w.Epoch)
		p.number, p.digest = w.Number, binary.BigEndian.Uint64(w.Digest)
	}
	return p
}

// resumes reports whether what this side says about logs makes its clock unnecessary.
func (s *Session) resumes(w *wirePlace) bool { return w != nil && w.Number != 0 }

// meetLog takes what the peer says of logs. It reports whether the session goes on where an earlier one ended.
func (s *Session) meetLog(t FrameType, o *openOptions) (resumed bool, err error) {
	if o.Log == nil {
		return false, nil
	}
	asked := o.Log.place()
	if t == FrameAccept {
		f := s.opt.Follow
		switch {
		case f == nil:
			return false, &FrameError{Type: t, Reason: "nobody asked for a log"}
		case asked.number == 0:
			s.follow, f.server = following{Follower: f}, nil
			return false, nil
		case asked != f.at:
			return false, &FrameError{Type: t, Reason: "another place in the log"}
		}
		s.follow = following{Follower: f, on: true}
		if f.server == nil { // the link was lost after the place and before the clock
			s.tell |= tellAsk
			return true, nil
		}
		s.met(f.server)
		s.send.guess = true
		return true, nil
	}
	if s.opt.Log == nil || o.Refuses || s.opt.Pattern == State {
		return false, nil
	}
	s.lead.on = true
	s.out.mu.Lock()
	s.out.live = false // acknowledgements are for what was known already: the log does not tell that again
	s.out.mu.Unlock()
	if asked.number == 0 || !s.opt.Log.at(asked) {
		return false, nil
	}
	target, _ := s.opt.Log.Next()
	s.lead.at, s.lead.begun, s.lead.target, s.lead.place = asked.number, s.opt.Log.began(), target, asked
	s.send.started, s.send.owesSynced = true, true
	return true, nil
}

// plan notes where the log stands before the session looks at what the peer lacks, unless an earlier place still has to be
// told: the peer may have heard a clock that goes with that one.
func (l *leading) plan(s *Session) {
	if l.on && l.state == nil {
		l.place, l.state, l.ms = s.opt.Log.now()
		l.at, l.target = l.place.number, 0
	}
}

// durable leaves out the messages that are not durable: the log tells them when they are. What a crash takes back nobody has
// heard of then, so that nothing else can take its dots.
func (l *leading) durable(s *Session, ms [][]byte) [][]byte {
	if !l.on || !s.opt.DurableFirst {
		return ms
	}
	return slices.DeleteFunc(ms, func(m []byte) bool { return !s.durable(m) })
}

// caughtUp reports whether the peer has got what it missed while it was away.
func (l *leading) caughtUp() bool { return !l.on || l.at >= l.target }

// logged returns the next frame of the log, nil if there is none.
func (s *Session) logged() []byte {
	l := &s.lead
	if l.state != nil {
		return s.startLog()
	}
	r := s.opt.Log.run(l.at, l.begun, packTarget)
	switch {
	case r.lost:
		// The peer is too far behind, or something came that is no message: its clock tells what it lacks.
		if s.answered.IsZero() && s.tell&tellAsk == 0 {
			s.tell |= tellAsk
			return s.small()
		}
		return nil
	case r.state != nil:
		l.state, l.place, l.ms = r.state, place{s.opt.Log.epoch, r.next, r.digest}, r.ms
		return s.startLog()
	case len(r.packed) == 0:
		return nil
	}
	var buf [binary.MaxVarintLen64]byte
	moved := binary.AppendVarint(buf[:0], r.ms-l.ms)
	l.at, l.ms = r.next, r.ms
	if n := len(moved) + len(r.packed); n <= maxLogFrame {
		s.body = r.packed
		s.head = append(s.bytesHead(FrameLog, n), moved...)
		return s.head
	}
	s.send.transfer = &outTransfer{kind: transferLog, data: joined(moved, r.packed)}
	return s.chunk()
}

func (s *Session) startLog() []byte {
	l := &s.lead
	f := followFrame{Type: FrameFollow, Channel: s.channel, At: *l.place.wire(), Time: uint64(max(0, l.ms)), State: l.state}
	l.at, l.begun, l.state = l.place.number, l.place.number, nil
	return encode(f)
}

// followIn takes a follow frame: the log goes on from there, with this state.
func (s *Session) followIn(frame *followFrame) error {
	f := s.follow.Follower
	if f == nil {
		return &FrameError{Type: FrameFollow, Reason: "nobody asked for a log"}
	}
	if err := frame.At.check(FrameFollow); err != nil {
		return err
	}
	at := frame.At.place()
	if at.number == 0 || frame.Time > vclock.MaxSeq {
		return &FrameError{Type: FrameFollow, Reason: "not a place in a log"}
	}
	f.stream.Split = true
	if err := f.stream.Restore(frame.State); err != nil {
		*f = Follower{}
		return &FrameError{Type: FrameFollow, Reason: "state", Err: err}
	}
	if f.stream.Place() != at.number {
		*f = Follower{}
		return &FrameError{Type: FrameFollow, Reason: "the state is of another place"}
	}
	if s.follow.on && at != f.at || !s.follow.told {
		s.tell |= tellAsk // something came that the log does not tell
	}
	f.at, f.ms, s.follow.ms = at, int64(frame.Time), int64(frame.Time)
	s.follow.on = true
	s.send.packer = nil // from now on messages name places of this stream
	return nil
}

// logIn takes a piece of the log.
func (s *Session) logIn(data []byte) error {
	f := s.follow.Follower
	if !s.follow.on {
		return &FrameError{Type: FrameLog, Reason: "no log is followed"}
	}
	ms, n := binary.Varint(data)
	if n <= 0 {
		return &FrameError{Type: FrameLog, Reason: "time"}
	}
	s.follow.ms += ms
	f.ms = s.follow.ms
	news := false
	self := s.rt.Replica()
	for rest := data[n:]; len(rest) > 0; {
		m, after, err := f.stream.Next(rest)
		if err != nil {
			*f = Follower{}
			return &FrameError{Type: FrameLog, Reason: "packed message", Err: err}
		}
		rest = after
		f.at.number++
		f.at.digest = crc64.Update(f.at.digest, ecma, m)
		if s.update(m); s.phase == phaseEnded {
			return nil
		}
		sender, end := f.stream.Last()
		if f.server != nil { // else its clock, which is on its way, holds this too
			f.server.Set(sender, max(f.server.Get(sender), end))
		}
		if s.told != nil {
			s.told.Set(sender, max(s.told.Get(sender), end))
		}
		if s.out.acked(sender, end) {
			news = true
			if sender == self {
				s.acknowledge(vclock.Clock{self: end})
			}
		}
	}
	if news {
		s.saved()
	}
	return nil
}
