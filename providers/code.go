package providers

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Code says why a document is refused or a connection ends. Codes are part of protocol version 1 and do not change.
//
//	  0        no fault
//	400-429    of the connection, permanent: the same again has the same end
//	430-459    of a document, permanent
//	460-479    permanent, free for providers      480-499    permanent, free for applications
//	500-559    transient: come again later, with growing pauses
//	560-579    transient, free for providers      580-599    transient, free for applications
//
// A code outside of these ranges counts as permanent.
type Code uint16

// The codes of version 1.
const (
	CodeNone            Code = 0
	CodeMalformed       Code = 400 // bytes that are no frame, or a frame that makes no sense here
	CodeUnauthenticated Code = 401 // no token, a wrong one, or one that has expired
	CodeForbidden       Code = 403 // this principal has no access, or not any more
	CodeNotFound        Code = 404 // there is no such document
	CodeUnknownFrame    Code = 405 // a critical frame type that this side does not know
	CodeVersion         Code = 406 // no protocol version in common
	CodeTimeout         Code = 408 // no answer in time
	CodeTooBig          Code = 413 // a frame, name or transfer beyond a limit
	CodeTooMany         Code = 429 // connections or documents beyond a limit

	CodeReadOnly      Code = 430 // an update from a peer that may only read
	CodeEquivocation  Code = 431 // another transaction stands under this dot
	CodeClockRange    Code = 432 // a Lamport timestamp out of range
	CodeWrongDocument Code = 433 // an update of another document
	CodeCorrupt       Code = 434 // an update that does not decode
	CodeUpdateTooBig  Code = 435 // an update beyond a limit of the document
	CodeForeignDots   Code = 436 // dots of a replica that is not the peer's own
	CodeQuota         Code = 437 // the document is full
	CodeBadName       Code = 438 // not the name of a document
	CodeSenderRefused Code = 439 // a sender that was refused earlier
	CodeUpdateVersion Code = 440 // an update of a newer format

	CodeInternal    Code = 500
	CodeGoingAway   Code = 501 // orderly shutdown
	CodeRate        Code = 502 // too fast
	CodeUnavailable Code = 503 // the document cannot be loaded now
	CodeStalled     Code = 504 // the peer makes no progress
	CodeStoreFull   Code = 505
	CodeStoreFailed Code = 506
)

// Transient reports whether it makes sense to come again.
func (c Code) Transient() bool { return c >= 500 && c < 600 }

var codeNames = map[Code]string{
	CodeNone: "NONE", CodeMalformed: "MALFORMED", CodeUnauthenticated: "UNAUTHENTICATED", CodeForbidden: "FORBIDDEN",
	CodeNotFound: "NOT_FOUND", CodeUnknownFrame: "UNKNOWN_FRAME", CodeVersion: "VERSION", CodeTimeout: "TIMEOUT",
	CodeTooBig: "TOO_BIG", CodeTooMany: "TOO_MANY", CodeReadOnly: "READ_ONLY", CodeEquivocation: "EQUIVOCATION",
	CodeClockRange: "CLOCK_RANGE", CodeWrongDocument: "WRONG_DOCUMENT", CodeCorrupt: "CORRUPT",
	CodeUpdateTooBig: "UPDATE_TOO_BIG", CodeForeignDots: "FOREIGN_DOTS", CodeQuota: "DOC_QUOTA", CodeBadName: "BAD_NAME",
	CodeSenderRefused: "SENDER_REFUSED", CodeUpdateVersion: "UPDATE_VERSION", CodeInternal: "INTERNAL",
	CodeGoingAway: "GOING_AWAY", CodeRate: "RATE", CodeUnavailable: "UNAVAILABLE", CodeStalled: "STALLED",
	CodeStoreFull: "STORE_FULL", CodeStoreFailed: "STORE_FAILED",
}

func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return "CODE_" + strconv.Itoa(int(c))
}

// Errors of the package. Test with errors.Is.
var (
	// ErrMalformed marks bytes from a peer that are no frame, or a frame that makes no sense where it came.
	ErrMalformed = errors.New("providers: malformed frame")
	// ErrRefused marks the end of a document on a link; see RefusedError.
	ErrRefused = errors.New("providers: refused")
	// ErrEnded marks the end of a connection by one side; see EndedError.
	ErrEnded = errors.New("providers: connection ended")
	// ErrClosed is returned by what was closed by its user.
	ErrClosed = errors.New("providers: closed")
	// ErrLimit marks a presence value, a cast or a name beyond a limit.
	ErrLimit = errors.New("providers: limit exceeded")
	// ErrInvalidOptions marks options that contradict their documentation.
	ErrInvalidOptions = errors.New("providers: invalid options")
)

// FrameError says which part of a frame makes no sense. It unwraps to ErrMalformed, and to Err where there is one.
type FrameError struct {
	Type   FrameType
	Reason string
	Err    error
}

func (e *FrameError) Error() string {
	s := fmt.Sprintf("providers: %v frame: %s", e.Type, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *FrameError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrMalformed}
	}
	return []error{ErrMalformed, e.Err}
}

// RefusedError tells why a document ended on a link. A hook may return one to choose the code. It unwraps to ErrRefused.
type RefusedError struct {
	Code   Code
	Dot    *vclock.Dot // of the transaction, if it is about one
	Reason string      // for people; at most 256 bytes go over the link
}

func (e *RefusedError) Error() string {
	s := "providers: refused: " + e.Code.String()
	if e.Dot != nil {
		s += " at " + e.Dot.String()
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

// EndedError tells why a connection ended. It unwraps to ErrEnded.
type EndedError struct {
	Code   Code
	Reason string
	Remote bool // the peer said so
}

func (e *EndedError) Error() string {
	by := "here"
	if e.Remote {
		by = "by the peer"
	}
	s := fmt.Sprintf("providers: connection ended %s: %v", by, e.Code)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func (e *EndedError) Unwrap() error { return ErrEnded }

// refusal turns an error of Runtime.Receive, or of a hook, into what the peer is told.
func refusal(err error) *RefusedError {
	var r *RefusedError
	if errors.As(err, &r) {
		return r
	}
	r = &RefusedError{Code: CodeInternal, Reason: err.Error()}
	var equivocation *runtime.EquivocationError
	var jump *runtime.ClockJumpError
	var limit *runtime.LimitError
	switch {
	case errors.As(err, &equivocation):
		r.Code, r.Dot = CodeEquivocation, &equivocation.Dot
	case errors.As(err, &jump):
		r.Code, r.Dot = CodeClockRange, &jump.Dot
	case errors.Is(err, runtime.ErrRefused):
		r.Code = CodeSenderRefused
	case errors.Is(err, runtime.ErrWrongDocument):
		r.Code = CodeWrongDocument
	case errors.As(err, &limit) && limit.Name == "Replicas":
		r.Code = CodeQuota
	case errors.Is(err, runtime.ErrLimit):
		r.Code = CodeUpdateTooBig
	case errors.Is(err, runtime.ErrVersion), errors.Is(err, runtime.ErrNewerOp):
		r.Code = CodeUpdateVersion
	case errors.Is(err, runtime.ErrCorrupt), errors.Is(err, runtime.ErrChecksum):
		r.Code = CodeCorrupt
	case errors.Is(err, ErrMalformed):
		r.Code = CodeMalformed
	}
	if len(r.Reason) > maxReason {
		r.Reason = cutText(r.Reason, maxReason)
	}
	return r
}

const maxReason = 256

// cutText returns at most n bytes of s and does not cut a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
