package crdt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestMisuse: what a program does wrong changes nothing, and the error says what to do instead.
func TestMisuse(t *testing.T) {
	rt, g := openGrown(t, 1)
	other, foreign := openGrown(t, 2)
	update := commitTx(t, other, func(tx runtime.Tx) error { return foreign.T.Insert(tx, 0, "x") })
	var ended runtime.Tx
	commitTx(t, rt, func(tx runtime.Tx) error {
		ended = tx
		return errors.Join(g.T.Insert(tx, 0, "five😀"), g.L.Append(tx, 1), g.C.Add(tx, 1<<63-1), g.OM.Delete(tx, 1))
	})
	var gone *crdt.Counter
	commitTx(t, rt, func(tx runtime.Tx) (err error) { gone, err = g.OM.Set(tx, 1, nil); return err })
	commitTx(t, rt, func(tx runtime.Tx) error { return g.OM.Delete(tx, 1) })
	var undone *crdt.Counter
	undo := errors.New("undo")
	if err := rt.Transact(func(tx runtime.Tx) (err error) { undone, err = g.OM.Set(tx, 2, nil); return errors.Join(err, undo) }); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	was := savedState(t, rt)
	for name, c := range map[string]struct {
		do   func(tx runtime.Tx) error
		is   error
		says string
	}{
		"index of a text":         {func(tx runtime.Tx) error { return g.T.Insert(tx, 6, "x") }, runtime.ErrRange, "index 6 is outside of 0 to 5 code points"},
		"range of a text":         {func(tx runtime.Tx) error { return g.T.Delete(tx, 3, 3) }, runtime.ErrRange, "range [3, 6) is outside of [0, 5) code points"},
		"index in a pair":         {func(tx runtime.Tx) error { return g.T.In(crdt.UTF16).Insert(tx, 5, "x") }, crdt.ErrInside, "take that before or behind it"},
		"index of a list":         {func(tx runtime.Tx) error { return g.L.Set(tx, 1, 1) }, runtime.ErrRange, "range [1, 2) is outside of [0, 1) elements"},
		"invalid text":            {func(tx runtime.Tx) error { return g.T.Insert(tx, 0, "a\xff") }, crdt.ErrText, "clean it with strings.ToValidUTF8"},
		"overflow":                {func(tx runtime.Tx) error { return g.C.Add(tx, 1) }, crdt.ErrOverflow, "add less"},
		"Tx after its end":        {func(runtime.Tx) error { return g.C.Add(ended, -1) }, runtime.ErrTxEnded, "use a Tx only inside the function"},
		"another runtime's":       {func(tx runtime.Tx) error { return foreign.C.Add(tx, 1) }, runtime.ErrForeignObject, "use the handle of this one"},
		"not bound":               {func(tx runtime.Tx) error { return crdt.Counter{}.Add(tx, 1) }, runtime.ErrUnbound, "make it with weft.Open or a New function"},
		"nested Transact":         {func(runtime.Tx) error { return rt.Transact(func(runtime.Tx) error { return nil }) }, runtime.ErrNested, "use the Tx at hand"},
		"Receive in a Transact":   {func(runtime.Tx) error { _, err := rt.Receive(update); return err }, runtime.ErrNested, "call it afterwards"},
		"two kinds under a name":  {func(runtime.Tx) error { _, err := crdt.NewCounter(rt, "t"); return err }, runtime.ErrKindConflict, `take another name: "t" is of kind text, not counter`},
		"an object that is gone":  {func(tx runtime.Tx) error { return gone.Add(tx, 1) }, runtime.ErrDeleted, "make another one"},
		"one that was undone":     {func(tx runtime.Tx) error { return undone.Add(tx, 1) }, runtime.ErrRolledBack, "make it again"},
		"a value that CBOR lacks": {func(runtime.Tx) error { _, err := crdt.NewRegister[func()](rt, "f"); return err }, crdt.ErrShape, "use values of strings"},
	} {
		err := rt.Transact(func(tx runtime.Tx) error {
			if err := c.do(tx); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %s", name, err, c.says)
			}
			return nil
		})
		if err != nil || string(savedState(t, rt)) != string(was) {
			t.Errorf("%s: changed something, %v", name, err)
		}
	}
	err := rt.View(func(tx runtime.Tx) error { return g.C.Add(tx, -1) })
	if !errors.Is(err, runtime.ErrReadOnlyTx) || !strings.Contains(err.Error(), "use Transact") {
		t.Errorf("a write in a View: %v", err)
	}
}
