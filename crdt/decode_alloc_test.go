package crdt_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// dense are the ways in which n things take the fewest bytes. times is what a receiver may allocate for each byte, beside
// 1 MiB, of the message and of the state; 0: 16. docs/adr/0021 says why some take more.
var dense = []struct {
	name           string
	edit           func(g *grown, tx runtime.Tx, n int) error
	message, state float64
}{
	{name: "text", edit: func(g *grown, tx runtime.Tx, n int) error { return g.T.Insert(tx, 0, strings.Repeat("x", n)) }},
	{name: "text in spans", message: 70, state: 36, edit: func(g *grown, tx runtime.Tx, n int) error {
		err := g.T.Insert(tx, 0, strings.Repeat("x", n))
		for i := range n / 2 {
			err = errors.Join(err, g.T.Delete(tx, i, 1))
		}
		return err
	}},
	{name: "values of a list", edit: func(g *grown, tx runtime.Tx, n int) error { return g.L.Append(tx, make([]int, n)...) }},
	{name: "moves of a list", message: 110, state: 100, edit: func(g *grown, tx runtime.Tx, n int) error {
		return errors.Join(g.L.Append(tx, make([]int, n)...), g.L.MoveRange(tx, 0, n/2, n))
	}},
	{name: "keys", message: 40, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error { return g.M.Set(tx, i, 0) })
	}},
	{name: "elements", message: 46, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error { return g.S.Add(tx, i) })
	}},
	{name: "lazy keys", message: 40, state: 54, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error {
			c, err := g.Lazy.At(tx, i)
			return errors.Join(err, c.Add(tx, 1))
		})
	}},
	{name: "objects of a map", message: 42, state: 76, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error { _, err := g.OM.Set(tx, i, nil); return err })
	}},
	{name: "objects of a set", message: 96, state: 390, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error { _, err := g.OS.Add(tx, nil); return err })
	}},
	{name: "objects of a list", message: 225, state: 225, edit: func(g *grown, tx runtime.Tx, n int) error { _, err := g.OL.InsertN(tx, 0, n); return err }},
	{name: "archived objects", message: 620, state: 90, edit: func(g *grown, tx runtime.Tx, n int) error {
		_, err := g.OL.InsertN(tx, 0, n)
		return errors.Join(err, g.OL.Archive(tx, 0, n))
	}},
	{name: "writes of a register", edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error { return g.R.Set(tx, 0) })
	}},
	{name: "nonsense", message: 74, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(int) error { return raw(tx, g.T.Node(), 0) })
	}},
	{name: "operations of a newer version", message: 70, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(int) error { return raw(tx, g.C.Node(), 99) })
	}},
	{name: "roots", message: 72, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error {
			t, err := crdt.NewText(tx.Runtime(), "root"+strconv.FormatInt(int64(i), 36))
			return errors.Join(err, raw(tx, t.Node(), 0))
		})
	}},
	{name: "fields", message: 42, state: 54, edit: func(g *grown, tx runtime.Tx, n int) error {
		return repeat(n, func(i int) error {
			var c crdt.Counter
			return errors.Join(g.Rec.Field(strconv.FormatInt(int64(i), 36), &c), c.Add(tx, 1))
		})
	}},
}

func repeat(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// raw writes an operation without applying it.
func raw(tx runtime.Tx, n *runtime.Node, payload ...byte) error {
	w, err := tx.Begin(n)
	if err == nil {
		w.Raw(payload)
		w.Commit(1)
	}
	return err
}

// TestDecodersAllocateLittle receives messages and states that say as much as a byte can.
func TestDecodersAllocateLittle(t *testing.T) {
	for _, c := range dense {
		t.Run(c.name, func(t *testing.T) {
			const n = 50_000
			a, g := openGrown(t, 1)
			message := commitTx(t, a, func(tx runtime.Tx) error { return c.edit(g, tx, n) })
			for _, u := range []struct {
				name string
				data []byte
				most float64
			}{{"message", message, c.message}, {"state", savedState(t, a), c.state}} {
				b, _ := openGrown(t, 2)
				got, err := allocated(b, u.data)
				if raced {
					got /= 3
				}
				times := (float64(got) - 1<<20) / float64(len(u.data))
				t.Logf("%s of %d bytes: %.1f times and 1 MiB", u.name, len(u.data), times)
				if most := max(u.most, 16); err != nil || times > most {
					t.Errorf("%s of %d bytes: %d bytes allocated, %.1f times and 1 MiB, %v", u.name, len(u.data), got, times, err)
				}
			}
		})
	}
}
