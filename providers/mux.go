package providers

import (
	"fmt"
	"slices"
	"time"
)

// MuxOptions configure a Mux. nil and zero fields mean the defaults.
type MuxOptions struct {
	// Acceptor is the side that was called: it asks who the peer is (event Admission) before it takes anything else. The
	// other side, the dialer, speaks first. There must be one of each.
	Acceptor bool
	// Token says to the acceptor who this is; at most MaxToken bytes. Agent names this program, for logs.
	Token []byte
	Agent string
	// Documents bounds the documents that the peer may have open; default 64.
	Documents int
	// IncomingBytes bounds what lies here of unfinished transfers: beyond, only one of them goes on at a time; default 64
	// MiB.
	IncomingBytes int
	// Heartbeat is how long either direction may be silent before this side asks for a sign of life; after twice that
	// without any, the connection ends. Default 20 s.
	Heartbeat time.Duration
	// HelloAfter bounds the wait for the peer's hello, and for the answer to an Admission; default 5 s.
	HelloAfter time.Duration
	// Wake tells the driver that a document has something to send. It is called by any goroutine, also with locks held and
	// from inside of the Mux's own methods: it must not block, nor call the Mux. Conn sets its own.
	Wake func()
}

func (o *MuxOptions) fill() error {
	if o.Documents == 0 {
		o.Documents = 64
	}
	if o.IncomingBytes == 0 {
		o.IncomingBytes = 64 << 20
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 20 * time.Second
	}
	if o.HelloAfter == 0 {
		o.HelloAfter = 5 * time.Second
	}
	switch {
	case o.Documents < 0 || o.IncomingBytes < 0 || o.Heartbeat < 0 || o.HelloAfter < 0:
		return fmt.Errorf("%w: a bound of MuxOptions is negative", ErrInvalidOptions)
	case len(o.Token) > MaxToken:
		return fmt.Errorf("%w: Token has %d bytes; at most %d", ErrInvalidOptions, len(o.Token), MaxToken)
	case validText(o.Agent) != o.Agent:
		return fmt.Errorf("%w: Agent is text of at most %d bytes", ErrInvalidOptions, maxReason)
	}
	return nil
}

// Mux runs the sessions of many documents over one link, and what belongs to the connection itself: admission, heartbeat,
// its end. Like Session it is a pure state machine, for one goroutine at a time; Conn drives it.
//
//  1. A document is open at most once.
//  2. Channels are numbered by whoever opens: odd by the dialer, even by the acceptor, ascending, never again.
//  3. Sessions take turns, one frame each.
//  4. Before the peer is admitted nothing of it is kept but its hello.
type Mux struct {
	opt      MuxOptions
	now      time.Time
	began    time.Time
	phase    muxPhase
	sessions []*attached // in order of channel numbers
	turn     int
	control  [][]byte
	pong     *uint64
	pending  map[uint64]string // opens that are not answered
	local    uint64            // last channel opened here
	remote   uint64            // last channel opened by the peer
	events   events
	ended    *EndedError
	bye      bool // to be sent
	lastIn   time.Time
	lastOut  time.Time
	pinged   time.Time
	pings    uint64
}

type muxPhase uint8

const (
	muxHello   muxPhase = iota // waits for the peer's hello
	muxAdmit                   // waits for Admit
	muxRunning                 // both hellos are through
)

type attached struct {
	*Session
	stop func()
}

// maxControl bounds frames of the connection that wait to be sent.
const maxControl = 256

// NewMux returns a Mux for a new link. Errors: ErrInvalidOptions.
func NewMux(o *MuxOptions) (*Mux, error) {
	m := &Mux{pending: make(map[uint64]string)}
	if o != nil {
		m.opt = *o
	}
	if err := m.opt.fill(); err != nil {
		return nil, err
	}
	if !m.opt.Acceptor {
		m.hello()
	}
	return m, nil
}

func (m *Mux) hello() {
	f := helloFrame{Type: FrameHello, Min: ProtocolVersion, Max: ProtocolVersion}
	f.Options = helloOptions{Token: m.opt.Token, Agent: m.opt.Agent, Heartbeat: uint64(m.opt.Heartbeat.Milliseconds())}
	m.control = append(m.control, encode(f))
}

func (m *Mux) queue(frame []byte) {
	if m.ended != nil {
		return
	}
	if len(m.control) >= maxControl {
		m.End(CodeRate, "too many requests without reading the answers")
		return
	}
	m.control = append(m.control, frame)
}

// grants decides whether a transfer goes on: all do while there is room, else the first one.
func (m *Mux) grants(s *Session) bool {
	total := 0
	var first *Session
	for _, a := range m.sessions {
		if a.take.active() {
			total += len(a.take.data)
			if first == nil {
				first = a.Session
			}
		}
	}
	return total <= m.opt.IncomingBytes || s == first || !s.take.active()
}

