package crdt_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// FuzzCursor checks that what is accepted round trips, and what is refused is refused by a typed error. Cursors come from
// others, with their presence.
func FuzzCursor(f *testing.F) {
	rt, s := newSequences(f, 0)
	do(f, rt, func(tx runtime.Tx) error { return s.text.Insert(tx, 0, "ab") })
	for at := range 3 {
		var c crdt.Cursor
		err := rt.View(func(tx runtime.Tx) (err error) {
			c, err = s.text.CursorAt(tx, at, crdt.After)
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
		data, err := c.MarshalCBOR()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c, again crdt.Cursor
		if err := c.UnmarshalCBOR(data); err != nil {
			if !errors.Is(err, runtime.ErrCorrupt) || c != again {
				t.Fatalf("%v, %v", err, c)
			}
			return
		}
		if d, ok := c.Dot(); ok && d.Seq > vclock.MaxSeq {
			t.Fatal(d)
		}
		back, err := c.MarshalCBOR()
		if err := errors.Join(err, again.UnmarshalCBOR(back)); err != nil || again != c {
			t.Fatalf("%v, %v: %v", c, again, err)
		}
	})
}
