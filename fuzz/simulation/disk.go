package simulation

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// disk is what outlives a process: the documents of its store, and the replica IDs that this lends.
//
//  1. What is in docs is durable. A write under way is in pending; a crash keeps a first part of these.
//  2. unsynced holds records that count as durable and are not, in a store that was told to forget to sync.
type disk struct {
	w        *world
	docs     map[string]*content
	lent     map[string]vclock.Replica
	last     uint64 // position
	pending  []*write
	unsynced []unsynced

	full, syncFails  bool
	slow, unreadable time.Time // until then
	backup           *backup   // nil: none was made
}

// backup is a copy that an operator has made.
type backup struct {
	docs  map[string]*content
	acked []vclock.Clock // of a server: what it had acknowledged then
}

// content is what is stored of a document.
type content struct {
	snapshot *providers.Snapshot
	sum      uint32
	records  []stored
}

type stored struct {
	position uint64
	data     []byte
	sum      uint32
	torn     bool // a write that a crash interrupted: recovery drops it at the end of a log
}

type write struct {
	apply func()
	tear  func() // nil: it cannot be torn
}

type unsynced struct {
	name     string
	position uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newDisk(w *world) *disk {
	return &disk{w: w, docs: make(map[string]*content), lent: make(map[string]vclock.Replica)}
}

func (d *disk) doc(name string) *content {
	c := d.docs[name]
	if c == nil {
		c = &content{}
		d.docs[name] = c
	}
	return c
}

// crash loses what was not synced: of the writes under way some first ones are there, the next one perhaps in part.
func (d *disk) crash() {
	keep := d.w.upTo(len(d.pending))
	for i, p := range d.pending {
		if i < keep {
			p.apply()
		} else if i == keep && p.tear != nil && d.w.chance(2) {
			p.tear()
			d.w.fault(StoreTorn, "a record is torn")
		}
	}
	d.w.report.Unsynced += len(d.pending) - min(keep, len(d.pending))
	d.pending = nil
	lose := d.w.upTo(len(d.unsynced))
	for _, u := range d.unsynced[len(d.unsynced)-lose:] {
		c := d.docs[u.name]
		c.records = slices.DeleteFunc(c.records, func(r stored) bool { return r.position == u.position })
	}
	d.unsynced = nil
}

// open is the store of a new process, after recovery: torn ends of logs are cut off.
func (d *disk) open(p *process) *store {
	for _, doc := range d.w.docs {
		if c := d.docs[doc.name]; c != nil {
			c.records = slices.DeleteFunc(c.records, func(r stored) bool { return r.torn })
		}
	}
	d.syncFails = false
	return &store{disk: d, process: p, life: p.life}
}

// lend returns the replica ID of a document, a new one if there is none.
func (d *disk) lend(name string) vclock.Replica {
	id, ok := d.lent[name]
	if !ok {
		id = d.w.replica()
		d.lent[name] = id
	}
	return id
}

// wipe removes a document: what an operator does with a damaged one.
func (d *disk) wipe(name string) {
	delete(d.docs, name)
	delete(d.lent, name)
}

// copy returns what the disk holds.
func (d *disk) copy() map[string]*content {
	out := make(map[string]*content)
	for name, c := range d.docs {
		x := &content{sum: c.sum}
		if s := c.snapshot; s != nil {
			x.snapshot = &providers.Snapshot{Clock: s.Clock.Clone(), Through: s.Through, State: slices.Clone(s.State)}
		}
		for _, r := range c.records {
			r.data = slices.Clone(r.data)
			x.records = append(x.records, r)
		}
		out[name] = x
	}
	return out
}

// restore puts the backup in the place of what the disk holds, of a process that is down. A store notices that it is another
// copy, and lends no ID again.
func (d *disk) restore() {
	d.docs = d.backup.docs
	d.backup = nil
	clear(d.lent)
}

// flip damages a document: one bit of a record or of the snapshot. It reports whether there was anything.
func (d *disk) flip(name string) bool {
	c := d.docs[name]
	if c == nil {
		return false
	}
	n := len(c.records)
	if c.snapshot != nil {
		n++
	}
	if n == 0 {
		return false
	}
	data := []byte(nil)
	if i := d.w.upTo(n - 1); i < len(c.records) {
		data = c.records[i].data
	} else {
		data = c.snapshot.State
	}
	data[d.w.upTo(len(data)-1)] ^= 1 << d.w.upTo(7)
	return true
}

// store is the providers.Store of one life of a process.
type store struct {
	disk    *disk
	process *process
	life    int
	failed  bool
}

var (
	errKilled     = errors.New("simulation: the process was killed")
	errUnreadable = errors.New("simulation: input/output error")
)

// wait lets time pass while the store works. false: the process was killed meanwhile.
func (s *store) wait() bool {
	w := s.disk.w
	d := time.Duration(w.upTo(5000)) * time.Microsecond
	if w.now.Before(s.disk.slow) {
		d += time.Duration(w.upTo(5000)) * time.Millisecond
	}
	return w.sleep(d) && s.process.life == s.life
}

// write makes a change durable, or not.
func (s *store) write(x *write) error {
	d := s.disk
	switch {
	case s.process.life != s.life:
		return errKilled
	case s.failed:
		return fmt.Errorf("%w: an earlier sync failed", providers.ErrStoreFailed)
	case d.full:
		return providers.ErrStoreFull
	}
	d.pending = append(d.pending, x)
	if !s.wait() {
		return errKilled // the crash has decided about it
	}
	i := slices.Index(d.pending, x)
	d.pending = slices.Delete(d.pending, i, i+1)
	if d.syncFails {
		s.failed = true
		if d.w.chance(2) {
			x.apply()
		}
		return fmt.Errorf("%w: sync", providers.ErrStoreFailed)
	}
	x.apply()
	return nil
}

// Append implements providers.Store.
func (s *store) Append(_ context.Context, records []providers.Record) ([]uint64, error) {
	d := s.disk
	positions := make([]uint64, len(records))
	for i := range records {
		d.last++
		positions[i] = d.last
	}
	add := func(torn bool) {
		for i, r := range records {
			c, data := d.doc(r.Document), slices.Clone(r.Data)
			sum := crc32.Checksum(data, castagnoli)
			if torn {
				data = data[:len(data)/2]
			}
			at, _ := slices.BinarySearchFunc(c.records, positions[i], func(x stored, p uint64) int { return int(int64(x.position) - int64(p)) })
			c.records = slices.Insert(c.records, at, stored{positions[i], data, sum, torn})
		}
	}
	if d.w.opt.Plant == NoSync && !s.failed && !d.full {
		add(false)
		if d.w.chance(4) {
			d.unsynced = nil
		}
		for i, r := range records {
			d.unsynced = append(d.unsynced, unsynced{r.Document, positions[i]})
		}
		return positions, nil
	}
	if err := s.write(&write{apply: func() { add(false) }, tear: func() { add(true) }}); err != nil {
		return nil, err
	}
	return positions, nil
}

// Load implements providers.Store.
func (s *store) Load(_ context.Context, name string) (*providers.Stored, error) {
	out := &providers.Stored{}
	if s.disk.w.now.Before(s.disk.unreadable) {
		return nil, errUnreadable
	}
	c := s.disk.docs[name]
	if c == nil {
		return out, nil
	}
	if x := c.snapshot; x != nil {
		if crc32.Checksum(x.State, castagnoli) != c.sum {
			return nil, &providers.DamageError{Document: name, Reason: "checksum of the snapshot"}
		}
		out.Snapshot = &providers.Snapshot{Clock: x.Clock.Clone(), Through: x.Through, State: slices.Clone(x.State)}
	}
	for _, r := range c.records {
		if crc32.Checksum(r.data, castagnoli) != r.sum {
			return nil, &providers.DamageError{Document: name, Position: r.position, Reason: "checksum of a record"}
		}
		out.Records = append(out.Records, providers.StoredRecord{Position: r.position, Data: slices.Clone(r.data)})
	}
	return out, nil
}

// Snapshot implements providers.Store.
func (s *store) Snapshot(_ context.Context, name string, x *providers.Snapshot) error {
	if c := s.disk.doc(name); c.snapshot != nil && !x.Clock.CoversClock(c.snapshot.Clock) {
		return providers.ErrStaleSnapshot
	}
	copied := &providers.Snapshot{Clock: x.Clock.Clone(), Through: x.Through, State: slices.Clone(x.State)}
	return s.write(&write{apply: func() {
		c := s.disk.doc(name)
		c.snapshot, c.sum = copied, crc32.Checksum(copied.State, castagnoli)
	}})
}

// Trim implements providers.Store.
func (s *store) Trim(_ context.Context, name string, through uint64) error {
	if c := s.disk.doc(name); c.snapshot == nil || c.snapshot.Through < through {
		return providers.ErrNotCovered
	}
	return s.write(&write{apply: func() {
		c := s.disk.doc(name)
		c.records = slices.DeleteFunc(c.records, func(r stored) bool { return r.position <= through })
	}})
}

// List implements providers.Store.
func (s *store) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, doc := range s.disk.w.docs {
			if s.disk.docs[doc.name] != nil && !yield(doc.name, nil) {
				return
			}
		}
	}
}

// Close implements providers.Store.
func (s *store) Close() error { return nil }

// replica returns a new replica ID.
func (w *world) replica() vclock.Replica {
	id, err := uuid.NewRandomFromReader(w)
	if err != nil {
		panic(err)
	}
	return id
}
