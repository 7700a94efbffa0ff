//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// Snapshot implements providers.Store. The state is written in transactions of BatchBytes, between which Append goes on, and
// becomes the document's snapshot in the last. The one before it is kept: should the new one be damaged, it stands in with the
// records since, so State must hold nothing beyond the records and the snapshot before. Errors beside the contract's: ErrLimit
// for more than MaxSnapshot bytes; *providers.DamageError if the header of the present one cannot be read.
func (s *Store) Snapshot(ctx context.Context, name string, x *providers.Snapshot) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := checkDocument(name); err != nil {
		return err
	}
	if len(x.State) > MaxSnapshot {
		return fmt.Errorf("%w: a snapshot has at most %d bytes, not %d", providers.ErrLimit, MaxSnapshot, len(x.State))
	}
	clock, err := x.Clock.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := s.checkSnapshot(name, x, nil); err != nil {
		return err
	}
	w := &snapshotWriter{s: s, name: name, x: x, id: s.queue.number()}
	w.header = snapshotHeader{x.Through, uint64(len(x.State)), uint32((len(x.State) + chunkLen - 1) / chunkLen), clock}
	if err := w.run(ctx); err != nil {
		w.discard()
		return err
	}
	return nil
}

// checkSnapshot returns nil if x may replace the present snapshot. It reads in tx, or in a transaction of its own.
func (s *Store) checkSnapshot(name string, x *providers.Snapshot, tx *bolt.Tx) error {
	clock, d, err := s.snapshotClock(name, tx)
	if err != nil {
		return err
	}
	if d.newest.id != 0 && (!x.Clock.CoversClock(clock) || x.Through < d.newest.through) {
		return fmt.Errorf("%w: document %q", providers.ErrStaleSnapshot, name)
	}
	return nil
}

type snapshotWriter struct {
	s       *Store
	name    string
	x       *providers.Snapshot
	id      uint64
	header  snapshotHeader
	written uint32 // parts
}

// run writes it. ctx is asked between transactions, and none is left waiting: they read what belongs to the caller.
func (w *snapshotWriter) run(ctx context.Context) error {
	perBatch := uint32(max(1, w.s.opt.BatchBytes/chunkLen))
	whole := context.WithoutCancel(ctx)
	for w.header.chunks-w.written > perBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := w.written + perBatch
		if err := w.s.change(whole, change{write: func(tx *bolt.Tx) error { return w.putParts(tx, w.written, end) }}); err != nil {
			return err
		}
		w.written = end
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.publish(whole)
}

func (w *snapshotWriter) putParts(tx *bolt.Tx, from, end uint32) error {
	b := tx.Bucket(chunkSpace.name)
	b.FillPercent = 1
	sum := nameSum(w.name)
	for i := from; i < end; i++ {
		key := chunkKey(w.id, i)
		part := w.x.State[int(i)*chunkLen : min(len(w.x.State), (int(i)+1)*chunkLen)]
		if err := b.Put(key, sealed(kindChunk, sum, chunkSpace, key, part)); err != nil {
			return err
		}
	}
	return nil
}

// publish writes the last parts and the header, removes the generation before the last, and the records that only it needed.
func (w *snapshotWriter) publish(ctx context.Context) error {
	s := w.s
	var victim, older generation
	var through uint64
	return s.change(ctx, change{
		removes: true,
		write: func(tx *bolt.Tx) error {
			if err := s.checkSnapshot(w.name, w.x, tx); err != nil { // again: another one may have come first
				return err
			}
			if err := w.putParts(tx, w.written, w.header.chunks); err != nil {
				return err
			}
			key, sum := numberKey(nil, w.id, w.name), nameSum(w.name)
			snapshots := tx.Bucket(snapshotSpace.name)
			snapshots.FillPercent = 1
			if err := snapshots.Put(key, sealed(kindSnapshot, sum, snapshotSpace, key, w.header.append(nil))); err != nil {
				return err
			}
			s.state.add(snapshotSpace.letter, w.id, sum)
			d := s.copyOf(w.name)
			victim, older = d.older, d.newest
			if older.id != 0 && s.snapshotDamaged(w.name, older.id) && victim.id != 0 {
				victim, older = older, victim // the one that can be read stays
			}
			if err := s.removeGeneration(tx, w.name, victim); err != nil {
				return err
			}
			through = d.deletable(d.trimmed, older)
			return s.removeRecords(tx, w.name, &d, through, d.trimmed)
		},
		apply: func() {
			d := s.mu.doc(w.name)
			d.older, d.newest = older, generation{id: w.id, through: w.header.through, chunks: w.header.chunks}
			d.drop(through)
			s.applyMark(d, d.trimmed)
			s.forgetDamage(w.name, through, victim.id)
		},
	})
}

// copyOf returns what the index says of a document. The records are shared: read them in the committer only.
func (s *Store) copyOf(name string) document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.mu.docs[name]; d != nil {
		return *d
	}
	return document{}
}

