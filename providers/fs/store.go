//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/gofrs/flock"
	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// Store keeps many documents in one directory: it implements providers.Store. Open makes one.
//
//  1. When Append, Snapshot or Trim has returned nil, its effect is on the disk: written and synced.
//  2. What Load returns has passed its checksums, and is all that there is.
//  3. After the first failed write or sync nothing is written any more.
//  4. One process has the directory open for writing, and one Store in it.
//
// It starts two goroutines, the committer and the scrub, which Close ends. Safe for concurrent use.
type Store struct {
	dir  string
	opt  StoreOptions
	log  *slog.Logger
	lock *flock.Flock // nil: read-only, on a disk without a lock file

	// Lock order: calls.Mutex is a leaf; structure, handle, mu, queue.mu.
	calls struct {
		sync.Mutex
		sync.WaitGroup
		closed bool
	}
	// structure is held by what removes or replaces, over its commit and the change of the index: under its read lock, index
	// and file agree.
	structure sync.RWMutex
	handle    struct { // read lock: during a transaction
		sync.RWMutex
		db *bolt.DB
	}
	mu struct {
		sync.RWMutex
		index
		damage map[damageKey]*providers.DamageError
		boot   Boot
		mark   bootRecord
		lent   map[string]bool
	}
	queue   queue
	backups sync.Mutex // one backup or compaction at a time
	state   storeState // of the committer

	stop context.CancelFunc // ends the scrub
	done sync.WaitGroup
}

var _ providers.Store = (*Store)(nil)

// Files of a store's directory. Backup and restore need dataFile alone.
const (
	dataFile  = "store.db"
	newFile   = "store.db.new" // being written; removed by the next Open
	lockFile  = "store.lock"
	ownerFile = "store.owner"
)

// Open opens the store in a directory, or makes one where there is none. Errors: *OwnedError while another process has it
// open; ErrFormat for another version or something else; *providers.DamageError without a document for damage that is not
// one document's; those of the disk. Cost: one read of all pages and of all records' checksums.
func Open(dir string, o *StoreOptions) (*Store, error) {
	s := &Store{dir: dir}
	if o != nil {
		s.opt = *o
	}
	if err := s.opt.fill(); err != nil {
		return nil, err
	}
	s.log = s.opt.Logger
	s.mu.docs, s.mu.orphans = map[string]*document{}, map[uint32]*providers.DamageError{}
	s.mu.damage, s.mu.lent = map[damageKey]*providers.DamageError{}, map[string]bool{}
	if err := s.open(); err != nil {
		s.release()
		return nil, fmt.Errorf("fs: opening store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := s.acquire(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, dataFile)
	if !s.opt.ReadOnly {
		if err := os.Remove(filepath.Join(s.dir, newFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := s.createIfMissing(path); err != nil {
			return err
		}
	}
	free, err := s.openFile(path)
	if err != nil {
		return err
	}
	if err := s.readAll(); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		s.queue.failed = ErrReadOnly
	} else {
		if err := s.beginBoot(); err != nil {
			return err
		}
		if s.opt.CompactPercent > 0 && free > s.opt.CompactPercent && s.size() >= s.opt.CompactBytes {
			if err := s.compact(context.Background()); err != nil {
				s.log.Warn("weft: the store was not compacted", "dir", s.dir, "error", err)
			}
		}
	}
	s.start()
	return nil
}

func (s *Store) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.queue.init(s.state.last)
	s.done.Go(s.commitLoop)
	s.done.Go(func() { s.scrub(ctx) })
}

// openFile checks and opens the data file, and returns how many percent of its pages are free.
func (s *Store) openFile(path string) (free int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	used, pages, err := checkTree(f, info.Size())
	var damage *treeError
	if errors.As(err, &damage) {
		return 0, &providers.DamageError{Offset: damage.offset, Reason: damage.reason + "; restore a backup, or open a copy with other tools"}
	}
	if err != nil {
		return 0, err
	}
	err = guarded(func() error {
		s.handle.db, err = bolt.Open(path, 0o600, s.boltOptions(info.Size()))
		return err
	})
	return int(100 * (pages - used) / pages), err
}

// guarded runs fn, and returns a *faultError for a panic in it: bbolt reads through a memory map, where a truncated file is
// a fault of the processor, and meets pages that make no sense with a panic.
func guarded(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			err = &faultError{p}
		}
	}()
	return fn()
}

type faultError struct{ cause any }

