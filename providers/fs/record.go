//go:build !js && !wasip1 && !plan9

package fs

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"unsafe"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// Every value of a store stands in an envelope; all numbers are big-endian:
//
//	crc32c    u32    of all that follows, then of the bucket's letter and the key: a value under another key does not pass
//	name      u32    crc32c of the document's name, 0 where there is none: whose it was, should the key be damaged
//	kind      u8     what it is
//	flags     u8     0; a reader refuses others
//	payload
//
// docs/store.md draws all of it. The golden store in testdata pins the numbers.
const envelopeLen = 10

type kind uint8

// The kinds of values. The numbers are part of the format.
const (
	kindFormat   kind = 1 // meta: version, features, UUID
	kindBoot     kind = 2 // meta: the present opening
	kindState    kind = 3 // meta: last position, totals
	kindRecord   kind = 4
	kindSnapshot kind = 5 // header of a snapshot
	kindChunk    kind = 6 // part of a snapshot's state
	kindTrim     kind = 7 // records up to here are trimmed
	kindLoan     kind = 8 // a replica ID
)

// A space is a bucket, whose letter goes into checksums.
type space struct {
	name   []byte
	letter byte
	prefix []byte // the letter
}

func newSpace(name string, letter byte) space { return space{[]byte(name), letter, []byte{letter}} }

// The buckets. Names and letters are part of the format.
var (
	metaSpace     = newSpace("meta", 'm')      // "format", "boot", "state"
	logSpace      = newSpace("log", 'l')       // position u64 ‖ document name
	snapshotSpace = newSpace("snapshots", 's') // snapshot id u64 ‖ document name: header
	chunkSpace    = newSpace("chunks", 'c')    // snapshot id u64 ‖ number u32
	trimSpace     = newSpace("trims", 't')     // document name
	loanSpace     = newSpace("loans", 'r')     // document name

	spaces = []space{metaSpace, logSpace, snapshotSpace, chunkSpace, trimSpace, loanSpace}
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func nameSum(name string) uint32 {
	return crc32.Checksum(unsafe.Slice(unsafe.StringData(name), len(name)), castagnoli) // it reads only
}

// newEnvelope returns an envelope around the concatenation of parts that lacks its checksum, with the checksum so far.
func newEnvelope(k kind, name uint32, parts ...[]byte) (value []byte, sum uint32) {
	n := envelopeLen
	for _, p := range parts {
		n += len(p)
	}
	value = make([]byte, envelopeLen, n)
	binary.BigEndian.PutUint32(value[4:], name)
	value[8] = byte(k)
	for _, p := range parts {
		value = append(value, p...)
	}
	return value, crc32.Checksum(value[4:], castagnoli)
}

// seal completes an envelope by its key.
func seal(value []byte, sum uint32, sp space, key []byte) {
	binary.BigEndian.PutUint32(value, keySum(sum, sp, key))
}

func keySum(sum uint32, sp space, key []byte) uint32 {
	return crc32.Update(crc32.Update(sum, castagnoli, sp.prefix), castagnoli, key)
}

// sealed returns the envelope around a payload under a key.
func sealed(k kind, name uint32, sp space, key []byte, payload ...[]byte) []byte {
	v, sum := newEnvelope(k, name, payload...)
	seal(v, sum, sp, key)
	return v
}

var (
	errShort    = errors.New("is shorter than its envelope")
	errChecksum = errors.New("does not match its checksum")
	errKind     = errors.New("is of another kind than belongs here, or has unknown flags")
	errForm     = errors.New("has a correct checksum but not the form that belongs here")
	errMissing  = errors.New("is missing")
)

// openEnvelope returns the payload of a value, which aliases it.
func openEnvelope(k kind, sp space, key, value []byte) ([]byte, error) {
	switch {
	case value == nil:
		return nil, errMissing
	case len(value) < envelopeLen:
		return nil, errShort
	case keySum(crc32.Checksum(value[4:], castagnoli), sp, key) != binary.BigEndian.Uint32(value):
		return nil, errChecksum
	case value[8] != byte(k) || value[9] != 0:
		return nil, errKind
	}
	return value[envelopeLen:], nil
}

// envelopeName returns the checksum of the document's name that a value says it belongs to, damaged or not.
func envelopeName(value []byte) (uint32, bool) {
	if len(value) < envelopeLen {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[4:]), true
}

// numberKey is a number followed by a document's name.
func numberKey(dst []byte, n uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64(dst[:0], n), name...)
}

func parseNumberKey(key []byte) (n uint64, name []byte, ok bool) {
	if len(key) < 9 || len(key) > 8+providers.MaxName {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(key), key[8:], true
}

func chunkKey(id uint64, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, id), n)
}

// snapshotHeader is what is kept of a snapshot beside its state:
//
//	through u64   position
//	size    u64   bytes of the state
//	chunks  u32
//	clock         in vclock's binary form, to the end
type snapshotHeader struct {
	through uint64
	size    uint64
	chunks  uint32
	clock   []byte
}

func (h *snapshotHeader) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.through)
	dst = binary.BigEndian.AppendUint64(dst, h.size)
	dst = binary.BigEndian.AppendUint32(dst, h.chunks)
	return append(dst, h.clock...)
}

// parse reads a header; clock aliases b.
func (h *snapshotHeader) parse(b []byte) error {
	if len(b) < 21 {
		return errForm
	}
	*h = snapshotHeader{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:]), b[20:]}
	if h.size > MaxSnapshot || uint64(h.chunks) != (h.size+chunkLen-1)/chunkLen {
		return errForm
	}
	return nil
}

func (h *snapshotHeader) decodeClock() (vclock.Clock, error) {
	c, n, err := vclock.DecodeClock(h.clock, 0)
	if err != nil || n != len(h.clock) {
		return nil, errForm
	}
	return c, nil
}

// chunkLen is the most of a snapshot's state in one value. bbolt wants the pages of a value in one piece: small chunks find
// room among free pages.
const chunkLen = 64 << 10

// totals are of all keys in log, snapshots and trims. bbolt does not notice when a damaged page loses some.
type totals struct {
	count     uint64
	positions uint64 // sum of mixed positions
	names     uint64 // sum of mixed checksums of names
}

func (t *totals) add(letter byte, position uint64, name uint32) {
	t.count++
	t.positions += mix(position ^ uint64(letter)<<56)
	t.names += mix(uint64(name) | uint64(letter)<<32)
}

func (t *totals) remove(letter byte, position uint64, name uint32) {
	t.count--
	t.positions -= mix(position ^ uint64(letter)<<56)
	t.names -= mix(uint64(name) | uint64(letter)<<32)
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// storeState is written with every transaction.
type storeState struct {
	last uint64 // greatest number given to a record or snapshot
	totals
}

func (s *storeState) payload() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.last)
	b = binary.BigEndian.AppendUint64(b, s.count)
	b = binary.BigEndian.AppendUint64(b, s.positions)
	return binary.BigEndian.AppendUint64(b, s.names)
}

func (s *storeState) parse(b []byte) error {
	if len(b) != 32 {
		return errForm
	}
	*s = storeState{binary.BigEndian.Uint64(b), totals{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])}}
	return nil
}
