//go:build !js

package ws

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

// Waiting returns how many messages of an open document wait for others.
func (s *Server) Waiting(document string) int {
	s.rooms.mu.Lock()
	r := s.rooms.all[document]
	s.rooms.mu.Unlock()
	if r == nil || !r.loaded() {
		return 0
	}
	return r.rt.Waiting()
}
