//go:build !js

package ws

import "github.com/seed1312cc15/weft/vclock"

// Retiring returns how many documents are being unloaded.
func (s *Server) Retiring() (n int) {
	s.rooms.mu.Lock()
	defer s.rooms.mu.Unlock()
	for _, r := range s.rooms.all {
		if r.unloading {
			n++
		}
	}
	return n
}

// open returns a document that is open, nil if it is not.
func (s *Server) open(document string) *room {
	s.rooms.mu.Lock()
	r := s.rooms.all[document]
	s.rooms.mu.Unlock()
	if r == nil || !r.loaded() {
		return nil
	}
	return r
}

// Waiting returns how many messages of an open document wait for others.
func (s *Server) Waiting(document string) int {
	if r := s.open(document); r != nil {
		return r.rt.Waiting()
	}
	return 0
}

// Clock returns what the server has applied of an open document.
func (s *Server) Clock(document string) vclock.Clock {
	if r := s.open(document); r != nil {
		return r.rt.Clock()
	}
	return nil
}

// Plain returns the cached state of an open document as it is without compression.
func (s *Server) Plain(document string) []byte {
	if r := s.open(document); r != nil {
		r.cache.Lock()
		defer r.cache.Unlock()
		return r.cache.plain
	}
	return nil
}
