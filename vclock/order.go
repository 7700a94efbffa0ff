package vclock

import "fmt"

// Ordering is the answer of Clock.Compare. Clocks are partially ordered, so there are four.
type Ordering int8

// The orderings of a clock c against another.
const (
	Equal      Ordering = iota // both hold the same dots
	Before                     // the other holds all dots of c, and more
	After                      // c holds all dots of the other, and more
	Concurrent                 // each holds dots that the other lacks
)

// String returns the name of o in lower case.
func (o Ordering) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return fmt.Sprintf("Ordering(%d)", int8(o))
}

// ordering returns the answer for a clock that holds less, or more, or both, than another somewhere.
func ordering(less, more bool) Ordering {
	switch {
	case less && more:
		return Concurrent
	case less:
		return Before
	case more:
		return After
	}
	return Equal
}
