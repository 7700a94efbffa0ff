//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/vclock"
)

// Lend returns the replica ID of a document: the same one for as long as this store is the only copy of itself, so that clocks
// do not grow with each session. It is the caller's until release or Close; meanwhile Lend returns ErrLent. Give it to
// runtime.Options.Replica, keep the document with a providers.Keeper in this store, and let links send own transactions only
// when they are durable: a dot that left this machine must be in this store.
//
// A second copy of a store must not write under the same ID. Open ends all loans, so that Lend makes new IDs, when the data
// file is not the one that was last open in this directory: a restored backup, a copied directory, a file that anything
// changed since Close. A copy of the whole disk, or its return to an earlier state, cannot be told from inside of it: then the
// runtime finds its own dots at a peer beyond its clock and takes a new ID; call Drop from its OnReplicaChange. To be safe, sync
// with a peer before the first edit after such a return.
func (s *Store) Lend(ctx context.Context, document string) (id vclock.Replica, release func(), err error) {
	if err := s.begin(ctx); err != nil {
		return id, nil, err
	}
	defer s.calls.Done()
	if err := checkDocument(document); err != nil {
		return id, nil, err
	}
	s.mu.Lock()
	taken := s.mu.lent[document]
	s.mu.lent[document] = true
	s.mu.Unlock()
	if taken {
		return id, nil, fmt.Errorf("%w: %q", ErrLent, document)
	}
	release = sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.mu.lent, document)
		s.mu.Unlock()
	})
	if id, err = s.loan(ctx, document); err != nil {
		release()
		return id, nil, err
	}
	return id, release, nil
}

// loan returns the stored ID of a document, making one if there is none or it cannot be read.
func (s *Store) loan(ctx context.Context, document string) (id uuid.UUID, err error) {
	key := []byte(document)
	found := false
	if err := s.view(func(tx *bolt.Tx) error {
		payload, err := openEnvelope(kindLoan, loanSpace, key, tx.Bucket(loanSpace.name).Get(key))
		if found = err == nil && len(payload) == len(id); found {
			copy(id[:], payload)
		}
		return nil
	}); err != nil {
		return id, err
	}
	if failed := s.queue.failure(); failed != nil {
		return uuid.UUID{}, failed // nothing written under it would become durable
	}
	if found {
		return id, nil
	}
	if id, err = uuid.NewRandom(); err != nil {
		return id, err
	}
	return id, s.change(ctx, change{write: func(tx *bolt.Tx) error {
		return tx.Bucket(loanSpace.name).Put(key, sealed(kindLoan, nameSum(document), loanSpace, key, id[:]))
	}})
}

// Drop forgets the replica ID of a document: the next Lend makes a new one. Call it when the runtime took another ID.
func (s *Store) Drop(ctx context.Context, document string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := checkDocument(document); err != nil {
		return err
	}
	return s.change(ctx, change{write: func(tx *bolt.Tx) error { return tx.Bucket(loanSpace.name).Delete([]byte(document)) }})
}