// snapshotDamaged reports whether a snapshot of a document is known to be damaged.
func (s *Store) snapshotDamaged(name string, id uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.damage[damageKey{name, 0, id}] != nil
}

// discard removes the parts of a snapshot that did not come to be. What it fails to remove, the next opening does.
func (w *snapshotWriter) discard() {
	if w.written == 0 {
		return
	}
	_ = w.s.change(context.Background(), change{write: func(tx *bolt.Tx) error {
		return w.s.removeParts(tx, w.id, w.written)
	}})
}

func (s *Store) removeParts(tx *bolt.Tx, id uint64, n uint32) error {
	b := tx.Bucket(chunkSpace.name)
	for i := range n {
		if err := b.Delete(chunkKey(id, i)); err != nil {
			return err
		}
	}
	return nil
}

// removeGeneration removes a snapshot, if there is one.
func (s *Store) removeGeneration(tx *bolt.Tx, name string, g generation) error {
	if g.id == 0 {
		return nil
	}
	if err := s.removeParts(tx, g.id, g.chunks); err != nil { // a bad header says 0: the next opening removes its parts
		return err
	}
	if err := tx.Bucket(snapshotSpace.name).Delete(numberKey(nil, g.id, name)); err != nil {
		return err
	}
	s.state.remove(snapshotSpace.letter, g.id, nameSum(name))
	return s.recountIfDamaged(tx)
}

// removeRecords removes a document's records up to through, and keeps a mark where trimmed ones are left.
func (s *Store) removeRecords(tx *bolt.Tx, name string, d *document, through, trimmed uint64) error {
	log, sum := tx.Bucket(logSpace.name), nameSum(name)
	var buf [8 + providers.MaxName]byte
	left := false
	for _, p := range d.positions(0) {
		if p > through {
			left = left || p <= trimmed
			continue
		}
		if err := log.Delete(numberKey(buf[:0], p, name)); err != nil {
			return err
		}
		s.state.remove(logSpace.letter, p, sum)
	}
	trims := tx.Bucket(trimSpace.name)
	key := []byte(name)
	if d.trimMarkStored {
		s.state.remove(trimSpace.letter, 0, sum)
	}
	if left {
		s.state.add(trimSpace.letter, 0, sum)
		if err := trims.Put(key, sealed(kindTrim, sum, trimSpace, key, binary.BigEndian.AppendUint64(nil, trimmed))); err != nil {
			return err
		}
	} else if d.trimMarkStored {
		if err := trims.Delete(key); err != nil {
			return err
		}
	}
	return s.recountIfDamaged(tx)
}

// applyMark follows removeRecords: there is a mark while trimmed records are in the file.
func (s *Store) applyMark(d *document, trimmed uint64) {
	positions := d.positions(0)
	d.trimMarkStored = len(positions) > 0 && positions[0] <= trimmed
	d.trimmed = trimmed
}

func (s *Store) recountIfDamaged(tx *bolt.Tx) (err error) {
	s.mu.RLock()
	damaged := len(s.mu.damage) > 0
	s.mu.RUnlock()
	if damaged {
		s.state.totals, err = recount(tx)
	}
	return err
}

// Trim implements providers.Store. The records stay in the file until the older of the two snapshots covers them too.
func (s *Store) Trim(ctx context.Context, name string, through uint64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := checkDocument(name); err != nil {
		return err
	}
	var trimmed, removed uint64
	return s.change(ctx, change{
		removes: true,
		write: func(tx *bolt.Tx) error {
			d := s.copyOf(name)
			if d.newest.id == 0 || d.newest.through < through {
				return fmt.Errorf("%w: document %q through %d", providers.ErrNotCovered, name, through)
			}
			trimmed = max(d.trimmed, through)
			removed = d.deletable(trimmed, d.older)
			return s.removeRecords(tx, name, &d, removed, trimmed)
		},
		apply: func() {
			d := s.mu.doc(name)
			d.drop(removed)
			s.applyMark(d, trimmed)
			s.forgetDamage(name, removed, 0)
		},
	})
}

// Remove removes all that is stored of a document, damage included. To heal a damaged document: Salvage it, load that into a
// runtime, get the rest from a peer, Remove it, and keep it anew. If Damaged names another document, of a damaged key, Remove
// that too.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := checkDocument(name); err != nil {
		return err
	}
	return s.change(ctx, change{
		removes: true,
		write: func(tx *bolt.Tx) error {
			d := s.copyOf(name)
			for _, g := range []generation{d.older, d.newest} {
				if err := s.removeGeneration(tx, name, g); err != nil {
					return err
				}
			}
			if err := tx.Bucket(loanSpace.name).Delete([]byte(name)); err != nil {
				return err
			}
			return s.removeRecords(tx, name, &d, ^uint64(0), 0)
		},
		apply: func() {
			for sum, d := range s.mu.orphans {
				if sum == nameSum(name) || d.Document == name {
					delete(s.mu.orphans, sum)
				}
			}
			for k := range s.mu.damage {
				if k.document == name {
					delete(s.mu.damage, k)
				}
			}
			delete(s.mu.docs, name)
		},
	})
}