func (e *faultError) Error() string { return fmt.Sprintf("the file cannot be read here: %v", e.cause) }

// view runs fn in a read transaction.
func (s *Store) view(fn func(tx *bolt.Tx) error) error {
	s.handle.RLock()
	defer s.handle.RUnlock()
	if s.handle.db == nil {
		return fmt.Errorf("%w: the file could not be opened again", providers.ErrStoreFailed)
	}
	return guarded(func() error { return s.handle.db.View(fn) })
}

func (s *Store) size() (n int64) {
	s.view(func(tx *bolt.Tx) error { n = tx.Size(); return nil })
	return n
}

// begin starts a call; end it with s.calls.Done after a nil error.
func (s *Store) begin(ctx context.Context) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.calls.closed {
		return providers.ErrStoreClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.Add(1)
	return nil
}

func checkDocument(name string) error {
	if len(name) == 0 || len(name) > providers.MaxName {
		return fmt.Errorf("%w: a document's name has 1 to %d bytes, not %d", providers.ErrLimit, providers.MaxName, len(name))
	}
	return nil
}

// Load implements providers.Store. If the newest snapshot is damaged, the one before it and the records since take its
// place, and Damaged tells of it. Cost: O(size); other calls go on.
func (s *Store) Load(ctx context.Context, name string) (*providers.Stored, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if err := checkDocument(name); err != nil {
		return nil, err
	}
	out, err := s.load(ctx, name)
	if err == nil || ctx.Err() != nil {
		return out, err
	}
	// What is missing may have been removed since the index was read. Once more, with removals held off.
	s.structure.RLock()
	defer s.structure.RUnlock()
	r := reader{s: s, ctx: ctx, name: name, report: true}
	return r.load()
}

func (s *Store) load(ctx context.Context, name string) (*providers.Stored, error) {
	r := reader{s: s, ctx: ctx, name: name}
	return r.load()
}

// reader reads one document.
type reader struct {
	s      *Store
	ctx    context.Context
	name   string
	report bool // what is wrong is damage
	doc    document
	tx     *bolt.Tx
}

