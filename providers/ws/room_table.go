//go:build !js

package ws

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// rooms are the documents that are open, each once.
type rooms struct {
	server *Server
	mu     sync.Mutex // guards what follows, and the life of each room; a leaf
	all    map[string]*room
	faults map[string]int // panics in the code of a document's objects, since the start
	loads  chan struct{}  // bounds the documents that are loaded at a time
}

// poisoned is the number of faults after which a document stays closed.
const poisoned = 3

// loadAfter bounds how long the store may take for a document.
const loadAfter = 30 * time.Second

// acquire returns the room of a document, after loading it if need be. Whoever gets one releases it. Errors:
// *providers.RefusedError, that of ctx.
func (t *rooms) acquire(ctx context.Context, name string) (*room, error) {
	for {
		t.mu.Lock()
		r := t.all[name]
		switch {
		case t.faults[name] >= poisoned:
			t.mu.Unlock()
			return nil, &providers.RefusedError{Code: providers.CodeUnavailable, Reason: "the document is in quarantine"}
		case r == nil:
			if t.server.overMemory.Load() {
				t.mu.Unlock()
				return nil, &providers.RefusedError{Code: providers.CodeUnavailable, Reason: "the server is out of memory"}
			}
			r = &room{server: t.server, name: name, ready: make(chan struct{}), gone: make(chan struct{}), uses: 1}
			if !t.server.spawn(func() { t.load(r) }) {
				t.mu.Unlock()
				return nil, &providers.RefusedError{Code: providers.CodeGoingAway}
			}
			t.all[name] = r
		case r.closing:
			t.mu.Unlock()
			select {
			case <-r.gone:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		default:
			r.uses++
		}
		t.mu.Unlock()
		select {
		case <-r.ready:
			if r.err == nil {
				return r, nil
			}
			t.release(r)
			return nil, &providers.RefusedError{Code: providers.CodeUnavailable, Reason: "the document cannot be loaded now"}
		case <-ctx.Done():
			t.release(r)
			return nil, ctx.Err()
		}
	}
}

func (t *rooms) load(r *room) {
	s := t.server
	t.loads <- struct{}{}
	ctx, cancel := context.WithTimeout(s.ctx, loadAfter)
	begin := time.Now()
	r.err = r.load(ctx)
	cancel()
	<-t.loads
	if r.err == nil {
		s.count.loads.Add(1)
		s.log.Debug("weft: document loaded", "document", printable(r.name), "took", time.Since(begin))
		s.storeWorks()
		close(r.ready)
		t.mu.Lock()
		t.settle(r)
		t.mu.Unlock()
		return
	}
	s.count.loadErrors.Add(1)
	s.log.Error("weft: a document cannot be loaded", "document", printable(r.name), "error", r.err)
	if errors.Is(r.err, runtime.ErrInternal) {
		t.fault(r.name, r.err)
	} else if !errors.Is(r.err, providers.ErrDamaged) && s.ctx.Err() == nil {
		s.storeFails(r.name, r.err)
	}
	t.mu.Lock()
	delete(t.all, r.name)
	t.mu.Unlock()
	close(r.gone)
	close(r.ready)
}

// release is the inverse of acquire.
func (t *rooms) release(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.uses--; r.uses > 0 {
		return
	}
	r.idle = time.Now()
	t.settle(r)
}

// settle unloads a room that is to go and that nobody is in; mu is held.
func (t *rooms) settle(r *room) {
	if r.closing && r.uses == 0 && r.loaded() && !r.unloading {
		r.unloading = true
		t.server.spawnLast(func() { t.unload(r) })
	}
}

func (r *room) loaded() bool {
	select {
	case <-r.ready:
		return r.err == nil
	default:
		return false
	}
}

// retire lets nobody in any more; the room is unloaded once nobody is there.
func (t *rooms) retire(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.closing = true
	t.settle(r)
}

func (t *rooms) unload(r *room) {
	if err := r.close(); err != nil {
		t.server.log.Warn("weft: a document was unloaded with updates that are not durable", "document", printable(r.name), "error", err)
	} else {
		t.server.log.Debug("weft: document unloaded", "document", printable(r.name))
	}
	t.server.count.unloads.Add(1)
	t.mu.Lock()
	delete(t.all, r.name)
	t.mu.Unlock()
	close(r.gone)
}

// sweep retires rooms that nobody has been in since a time.
func (t *rooms) sweep(since time.Time) {
	for _, r := range t.list() {
		t.mu.Lock()
		idle := r.uses == 0 && r.loaded() && !r.idle.After(since)
		t.mu.Unlock()
		if idle {
			t.retireIdle(r)
		} else if r.loaded() {
			r.forget(since)
		}
	}
}

func (t *rooms) retireIdle(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.uses == 0 {
		r.closing = true
		t.settle(r)
	}
}

func (t *rooms) list() []*room {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*room, 0, len(t.all))
	for _, r := range t.all {
		out = append(out, r)
	}
	return out
}

// fault counts a panic in a document's code, and ends the document at the third.
func (t *rooms) fault(name string, err error) {
	t.mu.Lock()
	t.faults[name]++
	n, r := t.faults[name], t.all[name]
	t.mu.Unlock()
	t.server.count.panics.Add(1)
	t.server.log.Error("weft: a fault in a document", "document", printable(name), "count", n, "error", err)
	if n == poisoned {
		t.server.log.Error("weft: document in quarantine", "document", printable(name))
		if r != nil && r.loaded() {
			t.server.spawn(func() {
				r.end(&providers.RefusedError{Code: providers.CodeUnavailable, Reason: "the document is in quarantine"})
			})
		}
	}
}

func (t *rooms) quarantined() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, n := range t.faults {
		if n >= poisoned {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *rooms) pardon(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.faults, name)
}
