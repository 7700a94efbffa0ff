package trace

import (
	"errors"
	"fmt"
	"strings"
)

// Test with errors.Is.
var (
	// ErrCorrupt marks input that is not a trace in a known form.
	ErrCorrupt = errors.New("trace: corrupt")
	// ErrLimit marks input beyond one of the Limits.
	ErrLimit = errors.New("trace: limit exceeded")
)

// Error says where a trace is wrong, and how. It unwraps to ErrCorrupt, to ErrLimit, or to what the reader returned.
type Error struct {
	Line   int    // line of NDJSON, from 1; 0 for a single trace
	Txn    int    // index of the transaction; -1 when not in one
	Patch  int    // index of the patch in it; -1 when not in one
	Field  string // name of the field, such as "parents"; empty when not in one
	Offset int    // byte offset in the line or file, decompressed; -1 when not known
	Detail string
	Err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	sep := ": "
	say := func(format string, v any) {
		b.WriteString(sep)
		fmt.Fprintf(&b, format, v)
		sep = ", "
	}
	if e.Line > 0 {
		say("line %d", e.Line)
	}
	if e.Txn >= 0 {
		say("transaction %d", e.Txn)
	}
	if e.Patch >= 0 {
		say("patch %d", e.Patch)
	}
	if e.Field != "" {
		say("field %s", e.Field)
	}
	if e.Offset >= 0 {
		say("offset %d", e.Offset)
	}
	if e.Detail != "" {
		sep = ": "
		say("%s", e.Detail)
	}
	return b.String()
}

// Unwrap returns the sentinel, or the error of the reader.
func (e *Error) Unwrap() error { return e.Err }
