//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	goruntime "runtime"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// batch is what the committer writes in one transaction: records of any number of Append calls, or one change. done is closed
// once err is set.
type batch struct {
	entries []entry
	bytes   int
	calls   int
	change  *change
	done    chan struct{}
	err     error
}

// change is a transaction that does more than append.
type change struct {
	write func(tx *bolt.Tx) error // an error of its own leaves everything as it was
	apply func()                  // after the commit, with mu held
	// removes says that readers may miss something that the index tells them of: they are held off until apply has run.
	removes bool
	solo    func() error // in the place of a transaction
}

// queue is what waits for the committer. Batches are written in order; records join the last one as long as it has room.
type queue struct {
	mu      sync.Mutex
	batches []*batch
	bytes   int           // in batches
	usual   int           // entries of the last batch of records: the next is made for as many
	last    uint64        // greatest number given
	failed  error         // ErrReadOnly, or wraps ErrStoreFailed: nothing is written any more
	room    chan struct{} // closed and replaced when bytes falls
	wake    chan struct{} // capacity 1; closed by close
}

// mostUsual bounds what a batch takes before it has anything: a call may have very many records.
const mostUsual = 1024

func (q *queue) init(last uint64) {
	q.last = last
	q.room = make(chan struct{})
	q.wake = make(chan struct{}, 1)
}

func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// append adds entries and gives them positions. It waits as long as more than limit bytes are queued.
func (q *queue) append(ctx context.Context, entries []entry, size, most, limit int) (b *batch, first uint64, err error) {
	q.mu.Lock()
	for q.failed == nil && q.bytes > 0 && q.bytes+size > limit {
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	if q.failed != nil {
		return nil, 0, q.failed
	}
	if n := len(q.batches); n > 0 && q.batches[n-1].change == nil && q.batches[n-1].bytes+size <= most {
		b = q.batches[n-1]
	} else {
		b = &batch{done: make(chan struct{}), entries: make([]entry, 0, q.usual)}
		q.batches = append(q.batches, b)
	}
	first = q.last + 1
	for i := range entries {
		q.last++
		entries[i].position = q.last
	}
	b.entries = append(b.entries, entries...)
	b.bytes += size
	b.calls++
	q.bytes += size
	q.signal()
	return b, first, nil
}

// add queues a change.
func (q *queue) add(c *change) (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != nil {
		return nil, q.failed
	}
	b := &batch{change: c, done: make(chan struct{})}
	q.batches = append(q.batches, b)
	q.signal()
	return b, nil
}

// number returns a new number for a snapshot.
func (q *queue) number() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	return q.last
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) close() { close(q.wake) }

// take returns the first batch, nil if there is none, and the greatest number given so far.
func (q *queue) take() (b *batch, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil, q.last
	}
	b = q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	q.bytes -= b.bytes
	if b.change == nil {
		q.usual = min(len(b.entries), mostUsual)
	}
	close(q.room)
	q.room = make(chan struct{})
	return b, q.last
}

func (q *queue) calls() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return 0
	}
	return q.batches[0].calls
}

// gather waits as long as those whom the last batch woke come back with more, so that all go with the next sync and not half
// of them. It only lets other goroutines run, and ends when a round brought nothing.
func (q *queue) gather() {
	for n := q.calls(); ; {
		goruntime.Gosched()
		now := q.calls()
		if now == n {
			return
		}
		n = now
	}
}

// commitLoop is the committer: the only goroutine that writes, while it runs.
func (s *Store) commitLoop() {
	for range s.queue.wake {
		for {
			s.queue.gather()
			b, last := s.queue.take()
			if b == nil {
				break
			}
			if b.err = s.queue.failure(); b.err == nil {
				b.err = s.commit(b, last)
			}
			close(b.done)
		}
	}
}

// change runs a change in the committer and waits for its end. When ctx ends first it may still happen.
func (s *Store) change(ctx context.Context, c change) error {
	b, err := s.queue.add(&c)
	if err != nil {
		return err
	}
	return b.wait(ctx)
}

