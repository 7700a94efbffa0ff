//go:build !js && !wasip1 && !plan9

package fs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// bootRecord is the meta record of the present opening:
//
//	count  u64
//	id     16   random, of the opening
//	mark   16   random; new with each opening, backup and compaction, and in the owner file too
//	clean  u8   1: ended by Close
//	owner  u64, u64   inode and ctime of the owner file; it was written before
type bootRecord struct {
	count    uint64
	id, mark uuid.UUID
	clean    bool
	owner    fileStamp // without its size
}

func (b *bootRecord) payload() []byte {
	out := binary.BigEndian.AppendUint64(nil, b.count)
	out = append(append(out, b.id[:]...), b.mark[:]...)
	if b.clean {
		out = append(out, 1)
	} else {
		out = append(out, 0)
	}
	out = binary.BigEndian.AppendUint64(out, b.owner.Inode)
	return binary.BigEndian.AppendUint64(out, uint64(b.owner.Changed))
}

func (b *bootRecord) parse(p []byte) error {
	if len(p) != 57 || p[40] > 1 {
		return errForm
	}
	owner := fileStamp{Inode: binary.BigEndian.Uint64(p[41:]), Changed: int64(binary.BigEndian.Uint64(p[49:]))}
	*b = bootRecord{binary.BigEndian.Uint64(p), uuid.UUID(p[8:24]), uuid.UUID(p[24:40]), p[40] == 1, owner}
	return nil
}

// Boot returns which opening this is.
func (s *Store) Boot() Boot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.boot
}

// readAll reads the meta records and builds the index.
func (s *Store) readAll() error {
	err := s.view(func(tx *bolt.Tx) error {
		for _, sp := range spaces {
			if tx.Bucket(sp.name) == nil {
				if tx.Bucket(metaSpace.name) == nil {
					return fmt.Errorf("%w: there is no bucket %q", ErrFormat, metaSpace.name)
				}
				return storeDamage("bucket %q is missing", sp.name)
			}
		}
		if err := s.readMeta(tx); err != nil {
			return err
		}
		l := &loader{s: s, tx: tx}
		return errors.Join(l.readLog(), l.readSnapshots(), l.readTrims(), l.check())
	})
	var fault *faultError
	if errors.As(err, &fault) {
		return storeDamage("%v", fault)
	}
	return err
}

func (s *Store) readMeta(tx *bolt.Tx) error {
	meta := tx.Bucket(metaSpace.name)
	var format storeFormat
	for _, m := range []struct {
		k     kind
		key   []byte
		parse func([]byte) error
	}{{kindFormat, formatKey, format.parse}, {kindBoot, bootKey, s.mu.mark.parse}, {kindState, stateKey, s.state.parse}} {
		payload, err := openEnvelope(m.k, metaSpace, m.key, meta.Get(m.key))
		if err == nil {
			err = m.parse(payload)
		}
		if err != nil {
			return storeDamage("the meta record %q %v", m.key, err)
		}
		if m.k == kindFormat {
			if err := format.check(); err != nil {
				return err
			}
		}
	}
	b := &s.mu.mark
	s.mu.boot = Boot{Store: format.store, Count: b.count, ID: b.id, Unclean: !b.clean}
	return nil
}

// loader builds the index, and compares what is there with the totals.
type loader struct {
	s   *Store
	tx  *bolt.Tx
	got totals
	bad int
}

// damaged notes a value that cannot be read. If it names another document than its key does, that document may lack it.
func (l *loader) damaged(sp space, name string, position, id uint64, value []byte, err error) uint32 {
	l.bad++
	r := reader{s: l.s, tx: l.tx, name: name, report: true}
	d := &providers.DamageError{Document: name, Position: position, Offset: r.offset(value), Reason: fmt.Sprintf("value in %s %v", sp.name, err)}
	l.s.noteDamage(d, id)
	own := nameSum(name)
	if said, ok := envelopeName(value); ok && said != own {
		l.s.mu.orphans[said] = &providers.DamageError{Document: name, Position: position, Offset: d.Offset,
			Reason: d.Reason + "; it may be of the document that was asked for"}
		return said
	}
	return own
}

