//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"io"
)

// Backup writes a copy of the data file as it is at the moment of the call to w, while everything else goes on. It is a whole
// store: put it in an empty directory under the name store.db, sync it, and open that. What the store holds at a later time
// than the copy is then lost here: peers bring it back. The copy is found out to be one, see Lend; it is as damaged as the
// original, so Verify first. Pages that the copy needs are not used again until it is done.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.backups.Lock()
	defer s.backups.Unlock()
	s.handle.RLock()
	tx, err := s.handle.db.Begin(false)
	if err != nil {
		s.handle.RUnlock()
		return err
	}
	defer s.handle.RUnlock()
	defer tx.Rollback()
	if s.queue.failure() == nil {
		if err := s.newMark(ctx); err != nil {
			return err
		}
	}
	return guarded(func() error {
		_, err := tx.WriteTo(&contextWriter{ctx, w})
		return err
	})
}

// contextWriter ends with its context.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w *contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
