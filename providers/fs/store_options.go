package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
)

// StoreOptions configure a Store. nil and zero fields mean the defaults. They are copied.
type StoreOptions struct {
	// ReadOnly opens without writing anything, for a disk that cannot be written or to look at a store. Many processes may
	// do so at once, but none while another one writes. Every write returns ErrReadOnly.
	ReadOnly bool

	// BatchBytes bounds what is written in one transaction, in bytes of records; default 4 MiB, range [4 KiB, 256 MiB]. One
	// call of Append is never divided and may be larger.
	BatchBytes int
	// QueueBytes bounds what waits to be written; beyond it Append waits. Default 16 MiB; at least BatchBytes.
	QueueBytes int

	// Reserve is the free space of the disk, in bytes, below which Append returns ErrStoreFull: snapshots and trims, which
	// make room, may use it. Default the smaller of 64 MiB and 1 % of the disk; negative: none.
	Reserve int64
	// Quota bounds the bytes in use; beyond it Append returns ErrStoreFull. Free pages do not count. Default: no bound.
	Quota int64

	// CompactPercent is the share of free pages, in percent, above which Open writes the store anew into a smaller file;
	// default 50, negative: never. Files below CompactBytes are left as they are; default 64 MiB.
	CompactPercent int
	CompactBytes   int64

	// ScrubEvery is the pause between two documents whose checksums are verified in the background; default 1 s, negative:
	// never. After an unclean end all documents are verified once without a pause.
	ScrubEvery time.Duration

	// Logger hears of damage, failure, recovery and compaction; default: nothing is logged.
	Logger *slog.Logger
}

// Limits of a store.
const (
	// MaxRecord is the most bytes in one call of Append, MaxSnapshot the most in a snapshot's state.
	MaxRecord   = 256 << 20
	MaxSnapshot = 1 << 30
)

func (o *StoreOptions) fill() error {
	if o.BatchBytes == 0 {
		o.BatchBytes = 4 << 20
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = max(16<<20, o.BatchBytes)
	}
	if o.CompactPercent == 0 {
		o.CompactPercent = 50
	}
	if o.CompactBytes == 0 {
		o.CompactBytes = 64 << 20
	}
	if o.ScrubEvery == 0 {
		o.ScrubEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.BatchBytes < 4<<10 || o.BatchBytes > MaxRecord:
		return fmt.Errorf("%w: BatchBytes is %d; the range is [4096, %d]", providers.ErrInvalidOptions, o.BatchBytes, MaxRecord)
	case o.QueueBytes < o.BatchBytes:
		return fmt.Errorf("%w: QueueBytes is %d, less than BatchBytes", providers.ErrInvalidOptions, o.QueueBytes)
	case o.Quota < 0 || o.CompactBytes < 0:
		return fmt.Errorf("%w: Quota or CompactBytes is negative", providers.ErrInvalidOptions)
	case o.CompactPercent > 99:
		return fmt.Errorf("%w: CompactPercent is %d; at most 99", providers.ErrInvalidOptions, o.CompactPercent)
	}
	return nil
}

// Errors of a Store beside those of package providers. Test with errors.Is.
var (
	// ErrOwned: another process, or this one, has the directory open; see OwnedError.
	ErrOwned = errors.New("fs: the store is in use")
	// ErrReadOnly: the store was opened with ReadOnly.
	ErrReadOnly = errors.New("fs: the store was opened for reading only")
	// ErrFormat: the directory holds a store of a version that this one does not know, or no store.
	ErrFormat = errors.New("fs: not a store that this version can open")
	// ErrLent: the document's replica ID is lent already.
	ErrLent = errors.New("fs: the replica ID of this document is lent already")
	// ErrUnsupported: this platform has no file locks or no memory maps.
	ErrUnsupported = errors.New("fs: a store needs file locks and memory maps, which this platform lacks; use providers/mem, or one file per document")
)

// OwnedError says who has a store open. It unwraps to ErrOwned.
type OwnedError struct {
	Dir   string
	Owner Owner // zero where unknown
}

func (e *OwnedError) Error() string {
	if e.Owner.PID == 0 {
		return fmt.Sprintf("fs: the store %s is in use", e.Dir)
	}
	return fmt.Sprintf("fs: the store %s is in use by process %d (%s) on %s since %s; end that, or open with ReadOnly once it has",
		e.Dir, e.Owner.PID, e.Owner.Program, e.Owner.Host, e.Owner.Since.Format(time.RFC3339))
}

func (e *OwnedError) Unwrap() error { return ErrOwned }

// Owner is the process that has a store open for writing.
type Owner struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Program string    `json:"program"`
	Since   time.Time `json:"since"`
}

// Boot says which opening of a store this is.
type Boot struct {
	Store uuid.UUID // of the store, for ever, in every copy of it
	Count uint64    // openings for writing, this one included
	ID    uuid.UUID // of this opening, random: two openings with equal counts, one after a backup was restored, differ here
	// Unclean: the opening before did not end with Close. Nothing is lost by that.
	Unclean bool
	// Moved says why the data file is not the one that was last open in this directory, or an earlier state of it; "": it is.
	// All loans ended then.
	Moved string
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Documents, Records, Snapshots int
	Bytes                         int64 // of records and states
	Damaged                       []*providers.DamageError
}
