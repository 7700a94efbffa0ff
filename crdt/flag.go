package crdt

import (
	"github.com/seed1312cc15/weft/runtime"
)

// Flag is a handle of a bool that starts out false. Of concurrent Enable and Disable, Enable wins: Disable removes what
// its writer saw, and no Enable that it did not see.
//
// Cost: an enabled flag holds one dot for each concurrent Enable, a disabled one nothing. This is the enable-wins flag
// of Riak DT (Brown, Cribbs, Meiklejohn and Elliott 2014), as a Register of bool. See DisableWinsFlag for the other choice.
type Flag struct{ node *runtime.Node }

// NewFlag returns the flag that is the root with this name. See runtime.Runtime.Root for its errors.
func NewFlag(rt *runtime.Runtime, name string) (Flag, error) {
	n, err := rt.Root(name, kindFlag)
	return Flag{n}, err
}

// Kind returns "flag".
func (Flag) Kind() string { return kindFlag }

// Bind makes the handle one of the object n, which must be of this kind.
func (f *Flag) Bind(n *runtime.Node) { f.node = n }

// Node returns the object's place in the document.
func (f Flag) Node() *runtime.Node { return f.node }

// Value reports whether the flag is enabled.
func (f Flag) Value(tx runtime.Tx) bool { return flagIn(tx, f.node) }

// Enable sets the flag, also one that is set: it then wins over a Disable that is concurrent now. The error says why the
// flag cannot be edited.
func (f Flag) Enable(tx runtime.Tx) error { return setFlag(tx, f.node, true) }

// Disable clears the flag; where nothing is enabled it does nothing. The error says why the flag cannot be edited.
func (f Flag) Disable(tx runtime.Tx) error { return clearCell(tx, f.node) }

// OnChange calls fn whenever the value has changed, from now on; see runtime.Runtime for when. It returns the unsubscribe
// function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (f Flag) OnChange(fn func(FlagEvent)) (stop func()) { return onFlag(f.node, fn) }

// DisableWinsFlag is a handle of a bool that starts out false. Of concurrent Enable and Disable, Disable wins.
//
// Cost: one dot for each write that no other replaced, enabled or not. See Flag for the other choice.
type DisableWinsFlag struct{ node *runtime.Node }

// NewDisableWinsFlag returns the flag that is the root with this name. See runtime.Runtime.Root for its errors.
func NewDisableWinsFlag(rt *runtime.Runtime, name string) (DisableWinsFlag, error) {
	n, err := rt.Root(name, kindFlagDW)
	return DisableWinsFlag{n}, err
}

// Kind returns "flag-dw".
func (DisableWinsFlag) Kind() string { return kindFlagDW }

// Bind makes the handle one of the object n, which must be of this kind.
func (f *DisableWinsFlag) Bind(n *runtime.Node) { f.node = n }

// Node returns the object's place in the document.
func (f DisableWinsFlag) Node() *runtime.Node { return f.node }

// Value reports whether the flag is enabled: it was, and nobody has disabled it meanwhile.
func (f DisableWinsFlag) Value(tx runtime.Tx) bool { return flagIn(tx, f.node) }

// Enable sets the flag in place of all that was seen. The error says why the flag cannot be edited.
func (f DisableWinsFlag) Enable(tx runtime.Tx) error { return setFlag(tx, f.node, true) }

// Disable clears the flag, also one that is clear: it then wins over an Enable that is concurrent now. The error says why
// the flag cannot be edited.
func (f DisableWinsFlag) Disable(tx runtime.Tx) error { return setFlag(tx, f.node, false) }

// OnChange calls fn whenever the value has changed, from now on; see runtime.Runtime for when. It returns the unsubscribe
// function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (f DisableWinsFlag) OnChange(fn func(FlagEvent)) (stop func()) { return onFlag(f.node, fn) }

// FlagEvent tells that one transaction, state or delta changed a flag; it was the opposite before.
type FlagEvent struct {
	runtime.Meta
	Value bool
}

func flagIn(tx runtime.Tx, n *runtime.Node) bool {
	tx.Read(n)
	return n.Object().(*cellState).enabled()
}

func setFlag(tx runtime.Tx, n *runtime.Node, v bool) error {
	if err := tx.Writable(n); err != nil {
		return err
	}
	var one [1]byte
	return n.Object().(*cellState).write(tx, n, appendBool(one[:0], v))
}

func onFlag(n *runtime.Node, fn func(FlagEvent)) (stop func()) {
	return runtime.Observe(n, func(c rawCellChange) { fn(FlagEvent{c.Meta, len(c.after.all) > 0}) })
}
