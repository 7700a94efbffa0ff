package simulation

import (
	"fmt"
	"io"
	"time"
)

// Options choose a run. Zero fields mean the defaults.
type Options struct {
	Seed    uint64
	Steps   int // with faults, before all comes to rest; default 1000
	Clients int // default: 3 to 5, by the seed; at least 2
	Servers int // default: 1 or 2, by the seed
	// Trace gets a line for each thing that happens; nil: none. It changes nothing else.
	Trace io.Writer
	// Plant makes one part of the system lie, to see that the checks notice.
	Plant Plant
}

// Plant is a deliberate fault.
type Plant uint8

// The deliberate faults.
const (
	// NoPlant is an honest system.
	NoPlant Plant = iota
	// AckBeforeDurable makes servers acknowledge as durable what they have only received.
	AckBeforeDurable
	// SkipOnResume makes links take a transaction for known that a client that comes back lacks.
	SkipOnResume
	// NoSync makes stores answer before they have synced.
	NoSync
	// KeepID makes clients restart under the replica ID of a store that has lost what they sent.
	KeepID
)

var plantNames = [...]string{"none", "ack-before-durable", "skip-on-resume", "no-sync", "keep-id"}

// String returns the name that ParsePlant takes.
func (p Plant) String() string {
	if int(p) < len(plantNames) {
		return plantNames[p]
	}
	return fmt.Sprintf("Plant(%d)", uint8(p))
}

// ParsePlant is the inverse of String.
func ParsePlant(s string) (Plant, error) {
	for i, name := range plantNames {
		if s == name {
			return Plant(i), nil
		}
	}
	return 0, fmt.Errorf("simulation: %q is not among the deliberate faults %v", s, plantNames)
}

// Fault is a kind of fault that a run draws.
type Fault uint8

// The faults.
const (
	LinkCut Fault = iota
	LinkHalfOpen
	LinkSlow
	StoreSyncFails
	StoreFull
	StoreSlow
	StoreTorn
	StoreBitFlip
	StoreUnreadable
	StoreRestored
	ClientKilled
	ServerKilled
	ClockStep
	Hostile
	faultKinds
)

var faultNames = [...]string{"link cut", "link half-open", "link slow", "sync fails", "disk full", "store slow", "torn write", "bit flip",
	"store unreadable", "store restored", "client killed", "server killed", "clock step", "hostile frame"}

// String returns what happens.
func (f Fault) String() string { return faultNames[f] }

// Faults counts faults by kind.
type Faults [faultKinds]int

// Sum returns the number of all faults.
func (f *Faults) Sum() (n int) {
	for _, v := range f {
		n += v
	}
	return n
}

// Report is what came of a run.
type Report struct {
	Seed    uint64
	Steps   int
	Clients int
	Servers int
	// Digest is a hash of every frame that was sent and of all documents at the end: equal for equal seeds.
	Digest [16]byte
	Faults Faults
	Edits  int
	Frames int // that were sent
	// What faults did: frames that never arrived, frames that arrived after some of a later link between the same two, and
	// writes under way that a crash took.
	Dropped, Overtaken, Unsynced int
	// Virtual is the time that passed inside.
	Virtual time.Duration
}

// Failure is a promise that was broken.
type Failure struct {
	Seed uint64
	Step int
	Err  error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("simulation: seed %d, step %d: %v", f.Seed, f.Step, f.Err)
}

func (f *Failure) Unwrap() error { return f.Err }
