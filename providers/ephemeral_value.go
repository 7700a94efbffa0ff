package providers

import "github.com/seed1312cc15/weft/vclock"

// Own returns whose presence this side sets.
func (e *Ephemeral) Own() vclock.Replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.opt.Own
}

// SetOwn makes this side set the presence of another replica from now on, when the runtime has taken a new ID: what it shows
// moves there. A peer that takes own keys alone (EphemeralOptions.OwnKeysOnly) believes it in sessions that begin after
// that. A Document sees to both.
func (e *Ephemeral) SetOwn(r vclock.Replica) {
	now := e.opt.Now()
	e.mu.Lock()
	was := e.opt.Own
	if r == was {
		e.mu.Unlock()
		return
	}
	old := e.entries[was]
	e.opt.Own = r
	delete(e.entries, r) // a value of its former life, if any
	var t told
	if old != nil && e.own.set {
		value := old.value
		if old.held != nil {
			value = old.held.value
		}
		e.counter++
		t = e.put(was, &presence{counter: e.counter, gone: true, ttl: e.opt.TTL}, nil, now)
		e.counter++
		e.own.refresh = now.Add(e.opt.TTL / 2)
		more := e.put(r, &presence{counter: e.counter, ttl: e.opt.TTL, value: value}, nil, now)
		t.list, t.wake = append(t.list, more.list...), append(t.wake, more.wake...)
	}
	e.mu.Unlock()
	e.tell(t)
}

// Value returns what a replica shows now; false: nothing. Cost: O(1).
func (e *Ephemeral) Value(r vclock.Replica) (Presence, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.entries[r]
	if p == nil || p.gone {
		return Presence{}, false
	}
	return Presence{r, p.value, p.stamp}, true
}
