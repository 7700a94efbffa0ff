package providers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// taking is what a session has received in part.
type taking struct {
	kind   transferKind // 0: no transfer
	size   uint64
	data   []byte
	window int       // bytes of chunks that the peer may still send
	since  time.Time // the last sign of progress

	unpacker *runtime.Unpacker
	unpacked int  // bytes of messages that it has given
	naming   bool // messages may name places in the log
	acks     []vclock.Replica
}

func (t *taking) active() bool { return t.kind != 0 }

// Receive takes a frame of the session's channel and keeps no reference to it. An error is a *FrameError: the peer does
// not speak the protocol, and the connection should end; the document is unchanged. What is wrong with an update refuses
// the peer, which is an event and not an error.
func (s *Session) Receive(frame []byte) error {
	if len(frame) > MaxFrame {
		return &FrameError{Reason: fmt.Sprintf("has %d bytes; at most %d", len(frame), MaxFrame)}
	}
	t, channel, err := PeekFrame(frame)
	if err != nil {
		return err
	}
	if channel != s.channel {
		return &FrameError{Type: t, Reason: fmt.Sprintf("channel %d, not %d", channel, s.channel)}
	}
	if s.phase == phaseEnded || t >= firstIgnorable {
		return nil // on its way before the peer heard of the end
	}
	if s.phase == phaseOpening && t != FrameAccept && t != FrameRefuse && t != FrameClose {
		return &FrameError{Type: t, Reason: "before accept"}
	}
	return s.receive(t, frame)
}

func (s *Session) receive(t FrameType, frame []byte) error {
	switch t {
	case FrameMessages, FrameFresh, FrameNaming:
		return s.messages(t, frame)
	case FrameLog:
		data, err := decodeBytes(t, frame)
		if err != nil {
			return err
		}
		return s.logIn(data)
	case FrameFollow:
		f, err := decode[followFrame](t, frame)
		if err != nil {
			return err
		}
		return s.followIn(&f)
	case FrameAck:
		return s.acked(frame)
	case FrameChunk:
		return s.chunkIn(frame)
	case FrameBegin:
		f, err := decode[beginFrame](t, frame)
		if err != nil {
			return err
		}
		return s.begin(&f)
	case FrameEnd, FrameCredit:
		f, err := decode[numberFrame](t, frame)
		if err != nil {
			return err
		}
		if t == FrameCredit {
			return s.credit(f.Number)
		}
		return s.endIn(f.Number)
	case FrameClock, FrameHeld:
		data, err := decodeBytes(t, frame)
		if err != nil {
			return err
		}
		return s.clock(t, data)
	case FrameDigest:
		return s.digestIn(frame)
	case FramePresence:
		f, err := decode[presenceFrame](t, frame)
		if err == nil && len(f.Entries) > maxPresence {
			err = &FrameError{Type: t, Reason: fmt.Sprintf("has %d entries; at most %d", len(f.Entries), maxPresence)}
		}
		if err == nil && s.box != nil {
			s.opt.Ephemeral.receive(s.box, f.Entries)
		}
		return err
	case FrameCast:
		f, err := decode[castFrame](t, frame)
		if err == nil && s.box != nil {
			s.opt.Ephemeral.receiveCast(s.box, &f)
		}
		return err
	case FrameAsk, FrameSynced, FrameClose:
		if _, err := decode[plainFrame](t, frame); err != nil {
			return err
		}
		s.plain(t)
		return nil
	case FrameAccept:
		f, err := decode[acceptFrame](t, frame)
		if err != nil {
			return err
		}
		if s.phase != phaseOpening || s.tell&tellOpen != 0 {
			return &FrameError{Type: t, Reason: "nothing was opened"}
		}
		return s.meet(t, &f.Options)
	case FrameRefuse:
		f, err := decode[refuseFrame](t, frame)
		if err != nil {
			return err
		}
		return s.refused(&f)
	}
	return &FrameError{Type: t, Reason: "has no place on the channel of a document"}
}

func (s *Session) plain(t FrameType) {
	switch t {
	case FrameAsk:
		s.tell |= tellClock
	case FrameSynced:
		s.events.add(Synced{s.channel, s.document})
		s.cmp.synced = true
		s.cmp.soon(s.now)
	case FrameClose:
		s.tell = 0
		s.events.add(Closed{s.channel, s.document})
		s.end()
	}
}

func (s *Session) refused(f *refuseFrame) error {
	dot, err := f.Dot.dot()
	if err != nil {
		return err
	}
	s.tell = 0
	s.events.add(Refused{s.channel, s.document, f.Code, dot, cutText(f.Reason, maxReason), true})
	s.end()
	return nil
}

