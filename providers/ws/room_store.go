//go:build !js

package ws

import (
	"context"
	"sync"

	"github.com/seed1312cc15/weft/providers"
)

// roomSize is how much of a document is stored, and how many replicas wrote it.
type roomSize struct {
	mu       sync.Mutex // a leaf
	snapshot int        // bytes
	log      int        // bytes since, those included that are about to be stored

	known   int // replicas, when version was
	version int64
	counted bool
}

func (z *roomSize) add(n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.log += n
}

func (z *roomSize) stored() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.snapshot + z.log
}

// replicas returns how many replicas wrote the document, as of a few updates ago where these cannot make a difference.
func (z *roomSize) replicas(r *room) int {
	v := r.version.Load()
	z.mu.Lock()
	defer z.mu.Unlock()
	if left := int64(r.server.opt.Limits.DocumentReplicas - z.known); !z.counted || v-z.version >= left {
		z.known, z.version, z.counted = len(r.rt.Clock()), v, true
	}
	return z.known
}

// sizedStore keeps the books of a document's store.
type sizedStore struct {
	providers.Store
	r *room
}

func (s *sizedStore) Load(ctx context.Context, document string) (*providers.Stored, error) {
	stored, err := s.Store.Load(ctx, document)
	if err != nil {
		return nil, err
	}
	z := &s.r.size
	z.mu.Lock()
	defer z.mu.Unlock()
	z.snapshot, z.log = 0, 0
	if stored.Snapshot != nil {
		z.snapshot = len(stored.Snapshot.State)
	}
	for _, r := range stored.Records {
		z.log += len(r.Data)
	}
	return stored, nil
}

func (s *sizedStore) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	positions, err := s.Store.Append(ctx, records)
	if err == nil {
		n := 0
		for _, r := range records {
			n += len(r.Data)
		}
		s.r.server.count.storedBytes.Add(int64(n))
		s.r.server.count.storedRecords.Add(int64(len(records)))
	}
	return positions, err
}

func (s *sizedStore) Snapshot(ctx context.Context, document string, x *providers.Snapshot) error {
	err := s.Store.Snapshot(ctx, document, x)
	if err == nil {
		z := &s.r.size
		z.mu.Lock()
		z.snapshot = len(x.State)
		z.mu.Unlock()
	}
	return err
}

func (s *sizedStore) Trim(ctx context.Context, document string, through uint64) error {
	err := s.Store.Trim(ctx, document, through)
	if err == nil { // all that there is: nobody else writes this document
		z := &s.r.size
		z.mu.Lock()
		z.log = 0
		z.mu.Unlock()
	}
	return err
}
