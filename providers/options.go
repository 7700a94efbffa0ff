package providers

import (
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Pattern says how a session sends. Each side chooses its own; what a side takes does not depend on it.
type Pattern uint8

// The patterns. The numbers are part of the protocol.
const (
	// Clock sends what the peer's clock lacks: the missing messages from history or, where history no longer has them, a
	// delta; then every update that did not come from this peer.
	Clock Pattern = 0
	// Ongoing sends the state once, then every update that did not come from this peer.
	Ongoing Pattern = 1
	// State sends the state once, and nothing after it.
	State Pattern = 2
)

func (p Pattern) String() string {
	switch p {
	case Clock:
		return "clock"
	case Ongoing:
		return "ongoing"
	case State:
		return "state"
	}
	return fmt.Sprintf("Pattern(%d)", uint8(p))
}

// Level is what an acknowledgement is worth. The numbers are part of the protocol.
type Level uint8

// The levels.
const (
	// NoAcks acknowledges nothing.
	NoAcks Level = 0
	// Received means applied, in memory.
	Received Level = 1
	// Durable means that it survives a crash.
	Durable Level = 2
)

func (l Level) String() string {
	switch l {
	case NoAcks:
		return "none"
	case Received:
		return "received"
	case Durable:
		return "durable"
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// Options configure a session. nil and zero fields mean the defaults. They are copied.
type Options struct {
	// Pattern is how this side sends; default Clock.
	Pattern Pattern

	// Durable returns how many dots of a replica are durable here: all below the result. With it this side acknowledges
	// Durable, and tells no peer of more than this; without it, Received. It must be fast, must not call the session, and
	// must never fall. Session.Poke tells that it may have grown.
	Durable func(vclock.Replica) uint64
	// DurableFirst holds transactions back until Durable covers them: what a crash can take from this side is known nowhere
	// else. Where a store lends the replica ID this must be so, or dots would be used again. With Durable, Log implies it.
	DurableFirst bool
	// TrustReceived takes acknowledgements of level Received for good enough to let history forget own messages; default:
	// only those of level Durable.
	TrustReceived bool
	// IgnoreAcks tells the peer that this side does not want acknowledgements; Unsaved then stays as it is. For servers,
	// whose clients need not tell them what they have.
	IgnoreAcks bool

	// ReadOnly says that the peer may not write: it is told so, and refused when it tries.
	ReadOnly bool
	// Check is called for every update that the peer brings, before it is applied; an error refuses the peer, with the
	// code of a *RefusedError if it is one. It must not keep the bytes.
	Check func(update []byte) error
	// FirstHop makes whoever brings a transaction answer for it, whoever wrote it: equivocation, timestamps out of range and
	// operations that kinds known here do not know refuse the peer. For servers. Default: only that writer is ignored from
	// there on, and Problem tells of it, since the peer may be as honest as this side; an object with an unknown operation
	// is opaque.
	FirstHop bool

	// Save returns a state, or for a clock a delta since it; default Runtime.Save and SaveSince, compressed, without what
	// waits. It may give out a cached one and the clock that this reaches: the session sends what came after it. A nil
	// clock means all that the document held when Save was called.
	Save func(since vclock.Clock) (update []byte, reaches vclock.Clock, err error)
	// Uncompress makes what Save returned fit for a peer that asked for it as it is; default runtime.Uncompressed. It may give
	// out a cached one.
	Uncompress func(update []byte) ([]byte, error)

	// Uncompressed asks the peer for states and deltas without compression: for a reader that is to be small.
	Uncompressed bool
	// Checksum returns the CRC32C of what Save has returned, for a Save that gives many sessions the same; default: each
	// session computes it.
	Checksum func(update []byte) uint32

	// Log numbers the document's transactions for peers that want to follow it: they get what is numbered, in that order, and
	// nothing before it is durable. It is that of the document's Keeper, and wakes the session when more is durable. For
	// servers.
	Log *RoomLog
	// Follow asks the peer to number its transactions, and keeps the place for the next session. It belongs to this document
	// and this peer, and to one session at a time. For clients of a server.
	Follow *Follower
	// Principal is who the peer is, as this side knows it; a Keeper stores it with what the peer brings. At most 128 bytes.
	Principal string

	// NoDigests says that this side does not compare documents with the peer. By default the side that opened the document
	// does, about once a minute at most and when nothing happens: Diverged tells if they differ though their clocks are equal.
	NoDigests bool
	// Digest returns the document's fingerprint; default DigestOf. It may give out a cached one that is of the present.
	Digest func() (*Digest, bool)

	// Ephemeral is the document's presence and channels, shared by all its sessions; nil: those frames are ignored.
	Ephemeral *Ephemeral
	// Relays says that the peer speaks for others too, as a linked server does: presence and casts of any replica are taken
	// from it, with the stamps that it gives them, whatever EphemeralOptions.OwnKeysOnly says.
	Relays bool
	// Stamp goes with the presence and casts that this peer brings, in place of what it says itself: who it is, as the
	// server knows it; at most 1 KiB.
	Stamp []byte
	// Data is handed to the other side's application when the document is opened; at most 4 KiB.
	Data []byte

	// QueueBytes and QueueMessages bound what waits for the peer; beyond, it is dropped and replaced by one delta later.
	// Defaults 256 KiB and 256.
	QueueBytes    int
	QueueMessages int
	// Window is the credit for chunks given in advance, bytes; default 256 KiB, at least MaxChunk.
	Window int
	// TransferBytes bounds an update that arrives in chunks; default the greatest of the document's limits.
	TransferBytes int
	// AnswerAfter bounds the wait for accept or for a clock; default 10 s. StallAfter bounds a transfer without progress;
	// default 30 s. The document then ends with CodeTimeout or CodeStalled.
	AnswerAfter, StallAfter time.Duration
	// DropAfter is how long messages of the peer may wait for others before they are dropped and asked for again; default 30
	// s.
	DropAfter time.Duration
	// AskAfter is how long messages may wait for others before the peer is asked by clock; default 2 s, doubling up to 1
	// minute as long as that does not help.
	AskAfter time.Duration

	wake   func()                // tells the driver that there is something to send; from any goroutine
	grants func(s *Session) bool // whether a credit may be given now
}

func (o *Options) fill(rt *runtime.Runtime) error {
	for _, f := range []struct {
		v   *int
		def int
	}{{&o.QueueBytes, 256 << 10}, {&o.QueueMessages, 256}, {&o.Window, 256 << 10}} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if o.TransferBytes == 0 {
		l := rt.Limits()
		o.TransferBytes = max(l.StateBytes, l.BundleBytes, l.MessageBytes)
	}
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.AnswerAfter, 10 * time.Second}, {&o.StallAfter, 30 * time.Second}, {&o.AskAfter, 2 * time.Second}, {&o.DropAfter, 30 * time.Second}} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return fmt.Errorf("%w: a duration is negative", ErrInvalidOptions)
		}
	}
	switch {
	case o.Pattern > State:
		return fmt.Errorf("%w: Pattern is %d", ErrInvalidOptions, o.Pattern)
	case o.QueueBytes < 1 || o.QueueMessages < 1:
		return fmt.Errorf("%w: a queue bound is negative", ErrInvalidOptions)
	case o.Window < MaxChunk || o.Window > 1<<30:
		return fmt.Errorf("%w: Window is %d; the range is [%d, 2^30]", ErrInvalidOptions, o.Window, MaxChunk)
	case len(o.Stamp) > maxStamp:
		return fmt.Errorf("%w: Stamp has %d bytes; at most %d", ErrInvalidOptions, len(o.Stamp), maxStamp)
	case o.DurableFirst && o.Durable == nil:
		return fmt.Errorf("%w: DurableFirst needs Durable", ErrInvalidOptions)
	case len(o.Principal) > MaxPrincipal:
		return fmt.Errorf("%w: Principal has %d bytes; at most %d", ErrInvalidOptions, len(o.Principal), MaxPrincipal)
	case len(o.Data) > 4<<10:
		return fmt.Errorf("%w: Data has %d bytes; at most 4096", ErrInvalidOptions, len(o.Data))
	}
	if o.Uncompress == nil {
		o.Uncompress = runtime.Uncompressed
	}
	if o.Digest == nil {
		o.Digest = func() (*Digest, bool) { return DigestOf(rt) }
	}
	o.DurableFirst = o.DurableFirst || o.Log != nil && o.Durable != nil
	if o.Save == nil {
		o.Save = func(since vclock.Clock) (b []byte, _ vclock.Clock, err error) {
			if since == nil {
				b, err = rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1))
			} else {
				b, err = rt.SaveSince(since, runtime.CanonicalOnly(), runtime.Compressed(1))
			}
			return b, nil, err
		}
	}
	return nil
}

func (o *Options) level() Level {
	if o.Durable != nil {
		return Durable
	}
	return Received
}