// wait returns how b ended, or that ctx did.
func (b *batch) wait(ctx context.Context) error {
	if ctx.Done() == nil {
		<-b.done
		return b.err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit writes a batch, and brings the index up to date.
func (s *Store) commit(b *batch, last uint64) error {
	if b.change != nil && b.change.solo != nil {
		return b.change.solo()
	}
	if b.change != nil && b.change.removes {
		s.structure.Lock()
		defer s.structure.Unlock()
	}
	state := s.state
	s.state.last = last
	var meanwhile sync.WaitGroup
	err := s.transact(func(tx *bolt.Tx) error {
		if b.change != nil {
			return b.change.write(tx)
		}
		if len(b.entries) >= manyEntries {
			meanwhile.Go(func() { s.find(b.entries) })
		}
		return s.putRecords(tx, b)
	})
	meanwhile.Wait()
	if err != nil {
		s.state.totals = state.totals
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.change == nil {
		for i := range b.entries {
			e := &b.entries[i]
			if e.doc == nil {
				e.doc = s.mu.doc(e.document)
			}
			e.doc.add(e.position)
		}
	} else if b.change.apply != nil {
		b.change.apply()
	}
	return nil
}

// manyEntries is from how many on the documents of a batch are looked up beside writing it.
const manyEntries = 32

// find looks up the documents of a batch, those that there are. All who wait for the batch wait for this too, so it is done
// while the batch is written; nobody but the committer, which waits, changes the index.
func (s *Store) find(entries []entry) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range entries {
		entries[i].doc = s.mu.docs[entries[i].document]
	}
}

func (s *Store) putRecords(tx *bolt.Tx, b *batch) error {
	if err := s.checkRoom(b.bytes, s.used(tx)); err != nil {
		return err
	}
	log := tx.Bucket(logSpace.name)
	log.FillPercent = 1 // keys ascend
	var buf [8 + providers.MaxName]byte
	for i := range b.entries {
		e := &b.entries[i]
		key := numberKey(buf[:0], e.position, e.document)
		seal(e.value, e.sum, logSpace, key)
		if err := log.Put(key, e.value); err != nil {
			return err
		}
		s.state.add(logSpace.letter, e.position, e.name)
	}
	return nil
}

// used returns the bytes of pages in use.
func (s *Store) used(tx *bolt.Tx) int64 {
	db := tx.DB()
	stats := db.Stats()
	return tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(db.Info().PageSize)
}

// transact runs fn in a transaction and writes the state with it. An error of fn leaves everything as it was. One of writing
// ends all writing, unless it is a full disk before anything became visible.
func (s *Store) transact(fn func(tx *bolt.Tx) error) error {
	s.handle.RLock()
	defer s.handle.RUnlock()
	if s.handle.db == nil {
		return s.fail(errors.New("the file could not be opened again"))
	}
	var own, err error
	id := -1
	fault := guarded(func() error {
		tx, e := s.handle.db.Begin(true)
		if e != nil {
			err = e
			return nil
		}
		defer func() {
			if tx.DB() != nil {
				_ = tx.Rollback() // after a panic or an own error; Commit ends it itself
			}
		}()
		id = tx.ID()
		s.handle.db.AllocSize = int(min(max(tx.Size()/2, leastAlloc), mostAlloc))
		if own = fn(tx); own != nil {
			return nil
		}
		payload := s.state.payload()
		if err = tx.Bucket(metaSpace.name).Put(stateKey, sealed(kindState, 0, metaSpace, stateKey, payload)); err == nil {
			err = tx.Commit()
		}
		return nil
	})
	switch {
	case own != nil:
		return own
	case fault != nil:
		return s.fail(fault)
	case err == nil:
		return nil
	case outOfRoom(err) && !s.visible(id):
		return fmt.Errorf("%w: %w", providers.ErrStoreFull, err)
	}
	return s.fail(err)
}

// outOfRoom reports whether a write, not a sync, failed for lack of room: then bbolt has written nothing but free pages.
func outOfRoom(err error) bool {
	var path *iofs.PathError
	if errors.As(err, &path) {
		return path.Op == "write" && isFull(path.Err)
	}
	if rest, ok := strings.CutPrefix(err.Error(), "file resize error: "); ok {
		for _, text := range fullTexts {
			if strings.HasSuffix(rest, text) {
				return true
			}
		}
	}
	return false
}

// visible reports whether the transaction can be read though it failed: its last page was written and perhaps not synced.
func (s *Store) visible(id int) bool {
	seen := true
	fault := guarded(func() error {
		return s.handle.db.View(func(tx *bolt.Tx) error {
			seen = tx.ID() >= id
			return nil
		})
	})
	return seen || fault != nil
}

// fail ends all writing until the store is opened anew.
func (s *Store) fail(err error) error {
	q := &s.queue
	q.mu.Lock()
	first := q.failed == nil
	if first {
		q.failed = fmt.Errorf("%w: %w", providers.ErrStoreFailed, err)
	}
	failed := q.failed
	q.mu.Unlock()
	if first {
		s.log.Error("weft: the store has failed; nothing is written until it is opened anew", "dir", s.dir, "error", err)
	}
	return failed
}
