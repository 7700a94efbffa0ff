//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"io"

	bolt "go.etcd.io/bbolt"
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
	if err := s.copyTo(&contextWriter{ctx, w}); err != nil || s.queue.failure() != nil {
		return err
	}
	// From here on the original differs from the copy. Not earlier: to write may have to wait for the copy's transaction.
	return s.remark(s.markNow(), func(write func(tx *bolt.Tx) error) error { return s.change(ctx, change{write: write}) })
}

func (s *Store) copyTo(w io.Writer) error {
	return s.view(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
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
