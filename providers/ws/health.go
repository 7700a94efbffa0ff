//go:build !js

package ws

import (
	"fmt"
	"net/http"
)

// Health returns nil if the server is ready: it is not shutting down, has memory left, and its store works. After a store
// has failed it counts as working again once it has loaded or kept something.
func (s *Server) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return fmt.Errorf("ws: the server is shutting down")
	case s.storeErr != nil:
		return fmt.Errorf("ws: the store fails: %w", s.storeErr)
	case s.overMemory.Load():
		return fmt.Errorf("ws: out of memory")
	}
	return nil
}

// HealthHandler answers 200 if Health is nil, else 503 and in a word why; details are in the log.
func (s *Server) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		err := s.Health()
		s.mu.Lock()
		why := "ok"
		switch {
		case err == nil:
		case s.closing:
			why = "shutting down"
		case s.storeErr != nil:
			why = "store failed"
		default:
			why = "out of memory"
		}
		s.mu.Unlock()
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, why)
	})
}
