package providers

import (
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// ledger knows what a server holds of a document, over all sessions with it.
//
//  1. acked holds no dot that the server lacked when it last told.
//  2. recent holds every dot that the session has heard of and that is not in acked.
//
// A session's unsaved dots alone do not say what was saved: a commit may have returned whose event the session has not
// heard of yet. So a dot counts as saved once the session has surely heard of it, by clock or by event, and does not list
// it.
type ledger struct {
	session *Session
	stop    func()
	acked   vclock.Clock
	first   vclock.Clock              // the document's clock, after the session began to listen; nil: it is in acked
	recent  map[vclock.Replica]uint64 // ends
}

// begin starts on a new session. The handler that stop ends calls note, after the session's own handler.
func (l *ledger) begin(s *Session, clock vclock.Clock, stop func()) {
	l.session, l.stop, l.first, l.recent = s, stop, clock, make(map[vclock.Replica]uint64)
}

func (l *ledger) end() {
	if l.stop != nil {
		l.stop()
	}
	l.session, l.stop, l.first, l.recent = nil, nil, nil, nil
}

func (l *ledger) note(u runtime.Update) {
	switch {
	case l.session == nil:
	case u.Kind == runtime.MessageUpdate:
		l.add(u.Origin, u.Sender, u.End)
	default:
		for r, end := range u.Clock() {
			l.add(u.Origin, r, end)
		}
	}
}

func (l *ledger) add(origin any, r vclock.Replica, end uint64) {
	if origin == any(l.session) && l.first == nil {
		l.acked.Set(r, max(l.acked.Get(r), end)) // who brings a dot holds all before it
	} else {
		l.recent[r] = max(l.recent[r], end)
	}
}

// confirm takes over what the session says, and reports whether it says anything. It says nothing before it knows the peer's clock, and after its end: it may have
// missed events that were noted here. The lock of its connection is held, under which its unsaved dots are computed. Cost:
// O(replicas in recent and unsaved), once for a session O(replicas).
func (l *ledger) confirm() bool {
	s := l.session
	if s == nil {
		return false
	}
	if s.told != nil { // now, and not with the next frame
		s.compareTold()
	}
	unsaved, ok := s.out.exact()
	if !ok {
		return false
	}
	if l.first != nil { // the server may also hold less than it once did
		for r := range unsaved {
			l.recent[r] = max(l.recent[r], l.first[r])
		}
		l.acked, l.first = l.first, nil
		for r, d := range unsaved {
			l.acked.Set(r, min(l.acked.Get(r), d.start))
		}
	}
	for r, end := range l.recent {
		saved := end
		if d, ok := unsaved[r]; ok {
			saved = min(end, d.start)
		}
		l.acked.Set(r, max(l.acked.Get(r), saved))
		if saved == end {
			delete(l.recent, r)
		}
	}
	return true
}

// exact returns what the peer has not acknowledged of all that the session has heard of; false if that is not known.
func (o *outbox) exact() (map[vclock.Replica]dots, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.live || !o.known {
		return nil, false
	}
	out := make(map[vclock.Replica]dots, len(o.unsaved))
	for r, d := range o.unsaved {
		out[r] = d
	}
	return out, true
}
