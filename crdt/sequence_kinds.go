package crdt

import "github.com/seed1312cc15/weft/runtime"

// sequenceKinds returns the kinds whose order is that of package sequence.
func sequenceKinds() []runtime.Kind {
	return []runtime.Kind{
		{Name: "text", New: newTextState},
		{Name: kindList, New: newListState},
		{Name: kindObjectList, New: newObjectListState},
	}
}
