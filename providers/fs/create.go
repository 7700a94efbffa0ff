//go:build !js && !wasip1 && !plan9

package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// The version of the format. A reader refuses a greater major and any unknown critical bit; a greater minor it reads.
const (
	storeMagic    = "weft-store\r\n\x1a\n" // a transfer as text breaks it
	formatMajor   = 1
	formatMinor   = 0
	knownCritical = 0
)

var (
	formatKey = []byte("format")
	bootKey   = []byte("boot")
	stateKey  = []byte("state")
)

// storeFormat is the meta record that never changes:
//
//	magic      14 bytes
//	major      u16
//	minor      u16
//	critical   u64   features that a reader must know
//	store      16    UUID
//	created by       text, to the end
type storeFormat struct {
	major, minor uint16
	critical     uint64
	store        uuid.UUID
	createdBy    string
}

func (f *storeFormat) payload() []byte {
	b := []byte(storeMagic)
	b = binary.BigEndian.AppendUint16(b, f.major)
	b = binary.BigEndian.AppendUint16(b, f.minor)
	b = binary.BigEndian.AppendUint64(b, f.critical)
	b = append(b, f.store[:]...)
	return append(b, f.createdBy...)
}

func (f *storeFormat) parse(b []byte) error {
	n := len(storeMagic)
	if len(b) < n+28 || string(b[:n]) != storeMagic {
		return errForm
	}
	b = b[n:]
	*f = storeFormat{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint64(b[4:]), uuid.UUID(b[12:28]), string(b[28:])}
	return nil
}

// check returns nil for what this version can read.
func (f *storeFormat) check() error {
	switch unknown := f.critical &^ knownCritical; {
	case f.major != formatMajor:
		return fmt.Errorf("%w: the store has format %d.%d, made by %s; this version reads up to %d.%d: use a newer one",
			ErrFormat, f.major, f.minor, f.createdBy, formatMajor, formatMinor)
	case unknown != 0:
		return fmt.Errorf("%w: the store, made by %s, needs features %#x that this version lacks: use a newer one", ErrFormat, f.createdBy, unknown)
	}
	return nil
}

// boltOptions: no list of free pages is written, bbolt finds them when it opens the file; the map is made large at once,
// since making it larger waits for readers.
func (s *Store) boltOptions(size int64) *bolt.Options {
	o := *bolt.DefaultOptions
	o.NoFreelistSync = true
	o.FreelistType = bolt.FreelistMapType
	o.ReadOnly = s.opt.ReadOnly
	o.Timeout = 100 * time.Millisecond // the directory is locked already: this is for other programs
	if runtime.GOOS != "windows" && math.MaxInt > math.MaxInt32 {
		o.InitialMmapSize = int(max(1<<30, 2*size))
	}
	return &o
}

// The file grows by half, within these bounds: growing syncs it.
const leastAlloc, mostAlloc = 1 << 20, 16 << 20

// createIfMissing makes the data file where there is none. It is made under another name: one that was cut short is never
// opened.
func (s *Store) createIfMissing(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if o, err := s.readOwner(); err == nil {
		return fmt.Errorf("%w: %s is missing, and %s says that a store was here (of process %d, %s): restore a backup, or remove %s to begin anew",
			ErrFormat, dataFile, ownerFile, o.PID, o.Since.Format(time.RFC3339), ownerFile)
	}
	temp := filepath.Join(s.dir, newFile)
	if err := s.create(temp); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return replaceFile(temp, path)
}

func (s *Store) create(path string) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, s.boltOptions(0))
	if err != nil {
		return err
	}
	db.AllocSize = leastAlloc
	err = db.Update(func(tx *bolt.Tx) error {
		for _, sp := range spaces {
			if _, err := tx.CreateBucket(sp.name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaSpace.name)
		format := storeFormat{formatMajor, formatMinor, 0, id, "weft"}
		return errors.Join(
			meta.Put(formatKey, sealed(kindFormat, 0, metaSpace, formatKey, format.payload())),
			meta.Put(bootKey, sealed(kindBoot, 0, metaSpace, bootKey, (&bootRecord{clean: true}).payload())),
			meta.Put(stateKey, sealed(kindState, 0, metaSpace, stateKey, (&storeState{}).payload())),
		)
	})
	return errors.Join(err, db.Close())
}

// replaceFile puts a complete file in the place of another, or of none, durably.
func replaceFile(temp, path string) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// syncDirectory makes renames in a directory durable. Windows cannot, and needs not: NTFS journals them.
func syncDirectory(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
