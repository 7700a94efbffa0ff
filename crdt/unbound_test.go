package crdt_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestHandlesThatAreNotBound panic with an error that says what to do where there is no error to return.
func TestHandlesThatAreNotBound(t *testing.T) {
	var g grown
	for name, listen := range map[string]func(){
		"Register":   func() { g.R.OnChange(func(crdt.RegisterEvent[int]) {}) },
		"MVRegister": func() { g.MV.OnChange(func(crdt.MVRegisterEvent[int]) {}) },
		"Flag":       func() { g.F.OnChange(func(crdt.FlagEvent) {}) },
		"Counter":    func() { g.C.OnChange(func(crdt.CounterEvent) {}) },
		"Map":        func() { g.M.OnChange(func(crdt.MapEvent[int, int]) {}) },
		"Set":        func() { g.S.OnChange(func(crdt.SetEvent[int]) {}) },
		"ObjectMap":  func() { g.OM.OnChange(func(crdt.ObjectMapEvent[int, crdt.Counter]) {}) },
		"ObjectSet":  func() { g.OS.OnChange(func(crdt.ObjectSetEvent[crdt.Register[string]]) {}) },
		"LazyMap":    func() { g.Lazy.OnChange(func(crdt.LazyMapEvent[int, crdt.Counter]) {}) },
		"List":       func() { g.L.OnChange(func(crdt.ListEvent[int]) {}) },
		"ObjectList": func() { g.OL.OnChange(func(crdt.ObjectListEvent[crdt.Counter]) {}) },
		"Text":       func() { g.T.OnChange(func(crdt.TextEvent) {}) },
	} {
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, runtime.ErrUnbound) {
					t.Errorf("%s: %v", name, err)
				}
			}()
			listen()
		}()
	}
}