func (r *reader) load() (out *providers.Stored, err error) {
	if err := r.locate(); err != nil {
		return nil, err
	}
	if r.doc.empty() {
		return &providers.Stored{}, nil
	}
	fault := r.s.view(func(tx *bolt.Tx) error {
		r.tx = tx
		out, err = r.read()
		return nil
	})
	if fault != nil {
		return nil, r.damage(0, 0, 0, fault)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// locate copies what the index says.
func (r *reader) locate() error {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	if d := r.s.mu.docs[r.name]; d != nil {
		r.doc = *d
		r.doc.records = slices.Clone(d.records)
	}
	if len(r.s.mu.orphans) > 0 {
		if d := r.s.mu.orphans[nameSum(r.name)]; d != nil {
			return d
		}
	}
	return nil
}

func (r *reader) read() (*providers.Stored, error) {
	out := &providers.Stored{}
	after := r.doc.trimmed
	if r.doc.newest.id != 0 {
		x, err := r.snapshot(r.doc.newest)
		var damage *providers.DamageError
		if errors.As(err, &damage) && r.report && r.doc.older.id != 0 {
			if x, err = r.snapshot(r.doc.older); err == nil {
				after = r.doc.older.through
				r.s.log.Warn("weft: a damaged snapshot is replaced by the one before it and the records since",
					"document", r.name, "through", after)
			}
		}
		if err != nil {
			return nil, err
		}
		out.Snapshot = x
	}
	positions := r.doc.positions(after)
	out.Records = make([]providers.StoredRecord, 0, len(positions))
	for i, p := range positions {
		if i%64 == 0 && r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		data, err := r.record(p)
		if err != nil {
			return nil, err
		}
		out.Records = append(out.Records, providers.StoredRecord{Position: p, Data: data})
	}
	return out, nil
}

// record returns a record's data, a copy.
func (r *reader) record(position uint64) ([]byte, error) {
	var buf [8 + providers.MaxName]byte
	key := numberKey(buf[:0], position, r.name)
	value := r.tx.Bucket(logSpace.name).Get(key)
	data, err := openEnvelope(kindRecord, logSpace, key, value)
	if err == nil && len(data) == 0 {
		err = errForm
	}
	if err != nil {
		return nil, r.damage(position, 0, r.offset(value), fmt.Errorf("the record %w", err))
	}
	return slices.Clone(data), nil
}

// header returns the header of a snapshot; its clock aliases the file.
func (r *reader) header(g generation) (h snapshotHeader, err error) {
	key := numberKey(nil, g.id, r.name)
	value := r.tx.Bucket(snapshotSpace.name).Get(key)
	payload, err := openEnvelope(kindSnapshot, snapshotSpace, key, value)
	if err == nil {
		err = h.parse(payload)
	}
	if err != nil {
		return h, r.damage(0, g.id, r.offset(value), fmt.Errorf("the header of snapshot %d %w", g.id, err))
	}
	return h, nil
}

func (r *reader) snapshot(g generation) (*providers.Snapshot, error) {
	x := &providers.Snapshot{}
	h, err := r.parts(g, func(h *snapshotHeader, part []byte) {
		if len(x.State) == 0 {
			x.State = make([]byte, 0, h.size)
		}
		x.State = append(x.State, part...)
	})
	if err != nil {
		return nil, err
	}
	x.Through = h.through
	x.Clock, err = h.decodeClock()
	return x, err
}

// parts reads a snapshot, and gives each part of its state to keep, which must copy it.
func (r *reader) parts(g generation, keep func(h *snapshotHeader, part []byte)) (h snapshotHeader, err error) {
	if h, err = r.header(g); err != nil {
		return h, err
	}
	if _, err := h.decodeClock(); err != nil {
		return h, r.damage(0, g.id, 0, fmt.Errorf("the clock of snapshot %d %w", g.id, err))
	}
	left := h.size
	for i := range h.chunks {
		if r.ctx.Err() != nil {
			return h, r.ctx.Err()
		}
		key := chunkKey(g.id, i)
		value := r.tx.Bucket(chunkSpace.name).Get(key)
		readAhead(value)
		part, err := openEnvelope(kindChunk, chunkSpace, key, value)
		if err == nil && uint64(len(part)) != min(chunkLen, left) {
			err = errForm
		}
		if err != nil {
			return h, r.damage(0, g.id, r.offset(value), fmt.Errorf("part %d of snapshot %d %w", i, g.id, err))
		}
		left -= uint64(len(part))
		keep(&h, part)
	}
	return h, nil
}

// Snapshot and Trim are in snapshot.go, Append in append.go.

// List implements providers.Store. The names are those of the moment of the call.
func (s *Store) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.begin(ctx); err != nil {
			yield("", err)
			return
		}
		names := s.names()
		s.calls.Done()
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (s *Store) names() []string {
	s.mu.RLock()
	names := make([]string, 0, len(s.mu.docs))
	for name, d := range s.mu.docs {
		if !d.empty() {
			names = append(names, name)
		}
	}
	s.mu.RUnlock()
	slices.Sort(names)
	return names
}

// Close waits for calls under way, notes in the file that it ended well, and closes it. Loans end. Further calls return nil.
func (s *Store) Close() error {
	s.calls.Lock()
	first := !s.calls.closed
	s.calls.closed = true
	s.calls.Unlock()
	s.calls.Wait()
	if !first {
		return nil
	}
	s.stop()
	s.queue.close()
	s.done.Wait()
	err := s.endBoot()
	return errors.Join(err, s.release())
}

// release closes the file and lets the directory go.
func (s *Store) release() (err error) {
	s.handle.Lock()
	defer s.handle.Unlock()
	if db := s.handle.db; db != nil {
		err = guarded(db.Close)
		s.handle.db = nil
	}
	if s.lock != nil {
		s.noteClosed()
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// snapshotClock returns the clock of the newest snapshot, nil where there is none, and what the index says. It reads in tx, or
// in one of its own.
func (s *Store) snapshotClock(name string, tx *bolt.Tx) (clock vclock.Clock, d document, err error) {
	r := reader{s: s, ctx: context.Background(), name: name, report: true, tx: tx}
	if err := r.locate(); err != nil || r.doc.newest.id == 0 {
		return nil, r.doc, err
	}
	read := func(tx *bolt.Tx) error {
		r.tx = tx
		var h snapshotHeader
		if h, err = r.header(r.doc.newest); err == nil {
			clock, err = h.decodeClock()
		}
		return nil
	}
	if tx != nil {
		_ = read(tx) // its error is err
		return clock, r.doc, err
	}
	if fault := s.view(read); fault != nil {
		err = r.damage(0, 0, 0, fault)
	}
	return clock, r.doc, err
}
