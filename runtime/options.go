package runtime

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// MaxDepth bounds the nesting of objects: a root is at depth 0, every other object one below the object that holds it. It
// decides what operations do, so it is part of the format and the same for everybody: an own edit that would make an
// object deeper than this gets *LimitError ("Depth"); an operation from outside that would has no effect, on every replica
// alike, with a Problem event. So whoever walks objects from a root may recurse.
const MaxDepth = 512

// Limits bound what one document accepts. They hold for own edits, at commit, and for updates from outside, before
// anything is allocated for them; a server uses the same names and defaults. Zero means the default; the range of each is 1 to
// 2^31-1, anything else is ErrInvalidOptions.
type Limits struct {
	MessageBytes  int // one message, bytes; default 1 MiB
	MessageDots   int // dots of one transaction; default 1,048,576
	MessageOps    int // operations of one transaction, and objects that it names; default 100,000
	StateBytes    int // one encoded state or delta, bytes; default 64 MiB
	DecodedBytes  int // a state after decompression, bytes; default 256 MiB
	Places        int // places of all lists in one state or delta, tombstones included; default 8,388,608
	BundleBytes   int // one bundle, bytes; default 64 MiB
	Replicas      int // replicas that ever wrote, and so dependencies of a message; default 100,000
	NameBytes     int // a root name or a key of an implicit object, bytes; default 64 KiB
	Waiting       int // messages that wait for their dependencies, in all; default 65,536
	WaitingOrigin int // the same for each origin; default 65,536
	WaitingBytes  int // bytes of waiting messages, in all; default 64 MiB
}

// DefaultLimits returns the limits that zero fields stand for.
func DefaultLimits() Limits {
	return Limits{
		MessageBytes: 1 << 20, MessageDots: 1 << 20, MessageOps: 100_000,
		StateBytes: 64 << 20, DecodedBytes: 256 << 20, Places: 1 << 23, BundleBytes: 64 << 20,
		Replicas: 100_000, NameBytes: 64 << 10,
		Waiting: 65_536, WaitingOrigin: 65_536, WaitingBytes: 64 << 20,
	}
}

func (l *Limits) fill() error {
	d := DefaultLimits()
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"MessageBytes", &l.MessageBytes, d.MessageBytes}, {"MessageDots", &l.MessageDots, d.MessageDots},
		{"MessageOps", &l.MessageOps, d.MessageOps}, {"StateBytes", &l.StateBytes, d.StateBytes},
		{"DecodedBytes", &l.DecodedBytes, d.DecodedBytes}, {"Places", &l.Places, d.Places}, {"BundleBytes", &l.BundleBytes, d.BundleBytes},
		{"Replicas", &l.Replicas, d.Replicas}, {"NameBytes", &l.NameBytes, d.NameBytes},
		{"Waiting", &l.Waiting, d.Waiting}, {"WaitingOrigin", &l.WaitingOrigin, d.WaitingOrigin},
		{"WaitingBytes", &l.WaitingBytes, d.WaitingBytes},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 || int64(*f.v) > 1<<31-1 {
			return fmt.Errorf("%w: limit %s is %d; the range is [1, 2^31-1]", ErrInvalidOptions, f.name, *f.v)
		}
	}
	return nil
}

// History bounds the messages that a runtime keeps for peers that miss a few.
type History struct {
	// Off keeps none: MessagesSince then serves only what is empty, and equivocation is seen only by clocks.
	Off bool
	// Messages bounds the number kept; default 16,384. Own messages that no acknowledgement covers are kept beyond it.
	Messages int
	// Bytes bounds their bytes in all; default 4 MiB. The same exception holds.
	Bytes int
}

// Options configure a Runtime. nil and zero fields mean the defaults. They are copied.
type Options struct {
	// Replica is the ID under which this runtime writes; zero: a new random one. Never give one that any other
	// runtime uses, or used on a copy of the data: two writers under one ID contradict each other (EquivocationError).
	// A store may lend one, exclusively: what it holds of it is brought back with Restore.
	Replica vclock.Replica
	// Document identifies the document, so that updates of another one are refused; zero: taken over from the first
	// update that carries one. It costs 16 bytes a message.
	Document uuid.UUID
	// Kinds are the kinds of object that this runtime knows; those it does not know are kept whole, see Opaque.
	Kinds []Kind
	// Limits bound memory; see each field.
	Limits Limits
	// History bounds the kept messages.
	History History
	// Deletions bounds the deletion record, in runs (about 48 bytes each in memory, 4 in a state): with it a delta
	// names what was deleted, beyond it a delta lists what is alive. Default 512; -1: none.
	Deletions int
	// Genesis writes the initial content, the same for everyone, under GenesisReplica. It must be deterministic and
	// must not change once documents exist.
	Genesis func(Tx) error
	// WallTime stamps every message with Now, in milliseconds since 1970; it decides nothing. Costs 6 bytes.
	WallTime bool
	// Now reads the clock; default time.Now.
	Now func() time.Time
	// Rand is the source of replica IDs; default crypto/rand.
	Rand io.Reader
	// Logger gets handler panics and refused senders; default: nothing is logged.
	Logger *slog.Logger
}

// GenesisReplica is the reserved replica of Options.Genesis. No runtime may write under it.
var GenesisReplica = uuid.UUID{0, 0, 0, 0, 0, 0, 0x80, 0, 0x80, 0, 'g', 'e', 'n', 'e', 's', 'i'}

func (o *Options) fill() error {
	if err := o.Limits.fill(); err != nil {
		return err
	}
	if o.History.Messages == 0 {
		o.History.Messages = 16_384
	}
	if o.History.Bytes == 0 {
		o.History.Bytes = 4 << 20
	}
	if o.History.Messages < 0 || o.History.Bytes < 0 {
		return fmt.Errorf("%w: History bounds are negative; use Off", ErrInvalidOptions)
	}
	if o.Deletions < -1 {
		return fmt.Errorf("%w: Deletions is %d; use -1 for none", ErrInvalidOptions, o.Deletions)
	}
	if o.Deletions == 0 {
		o.Deletions = 512
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Replica == GenesisReplica {
		return fmt.Errorf("%w: Replica is reserved for the genesis transaction", ErrInvalidOptions)
	}
	return nil
}