func (l *loader) readLog() error {
	c := l.tx.Bucket(logSpace.name).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		position, name, ok := parseNumberKey(key)
		if !ok || position == 0 {
			return storeDamage("a key in log makes no sense: %x", key)
		}
		sum := nameSum(string(name))
		if _, err := openEnvelope(kindRecord, logSpace, key, value); err != nil {
			sum = l.damaged(logSpace, string(name), position, 0, value, err)
		}
		l.got.add(logSpace.letter, position, sum)
		d := l.s.mu.docs[string(name)]
		if d == nil {
			d = l.s.mu.doc(string(name))
		}
		if position <= d.last {
			return storeDamage("the log of document %q is out of order at %d", name, position)
		}
		d.add(position)
	}
	return nil
}

func (l *loader) readSnapshots() error {
	c := l.tx.Bucket(snapshotSpace.name).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		id, name, ok := parseNumberKey(key)
		if !ok || id == 0 {
			return storeDamage("a key in snapshots makes no sense: %x", key)
		}
		g := generation{id: id}
		var h snapshotHeader
		payload, err := openEnvelope(kindSnapshot, snapshotSpace, key, value)
		if err == nil {
			err = h.parse(payload)
		}
		g.through, g.chunks = h.through, h.chunks
		sum := nameSum(string(name))
		if err != nil {
			sum = l.damaged(snapshotSpace, string(name), 0, id, value, err)
			g.bad, g.through, g.chunks = true, 0, 0
		}
		l.got.add(snapshotSpace.letter, id, sum)
		d := l.s.mu.doc(string(name))
		if d.older.id != 0 {
			return storeDamage("document %q has more than two snapshots", name)
		}
		d.older, d.newest = d.newest, g
	}
	return nil
}

func (l *loader) readTrims() error {
	return l.tx.Bucket(trimSpace.name).ForEach(func(key, value []byte) error {
		payload, err := openEnvelope(kindTrim, trimSpace, key, value)
		sum := nameSum(string(key))
		switch {
		case err != nil:
			sum = l.damaged(trimSpace, string(key), 0, 0, value, err)
		case len(payload) != 8:
			return storeDamage("the trim mark of document %q %v", key, errForm)
		default:
			d := l.s.mu.doc(string(key))
			d.trimmed, d.trimMarkStored = binary.BigEndian.Uint64(payload), true
		}
		l.got.add(trimSpace.letter, 0, sum)
		return nil
	})
}

// check compares what was found with what was written last. Where a damaged key shifts the sum of positions, the values say
// which documents are hit.
func (l *loader) check() error {
	want := l.s.state.totals
	switch {
	case l.got.count != want.count:
		return storeDamage("there are %d records and snapshots of %d", l.got.count, want.count)
	case l.got.names != want.names, l.bad == 0 && l.got.positions != want.positions:
		return storeDamage("records or snapshots are not those that were written")
	}
	return nil
}

// recount returns the totals as the loader counts them: removing what has a damaged key shifts them by something else than
// what was added for it.
func recount(tx *bolt.Tx) (t totals, err error) {
	count := func(sp space, k kind, numbered bool) error {
		return tx.Bucket(sp.name).ForEach(func(key, value []byte) error {
			var position uint64
			name := key
			if numbered {
				var ok bool
				if position, name, ok = parseNumberKey(key); !ok {
					return storeDamage("a key in %s makes no sense: %x", sp.name, key)
				}
			}
			sum := nameSum(string(name))
			if _, err := openEnvelope(k, sp, key, value); err != nil {
				if said, ok := envelopeName(value); ok {
					sum = said
				}
			}
			t.add(sp.letter, position, sum)
			return nil
		})
	}
	return t, errors.Join(count(logSpace, kindRecord, true), count(snapshotSpace, kindSnapshot, true), count(trimSpace, kindTrim, false))
}

