//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"fmt"

	"github.com/seed1312cc15/weft/providers"
)

// Append implements providers.Store. Calls that wait at one moment are written and synced together. It waits for room in the
// queue; a context that ends while it waits ends it, and the records may become durable all the same. Errors beside the
// contract's: ErrLimit for more than MaxRecord bytes.
func (s *Store) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if len(records) == 0 {
		return nil, nil
	}
	var few [1]entry // nearly always enough, and no garbage
	entries := few[:]
	if len(records) > len(few) {
		entries = make([]entry, len(records))
	}
	size := 0
	for i := range records {
		r := &records[i]
		if err := checkDocument(r.Document); err != nil {
			return nil, err
		}
		size += len(r.Data) + len(r.Document) + 64
		if len(r.Data) == 0 || size > MaxRecord {
			return nil, fmt.Errorf("%w: a record has at least 1 byte, a call at most %d", providers.ErrLimit, MaxRecord)
		}
		e := &entries[i]
		e.document, e.name = r.Document, nameSum(r.Document)
		e.value, e.sum = newEnvelope(kindRecord, e.name, r.Data)
	}
	b, first, err := s.queue.append(ctx, entries, size, s.opt.BatchBytes, s.opt.QueueBytes)
	if err != nil {
		return nil, err
	}
	positions := make([]uint64, len(entries))
	for i := range positions {
		positions[i] = first + uint64(i)
	}
	if err := b.wait(ctx); err != nil {
		return nil, err
	}
	return positions, nil
}

// entry is one record on its way into the log.
type entry struct {
	document string
	doc      *document // in the index; nil: not looked up, or none yet
	name     uint32
	position uint64
	value    []byte // an envelope without its checksum, which needs the position
	sum      uint32
}

// checkRoom returns an ErrStoreFull if so many more bytes of records would leave less than the reserve, or pass the quota.
func (s *Store) checkRoom(more int, used int64) error {
	if s.opt.Quota > 0 && used+int64(more) > s.opt.Quota {
		return fmt.Errorf("%w: %d bytes are in use, and the quota is %d; trim or remove documents", providers.ErrStoreFull, used, s.opt.Quota)
	}
	if s.opt.Reserve < 0 {
		return nil
	}
	free, size, err := freeSpace(s.dir)
	if err != nil {
		return nil // then a full disk shows when it is written
	}
	reserve := s.opt.Reserve
	if reserve == 0 {
		reserve = min(64<<20, size/100)
	}
	if free-int64(more) < reserve {
		return fmt.Errorf("%w: the disk has %d bytes left, and %d are in reserve for snapshots and trims", providers.ErrStoreFull, free, reserve)
	}
	return nil
}
