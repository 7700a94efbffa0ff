package providers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// Open opens a document with the peer. Errors: *RefusedError for the name and for a document that is open already,
// *EndedError, ErrInvalidOptions.
func (m *Mux) Open(rt *runtime.Runtime, document string, o *Options) (*Session, error) {
	if m.ended != nil {
		return nil, m.ended
	}
	if m.find(document) != nil {
		return nil, &RefusedError{Code: CodeTooMany, Reason: "the document is open on this connection"}
	}
	channel := m.local + 2
	if m.local == 0 && !m.opt.Acceptor {
		channel = 1
	}
	s, err := NewSession(rt, channel, document, m.options(o))
	if err != nil {
		return nil, err
	}
	m.local = channel
	m.attach(rt, s)
	return s, nil
}

// Accept answers an Opening. Errors as those of Open, and the peer stays without an answer; a *FrameError, and the
// connection ends.
func (m *Mux) Accept(e Opening, rt *runtime.Runtime, o *Options) (*Session, error) {
	if m.ended != nil {
		return nil, m.ended
	}
	if _, ok := m.pending[e.Channel]; !ok {
		return nil, ErrClosed // by the peer meanwhile
	}
	s, err := AcceptSession(rt, e.frame, m.options(o))
	if errors.Is(err, ErrMalformed) {
		m.End(CodeMalformed, err.Error())
	}
	if err != nil {
		return nil, err
	}
	delete(m.pending, e.Channel)
	m.attach(rt, s)
	return s, nil
}

// Refuse answers an Opening.
func (m *Mux) Refuse(e Opening, r *RefusedError) {
	if _, ok := m.pending[e.Channel]; ok {
		delete(m.pending, e.Channel)
		m.refuse(e.Channel, r)
	}
}

func (m *Mux) refuse(channel uint64, r *RefusedError) {
	m.queue(encode(refuseFrame{Type: FrameRefuse, Channel: channel, Code: r.Code, Reason: validText(r.Reason)}))
}

// opened reports whether the channel was opened before, by whoever numbers it.
func (m *Mux) opened(channel uint64) bool {
	if m.theirs(channel) {
		return channel <= m.remote
	}
	return channel <= m.local
}

func (m *Mux) theirs(channel uint64) bool { return (channel%2 == 1) == m.opt.Acceptor }

func (m *Mux) opening(channel uint64, frame []byte) error {
	if !m.theirs(channel) || m.opened(channel) {
		return &FrameError{Type: FrameOpen, Reason: fmt.Sprintf("the peer cannot open channel %d", channel)}
	}
	f, err := decodeOpen(frame)
	if r := (*RefusedError)(nil); err != nil {
		if asRefused(err, &r) {
			m.remote = channel
			m.refuse(channel, r)
			return nil
		}
		return err
	}
	m.remote = channel
	name := string(f.Document)
	if a := m.find(name); a != nil {
		switch {
		case m.theirs(a.channel):
			m.refuse(channel, &RefusedError{Code: CodeTooMany, Reason: "the document is open on this connection"})
		case !m.opt.Acceptor: // both sides open it at the same time: the dialer's channel stays
			m.queue(encode(plainFrame{Type: FrameClose, Channel: channel}))
		default:
			return m.giveWay(a, &f)
		}
		return nil
	}
	n := len(m.pending)
	for _, a := range m.sessions {
		if m.theirs(a.channel) {
			n++
		}
	}
	if n >= m.opt.Documents || slices.Contains(values(m.pending), name) {
		m.refuse(channel, &RefusedError{Code: CodeTooMany, Reason: fmt.Sprintf("at most %d documents at a time, each once", m.opt.Documents)})
		return nil
	}
	m.pending[channel] = name
	m.events.add(Opening{channel, name, f.Options.replica(), f.Options.Data, slices.Clone(frame)})
	return nil
}

func values(m map[uint64]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func asRefused(err error, r **RefusedError) bool {
	x, ok := err.(*RefusedError)
	*r = x
	return ok
}

// giveWay makes a session that was about to open a document answer the peer's open instead.
func (m *Mux) giveWay(a *attached, f *openFrame) error {
	if a.phase != phaseOpening {
		m.refuse(f.Channel, &RefusedError{Code: CodeTooMany, Reason: "the document is open on this connection"})
		return nil
	}
	i := slices.Index(m.sessions, a)
	m.sessions = slices.Delete(m.sessions, i, i+1)
	a.channel, a.tell, a.cmp.opener = f.Channel, tellAccept, false
	i, _ = slices.BinarySearchFunc(m.sessions, a.channel, func(x *attached, c uint64) int {
		if x.channel < c {
			return -1
		}
		return 1
	})
	m.sessions = slices.Insert(m.sessions, i, a)
	return a.meet(FrameOpen, &f.Options)
}

func (m *Mux) options(o *Options) *Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.wake, c.grants = m.opt.Wake, m.grants
	return &c
}

func (m *Mux) attach(rt *runtime.Runtime, s *Session) {
	s.Tick(m.now)
	a := &attached{s, func() {}}
	if !s.lead.on { // else the log tells of the document's updates
		a.stop = rt.OnUpdate(s.Update)
	}
	i, _ := slices.BinarySearchFunc(m.sessions, s.channel, func(a *attached, c uint64) int {
		if a.channel < c {
			return -1
		}
		return 1
	})
	m.sessions = slices.Insert(m.sessions, i, a)
	// What was committed between the session's first look at the document and the subscription: a session plans in Next,
	// after it.
}

func (m *Mux) find(document string) *attached {
	for _, a := range m.sessions {
		if a.document == document && a.phase != phaseEnded {
			return a
		}
	}
	return nil
}

// Session returns the session of a document that is open, nil if there is none.
func (m *Mux) Session(document string) *Session {
	if a := m.find(document); a != nil {
		return a.Session
	}
	return nil
}
