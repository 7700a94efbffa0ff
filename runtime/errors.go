package runtime

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// Misuse of the API by the program that holds the runtime.
var (
	ErrTxEnded        = errors.New("runtime: this Tx has ended: use a Tx only inside the function it was handed to")
	ErrReadOnlyTx     = errors.New("runtime: a View cannot write: use Transact")
	ErrForeignObject  = errors.New("runtime: the object belongs to another runtime than this Tx: use the handle of this one, or Resolve the object's Ref here")
	ErrNested         = errors.New("runtime: a method of the document, called inside of one of its own transactions, would wait for itself: use the Tx at hand, or call it afterwards")
	ErrUnbound        = errors.New("runtime: the handle is not bound to a document: make it with weft.Open or a New function")
	ErrKindConflict   = errors.New("runtime: this root name is registered with another kind: take another name")
	ErrUnknownKind    = errors.New("runtime: the kind is not registered: list it in Options.Kinds")
	ErrDeleted        = errors.New("runtime: the object was deleted: make another one, or archive instead of deleting")
	ErrRolledBack     = errors.New("runtime: the object was made in a transaction that was rolled back: make it again")
	ErrOpaque         = errors.New("runtime: the object has operations of a newer version and cannot be edited by this one: upgrade this program")
	ErrInvalidOptions = errors.New("runtime: invalid options")
)

// Input from outside.
var (
	// ErrCorrupt marks input that is not in the expected format.
	ErrCorrupt = errors.New("runtime: malformed update")
	// ErrChecksum marks a state whose bytes were changed after it was written.
	ErrChecksum = errors.New("runtime: checksum mismatch")
	// ErrVersion marks input of a format version, or with a critical feature, that this version does not read.
	ErrVersion = errors.New("runtime: unsupported format version or feature")
	// ErrLimit marks input or an edit beyond a configured limit; see LimitError.
	ErrLimit = errors.New("runtime: limit exceeded")
	// ErrWrongDocument marks an update of another document; see DocumentError.
	ErrWrongDocument = errors.New("runtime: the update belongs to another document")
	// ErrMissingDeps marks a delta whose base this replica does not cover; see MissingDepsError.
	ErrMissingDeps = errors.New("runtime: missing dependencies")
	// ErrEquivocation marks two different transactions under one dot; see EquivocationError.
	ErrEquivocation = errors.New("runtime: equivocation")
	// ErrClockJump marks a Lamport timestamp that no honest replica could have reached.
	ErrClockJump = errors.New("runtime: Lamport timestamp out of range")
	// ErrRefused marks an update of a replica that was refused earlier.
	ErrRefused = errors.New("runtime: the sender was refused earlier")
	// ErrInvalidOp is what Object.Apply returns (wrapped) for a payload that makes no sense: the operation takes its dots and has no effect.
	ErrInvalidOp = errors.New("runtime: the operation makes no sense")
	// ErrNewerOp is what Object.Apply returns (wrapped) for an operation code that it does not know: the object becomes
	// opaque, or with FirstHop the update is refused.
	ErrNewerOp = errors.New("runtime: operation of a newer version")
	// ErrEvicted is returned by MessagesSince when history no longer holds all that is asked for: use SaveSince.
	ErrEvicted = errors.New("runtime: history no longer holds these messages")
)

// ErrInternal marks a broken invariant or a fault while an update was applied. The document is as it was before;
// when that could not be ensured it refuses further writes.
var ErrInternal = errors.New("runtime: internal error")

// DecodeError says where input stopped making sense. It unwraps to ErrCorrupt, ErrVersion, ErrChecksum or ErrLimit.
type DecodeError struct {
	Format string // "message", "bundle", "state", "delta", "operation", ...
	Offset int    // bytes from the start of the packed content
	Field  string
	Err    error
}

func (e *DecodeError) Error() string {
	if e.Format == "update" && e.Field == "format" { // not even its first bytes make sense
		return "runtime: not a message, bundle, state or delta: " + inner{e.Err}.Error()
	}
	return fmt.Sprintf("runtime: %s: %s at byte %d: %v", e.Format, e.Field, e.Offset, inner{e.Err})
}

