package plain

import (
	"bytes"
	"cmp"
	"maps"

	"github.com/google/uuid"
)

// Dot names one operation: the Seq-th, from 0, of Replica.
type Dot struct {
	Replica uuid.UUID
	Seq     uint64
}

// Compare orders dots by replica bytes, then by Seq.
func (d Dot) Compare(e Dot) int {
	if c := bytes.Compare(d.Replica[:], e.Replica[:]); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, e.Seq)
}

// Stamp is a dot with the Lamport timestamp of its transaction.
type Stamp struct {
	Dot
	Lamport uint64
}

// Compare orders stamps by (Lamport, replica, seq): the greatest wins.
func (s Stamp) Compare(t Stamp) int {
	if c := cmp.Compare(s.Lamport, t.Lamport); c != 0 {
		return c
	}
	return s.Dot.Compare(t.Dot)
}

// Site is the source of dots and Lamport timestamps at one replica. All twins of one document share it, as all
// objects of a document share the numbering of dots.
type Site struct {
	ID      uuid.UUID
	Next    uint64 // Seq of the next dot; a test that skips dots raises it
	Lamport uint64 // greatest timestamp given or observed
	open    bool   // in Transact: the timestamp is given already
}

// NewSite returns a site that has written nothing.
func NewSite(id uuid.UUID) *Site { return &Site{ID: id} }

// Transact runs f as one transaction: all its operations have one timestamp. An operation outside is a transaction of
// its own.
func (s *Site) Transact(f func()) {
	if s.open {
		panic("plain: Transact in Transact")
	}
	s.Lamport++
	s.open = true
	defer func() { s.open = false }()
	f()
}

// Observe raises the timestamp to that of an applied transaction.
func (s *Site) Observe(lamport uint64) { s.Lamport = max(s.Lamport, lamport) }

// tick takes n consecutive dots and returns the first.
func (s *Site) tick(n int) Stamp {
	if !s.open {
		s.Lamport++
	}
	st := Stamp{Dot{s.ID, s.Next}, s.Lamport}
	s.Next += uint64(n)
	return st
}

// history is what one twin has seen of the operations on it.
//
//  1. clock maps a replica to the end of the last operation by it here. A dot below that was applied here if it was
//     an operation on this twin.
//  2. lamport is the greatest timestamp among them.
type history struct {
	clock   map[uuid.UUID]uint64
	lamport uint64
}

func newHistory() history { return history{clock: map[uuid.UUID]uint64{}} }

func (h *history) covers(d Dot) bool { return d.Seq < h.clock[d.Replica] }

// tick takes n dots from site for an operation here.
func (h *history) tick(site *Site, n int) Stamp {
	st := site.tick(n)
	h.see(st, n)
	return st
}

func (h *history) see(st Stamp, n int) {
	h.clock[st.Replica] = max(h.clock[st.Replica], st.Seq+uint64(n))
	h.lamport = max(h.lamport, st.Lamport)
}

// merge joins other. Site is nil for a twin that does not write.
func (h *history) merge(site *Site, other *history) {
	for id, end := range other.clock {
		h.clock[id] = max(h.clock[id], end)
	}
	h.lamport = max(h.lamport, other.lamport)
	if site != nil {
		site.Observe(h.lamport)
	}
}

func (h *history) clone() history { return history{maps.Clone(h.clock), h.lamport} }
