package crdt

import "github.com/seed1312cc15/weft/runtime"

// Names of kinds. They stand in messages and states and never change.
const (
	kindCounter    = "counter"
	kindRegister   = "register"
	kindMVRegister = "mvregister"
	kindFlag       = "flag"
	kindFlagDW     = "flag-dw"
	kindSet        = "set"
	kindMap        = "map"
)

// Kinds returns the kinds of all types of this package, for runtime.Options.Kinds. The caller owns the slice.
func Kinds() []runtime.Kind {
	var all []runtime.Kind
	all = append(all, valueKinds()...)
	all = append(all, sequenceKinds()...)
	all = append(all, containerKinds()...)
	return all
}

func valueKinds() []runtime.Kind {
	return []runtime.Kind{
		{Name: kindCounter, New: newCounterState},
		{Name: kindRegister, New: newCell},
		{Name: kindMVRegister, New: newCell},
		{Name: kindFlag, New: newCell},
		{Name: kindFlagDW, New: newCell},
		{Name: kindSet, New: newSetState},
		{Name: kindMap, New: newMapState},
	}
}