func (e *DecodeError) Unwrap() error { return e.Err }

// inner is an error that is told as the cause of another of this package, whose name stands in front already.
type inner struct{ error }

func (e inner) Error() string { return strings.TrimPrefix(e.error.Error(), "runtime: ") }
func (e inner) Unwrap() error { return e.error }

// DocumentError says which document an update belongs to. It unwraps to ErrWrongDocument.
type DocumentError struct{ Got, Want uuid.UUID }

func (e *DocumentError) Error() string {
	return fmt.Sprintf("%v: %v, not %v", ErrWrongDocument, e.Got, e.Want)
}

// Unwrap returns ErrWrongDocument.
func (e *DocumentError) Unwrap() error { return ErrWrongDocument }

// LimitError names the limit that was passed. It unwraps to ErrLimit.
type LimitError struct {
	Name     string // a field of Limits
	Got, Max uint64
}

func (e *LimitError) Error() string {
	why := fmt.Sprintf("runtime: limit %s: %d is over %d", e.Name, e.Got, e.Max)
	switch e.Name {
	case "MessageBytes", "MessageDots", "MessageOps":
		return why + ": make it several transactions, or raise Options.Limits everywhere"
	case "Depth", "Seq", "compression ratio": // for everybody
		return why
	}
	return why + ": if that is meant, raise Options.Limits"
}

func (e *LimitError) Unwrap() error { return ErrLimit }

// RangeError reports an index or a range outside of an object. Units are named by Unit ("code points", "elements", ...).
type RangeError struct {
	Op              string
	Index, Len, Max int
	Unit            string
}

func (e *RangeError) Error() string {
	if e.Len == 0 {
		return fmt.Sprintf("%s: index %d is outside of 0 to %d %s", e.Op, e.Index, e.Max, e.Unit)
	}
	if e.Len < 0 {
		return fmt.Sprintf("%s: %d %s from index %d on: a count is not negative", e.Op, e.Len, e.Unit, e.Index)
	}
	return fmt.Sprintf("%s: range [%d, %d) is outside of [0, %d) %s", e.Op, e.Index, e.Index+e.Len, e.Max, e.Unit)
}

// ErrRange is what RangeError unwraps to.
var ErrRange = errors.New("runtime: index out of range")

func (e *RangeError) Unwrap() error { return ErrRange }

// MissingDepsError lists what must be applied before an update. It unwraps to ErrMissingDeps.
type MissingDepsError struct {
	Need []vclock.Span // sorted by replica
}

func (e *MissingDepsError) Error() string {
	return fmt.Sprintf("runtime: missing dependencies: %d spans of dots, first %v", len(e.Need), first(e.Need))
}

func (e *MissingDepsError) Unwrap() error { return ErrMissingDeps }

func first(s []vclock.Span) any {
	if len(s) == 0 {
		return "none"
	}
	return s[0]
}

// EquivocationError reports a dot under which two different transactions exist. The first one stays. It unwraps to
// ErrEquivocation.
type EquivocationError struct {
	Dot    vclock.Dot
	Reason string
	// Waiting says that neither is applied: the first still waits for others, and may turn out to be the wrong one.
	Waiting bool
}

func (e *EquivocationError) Error() string {
	return fmt.Sprintf("runtime: equivocation at %v: %s", e.Dot, e.Reason)
}

func (e *EquivocationError) Unwrap() error { return ErrEquivocation }

// ClockJumpError reports a Lamport timestamp out of range. It unwraps to ErrClockJump.
type ClockJumpError struct {
	Dot           vclock.Dot
	Lamport, Most uint64
}

func (e *ClockJumpError) Error() string {
	return fmt.Sprintf("runtime: Lamport timestamp %d of %v is over %d", e.Lamport, e.Dot, e.Most)
}

func (e *ClockJumpError) Unwrap() error { return ErrClockJump }

// PanicError carries a panic of a transaction's function, a handler or an object's code. It unwraps to ErrInternal.
type PanicError struct {
	Where string
	Value any
}

func (e *PanicError) Error() string { return fmt.Sprintf("runtime: panic in %s: %v", e.Where, e.Value) }
func (e *PanicError) Unwrap() error { return ErrInternal }
