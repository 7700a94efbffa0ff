package runtime_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// newerState is an object that writes a kind code of a newer version, and reads kinds.
type newerState struct {
	runtime.Journal
	some bool
}

func (o *newerState) Apply(op *runtime.Op) error {
	op.Rest()
	o.some = true
	o.Undo(func() { o.some = false })
	return nil
}
func (o *newerState) Empty() bool                         { return !o.some }
func (o *newerState) Save(w *runtime.StateWriter)         { w.Uvarint(1 << 20) }
func (o *newerState) Dots(func(runtime.LocalDot, uint64)) {}
func (o *newerState) Merge(r *runtime.StateReader) error  { r.Kind("kind"); return r.Done() }
func (o *newerState) Commit(*runtime.Commit)              { o.Forget() }
func (o *newerState) Export(*runtime.Exporter) any        { return nil }
func (o *newerState) Check() error                        { return nil }

// TestStateOfANewerVersion checks that what a state holds of a newer version is no internal error.
func TestStateOfANewerVersion(t *testing.T) {
	open := func() (*runtime.Runtime, *runtime.Node) {
		k := runtime.Kind{Name: "test/newer", New: func(*runtime.Node) runtime.Object { return &newerState{} }}
		rt, err := runtime.New(&runtime.Options{Kinds: []runtime.Kind{k}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := rt.Root("x", k.Name)
		if err != nil {
			t.Fatal(err)
		}
		return rt, n
	}
	a, n := open()
	err := a.Transact(func(tx runtime.Tx) error {
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		return w.Apply(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := a.Save()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := open()
	if _, err := b.Receive(data); !errors.Is(err, runtime.ErrVersion) || errors.Is(err, runtime.ErrInternal) {
		t.Errorf("got %v", err)
	}
}
