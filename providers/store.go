package providers

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/seed1312cc15/weft/vclock"
)

// Store keeps documents durably: for each a log of records, and a snapshot that stands in for the first part of the log.
// Records and snapshots are opaque to it; it gives each a checksum of its own and checks that whenever it reads.
//
// Contract, which providertest.TestStore checks:
//
//  1. When Append has returned nil, the records are durable: they survive a crash at any later moment. All records of a
//     call become durable, or none. After an error they may be there or not, each call as a whole.
//  2. Positions ascend for each document in the order of its records; of calls of Append that do not overlap, the later
//     one's are greater. Load returns records in ascending order.
//  3. Snapshot replaces the snapshot of a document once the new one is durable. A crash leaves the old or the new. It
//     removes no record. A snapshot whose clock does not cover the present one's is refused with ErrStaleSnapshot, so that
//     nobody puts less in the place of more.
//  4. Trim removes only records at positions that the snapshot's Through covers. Asked for more it returns ErrNotCovered
//     and removes nothing.
//  5. What is damaged is never returned and never left out in silence: Load of that document returns a *DamageError. Other
//     documents go on.
//  6. After the first failed write or sync, every write returns an error that wraps ErrStoreFailed until the store is
//     opened anew; reading goes on. A full disk is ErrStoreFull and may pass.
//  7. Document names are any 1 to MaxName bytes; different names never meet.
//  8. After Close every call returns ErrStoreClosed. Close waits for calls that are under way.
//
// Safe for concurrent use. It keeps no reference to what it is given, and what it returns belongs to the caller.
type Store interface {
	// Append adds records, of one document or several, and returns the position of each.
	Append(ctx context.Context, records []Record) (positions []uint64, err error)
	// Load returns what is stored of a document; of one that is not there, nothing and no error.
	Load(ctx context.Context, document string) (*Stored, error)
	// Snapshot stores a state of a document.
	Snapshot(ctx context.Context, document string, s *Snapshot) error
	// Trim removes the records of a document at positions up to and including through.
	Trim(ctx context.Context, document string, through uint64) error
	// List returns the names of all documents, ascending by their bytes. An error ends it.
	List(ctx context.Context) iter.Seq2[string, error]
	Close() error
}

// Record is one entry of a document's log.
type Record struct {
	Document string
	Data     []byte // at least 1 byte
}

// Stored is what Load returns.
type Stored struct {
	Snapshot *Snapshot // nil: none
	Records  []StoredRecord
}

// StoredRecord is a record with its position.
type StoredRecord struct {
	Position uint64
	Data     []byte
}

// Snapshot is a saved state, and how far it reaches.
type Snapshot struct {
	Clock   vclock.Clock // of State
	Through uint64       // State holds every record up to this position
	State   []byte
}

// Errors of stores. Test with errors.Is.
var (
	ErrStoreClosed   = errors.New("providers: the store is closed")
	ErrStoreFailed   = errors.New("providers: the store has failed and takes no writes until it is opened anew")
	ErrStoreFull     = errors.New("providers: the store is full")
	ErrStaleSnapshot = errors.New("providers: the snapshot does not cover the one in place")
	ErrNotCovered    = errors.New("providers: no snapshot covers these records")
	// ErrStoredVersion marks a record or a snapshot that a newer version of this program wrote.
	ErrStoredVersion = errors.New("providers: stored in a format of another version")
	// ErrDamaged marks stored bytes that are not those that were written; see DamageError.
	ErrDamaged = errors.New("providers: stored data is damaged")
)

// DamageError says what is damaged. It unwraps to ErrDamaged.
type DamageError struct {
	Document string
	Position uint64 // of the record; 0: the snapshot
	Offset   int64  // in the file, where there is one
	Reason   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("providers: document %q, position %d, offset %d: %s", e.Document, e.Position, e.Offset, e.Reason)
}

func (e *DamageError) Unwrap() error { return ErrDamaged }