// Admit takes the peer in.
func (m *Mux) Admit() {
	if m.phase == muxAdmit && m.ended == nil {
		m.phase = muxRunning
		m.hello()
	}
}

// End ends the connection for a reason that the peer is told.
func (m *Mux) End(code Code, reason string) {
	if m.ended == nil {
		m.bye = true
		m.finish(&EndedError{code, cutText(reason, maxReason), false})
	}
}

// Lost tells that the link is gone.
func (m *Mux) Lost(reason string) {
	if m.ended == nil {
		m.finish(&EndedError{CodeNone, cutText(reason, maxReason), false})
	}
	m.bye = false
}

func (m *Mux) finish(e *EndedError) {
	m.ended = e
	m.clean()
	for _, a := range m.sessions {
		a.tell = 0
		a.end()
		a.stop()
	}
	m.sessions, m.control, m.pong = nil, nil, nil
	clear(m.pending)
	m.events.add(Ended{e})
}

// Err returns why the connection has ended, nil if it has not.
func (m *Mux) Err() error {
	if m.ended == nil {
		return nil
	}
	return m.ended
}

// Over reports whether the connection has ended and Next has nothing more to say: the link can be closed.
func (m *Mux) Over() bool { return m.ended != nil && !m.bye }

// Receive takes a frame of the peer and keeps no reference to it. Whatever is wrong with it ends the connection, which is
// an event.
func (m *Mux) Receive(frame []byte) {
	if m.ended != nil {
		return
	}
	m.lastIn, m.pinged = m.now, time.Time{}
	t, channel, err := PeekFrame(frame)
	switch {
	case err != nil:
	case len(frame) > MaxFrame || m.phase != muxRunning && len(frame) > MaxHello:
		m.End(CodeTooBig, fmt.Sprintf("a frame of %d bytes", len(frame)))
		return
	case t >= firstIgnorable:
		return
	case t == 0 || t > lastFrame:
		m.End(CodeUnknownFrame, fmt.Sprintf("frame of %v", t))
		return
	case channel == 0:
		err = m.connection(t, frame)
	case m.phase != muxRunning:
		err = &FrameError{Type: t, Reason: "before both sides have said hello"}
	case t == FrameOpen:
		err = m.opening(channel, frame)
	default:
		err = m.route(t, channel, frame)
	}
	if err != nil {
		m.End(CodeMalformed, err.Error())
	}
	m.clean()
}

// connection takes a frame of channel 0.
func (m *Mux) connection(t FrameType, frame []byte) error {
	switch t {
	case FrameHello:
		if m.phase != muxHello {
			return &FrameError{Type: t, Reason: "a second one"}
		}
		f, err := decode[helloFrame](t, frame)
		if err != nil {
			return err
		}
		switch {
		case f.Min > ProtocolVersion || f.Max < ProtocolVersion:
			m.End(CodeVersion, fmt.Sprintf("this side speaks version %d, the peer %d to %d", ProtocolVersion, f.Min, f.Max))
		case len(f.Options.Token) > MaxToken || len(f.Options.Agent) > maxReason:
			m.End(CodeTooBig, "the token or the agent's name is too long")
		case m.opt.Acceptor:
			m.phase = muxAdmit
			m.events.add(Admission{f.Options.Token, f.Options.Agent})
		default:
			m.phase = muxRunning
			m.events.add(Admitted{f.Options.Agent})
		}
		return nil
	case FrameBye:
		f, err := decode[byeFrame](t, frame)
		if err == nil {
			m.finish(&EndedError{f.Code, cutText(f.Reason, maxReason), true})
		}
		return err
	case FramePing, FramePong:
		f, err := decode[numberFrame](t, frame)
		switch {
		case err != nil:
			return err
		case m.phase != muxRunning:
			return &FrameError{Type: t, Reason: "before both sides have said hello"}
		case t == FramePing:
			m.pong = &f.Number
		}
		return nil
	}
	return &FrameError{Type: t, Reason: "needs the channel of a document"}
}

// route hands a frame to its session.
func (m *Mux) route(t FrameType, channel uint64, frame []byte) error {
	if t < FrameOpen {
		return &FrameError{Type: t, Reason: "belongs to channel 0"}
	}
	for _, a := range m.sessions {
		if a.channel == channel {
			return a.Receive(frame)
		}
	}
	if name, ok := m.pending[channel]; ok {
		if t != FrameClose {
			return &FrameError{Type: t, Reason: "before accept"}
		}
		delete(m.pending, channel)
		m.events.add(Closed{channel, name})
		return nil
	}
	if !m.opened(channel) {
		return &FrameError{Type: t, Reason: fmt.Sprintf("channel %d was never opened", channel)}
	}
	return nil // on its way before the peer heard of the end
}

