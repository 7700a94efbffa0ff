package providers

import "github.com/seed1312cc15/weft/vclock"

// Event is what a session or a connection tells its user: one of the types below.
type Event interface{ event() }

// Admission asks who the peer is: its hello has come. Mux.Admit or Mux.End answers.
type Admission struct {
	Token []byte
	Agent string
}

// Admitted tells that the peer has taken this side in: documents can be opened.
type Admitted struct{ Agent string }

// Opening asks for a document that the peer wants. Mux.Accept or Mux.Refuse answers.
type Opening struct {
	Channel  uint64
	Document string
	Replica  vclock.Replica // under which the peer writes; zero: it did not say
	Data     []byte         // Options.Data of the peer
	frame    []byte
}

// Opened tells that both sides have opened the document.
type Opened struct {
	Channel  uint64
	Document string
	Replica  vclock.Replica // of the peer
	Level    Level          // of the peer's acknowledgements
	ReadOnly bool           // the peer takes no updates
	Data     []byte         // Options.Data of the peer
}

// Synced tells that the peer has sent all that this side lacked when both met.
type Synced struct {
	Channel  uint64
	Document string
}

// Saved tells that the peer has acknowledged more of the document.
type Saved struct {
	Channel  uint64
	Document string
	Level    Level
	All      bool // nothing was unsaved just then
}

// Refused tells that the document has ended on this link. Local work is still there: see Session.LocalWork.
type Refused struct {
	Channel  uint64
	Document string
	Code     Code
	Dot      *vclock.Dot
	Reason   string
	Remote   bool // the peer refuses; else this side does
}

// Closed tells that the peer has closed the document in good order.
type Closed struct {
	Channel  uint64
	Document string
}

// Problem tells of something that the peer brought and that was ignored.
type Problem struct {
	Channel  uint64
	Document string
	Err      error
	Count    int // how often since the last of these events
}

// Ended tells that the connection is over. Nothing comes after it.
type Ended struct{ Err *EndedError }

func (Admission) event() {}
func (Admitted) event()  {}
func (Opening) event()   {}
func (Opened) event()    {}
func (Synced) event()    {}
func (Saved) event()     {}
func (Refused) event()   {}
func (Closed) event()    {}
func (Problem) event()   {}
func (Ended) event()     {}

// events is a queue that joins what repeats, so that it stays short when nobody reads it.
type events struct{ list []Event }

func (q *events) add(e Event) {
	for i, old := range q.list {
		switch x := old.(type) {
		case Saved:
			if y, ok := e.(Saved); ok && y.Channel == x.Channel {
				q.list[i] = y
				return
			}
		case Problem:
			if y, ok := e.(Problem); ok && y.Channel == x.Channel {
				x.Count += y.Count
				q.list[i] = x
				return
			}
		}
	}
	q.list = append(q.list, e)
}

func (q *events) next() (Event, bool) {
	if len(q.list) == 0 {
		return nil, false
	}
	e := q.list[0]
	q.list[0] = nil
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return e, true
}
