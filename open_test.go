package weft_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft"
)

func TestOpenErrors(t *testing.T) {
	type bad struct {
		Name string `weft:"name"`
	}
	if _, err := weft.Open[bad](nil); !errors.Is(err, weft.ErrShape) {
		t.Errorf("a string field: %v", err)
	}
	var shape *weft.ShapeError
	type nested struct {
		Map weft.ObjectMap[string, bad] `weft:"map"`
	}
	if _, err := weft.Open[nested](nil); !errors.As(err, &shape) || shape.Field != "Name" {
		t.Errorf("a string field of an element: %v", err)
	}
	boom := errors.New("boom")
	if _, err := weft.Open(nil, func(weft.Tx, *Board) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("genesis: %v", err)
	}
	if _, err := weft.Open[Board](&weft.Options{Limits: weft.Limits{NameBytes: -1}}); !errors.Is(err, weft.ErrInvalidOptions) {
		t.Errorf("options: %v", err)
	}
}

// TestGenesisOrder: Options.Genesis runs first, then the functions in order, all in one transaction under one replica ID.
func TestGenesisOrder(t *testing.T) {
	write := func(s string) func(weft.Tx, *Board) error {
		return func(tx weft.Tx, b *Board) error { return b.Body.Insert(tx, b.Body.Len(tx), s) }
	}
	opts := &weft.Options{Genesis: func(tx weft.Tx) error {
		body, err := weft.Root[weft.Text](tx.Runtime(), "body")
		if err != nil {
			return err
		}
		return body.Insert(tx, 0, "0")
	}}
	doc, err := weft.Open(opts, write("1"), write("2"))
	if err != nil {
		t.Fatal(err)
	}
	if got := weft.Read(doc, doc.Root.Body.String); got != "012" {
		t.Errorf("body %q", got)
	}
	if clock := doc.Clock(); len(clock) != 1 || clock[weft.GenesisReplica] != 3 {
		t.Errorf("clock %v", clock)
	}
	if len(opts.Kinds) != 0 {
		t.Error("Open changed its options")
	}
}

func TestReadNested(t *testing.T) {
	doc, err := weft.Open[Board](nil)
	if err != nil {
		t.Fatal(err)
	}
	err = doc.Transact(func(weft.Tx) error {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, weft.ErrNested) {
				t.Errorf("Read inside of a transaction: %v", err)
			}
		}()
		weft.Read(doc, doc.Root.Body.String)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnknownRoots: a document keeps roots that T does not describe.
func TestUnknownRoots(t *testing.T) {
	type old struct {
		Body weft.Text `weft:"body"`
	}
	doc, err := weft.Open[Board](nil)
	if err != nil {
		t.Fatal(err)
	}
	err = doc.Transact(func(tx weft.Tx) error {
		_, err := doc.Root.Tasks.Set(tx, "a", func(t *Task) error { return t.Name.Insert(tx, 0, "a") })
		return errors.Join(err, doc.Root.Title.Set(tx, "t"), doc.Root.Body.Insert(tx, 0, "b"))
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := doc.Save()
	if err != nil {
		t.Fatal(err)
	}
	o, err := weft.Open[old](nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Load(state); err != nil {
		t.Fatal(err)
	}
	if o.Digest() != doc.Digest() || weft.Diff(o.Runtime, doc.Runtime) != nil {
		t.Error("the documents differ")
	}
}