// messages applies the packed messages of a frame.
func (s *Session) messages(t FrameType, frame []byte) error {
	rest, err := decodeBytes(t, frame)
	if err != nil {
		return err
	}
	x := &s.take
	if t != FrameMessages {
		x.unpacker, x.unpacked, x.naming = new(runtime.Unpacker), 0, t == FrameNaming
		if x.naming && !s.lead.on {
			return &FrameError{Type: t, Reason: "there is no log to follow"}
		}
	} else if x.unpacker == nil {
		return &FrameError{Type: t, Reason: "no dictionary yet"}
	}
	for len(rest) > 0 {
		var m []byte
		if x.naming {
			m, rest, err = s.opt.Log.unpack(x.unpacker, rest)
		} else {
			m, rest, err = x.unpacker.Next(rest)
		}
		if errors.Is(err, runtime.ErrLostPlace) {
			s.askAgain()
			continue
		}
		if err != nil {
			return &FrameError{Type: t, Reason: "packed message", Err: err}
		}
		if x.unpacked += len(m); x.unpacked > DictionarySpan {
			return &FrameError{Type: t, Reason: fmt.Sprintf("a dictionary serves %d bytes of messages", DictionarySpan)}
		}
		if s.update(m); s.phase == phaseEnded {
			return nil
		}
	}
	return nil
}

// update applies one update of the peer, or refuses the peer.
func (s *Session) update(data []byte) {
	if s.opt.ReadOnly {
		s.Refuse(&RefusedError{Code: CodeReadOnly, Reason: "this peer may only read"})
		return
	}
	if s.opt.Check != nil {
		if err := s.opt.Check(data); err != nil {
			s.Refuse(refusal(err))
			return
		}
	}
	res, err := s.rt.Receive(data, s.from...)
	if res.Waiting > 0 {
		s.waitingSince, s.oldest = since(s.waitingSince, s.now), since(s.oldest, s.now)
	} else if len(res.Missing) > 0 {
		s.waitingSince, s.elsewhere = since(s.waitingSince, s.now), true
	} else if res.Redundant > 0 && err == nil {
		s.redundant(data)
	}
	var limit *runtime.LimitError
	var twin *runtime.EquivocationError
	switch {
	case err == nil:
	case errors.As(err, &twin) && twin.Waiting:
		s.askAgain() // once the other one is dropped this one may turn out to be right
	case errors.As(err, &limit) && (limit.Name == "Waiting" || limit.Name == "WaitingOrigin" || limit.Name == "WaitingBytes"):
		s.askAgain() // what does not fit into the waiting room was dropped
	case errors.Is(err, runtime.ErrMissingDeps):
		s.askAgain()
	case !s.opt.FirstHop && (errors.Is(err, runtime.ErrEquivocation) || errors.Is(err, runtime.ErrClockJump) || errors.Is(err, runtime.ErrRefused)):
		s.events.add(Problem{s.channel, s.document, err, 1})
		if twin != nil {
			s.twin(twin)
		}
	default:
		s.Refuse(refusal(err))
	}
}

// since returns when something began: now, if it had not yet.
func since(began, now time.Time) time.Time {
	if began.IsZero() {
		return now
	}
	return began
}

// redundant owes an acknowledgement for a message that was known already.
func (s *Session) redundant(data []byte) {
	if kind, err := runtime.KindOf(data); err != nil || kind != runtime.MessageUpdate || !s.peer.wants {
		return
	}
	if info, err := runtime.Inspect(data); err == nil {
		s.out.owe(info.Sender, info.End)
	}
}

func (s *Session) begin(f *beginFrame) error {
	x := &s.take
	limit := uint64(s.opt.TransferBytes)
	switch f.Kind {
	case transferUpdate:
	case transferLog:
		if !s.follow.on {
			return &FrameError{Type: FrameBegin, Reason: "no log is followed"}
		}
	case transferClock, transferHeld:
		limit = uint64(s.rt.Limits().Replicas)*24 + 10
	default:
		return &FrameError{Type: FrameBegin, Reason: "unknown kind of transfer"}
	}
	switch {
	case x.active():
		return &FrameError{Type: FrameBegin, Reason: "inside another transfer"}
	case f.Kind == transferUpdate && s.opt.ReadOnly:
		s.Refuse(&RefusedError{Code: CodeReadOnly, Reason: "this peer may only read"})
		return nil
	case f.Size > limit:
		s.Refuse(&RefusedError{Code: CodeTooBig, Reason: fmt.Sprintf("a transfer of %d bytes; at most %d", f.Size, limit)})
		return nil
	}
	x.kind, x.size, x.since = f.Kind, f.Size, s.now
	return nil
}

