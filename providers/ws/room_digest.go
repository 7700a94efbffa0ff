//go:build !js

package ws

import (
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// roomDigest is a document's fingerprint, taken once for all who ask.
type roomDigest struct {
	sync.Mutex
	digest  *providers.Digest
	version int64
	at      time.Time // when it was taken
	took    time.Duration
}

// digestShare is the part of the time that a document may spend on digests, 1/n.
const digestShare = 20

// digestOf is providers.Options.Digest: of documents that change all the time no more of them are taken than they may cost.
func (r *room) digestOf() (*providers.Digest, bool) {
	d := &r.digest
	d.Lock()
	defer d.Unlock()
	version := r.version.Load()
	if d.digest != nil && d.version == version {
		return d.digest, true
	}
	begin := time.Now()
	if begin.Sub(d.at) < digestShare*d.took {
		return nil, false
	}
	x, ok := providers.DigestOf(r.rt)
	d.at = time.Now()
	d.took = d.at.Sub(begin)
	if d.digest = nil; ok && r.version.Load() == version {
		d.digest, d.version = x, version
	}
	return x, ok
}

// diverged notes that somebody holds another document than this one, at the same clock.
func (s *Server) diverged(e providers.Diverged, with, who string) {
	if !e.Remote {
		s.count.diverged.Add(1)
	}
	s.log.Error("weft: a document differs from that of "+with+" at the same clock", "document", printable(e.Document), with, printable(who),
		"dot", e.Dot, "remote", e.Remote)
}
