package crdt_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func TestRegisterValue(t *testing.T) {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	title, err := crdt.NewRegister[string](rt, "title")
	if err != nil {
		t.Fatal(err)
	}
	if v := runtime.Read(rt, title.Value); v != "" {
		t.Errorf("an empty register holds %q", v)
	}
	if err := rt.Transact(func(tx runtime.Tx) error { return title.Set(tx, "weft") }); err != nil {
		t.Fatal(err)
	}
	if v := runtime.Read(rt, title.Value); v != "weft" {
		t.Errorf("it holds %q", v)
	}
	number, err := crdt.NewRegister[int](rt, "title")
	if err != nil {
		t.Fatal(err)
	}
	if v := runtime.Read(rt, number.Value); v != 0 {
		t.Errorf("a string is the number %d", v)
	}
	var ended runtime.Tx
	_ = rt.View(func(tx runtime.Tx) error { ended = tx; return nil })
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, runtime.ErrTxEnded) {
			t.Errorf("a Tx after its end: %v", err)
		}
	}()
	title.Value(ended)
}