func (s *Session) chunkIn(frame []byte) error {
	data, err := decodeBytes(FrameChunk, frame)
	if err != nil {
		return err
	}
	x := &s.take
	switch {
	case !x.active():
		return &FrameError{Type: FrameChunk, Reason: "outside of a transfer"}
	case len(data) == 0 || len(data) > MaxChunk:
		return &FrameError{Type: FrameChunk, Reason: fmt.Sprintf("has %d bytes; the range is [1, %d]", len(data), MaxChunk)}
	case len(data) > x.window:
		return &FrameError{Type: FrameChunk, Reason: "beyond the credit"}
	case uint64(len(x.data)+len(data)) > x.size:
		return &FrameError{Type: FrameChunk, Reason: "beyond the size of the transfer"}
	}
	x.window -= len(data)
	s.creditDue += len(data)
	x.data = append(x.data, data...)
	x.since = s.now
	return nil
}

func (s *Session) endIn(sum uint64) error {
	x := &s.take
	if !x.active() || uint64(len(x.data)) != x.size {
		return &FrameError{Type: FrameEnd, Reason: "the transfer is not complete"}
	}
	if uint64(crc32.Checksum(x.data, castagnoli)) != sum {
		return &FrameError{Type: FrameEnd, Reason: "the checksum is wrong"}
	}
	kind, data := x.kind, x.data
	x.kind, x.size, x.data, x.since = 0, 0, nil, time.Time{}
	switch kind {
	case transferClock:
		return s.clock(FrameClock, data)
	case transferHeld:
		return s.clock(FrameHeld, data)
	case transferLog:
		return s.logIn(data)
	}
	if s.update(data); s.phase == phaseLive && s.peer.wants {
		s.heldAt = s.rt.Clock()
		s.tell |= tellHeld
	}
	return nil
}

func (s *Session) credit(n uint64) error {
	if n > 1<<30 || uint64(s.send.credit)+n > 1<<30 {
		return &FrameError{Type: FrameCredit, Reason: "too much credit"}
	}
	s.send.credit += int(n)
	if n > 0 {
		s.send.stuckSince = time.Time{}
	}
	return nil
}

// clock takes a clock or held frame.
func (s *Session) clock(t FrameType, data []byte) error {
	c, err := decodeClock(t, data, s.rt.Limits().Replicas)
	if err != nil {
		return err
	}
	if t == FrameClock {
		s.met(c)
		return nil
	}
	s.acknowledge(c)
	if !s.out.holds(c) {
		s.out.compare(s.rt, c)
	}
	s.saved()
	return nil
}

// acked takes an ack frame.
func (s *Session) acked(frame []byte) error {
	data, err := decodeBytes(FrameAck, frame)
	if err != nil {
		return err
	}
	x := &s.take
	news := false
	for n := 0; len(data) > 0; n++ {
		i, size := binary.Uvarint(data)
		if size <= 0 || i > uint64(len(x.acks)) || n == maxAckEntries {
			return &FrameError{Type: FrameAck, Reason: "number of a replica"}
		}
		data = data[size:]
		if i == uint64(len(x.acks)) {
			if len(data) < 16 {
				return &FrameError{Type: FrameAck, Reason: "replica"}
			}
			if i == maxNumbered {
				i, x.acks = 0, nil
			}
			x.acks = append(x.acks, vclock.Replica(data[:16]))
			data = data[16:]
		}
		end, size := binary.Uvarint(data)
		if size <= 0 || end > vclock.MaxSeq+1 {
			return &FrameError{Type: FrameAck, Reason: "end"}
		}
		data = data[size:]
		if s.out.acked(x.acks[i], end) {
			news = true
			if x.acks[i] == s.rt.Replica() {
				s.acknowledge(vclock.Clock{x.acks[i]: end})
			}
		}
	}
	if news {
		s.saved()
	}
	return nil
}

// acknowledge lets history forget own messages.
func (s *Session) acknowledge(c vclock.Clock) {
	if s.peer.level == Durable || s.peer.level == Received && s.opt.TrustReceived {
		s.rt.Acknowledge(c)
	}
}

// compareTold finds out what the peer lacks by the clock that it has told, and tells it if that is nothing.
func (s *Session) compareTold() {
	s.out.compare(s.rt, s.told)
	s.told = nil
	if spans, known := s.out.unsavedSpans(); known && len(spans) == 0 {
		s.events.add(Saved{s.channel, s.document, s.peer.level, true})
	}
}

func (s *Session) saved() {
	spans, known := s.out.unsavedSpans()
	s.events.add(Saved{s.channel, s.document, s.peer.level, known && len(spans) == 0})
}
