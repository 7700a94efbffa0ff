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
