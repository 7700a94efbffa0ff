package providers

import "github.com/seed1312cc15/weft/vclock"

// Own returns whose presence this side sets.
func (e *Ephemeral) Own() vclock.Replica { return e.opt.Own }

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
