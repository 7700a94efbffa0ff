//go:build !js

package ws

import (
	"net/netip"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// addresses counts connections and failures by address.
type addresses struct {
	mu  sync.Mutex // a leaf
	all map[netip.Prefix]*visitor
}

type visitor struct {
	conns    int
	failures *rate.Limiter // nil: none yet
}

// enter counts a connection, false: that would be too many, or too many have failed.
func (a *addresses) enter(p netip.Prefix, l *Limits) bool {
	if !p.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.all[p]
	if v == nil {
		v = &visitor{}
		a.all[p] = v
	}
	if v.conns >= l.ConnectionsPerAddress || v.failures != nil && v.failures.Tokens() < 1 {
		return false
	}
	if v.failures == nil && v.conns == 0 {
		v.failures = bucketPerMinute(l.FailuresPerMinute)
	}
	v.conns++
	return true
}

func (a *addresses) leave(p netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v := a.all[p]; v != nil {
		v.conns--
	}
}

func (a *addresses) failed(p netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v := a.all[p]; v != nil && v.failures != nil {
		v.failures.Allow()
	}
}

// sweep forgets those who have left and whose failures are long ago.
func (a *addresses) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, v := range a.all {
		if v.conns == 0 && (v.failures == nil || v.failures.Tokens() >= float64(v.failures.Burst())) {
			delete(a.all, p)
		}
	}
}

// sweep is the goroutine that unloads idle documents, looks after memory, and forgets.
func (s *Server) sweep() {
	l := &s.opt.Limits
	t := time.NewTicker(max(10*time.Millisecond, min(time.Second, l.IdleAfter/4)))
	defer t.Stop()
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			if l.MemoryBytes > 0 {
				metrics.Read(memory)
				over := memory[0].Value.Uint64()-memory[1].Value.Uint64() > uint64(l.MemoryBytes)
				if s.overMemory.Swap(over) != over {
					s.log.Warn("weft: memory", "over the limit", over)
				}
			}
			since := now.Add(-l.IdleAfter)
			if s.overMemory.Load() {
				since = now
			}
			s.rooms.sweep(since)
			s.addresses.sweep()
			s.mu.Lock()
			for id, at := range s.revoked {
				if now.Sub(at) > 2*l.HelloAfter {
					delete(s.revoked, id)
				}
			}
			s.mu.Unlock()
		}
	}
}

// storeFails and storeWorks keep what HealthHandler says of the store.
func (s *Server) storeFails(document string, err error) {
	s.count.storeErrors.Add(1)
	s.log.Error("weft: the store fails", "document", printable(document), "error", err)
	s.mu.Lock()
	s.storeErr = err
	s.mu.Unlock()
}

func (s *Server) storeWorks() {
	s.mu.Lock()
	s.storeErr = nil
	s.mu.Unlock()
}

// printable returns s as it is if it is short and plain, else quoted: nothing in it can end a line of a log.
func printable(s string) string {
	if len(s) > 256 {
		s = s[:256]
	}
	if q := strconv.QuoteToASCII(s); len(q) != len(s)+2 {
		return q
	}
	return s
}
