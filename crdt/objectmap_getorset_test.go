package crdt_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func TestObjectMapGetOrSet(t *testing.T) {
	rt, top := mustFolder(t, nil)
	var first *runtime.Node
	commitTx(t, rt, func(tx runtime.Tx) error {
		o, err := top.Subs.GetOrSet(tx, "a", withName(tx, "once"))
		first = crdt.NodeOf(o)
		return err
	})
	before := rt.Clock()
	commitTx(t, rt, func(tx runtime.Tx) error {
		o, err := top.Subs.GetOrSet(tx, "a", withName(tx, "twice"))
		if err == nil && (crdt.NodeOf(o) != first || o.Name.String(tx) != "once") {
			t.Error("it made another object")
		}
		return err
	})
	if !rt.Clock().Equal(before) {
		t.Error("finding an object wrote something")
	}
	_ = rt.View(func(tx runtime.Tx) error {
		if _, err := top.Subs.GetOrSet(tx, "a", nil); !errors.Is(err, runtime.ErrReadOnlyTx) {
			t.Errorf("in a View: %v", err)
		}
		return nil
	})
}
