//go:build !js

package ws

import (
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// smallUpdate is the most that an update may have beyond the quota, bytes.
const smallUpdate = 512

// cheapEncode is how long the state of a document may take to encode that is encoded whenever that decides something;
// others are at most a tenth of the time.
const cheapEncode = 5 * time.Millisecond

// quota decides whether the document may take an update. Stored bytes count first, since they are known; when these are too
// many the encoded state decides. Beyond the quota small updates are taken up to a tenth more, and beyond that those that
// leave the state smaller: one can always delete. That takes a runtime that knows the kinds of the document's objects; of
// what it does not know, deletions only add to the state.
func (r *room) quota(update []byte) error {
	l := &r.server.opt.Limits
	if n, most := len(update), l.DocumentBytes; r.size.stored()+n > most {
		if ok, err := r.fits(update, most); err != nil {
			return err
		} else if !ok {
			return &providers.RefusedError{Code: providers.CodeQuota, Reason: fmt.Sprintf("the document has reached its %d bytes; delete something", most)}
		}
	}
	known := r.size.replicas(r)
	if kind, err := runtime.KindOf(update); err != nil || kind == runtime.MessageUpdate && known < l.DocumentReplicas {
		return nil // what is no update the runtime refuses
	}
	if n := r.newcomers(update); n > 0 && known+n > l.DocumentReplicas {
		return &providers.RefusedError{Code: providers.CodeQuota, Reason: fmt.Sprintf("at most %d replicas may write", l.DocumentReplicas)}
	}
	return nil
}

// newcomers returns how many replicas an update names that have not written the document.
func (r *room) newcomers(update []byte) (n int) {
	info, err := runtime.Inspect(update)
	if err != nil {
		return 0
	}
	clock := r.rt.Clock()
	for id := range info.Clock {
		if clock.Get(id) == 0 {
			n++
		}
	}
	return n
}

// fits measures the document by its encoded state.
func (r *room) fits(update []byte, most int) (bool, error) {
	n := len(update)
	within := func(size int) bool { return size <= most || n <= smallUpdate && size <= most+most/10 }
	c := &r.cache
	c.Lock()
	defer c.Unlock()
	if !c.at.IsZero() && within(c.measure+int(r.bytes.Load()-c.bytes)+n) { // at most
		return true, nil
	}
	if !c.at.IsZero() && c.took > cheapEncode && time.Since(c.at) < 10*c.took {
		return false, &providers.RefusedError{Code: providers.CodeRate, Reason: "the document is almost full, and cannot be measured so often"}
	}
	if c.state == nil || c.version != r.version.Load() {
		if err := r.encode(); err != nil {
			return false, err
		}
	}
	if within(c.measure + n) {
		return true, nil
	}
	if n > smallUpdate {
		return false, nil
	}
	return r.shrinks(c.state, update)
}

// shrinks tries an update on a copy of the document.
func (r *room) shrinks(state, update []byte) (_ bool, err error) {
	defer faulty(&err)
	o := r.server.opt.Runtime
	rt, err := runtime.New(&o)
	if err != nil {
		return false, err
	}
	if _, err := rt.Receive(state); err != nil {
		return false, err
	}
	if _, err := rt.Receive(update); err != nil {
		return false, err
	}
	after, err := rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1))
	return len(after) < len(state), err
}
