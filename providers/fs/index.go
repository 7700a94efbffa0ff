//go:build !js && !wasip1 && !plan9

package fs

import (
	"encoding/binary"

	"github.com/seed1312cc15/weft/providers"
)

// document is where a document's records and snapshots are. Tens of thousands are in memory: positions are kept as
// differences, about 2 bytes each.
//
//  1. records are the positions that are in the file, ascending; last is the greatest ever, while any is there.
//  2. Those up to trimmed are trimmed: Load does not return them. They stay in the file as long as the older snapshot
//     would need them: deleted <= older.through, if there is an older snapshot.
//  3. newest.id > older.id; an id of 0: there is none.
type document struct {
	records        []byte // uvarint differences
	count          int
	last           uint64
	trimmed        uint64
	newest, older  generation
	trimMarkStored bool
}

// generation is one snapshot of a document.
type generation struct {
	id, through uint64
	chunks      uint32
	bad         bool // its header cannot be read
}

func (d *document) add(position uint64) {
	d.records = binary.AppendUvarint(d.records, position-d.last)
	d.last = position
	d.count++
}

// positions appends the positions above after.
func (d *document) positions(after uint64) []uint64 {
	out := make([]uint64, 0, d.count)
	var at uint64
	for b := d.records; len(b) > 0; {
		step, n := binary.Uvarint(b)
		b, at = b[n:], at+step
		if at > after {
			out = append(out, at)
		}
	}
	return out
}

// drop forgets the positions up to through.
func (d *document) drop(through uint64) {
	rest := d.positions(through)
	d.records, d.count, d.last = nil, 0, 0
	for _, p := range rest {
		d.add(p)
	}
}

func (d *document) empty() bool { return d.count == 0 && d.newest.id == 0 }

// deletable is up to where records may leave the file.
func (d *document) deletable(trimmed uint64, older generation) uint64 {
	if older.id != 0 {
		return min(trimmed, older.through)
	}
	return trimmed
}

// index is all documents of a store.
type index struct {
	docs map[string]*document
	// orphans are damaged values that name, by checksum, a document other than their key does. That document lacks them.
	orphans map[uint32]*providers.DamageError
}

func (x *index) doc(name string) *document {
	d := x.docs[name]
	if d == nil {
		d = &document{}
		x.docs[name] = d
	}
	return d
}
