package crdt

import "github.com/seed1312cc15/weft/runtime"

// containerKinds returns the kinds whose objects hold others.
func containerKinds() []runtime.Kind {
	return []runtime.Kind{
		{Name: kindRecord, New: newRecordState},
		{Name: kindLazyMap, New: newLazyMapState},
		{Name: kindObjectMap, New: newObjectMapState},
		{Name: kindObjectSet, New: newObjectSetState},
	}
}
