package weft

import (
	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Documents, transactions and updates; see package runtime.
type (
	Runtime       = runtime.Runtime
	Tx            = runtime.Tx
	TxOption      = runtime.TxOption
	Options       = runtime.Options
	Limits        = runtime.Limits
	History       = runtime.History
	SaveOption    = runtime.SaveOption
	Update        = runtime.Update
	UpdateKind    = runtime.UpdateKind
	Result        = runtime.Result
	Info          = runtime.Info
	ObjectInfo    = runtime.ObjectInfo
	Meta          = runtime.Meta
	Problem       = runtime.Problem
	ReplicaChange = runtime.ReplicaChange
	Node          = runtime.Node
	Kind          = runtime.Kind
	Ref           = runtime.Ref
	Replica       = vclock.Replica
	Clock         = vclock.Clock
	Dot           = vclock.Dot
	Span          = vclock.Span
)

// The kinds of update.
const (
	MessageUpdate = runtime.MessageUpdate
	BundleUpdate  = runtime.BundleUpdate
	StateUpdate   = runtime.StateUpdate
	DeltaUpdate   = runtime.DeltaUpdate
)

// From tags what a call changes with where it came from: events carry the tag, so that a provider can skip what it
// brought itself.
func From(origin any) TxOption { return runtime.From(origin) }

// Restore says that what is received comes from the store that lent the replica ID; see runtime.Restore.
func Restore() TxOption { return runtime.Restore() }

// Extensions says more about a transaction than its operations do, such as who its author is: a map that goes with the
// message; see runtime.Extensions.
func Extensions(m map[string]any) TxOption { return runtime.Extensions(m) }

// DefaultLimits returns the limits that zero fields of Limits stand for.
func DefaultLimits() Limits { return runtime.DefaultLimits() }

// Compressed compresses a saved state with Zstandard (RFC 8878); level 1 is fast, 4 small, and any other
// means the nearest of these.
func Compressed(level int) SaveOption { return runtime.Compressed(level) }

// CanonicalOnly leaves waiting messages and the deletion record out of a saved state.
func CanonicalOnly() SaveOption { return runtime.CanonicalOnly() }

// Inspect decodes the envelope of an update of any kind without applying it.
func Inspect(data []byte) (*Info, error) { return runtime.Inspect(data) }

// KindOf returns what kind of update data claims to be, by its first bytes.
func KindOf(data []byte) (UpdateKind, error) { return runtime.KindOf(data) }

// Bundle puts messages into one piece that Receive takes; each keeps its bounds and its bytes.
func Bundle(messages [][]byte) ([]byte, error) { return runtime.Bundle(messages) }

// SplitBundle gives the messages of a bundle.
func SplitBundle(data []byte) ([][]byte, error) { return runtime.SplitBundle(data) }

// Handles of objects that hold other objects; see package crdt. A Handle of your own may stand wherever these do.
type (
	Handle                         = crdt.Handle
	Record                         = crdt.Record
	LazyMap[K comparable, O any]   = crdt.LazyMap[K, O]
	ObjectMap[K comparable, O any] = crdt.ObjectMap[K, O]
	ObjectSet[O any]               = crdt.ObjectSet[O]
)

// Handles of values; see package crdt.
type (
	Counter                  = crdt.Counter
	Register[T any]          = crdt.Register[T]
	MVRegister[T any]        = crdt.MVRegister[T]
	Flag                     = crdt.Flag
	DisableWinsFlag          = crdt.DisableWinsFlag
	Set[T comparable]        = crdt.Set[T]
	Map[K comparable, V any] = crdt.Map[K, V]
)

// Handles of sequences; see package crdt.
type (
	Text              = crdt.Text
	TextView          = crdt.TextView
	List[T any]       = crdt.List[T]
	ObjectList[O any] = crdt.ObjectList[O]
	Unit              = crdt.Unit
	Cursor            = crdt.Cursor
	Bias              = crdt.Bias
)

// The units of an index into a text.
const (
	CodePoints = crdt.CodePoints
	UTF16      = crdt.UTF16
	Bytes      = crdt.Bytes
)

// The biases of a cursor: to which of its neighbours it holds on.
const (
	Before = crdt.Before
	After  = crdt.After
)

// Events of the types, given to the handlers of their OnChange.
type (
	CounterEvent                         = crdt.CounterEvent
	ListEvent[T any]                     = crdt.ListEvent[T]
	ListDelta[T any]                     = crdt.ListDelta[T]
	ObjectListEvent[O any]               = crdt.ObjectListEvent[O]
	RegisterEvent[T any]                 = crdt.RegisterEvent[T]
	MVRegisterEvent[T any]               = crdt.MVRegisterEvent[T]
	FlagEvent                            = crdt.FlagEvent
	SetEvent[T comparable]               = crdt.SetEvent[T]
	MapEvent[K comparable, V any]        = crdt.MapEvent[K, V]
	MapChange[K comparable, V any]       = crdt.MapChange[K, V]
	TextEvent                            = crdt.TextEvent
	TextDelta                            = crdt.TextDelta
	ObjectMapEvent[K comparable, O any]  = crdt.ObjectMapEvent[K, O]
	ObjectMapChange[K comparable, O any] = crdt.ObjectMapChange[K, O]
	ObjectSetEvent[O any]                = crdt.ObjectSetEvent[O]
	LazyMapEvent[K comparable, O any]    = crdt.LazyMapEvent[K, O]
	LazyMapChange[K comparable, O any]   = crdt.LazyMapChange[K, O]
)

// Typed errors.
type (
	DecodeError       = runtime.DecodeError
	LimitError        = runtime.LimitError
	RangeError        = runtime.RangeError
	MissingDepsError  = runtime.MissingDepsError
	EquivocationError = runtime.EquivocationError
	ClockJumpError    = runtime.ClockJumpError
	PanicError        = runtime.PanicError
	ShapeError        = crdt.ShapeError
	TypeError         = crdt.TypeError
	CursorError       = crdt.CursorError
	DocumentError     = runtime.DocumentError
	TextError         = crdt.TextError
)

// Misuse of a document by the program that holds it. Test with errors.Is.
var (
	ErrTxEnded        = runtime.ErrTxEnded
	ErrReadOnlyTx     = runtime.ErrReadOnlyTx
	ErrForeignObject  = runtime.ErrForeignObject
	ErrNested         = runtime.ErrNested
	ErrUnbound        = runtime.ErrUnbound
	ErrKindConflict   = runtime.ErrKindConflict
	ErrUnknownKind    = runtime.ErrUnknownKind
	ErrDeleted        = runtime.ErrDeleted
	ErrRolledBack     = runtime.ErrRolledBack
	ErrOpaque         = runtime.ErrOpaque
	ErrInvalidOptions = runtime.ErrInvalidOptions
	ErrRange          = runtime.ErrRange
	ErrShape          = crdt.ErrShape
	ErrType           = crdt.ErrType
	ErrValue          = crdt.ErrValue
	ErrOverflow       = crdt.ErrOverflow
	ErrText           = crdt.ErrText
	ErrInside         = crdt.ErrInside
	ErrNotHere        = crdt.ErrNotHere
	ErrUnknownCursor  = crdt.ErrUnknownCursor
)

// Input from outside. Test with errors.Is.
var (
	ErrCorrupt       = runtime.ErrCorrupt
	ErrChecksum      = runtime.ErrChecksum
	ErrVersion       = runtime.ErrVersion
	ErrLimit         = runtime.ErrLimit
	ErrWrongDocument = runtime.ErrWrongDocument
	ErrMissingDeps   = runtime.ErrMissingDeps
	ErrEquivocation  = runtime.ErrEquivocation
	ErrClockJump     = runtime.ErrClockJump
	ErrRefused       = runtime.ErrRefused
	ErrEvicted       = runtime.ErrEvicted
	ErrInternal      = runtime.ErrInternal
)

// GenesisReplica is the reserved replica under which genesis functions write.
var GenesisReplica = runtime.GenesisReplica

// Differences between two documents; see crdt.Diff.
type (
	Change     = crdt.Change
	ChangeKind = crdt.ChangeKind
)

// The kinds of Change.
const (
	Added   = crdt.Added
	Removed = crdt.Removed
	Changed = crdt.Changed
)

// Diff returns how the value of document b differs from that of a, in the JSON view, sorted by path.
func Diff(a, b *Runtime) []Change { return crdt.Diff(a, b) }
