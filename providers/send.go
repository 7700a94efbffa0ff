package providers

import (
	"hash/crc32"
	"slices"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// sending is what a session is about to send besides small frames. In this order: the transfer, the list, a new plan, the
// outbox.
type sending struct {
	due        due
	base       vclock.Clock // dueClock: what the peer holds
	guess      bool         // base is no clock that the peer told, but less
	started    bool         // the first plan was made
	owesSynced bool         // once transfer and list are through

	list     [][]byte // messages
	transfer *outTransfer
	credit   int // bytes of chunks that the peer lets come

	packer   *runtime.Packer
	packed   int // bytes of messages that it has seen
	packedAt time.Time

	stuckSince time.Time // no credit
	alternate  bool      // the last frame was of the document
	items      []outItem // reused
}

type due uint8

const (
	dueNothing due = iota
	dueClock       // what base lacks
	dueState       // everything
	dueKept        // what the peer has already, and history still holds
)

type outTransfer struct {
	kind  transferKind
	data  []byte
	saved bool // data is from Options.Save
	at    int
	begun bool
	until vclock.Clock // it must not leave before this is durable; nil: it may
}

// numbering numbers replicas as they come up in ack frames. The other side counts along.
type numbering struct {
	of map[vclock.Replica]uint64
}

const (
	// maxList bounds the messages that a session lists at a time.
	maxList = 4096
	// longAway is how many messages a follower has to miss to be sent a delta in their place, if that is smaller: from a
	// few on it is, but messages keep what a delta does not tell, and are not made anew for each who asks. packedLeast is
	// what a message takes at least, in bytes.
	longAway    = 1000
	packedLeast = 6
	// packTarget is where a messages frame ends, bytes.
	packTarget = 16 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Next returns the next frame to send; false: there is none for now. The caller owns it.
func (s *Session) Next() (frame []byte, ok bool) {
	head, body, ok := s.nextParts()
	return joined(head, body), ok
}

// joined returns a frame of two parts that belongs to the caller.
func joined(head, body []byte) []byte {
	if body == nil {
		return head
	}
	return append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
}

// nextParts is Next for a frame in two parts, see Mux.NextParts.
func (s *Session) nextParts() (head, body []byte, ok bool) {
	head, ok = s.next()
	body, s.body = s.body, nil
	return head, body, ok
}

// next returns the next frame, without what it leaves in s.body.
func (s *Session) next() (frame []byte, ok bool) {
	if s.phase == phaseLive {
		s.opened = time.Time{}
		if s.out.news.Swap(false) {
			s.cmp.soon(s.now)
		}
	}
	if s.tell != 0 {
		if f := s.small(); f != nil {
			return f, true
		}
	}
	if s.phase != phaseLive {
		return nil, false
	}
	if s.told != nil {
		s.compareTold()
	}
	if f := s.credits(); f != nil {
		return f, true
	}
	if f := s.acknowledgement(); f != nil {
		return f, true
	}
	// Neither of the two kinds of traffic starves the other.
	if s.send.alternate {
		s.send.alternate = false
		if f := s.ephemeral(); f != nil {
			return f, true
		}
	}
	if f := s.content(); f != nil {
		s.send.alternate = true
		return f, true
	}
	if f := s.ephemeral(); f != nil {
		return f, true
	}
	return nil, false
}

// small returns the next of the frames in s.tell.
func (s *Session) small() []byte {
	has := func(t tell) bool {
		if s.tell&t == 0 {
			return false
		}
		s.tell &^= t
		return true
	}
	switch {
	case has(tellRefuse):
		r := s.refusing
		f := refuseFrame{Type: FrameRefuse, Channel: s.channel, Code: r.Code, Reason: validText(r.Reason)}
		if r.Dot != nil {
			f.Dot = &wireDot{Replica: r.Dot.Replica[:], Seq: r.Dot.Seq}
		}
		return encode(f)
	case has(tellClose):
		return encode(plainFrame{Type: FrameClose, Channel: s.channel})
	case has(tellOpen):
		s.opened = s.now
		return encode(openFrame{Type: FrameOpen, Channel: s.channel, Document: []byte(s.document), Options: s.options()})
	case has(tellAccept):
		return encode(acceptFrame{Type: FrameAccept, Channel: s.channel, Options: s.options()})
	case has(tellAsk):
		s.answered = s.now
		return encode(plainFrame{Type: FrameAsk, Channel: s.channel})
	case has(tellDigest):
		return s.digest()
	case s.tell&tellClock != 0:
		return s.clockFrame(tellClock, FrameClock, transferClock, s.holds())
	}
	return nil
}

// clockFrame sends a clock in a frame or, if it is long, in chunks; then it waits for its turn.
func (s *Session) clockFrame(t tell, frame FrameType, kind transferKind, c vclock.Clock) []byte {
	b := encodeClock(c)
	if len(b) <= maxInline {
		s.tell &^= t
		return encodeBytes(frame, s.channel, b)
	}
	if s.send.transfer != nil {
		return nil
	}
	s.tell &^= t
	s.send.transfer = &outTransfer{kind: kind, data: b}
	return s.chunk()
}

// credits returns a credit frame when there is enough to give back.
func (s *Session) credits() []byte {
	if s.creditDue < MaxChunk && (s.creditDue == 0 || s.take.active()) {
		return nil
	}
	if s.opt.grants != nil && !s.opt.grants(s) {
		s.take.since = time.Time{} // the peer waits for this side
		return nil
	}
	n := s.creditDue
	s.creditDue = 0
	s.take.window += n
	if s.take.active() {
		s.take.since = s.now
	}
	return encode(numberFrame{Type: FrameCredit, Channel: s.channel, Number: uint64(n)})
}

// acknowledgement returns an ack or held frame if something that the peer brought is applied, and durable where that
// is what this side promises.
func (s *Session) acknowledgement() []byte {
	if !s.peer.wants {
		return nil
	}
	if s.tell&tellHeld != 0 {
		if c := s.holds(); c.CoversClock(s.heldAt) {
			if f := s.clockFrame(tellHeld, FrameHeld, transferHeld, c); f != nil {
				return f
			}
		}
	}
	s.owed = s.out.due(s.opt.Durable, s.owed[:0])
	if len(s.owed) == 0 {
		return nil
	}
	var b []byte
	for _, o := range s.owed {
		b = s.acks.append(b, o.replica)
		b = appendUvarint(b, o.end)
	}
	return encodeBytes(FrameAck, s.channel, b)
}

// maxNumbered bounds a numbering; the next new ID empties it.
const maxNumbered = 4096

// append writes the number of a replica, and its ID if the number is new.
func (n *numbering) append(b []byte, r vclock.Replica) []byte {
	if i, ok := n.of[r]; ok {
		return appendUvarint(b, i)
	}
	b = appendUvarint(b, uint64(len(n.of)))
	if n.of == nil || len(n.of) == maxNumbered {
		n.of = make(map[vclock.Replica]uint64)
	}
	n.of[r] = uint64(len(n.of))
	return append(b, r[:]...)
}

// content returns the next frame of document content.
func (s *Session) content() []byte {
	for {
		x := &s.send
		switch {
		case x.transfer != nil && !s.ripe(x.transfer):
			return nil
		case x.transfer != nil:
			return s.chunk()
		case len(x.list) > 0:
			ready := s.listed()
			if ready == 0 {
				return nil
			}
			f, n := s.pack(ready, func(i int) []byte { return x.list[i] })
			if x.list = x.list[n:]; len(x.list) == 0 {
				x.list = nil
			}
			return f
		case x.due == dueClock && x.started && s.clocks < 1:
			return nil // the peer sends clocks too fast; time brings this on
		case x.due == dueKept:
			s.retell()
			continue
		case x.due != dueNothing:
			if !s.plan() {
				return nil
			}
			continue
		}
		queued, behind, blind := s.out.status()
		switch {
		case blind:
			if s.answered.IsZero() && s.tell&tellAsk == 0 {
				s.tell |= tellAsk
				return s.small()
			}
			return nil
		case behind && x.started:
			if !s.replan() {
				return nil
			}
			continue
		case x.owesSynced && x.started && s.lead.caughtUp():
			x.owesSynced = false
			return encode(plainFrame{Type: FrameSynced, Channel: s.channel})
		case s.lead.on && x.started:
			return s.logged()
		case queued > 0 && x.started:
			return s.queued() // nil if all of it is too early
		}
		return nil
	}
}

// listed returns how many messages of the list may leave now.
func (s *Session) listed() int {
	if !s.opt.DurableFirst {
		return len(s.send.list)
	}
	for i, m := range s.send.list {
		if !s.durable(m) {
			return i
		}
	}
	return len(s.send.list)
}

// durable reports whether a message is durable here.
func (s *Session) durable(message []byte) bool {
	info, err := runtime.Inspect(message)
	return err != nil || info.End <= s.opt.Durable(info.Sender)
}

// plan decides how to bring the peer up to date, by its clock or with a state. False: the session has ended.
func (s *Session) plan() bool {
	x := &s.send
	kind, base, guess := x.due, x.base, x.guess
	x.due, x.base, x.guess, x.owesSynced = dueNothing, nil, false, true
	if kind == dueClock && x.started {
		s.clocks--
	}
	x.started = true
	s.out.restart()
	s.lead.plan(s)
	if kind == dueState {
		return s.planState(nil)
	}
	return s.planSince(base, guess)
}

// replan is plan for a peer whose queue was dropped.
func (s *Session) replan() bool {
	lacks := s.out.restart()
	c := s.rt.Clock()
	for r, from := range lacks {
		c.Set(r, min(c.Get(r), from))
	}
	return s.planSince(c, true)
}

// planSince brings the peer up to date from a base, a clock that it had or a guess that is less than what it has. A guess can
// hold dots without all that these depend on, if the peer has got that by another way; against such a base there is no delta.
func (s *Session) planSince(base vclock.Clock, guess bool) bool {
	ms, err := s.rt.MessagesSince(base)
	if err != nil && guess {
		s.out.lose()
		return true
	}
	if err != nil {
		return s.planState(base)
	}
	if !guess && s.lead.on && len(ms) >= longAway {
		if data, reaches, err := s.opt.Save(base); err == nil && len(data) < len(ms)*packedLeast {
			return s.planTransfer(data, reaches)
		}
	}
	ms = s.lead.durable(s, ms)
	if len(ms) > maxList {
		s.out.postpone(ms[maxList:])
		ms = ms[:maxList:maxList]
	}
	s.send.list = ms
	return true
}

func (s *Session) planState(base vclock.Clock) bool {
	data, reaches, err := s.opt.Save(base)
	if err != nil {
		s.Refuse(&RefusedError{Code: CodeInternal, Reason: err.Error()})
		return false
	}
	return s.planTransfer(data, reaches)
}

// planTransfer sends what Options.Save returned.
func (s *Session) planTransfer(data []byte, reaches vclock.Clock) bool {
	if s.peer.plain {
		var err error
		if data, err = s.opt.Uncompress(data); err != nil { // this side made it
			s.Refuse(&RefusedError{Code: CodeInternal, Reason: err.Error()})
			return false
		}
	}
	s.send.transfer = &outTransfer{kind: transferUpdate, data: data, saved: !s.peer.plain}
	if s.opt.DurableFirst {
		if s.send.transfer.until = reaches; reaches == nil {
			s.send.transfer.until = s.rt.Clock() // data holds no more
		}
	}
	if reaches != nil {
		s.send.base, s.send.due = reaches, dueClock
		s.clocks++ // not the peer's doing
	}
	return true
}

// ripe reports whether a transfer may leave.
func (s *Session) ripe(t *outTransfer) bool {
	for r, end := range t.until {
		if s.opt.Durable(r) < end {
			return false
		}
	}
	t.until = nil
	return true
}

// lose makes the peer's clock be asked for.
func (o *outbox) lose() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	o.blind = true
}

// postpone makes the peer lack messages that are not queued.
func (o *outbox) postpone(ms [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	for _, m := range ms {
		if info, err := runtime.Inspect(m); err == nil {
			o.lack(info.Sender, info.Start)
		}
	}
}

// queued packs what stands in the outbox.
func (s *Session) queued() []byte {
	s.send.items = s.out.first(s.opt.QueueMessages, s.send.items[:0])
	items := s.send.items
	if s.opt.DurableFirst {
		early := func(x outItem) bool { return x.end > s.opt.Durable(x.sender) }
		if i := slices.IndexFunc(items, early); i >= 0 {
			items = items[:i]
		}
		if len(items) == 0 {
			return nil
		}
	}
	f, n := s.pack(len(items), func(i int) []byte { return items[i].data })
	s.out.sent(items[:n])
	clear(items)
	return f
}

// pack returns a frame with as many of n messages as it should hold, and how many these are. A message that is too long
// for a frame begins a transfer.
func (s *Session) pack(n int, message func(int) []byte) (frame []byte, used int) {
	x := &s.send
	kind := FrameMessages
	var b []byte
	for used < n && len(b) < packTarget {
		m := message(used)
		if len(m) > maxInline {
			if used == 0 {
				x.transfer = &outTransfer{kind: transferUpdate, data: m}
				return s.chunk(), 1
			}
			break
		}
		if x.packer == nil || x.packed+len(m) > DictionarySpan {
			if used > 0 {
				break
			}
			x.packer, x.packed, kind = new(runtime.Packer), 0, FrameFresh
			if s.follow.on {
				x.packer.Follow(&s.opt.Follow.stream)
				kind = FrameNaming
			}
		}
		next, err := x.packer.Append(b, m)
		if err != nil { // a message of this very document
			s.Refuse(&RefusedError{Code: CodeInternal, Reason: err.Error()})
			return s.small(), used
		}
		b = next
		x.packed += len(m)
		used++
	}
	x.packedAt = s.now
	return encodeBytes(kind, s.channel, b), used
}

// chunk returns the next frame of the transfer, nil if the peer gives no credit.
func (s *Session) chunk() []byte {
	x := &s.send
	t := x.transfer
	switch {
	case !t.begun:
		t.begun = true
		return encode(beginFrame{Type: FrameBegin, Channel: s.channel, Kind: t.kind, Size: uint64(len(t.data))})
	case t.at == len(t.data):
		x.transfer = nil
		return encode(numberFrame{Type: FrameEnd, Channel: s.channel, Number: uint64(s.checksum(t))})
	case x.credit == 0:
		if x.stuckSince.IsZero() {
			x.stuckSince = s.now
		}
		return nil
	}
	n := min(MaxChunk, x.credit, len(t.data)-t.at)
	x.credit -= n
	x.stuckSince = time.Time{}
	s.body = t.data[t.at : t.at+n : t.at+n]
	t.at += n
	return s.bytesHead(FrameChunk, n)
}

func (s *Session) checksum(t *outTransfer) uint32 {
	if t.saved && s.opt.Checksum != nil {
		return s.opt.Checksum(t.data)
	}
	return crc32.Checksum(t.data, castagnoli)
}

// bytesHead returns the part of a bytesFrame that comes before n bytes, which are in s.body or follow. It is good until the next
// call.
func (s *Session) bytesHead(t FrameType, n int) []byte {
	s.head = appendBytesHead(s.head[:0], t, s.channel, n)
	return s.head
}

// ephemeral returns a frame of presence or a cast, if one is due.
func (s *Session) ephemeral() []byte {
	if s.box == nil {
		return nil
	}
	head, body := s.box.next(s.channel)
	s.body = body
	return head
}

func appendUvarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