// clean removes sessions that have ended, after their last frame, and takes over events.
func (m *Mux) clean() {
	m.sessions = slices.DeleteFunc(m.sessions, func(a *attached) bool {
		for e, ok := a.NextEvent(); ok; e, ok = a.NextEvent() {
			m.events.add(e)
		}
		if a.phase == phaseEnded {
			a.stop()
		}
		return a.Ended()
	})
}

// Next returns the next frame to send; false: there is none for now. The caller owns it.
func (m *Mux) Next() ([]byte, bool) {
	head, body, ok := m.NextParts()
	return joined(head, body), ok
}

// NextParts is Next for those who can send a frame from two pieces: it is head followed by body. head is good until the next
// call of any method. body may be nil; it is shared with other connections, the state of a document with all who join and its
// log with all who follow: it must not be changed, and stays as it is.
func (m *Mux) NextParts() (head, body []byte, ok bool) {
	head, body, ok = m.next()
	if ok {
		m.lastOut = m.now
	}
	return head, body, ok
}

func (m *Mux) next() (head, body []byte, ok bool) {
	if m.bye {
		m.bye = false
		return encode(byeFrame{Type: FrameBye, Code: m.ended.Code, Reason: validText(m.ended.Reason)}), nil, true
	}
	if len(m.control) > 0 {
		f := m.control[0]
		m.control[0] = nil
		m.control = m.control[1:]
		return f, nil, true
	}
	if m.pong != nil {
		f := encode(numberFrame{Type: FramePong, Number: *m.pong})
		m.pong = nil
		return f, nil, true
	}
	if m.phase != muxRunning {
		return nil, nil, false
	}
	if f, ok := m.first(); ok {
		return f, nil, true
	}
	for idle := 0; idle < len(m.sessions); idle++ {
		m.turn++
		a := m.sessions[m.turn%len(m.sessions)]
		head, body, ok = a.nextParts()
		if a.phase == phaseEnded || len(a.events.list) > 0 {
			m.clean()
			idle = -1 // places have moved
		}
		if ok {
			return head, body, true
		}
	}
	return nil, nil, false
}

// first returns what must come before all else of the documents: the ends of those that may be opened again, then opens in
// the order of their numbers.
func (m *Mux) first() ([]byte, bool) {
	for _, a := range m.sessions {
		if a.phase == phaseEnded {
			if f, ok := a.Next(); ok {
				m.clean()
				return f, true
			}
		}
	}
	for _, a := range m.sessions {
		if a.tell&tellOpen != 0 {
			return a.Next()
		}
	}
	return nil, false
}

// Tick tells the time; call it at Deadline or soon after, and before anything else. A clock may be set back.
func (m *Mux) Tick(now time.Time) {
	m.setBack(m.now.Sub(now))
	m.now = now
	if m.ended != nil {
		return
	}
	if m.began.IsZero() {
		m.began, m.lastIn, m.lastOut = now, now, now
	}
	switch {
	case m.phase != muxRunning:
		if !now.Before(m.began.Add(m.opt.HelloAfter)) {
			m.End(CodeTimeout, "no hello in time")
		}
		return
	case !now.Before(m.lastIn.Add(2 * m.opt.Heartbeat)):
		m.End(CodeTimeout, "no sign of life")
		return
	case !now.Before(m.pingAt()):
		m.pings++
		m.pinged = now
		m.queue(encode(numberFrame{Type: FramePing, Number: m.pings}))
	}
	for _, a := range m.sessions {
		a.Tick(now)
	}
	m.clean()
}

// setBack keeps the time that has passed since what is remembered, after the clock went back by d: else a peer that is gone is
// not missed before the clock is there again.
func (m *Mux) setBack(d time.Duration) {
	if d <= 0 || m.began.IsZero() {
		return
	}
	m.began, m.lastIn, m.lastOut = m.began.Add(-d), m.lastIn.Add(-d), m.lastOut.Add(-d)
	if !m.pinged.IsZero() {
		m.pinged = m.pinged.Add(-d)
	}
}

// pingAt is when to ask for a sign of life.
func (m *Mux) pingAt() time.Time {
	at := earliest(m.lastIn, m.lastOut).Add(m.opt.Heartbeat)
	if !m.pinged.IsZero() {
		return latest(at, m.pinged.Add(m.opt.Heartbeat))
	}
	return at
}

// Deadline returns when Tick is to be called next; zero: no need.
func (m *Mux) Deadline() (at time.Time) {
	switch {
	case m.ended != nil || m.began.IsZero():
		return at
	case m.phase != muxRunning:
		return m.began.Add(m.opt.HelloAfter)
	}
	at = earliest(m.pingAt(), m.lastIn.Add(2*m.opt.Heartbeat))
	for _, a := range m.sessions {
		at = earliest(at, a.Deadline())
	}
	return at
}

// NextEvent returns what there is to tell, oldest first; false if there is nothing.
func (m *Mux) NextEvent() (Event, bool) {
	m.clean()
	return m.events.next()
}
