package providers

import (
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Session keeps one document in sync with one peer over one link. It is a pure state machine: it does no I/O, starts no
// goroutine and reads no clock. Its user
//
//   - subscribes Update to the runtime before anything else: stop := rt.OnUpdate(s.Update)
//   - hands every frame of the channel that arrives to Receive, in order
//   - sends every frame that Next returns, in order, and calls it whenever the link can take another one
//   - calls Tick at Deadline or soon after, and NextEvent after any of these
//   - drops it when the link is lost: the next link gets a new one, which resumes by clock
//
// A Mux does all this for many documents on one link.
//
//  1. Nothing goes to the peer that is not applied here: what waits is never relayed.
//  2. The peer gets every update that it did not bring itself, each at least once and in an order in which it can apply
//     them, or a delta in their place.
//  3. What waits for the peer is bounded by Options.QueueBytes and QueueMessages; beyond there is one number for each
//     replica that wrote meanwhile.
//  4. A dot is acknowledged only once it is applied, and durable if Options.Durable is set.
//  5. An update in chunks is applied whole, after its checksum was found right, or not at all.
//
// One goroutine at a time, except for Update, Poke and Unsaved, which any goroutine may call, handlers of the runtime
// included.
type Session struct {
	rt       *runtime.Runtime
	opt      Options
	channel  uint64
	document string
	phase    phase
	now      time.Time
	out      outbox
	events   events

	// The peer, once both have met.
	peer struct {
		replica vclock.Replica
		refuses bool // takes no updates
		level   Level
		wants   bool // acknowledgements
		plain   bool // states without compression
	}

	// What to send, apart from the outbox.
	tell      tell
	refusing  *RefusedError
	opened    time.Time // when this side began to wait for accept
	answered  time.Time // since when this side waits for a clock it asked for
	creditDue int
	acks      numbering
	owed      []owed
	heldAt    vclock.Clock // a held frame goes out when this is acknowledged
	send      sending
	head      []byte // reused for frames that have a body
	body      []byte // the rest of the frame that next returns, shared and constant

	// The numbered log: one side leads, the other follows.
	lead   leading
	follow following

	// What arrives.
	take taking

	from []runtime.TxOption // of what the peer brings

	// Messages that wait here for others.
	waitingSince time.Time
	oldest       time.Time // messages of this peer have waited since, or some did
	elsewhere    bool      // some wait, or did, that somebody else had brought, with whom they go
	askedAt      time.Time
	askPause     time.Duration
	told         vclock.Clock // a clock of the peer that Next has not looked at yet
	clocks       float64      // clock frames that may be answered now; grows by one a second

	cmp comparing
	box *ephemeralBox
}

type phase uint8

const (
	phaseOpening phase = iota // open is or will be sent
	phaseLive
	phaseEnded
)

// tell is a set of small frames to send.
type tell uint16

const (
	tellOpen tell = 1 << iota
	tellAccept
	tellClose
	tellAsk
	tellClock
	tellSynced
	tellHeld
	tellRefuse
	tellDigest
)

const firstClocks = 4

// NewSession returns a session that opens a document, 1 to MaxName bytes, with a peer. The channel is any number that the
// peer does not use; a Mux chooses it. Errors: *RefusedError for the name, ErrInvalidOptions.
func NewSession(rt *runtime.Runtime, channel uint64, document string, o *Options) (*Session, error) {
	s, err := newSession(rt, channel, document, o)
	if err != nil {
		return nil, err
	}
	s.tell, s.cmp.opener = tellOpen, true
	return s, nil
}

// AcceptSession returns the session that answers an open frame. Errors: *FrameError, *RefusedError for the name,
// ErrInvalidOptions.
func AcceptSession(rt *runtime.Runtime, open []byte, o *Options) (*Session, error) {
	f, err := decodeOpen(open)
	if err != nil {
		return nil, err
	}
	s, err := newSession(rt, f.Channel, string(f.Document), o)
	if err != nil {
		return nil, err
	}
	s.tell = tellAccept
	if err := s.meet(FrameOpen, &f.Options); err != nil {
		return nil, err
	}
	return s, nil
}

func decodeOpen(frame []byte) (openFrame, error) {
	f, err := decode[openFrame](FrameOpen, frame)
	if err == nil && f.Type != FrameOpen {
		err = &FrameError{Type: f.Type, Reason: "is not an open frame"}
	}
	if err != nil {
		return f, err
	}
	if err := checkName(string(f.Document)); err != nil {
		return f, err
	}
	return f, f.Options.check(FrameOpen)
}

func newSession(rt *runtime.Runtime, channel uint64, document string, o *Options) (*Session, error) {
	s := &Session{rt: rt, channel: channel, document: document, clocks: firstClocks}
	if o != nil {
		s.opt = *o
	}
	if err := checkName(document); err != nil {
		return nil, err
	}
	if err := s.opt.fill(rt); err != nil {
		return nil, err
	}
	s.from = []runtime.TxOption{runtime.From(s)}
	if s.opt.FirstHop {
		s.from = append(s.from, runtime.FirstHop())
	}
	s.out.session, s.out.maxBytes, s.out.maxN = s, s.opt.QueueBytes, s.opt.QueueMessages
	if !s.opt.IgnoreAcks {
		s.out.unsaved = make(map[vclock.Replica]dots)
	}
	s.out.wake = s.opt.wake
	s.take.window = s.opt.Window
	return s, nil
}

// Update takes an update of the document. It is the handler for Runtime.OnUpdate, and may be called from any goroutine.
// Cost: O(1).
func (s *Session) Update(u runtime.Update) { s.out.add(u) }

// Poke tells that Options.Durable may have grown. Any goroutine may call it.
func (s *Session) Poke() {
	if w := s.out.wake; w != nil {
		w()
	}
}

// Document returns the name of the document.
func (s *Session) Document() string { return s.document }

// Channel returns the number under which its frames go.
func (s *Session) Channel() uint64 { return s.channel }

// Ended reports whether nothing more will happen: the document was refused or closed.
func (s *Session) Ended() bool { return s.phase == phaseEnded && s.tell == 0 }

// Unsaved returns the dots of the document that the peer has not acknowledged, sorted by replica. As long as the peer has
// not told its clock these are at least the own ones that no peer has ever acknowledged. Any goroutine may call it.
func (s *Session) Unsaved() []vclock.Span {
	spans, known := s.out.unsavedSpans()
	if own, ok := s.rt.Unacknowledged(); ok && !known {
		for i := range spans {
			if spans[i].Replica == own.Replica {
				spans[i].Start, spans[i].End = min(spans[i].Start, own.Start), max(spans[i].End, own.End)
				return spans
			}
		}
		return append(spans, own)
	}
	return spans
}

// LocalWork returns an update with all that the peer has not acknowledged: what to keep when it refuses. It is a bundle
// where history holds the messages, else a delta; nil if there is nothing.
func (s *Session) LocalWork() ([]byte, error) {
	spans := s.Unsaved()
	if len(spans) == 0 {
		return nil, nil
	}
	c := s.rt.Clock()
	for _, u := range spans {
		c.Set(u.Replica, min(c.Get(u.Replica), u.Start))
	}
	if ms, err := s.rt.MessagesSince(c); err == nil {
		return runtime.Bundle(ms)
	}
	return s.rt.SaveSince(c, runtime.CanonicalOnly())
}

// NextEvent returns what there is to tell, oldest first; false if there is nothing. Events that repeat are joined.
func (s *Session) NextEvent() (Event, bool) { return s.events.next() }

// Close ends the document on this link in good order: Next returns a last frame. What the peer has not acknowledged
// stays unsaved.
func (s *Session) Close() {
	if s.phase != phaseEnded {
		if s.tell&tellOpen != 0 {
			s.tell = 0 // the peer has not heard of it
		} else {
			s.tell = tellClose
		}
		s.end()
	}
}

// Refuse ends the document on this link for a reason that the peer is told.
func (s *Session) Refuse(r *RefusedError) {
	if s.phase == phaseEnded {
		return
	}
	s.refusing = r
	if s.tell&tellOpen != 0 {
		s.tell = 0 // the peer has not heard of it
	} else {
		s.tell = tellRefuse
	}
	s.events.add(Refused{s.channel, s.document, r.Code, r.Dot, r.Reason, false})
	s.end()
}

// end frees what only a living session needs.
func (s *Session) end() {
	s.phase = phaseEnded
	s.out.mu.Lock()
	s.out.live, s.out.items, s.out.lacks, s.out.owes = false, nil, nil, nil
	s.out.mu.Unlock()
	s.send, s.take = sending{}, taking{}
	if !s.oldest.IsZero() {
		s.rt.ForgetWaiting(s) // the next session asks by clock
	}
	if s.opt.Log != nil {
		s.opt.Log.leave(s)
	}
	if s.box != nil {
		s.opt.Ephemeral.leave(s.box)
		s.box = nil
	}
}

// options is what this side says of itself.
func (s *Session) options() openOptions {
	id := s.rt.Replica()
	o := openOptions{
		Replica: id[:], Refuses: s.opt.ReadOnly, Level: uint8(s.opt.level()), NoAcks: s.opt.IgnoreAcks,
		Window: uint64(s.opt.Window), Plain: s.opt.Uncompressed, Data: s.opt.Data, Pattern: uint8(s.opt.Pattern),
	}
	if !s.opt.NoDigests {
		o.Digests = digestVersion
	}
	o.Log = s.logOption()
	if s.opt.Pattern == Clock && !s.resumes(o.Log) {
		if c := encodeClock(s.holds()); len(c) <= maxInline {
			o.Clock = c
		}
	}
	return o
}

// holds returns the clock that this side acknowledges.
func (s *Session) holds() vclock.Clock {
	c := s.rt.Clock()
	if s.opt.Durable != nil {
		for r, end := range c {
			c.Set(r, min(end, s.opt.Durable(r)))
		}
	}
	return c
}

// meet takes what the other side says of itself: from here on both sides send.
func (s *Session) meet(t FrameType, o *openOptions) error {
	if err := o.check(t); err != nil {
		return err
	}
	s.peer.replica, s.peer.refuses, s.peer.level, s.peer.wants = o.replica(), o.Refuses, Level(o.Level), !o.NoAcks
	s.peer.plain = o.Plain
	s.send.credit = int(min(o.Window, 1<<30))
	s.phase, s.cmp.on = phaseLive, o.Digests == digestVersion && !s.opt.NoDigests
	s.out.mu.Lock()
	s.out.live = s.opt.Pattern != State && !o.Refuses
	if s.peer.wants {
		s.out.owes = make(map[vclock.Replica]owing)
	}
	s.out.mu.Unlock()
	if s.opt.Log != nil {
		s.opt.Log.join(s)
	}
	resumed, err := s.meetLog(t, o)
	if err != nil {
		return err
	}
	if resumed {
		// Both know where they stand.
	} else if o.Clock != nil {
		c, err := decodeClock(t, o.Clock, s.rt.Limits().Replicas)
		if err != nil {
			return err
		}
		s.met(c)
	} else if s.opt.Pattern == Clock {
		s.tell |= tellAsk
	}
	if s.opt.Pattern != Clock && !resumed {
		s.send.due = dueState
	}
	if o.Refuses {
		s.send.due, s.send.owesSynced = dueNothing, true
		s.send.started = true
	}
	if s.opt.Ephemeral != nil {
		s.box = s.opt.Ephemeral.join(s)
	}
	s.events.add(Opened{s.channel, s.document, s.peer.replica, s.peer.level, o.Refuses, o.Data})
	return nil
}

// met takes the peer's clock: what it lacks is to be sent. What is unsaved follows from it too, in Next: by then the
// session surely hears of the document's updates, so that none falls between.
func (s *Session) met(c vclock.Clock) {
	s.answered, s.told = time.Time{}, c
	s.follow.holds(c)
	s.acknowledge(c)
	if s.peer.refuses {
		s.send.owesSynced = true
		return
	}
	s.send.base, s.send.due = c, dueClock
}

// Tick tells the time. It finds peers that do not answer or make no progress, and messages that wait for long.
func (s *Session) Tick(now time.Time) {
	if elapsed := now.Sub(s.now); elapsed > 0 && !s.now.IsZero() {
		s.clocks = min(firstClocks, s.clocks+elapsed.Seconds())
	}
	s.now = now
	if s.box != nil && s.opt.Ephemeral.opt.Alarm == nil {
		s.opt.Ephemeral.Tick(now)
	}
	for _, t := range s.timers() {
		if t.at.IsZero() || now.Before(t.at) {
			continue
		}
		switch t.what {
		case timerAnswer:
			s.Refuse(&RefusedError{Code: CodeTimeout, Reason: "no answer in time"})
			return
		case timerStall:
			s.Refuse(&RefusedError{Code: CodeStalled, Reason: "no progress in a transfer"})
			return
		case timerWaiting:
			if s.rt.Waiting() == 0 && !s.elsewhere {
				s.waitingSince, s.askPause = time.Time{}, 0
			} else {
				s.elsewhere = false
				s.askAgain()
			}
		case timerCompare:
			s.compare()
		case timerDrop:
			s.oldest = time.Time{}
			if s.rt.WaitingFrom(s) > 0 && s.rt.ForgetWaiting(s) == nil {
				s.askPause = 0
				s.askAgain()
			}
		case timerIdle:
			s.send.packer, s.send.packedAt = nil, time.Time{}
		}
	}
}

// Deadline returns when Tick is to be called next; zero: no need.
func (s *Session) Deadline() (at time.Time) {
	for _, t := range s.timers() {
		at = earliest(at, t.at)
	}
	if s.box != nil {
		at = earliest(at, s.box.due())
	}
	if s.send.due == dueClock && s.clocks < 1 {
		at = earliest(at, s.now.Add(time.Duration((1-s.clocks)*float64(time.Second))+time.Millisecond))
	}
	return at
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

type timer struct {
	at   time.Time
	what uint8
}

const (
	timerAnswer = iota
	timerStall
	timerWaiting
	timerIdle
	timerCompare
	timerDrop
)

// dictionaryIdle is how long a dictionary stays in memory after its last use.
const dictionaryIdle = time.Minute

func (s *Session) timers() (t [8]timer) {
	if s.phase == phaseEnded || s.now.IsZero() {
		return t
	}
	after := func(i int, what uint8, from time.Time, d time.Duration) {
		t[i].what = what
		if !from.IsZero() {
			t[i].at = from.Add(d)
		}
	}
	if s.phase == phaseOpening {
		after(0, timerAnswer, s.opened, s.opt.AnswerAfter)
	}
	after(1, timerAnswer, s.answered, s.opt.AnswerAfter)
	after(2, timerStall, s.send.stuckSince, s.opt.StallAfter)
	after(3, timerStall, s.take.since, s.opt.StallAfter)
	if !s.waitingSince.IsZero() {
		after(4, timerWaiting, latest(s.waitingSince, s.askedAt), max(s.opt.AskAfter, s.askPause))
	}
	after(5, timerIdle, s.send.packedAt, dictionaryIdle)
	after(6, timerCompare, s.cmp.at, 0)
	after(7, timerDrop, s.oldest, s.opt.DropAfter)
	return t
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// askAgain sends this side's clock, so that the peer sends again what is missing: at once for the first time, then with
// growing pauses.
func (s *Session) askAgain() {
	if s.waitingSince.IsZero() {
		s.waitingSince = s.now
	}
	if s.askPause > 0 && s.now.Before(s.askedAt.Add(s.askPause)) {
		return // the timer comes back to it
	}
	s.askPause = min(max(2*s.askPause, s.opt.AskAfter), time.Minute)
	s.askedAt = s.now
	s.tell |= tellClock
}

func (s *Session) String() string {
	return fmt.Sprintf("session %d of %q", s.channel, s.document)
}
