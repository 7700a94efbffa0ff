package mem

import (
	"context"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/providers"
)

// Store is a providers.Store in memory: it survives Reopen, which stands for a restart of the process, and nothing else.
// The zero value is not usable; make one with NewStore. Safe for concurrent use.
type Store struct {
	disk *disk

	mu     sync.Mutex
	closed bool
}

// disk is what outlives a Store.
type disk struct {
	mu   sync.Mutex
	docs map[string]*document
	last uint64 // position given
	fail error
}

type document struct {
	snapshot *providers.Snapshot
	sum      uint32
	records  []record
}

type record struct {
	position uint64
	data     []byte
	sum      uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{disk: &disk{docs: make(map[string]*document)}}
}

// Reopen closes the store and returns another one with what it holds.
func (s *Store) Reopen() *Store {
	s.Close()
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.fail = nil
	return &Store{disk: s.disk}
}

// Fail makes writes fail with err from now on, nil to end that: for tests.
func (s *Store) Fail(err error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.fail = err
}

// Damage flips a bit of the record at a position, or of the snapshot for position 0: for tests.
func (s *Store) Damage(document string, position uint64) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	d := s.disk.docs[document]
	if position == 0 {
		d.snapshot.State[len(d.snapshot.State)/2] ^= 1
		return
	}
	for _, r := range d.records {
		if r.position == position {
			r.data[len(r.data)/2] ^= 1
		}
	}
}

// begin checks and locks; the caller unlocks disk.mu after a nil error.
func (s *Store) begin(ctx context.Context, name string, write bool) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return providers.ErrStoreClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case name != "" && len(name) > providers.MaxName:
		return fmt.Errorf("%w: the name of a document has %d bytes", providers.ErrLimit, len(name))
	}
	s.disk.mu.Lock()
	if write && s.disk.fail != nil {
		s.disk.mu.Unlock()
		return fmt.Errorf("mem: %w", s.disk.fail)
	}
	return nil
}

// Append implements providers.Store.
func (s *Store) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	for _, r := range records {
		if len(r.Document) == 0 || len(r.Document) > providers.MaxName || len(r.Data) == 0 {
			return nil, fmt.Errorf("%w: a record needs the name of a document and data", providers.ErrLimit)
		}
	}
	if err := s.begin(ctx, "", true); err != nil {
		return nil, err
	}
	defer s.disk.mu.Unlock()
	positions := make([]uint64, len(records))
	for i, r := range records {
		s.disk.last++
		positions[i] = s.disk.last
		d := s.disk.docs[r.Document]
		if d == nil {
			d = &document{}
			s.disk.docs[r.Document] = d
		}
		d.records = append(d.records, record{s.disk.last, slices.Clone(r.Data), crc32.Checksum(r.Data, castagnoli)})
	}
	return positions, nil
}

// Load implements providers.Store.
func (s *Store) Load(ctx context.Context, name string) (*providers.Stored, error) {
	if err := s.begin(ctx, name, false); err != nil {
		return nil, err
	}
	defer s.disk.mu.Unlock()
	out := &providers.Stored{}
	d := s.disk.docs[name]
	if d == nil {
		return out, nil
	}
	if x := d.snapshot; x != nil {
		if crc32.Checksum(x.State, castagnoli) != d.sum {
			return nil, &providers.DamageError{Document: name, Reason: "checksum of the snapshot"}
		}
		out.Snapshot = &providers.Snapshot{Clock: x.Clock.Clone(), Through: x.Through, State: slices.Clone(x.State)}
	}
	for _, r := range d.records {
		if crc32.Checksum(r.data, castagnoli) != r.sum {
			return nil, &providers.DamageError{Document: name, Position: r.position, Reason: "checksum of a record"}
		}
		out.Records = append(out.Records, providers.StoredRecord{Position: r.position, Data: slices.Clone(r.data)})
	}
	return out, nil
}

// Snapshot implements providers.Store.
func (s *Store) Snapshot(ctx context.Context, name string, x *providers.Snapshot) error {
	if err := s.begin(ctx, name, true); err != nil {
		return err
	}
	defer s.disk.mu.Unlock()
	d := s.disk.docs[name]
	if d == nil {
		d = &document{}
		s.disk.docs[name] = d
	}
	if old := d.snapshot; old != nil && (!x.Clock.CoversClock(old.Clock) || x.Through < old.Through) {
		return fmt.Errorf("%w: document %q", providers.ErrStaleSnapshot, name)
	}
	d.snapshot = &providers.Snapshot{Clock: x.Clock.Clone(), Through: x.Through, State: slices.Clone(x.State)}
	d.sum = crc32.Checksum(x.State, castagnoli)
	return nil
}

// Trim implements providers.Store.
func (s *Store) Trim(ctx context.Context, name string, through uint64) error {
	if err := s.begin(ctx, name, true); err != nil {
		return err
	}
	defer s.disk.mu.Unlock()
	d := s.disk.docs[name]
	if d == nil || d.snapshot == nil || d.snapshot.Through < through {
		return fmt.Errorf("%w: document %q through %d", providers.ErrNotCovered, name, through)
	}
	d.records = slices.DeleteFunc(d.records, func(r record) bool { return r.position <= through })
	return nil
}

// List implements providers.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.begin(ctx, "", false); err != nil {
			yield("", err)
			return
		}
		var names []string
		for name := range s.disk.docs {
			names = append(names, name)
		}
		s.disk.mu.Unlock()
		slices.Sort(names)
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Close implements providers.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

var _ providers.Store = (*Store)(nil)
