//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// Compact writes what is stored into a new file without free pages, and puts that in the place of the old one; the disk gets
// the rest back. Writes wait until it is done, reads go on almost until then. After a crash the old file or the new one is
// there, never neither and never a part. Errors: ErrStoreFull if the disk has no room for a second file.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.backups.Lock() // one that runs has the old file open
	defer s.backups.Unlock()
	return s.change(context.WithoutCancel(ctx), change{solo: func() error { return s.compact(ctx) }})
}

// compact runs in the committer, or while that does not run. An error before the new file is in place leaves everything as it
// was.
func (s *Store) compact(ctx context.Context) error {
	var before, live int64
	if err := s.view(func(tx *bolt.Tx) error {
		before, live = tx.Size(), s.used(tx)
		return nil
	}); err != nil {
		return err
	}
	if free, _, err := freeSpace(s.dir); err == nil && free < live {
		return fmt.Errorf("%w: the disk has %d bytes left, and a second file may need %d", providers.ErrStoreFull, free, live)
	}
	temp := filepath.Join(s.dir, newFile)
	if err := s.copyLive(ctx, temp); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := s.swap(temp); err != nil {
		return err
	}
	if err := s.remark(s.markNow(), s.direct); err != nil { // another file than the owner file says
		return s.fail(fmt.Errorf("after compaction: %w", err))
	}
	s.log.Info("weft: the store was compacted", "dir", s.dir, "before", before, "after", s.size())
	return nil
}

// copyLive writes all keys into a new file and syncs it.
func (s *Store) copyLive(ctx context.Context, temp string) error {
	o := s.boltOptions(0)
	o.NoSync = true // once, at the end
	db, err := bolt.Open(temp, 0o600, o)
	if err != nil {
		return err
	}
	db.AllocSize = leastAlloc
	w := &compaction{ctx: ctx, dst: db}
	if err = s.view(func(tx *bolt.Tx) error { return w.run(tx) }); err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

// compaction copies keys in transactions of 16 MiB.
type compaction struct {
	ctx   context.Context
	dst   *bolt.DB
	tx    *bolt.Tx
	bytes int
}

func (c *compaction) run(src *bolt.Tx) (err error) {
	if c.tx, err = c.dst.Begin(true); err != nil {
		return err
	}
	defer func() {
		if c.tx.DB() != nil {
			_ = c.tx.Rollback()
		}
	}()
	for _, sp := range spaces {
		if _, err := c.tx.CreateBucket(sp.name); err != nil {
			return err
		}
		if err := src.Bucket(sp.name).ForEach(func(k, v []byte) error { return c.put(sp.name, k, v) }); err != nil {
			return err
		}
	}
	return c.tx.Commit()
}

func (c *compaction) put(bucket, k, v []byte) (err error) {
	if c.bytes += len(k) + len(v); c.bytes > 16<<20 {
		c.bytes = 0
		if err := errors.Join(c.ctx.Err(), c.tx.Commit()); err != nil {
			return err
		}
		if c.tx, err = c.dst.Begin(true); err != nil {
			return err
		}
	}
	b := c.tx.Bucket(bucket)
	b.FillPercent = 1
	return b.Put(k, v)
}

// swap puts a complete file in the place of the data file, and opens it. If that fails the store has failed.
func (s *Store) swap(temp string) error {
	path := filepath.Join(s.dir, dataFile)
	s.handle.Lock()
	defer s.handle.Unlock()
	err := guarded(s.handle.db.Close) // Windows does not replace an open file
	s.handle.db = nil
	if err == nil {
		err = replaceFile(temp, path)
	}
	free, e := s.openFile(path)
	if err = errors.Join(err, e); err != nil {
		return s.fail(fmt.Errorf("after compaction (%d %% free): %w", free, err))
	}
	return nil
}