// beginBoot counts this opening, and ends all loans if the file is not the one that was last open here.
func (s *Store) beginBoot() error {
	moved := s.moved(&s.mu.mark)
	if moved != "" {
		s.log.Warn("weft: this store was copied or restored; no replica ID goes on", "dir", s.dir, "because", moved)
	}
	if !s.mu.mark.clean {
		s.log.Warn("weft: this store was not closed; all checksums will be verified", "dir", s.dir)
	}
	next := bootRecord{count: s.mu.mark.count + 1}
	var err error
	if next.id, err = uuid.NewRandom(); err != nil {
		return err
	}
	if err := s.remark(next, func(write func(tx *bolt.Tx) error) error {
		return s.direct(func(tx *bolt.Tx) error {
			if moved != "" {
				if err := tx.DeleteBucket(loanSpace.name); err != nil {
					return err
				}
				if _, err := tx.CreateBucket(loanSpace.name); err != nil {
					return err
				}
			}
			return errors.Join(s.removeStray(tx), write(tx))
		})
	}); err != nil {
		return err
	}
	s.mu.boot.Count, s.mu.boot.ID, s.mu.boot.Moved = next.count, next.id, moved
	return nil
}

// remark gives a boot record a new mark, writes that into the owner file and, in a transaction, into the data file. A crash
// between the two looks like a copy, which costs replica IDs and nothing else.
func (s *Store) remark(b bootRecord, transact func(write func(tx *bolt.Tx) error) error) (err error) {
	if b.mark, err = uuid.NewRandom(); err != nil {
		return err
	}
	if b.owner, err = s.noteOpen(b.mark); err != nil {
		return err
	}
	b.clean = false
	if err := transact(func(tx *bolt.Tx) error { return putBoot(tx, &b) }); err != nil {
		return err
	}
	s.mu.Lock()
	s.mu.mark = b
	s.mu.Unlock()
	return nil
}

func (s *Store) markNow() bootRecord {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.mark
}

// removeStray removes parts of snapshots that were never completed.
func (s *Store) removeStray(tx *bolt.Tx) error {
	whole := map[uint64]bool{}
	for _, d := range s.mu.docs {
		whole[d.newest.id], whole[d.older.id] = true, true
	}
	c := tx.Bucket(chunkSpace.name).Cursor()
	for key, _ := c.First(); key != nil; {
		if len(key) != 12 {
			return storeDamage("a key in chunks makes no sense: %x", key)
		}
		id := binary.BigEndian.Uint64(key)
		if whole[id] {
			key, _ = c.Seek(chunkKey(id+1, 0))
			continue
		}
		key = bytes.Clone(key)
		if err := c.Delete(); err != nil {
			return err
		}
		key, _ = c.Seek(key)
	}
	return nil
}

func putBoot(tx *bolt.Tx, b *bootRecord) error {
	return tx.Bucket(metaSpace.name).Put(bootKey, sealed(kindBoot, 0, metaSpace, bootKey, b.payload()))
}

// direct writes in a transaction, before the committer runs or after it ended.
func (s *Store) direct(fn func(tx *bolt.Tx) error) error {
	s.handle.db.AllocSize = leastAlloc
	return guarded(func() error { return s.handle.db.Update(fn) })
}

// endBoot notes that the store was closed.
func (s *Store) endBoot() error {
	if s.queue.failure() != nil {
		return nil // read-only or failed: nothing is written
	}
	b := s.mu.mark
	b.clean = true
	if err := s.direct(func(tx *bolt.Tx) error { return putBoot(tx, &b) }); err != nil {
		s.log.Warn("weft: the store's end was not noted", "dir", s.dir, "error", err)
		return err
	}
	s.mu.mark = b
	return nil
}
