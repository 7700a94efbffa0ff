package runtime_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// FuzzValue checks that a value that is valid can be decoded and encoded again.
func FuzzValue(f *testing.F) {
	for _, v := range []any{nil, true, -5, 1.5, "text", []byte{1}, []any{1, "a"}, map[string]any{"b": nil, "a": 2}} {
		data, err := runtime.EncodeValue(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if runtime.DecodeValue(data, &v) != nil || runtime.ValidValue(data) != nil {
			return
		}
		back, err := runtime.EncodeValue(v)
		if err != nil {
			t.Fatalf("%x: %v", data, err)
		}
		var again any
		if err := runtime.DecodeValue(back, &again); err != nil {
			t.Fatalf("%x: %v", back, err)
		}
		if twice, err := runtime.EncodeValue(again); err != nil || !bytes.Equal(twice, back) {
			t.Fatalf("%x, %x, %v", back, twice, err)
		}
	})
}

// FuzzRef checks that a reference that is accepted round trips, resolves without a panic, and else is no reference.
func FuzzRef(f *testing.F) {
	d := open(f, 1)
	d.edit(func(tx runtime.Tx) error {
		made, err := d.bag.Make(tx, "example.com/bag")
		if err != nil {
			return err
		}
		below, err := made.Below("key")
		if err != nil {
			return err
		}
		for _, n := range []*runtime.Node{d.bag.Node(), made.Node(), below.Node()} {
			data, err := n.Ref().MarshalCBOR()
			if err != nil {
				return err
			}
			f.Add(data)
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var ref, again runtime.Ref
		if err := ref.UnmarshalCBOR(data); err != nil {
			return
		}
		if _, err := d.Resolve(ref); err == nil && ref.IsZero() {
			t.Fatal("an empty reference leads somewhere")
		}
		back, err := ref.MarshalCBOR()
		if err := errors.Join(err, again.UnmarshalCBOR(back)); err != nil {
			t.Fatalf("%x, %x: %v", data, back, err)
		}
		if twice, err := again.MarshalCBOR(); err != nil || !bytes.Equal(twice, back) {
			t.Fatalf("%x, %x: %v", back, twice, err)
		}
	})
}
