//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"errors"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// HoldCommitter holds the committer up from blocked until release is closed.
func HoldCommitter(s *Store, blocked chan<- struct{}, release <-chan struct{}) {
	_ = s.change(context.Background(), change{solo: func() error {
		close(blocked)
		<-release
		return errors.New("nothing to do")
	}})
}

// Abandon ends a store as the death of its process would: nothing is noted.
func Abandon(s *Store) {
	s.queue.mu.Lock()
	s.queue.failed = errors.New("abandoned")
	s.queue.mu.Unlock()
	s.Close()
}

// Chunks returns how many parts of snapshots there are.
func Chunks(s *Store) (n int) {
	s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(chunkSpace.name).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	return n
}

// PutStray writes parts of a snapshot and no header.
func PutStray(s *Store, document string) error {
	w := &snapshotWriter{s: s, name: document, x: &providers.Snapshot{State: make([]byte, 3*chunkLen)}, id: s.queue.number()}
	return s.change(context.Background(), change{write: func(tx *bolt.Tx) error { return w.putParts(tx, 0, 3) }})
}

// Waiting returns how many batches wait for the committer.
func Waiting(s *Store) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.batches)
}

// Queued returns the bytes that wait for the committer.
func Queued(s *Store) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.bytes
}

// SetFormat changes what a store says of its format.
func SetFormat(path string, major, minor uint16, critical uint64) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	f := storeFormat{major, minor, critical, uuid.New(), "tomorrow"}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(metaSpace.name).Put(formatKey, sealed(kindFormat, 0, metaSpace, formatKey, f.payload()))
	})
	return errors.Join(err, db.Close())
}

// WriteForeign makes a file of another program that uses bbolt.
func WriteForeign(path string) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	})
	return errors.Join(err, db.Close())
}
