package runtime_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/runtime"
)

func TestUncompressed(t *testing.T) {
	for _, document := range []uuid.UUID{{}, {1}} {
		a := open(t, 1, func(o *runtime.Options) { o.Document = document })
		a.add(strings.Repeat("x", 2000))
		base := a.Clock()
		a.add(strings.Repeat("y", 2000))
		for _, b := range []struct{ packed, plain []byte }{
			{a.save(runtime.Compressed(1)), a.save()},
			{a.since(base, runtime.Compressed(1)), a.since(base)},
			{a.save(), a.save()},
		} {
			got, err := runtime.Uncompressed(b.packed)
			if err != nil || !bytes.Equal(got, b.plain) {
				t.Errorf("%d bytes, want %d: %v", len(got), len(b.plain), err)
			}
		}
		packed := a.save(runtime.Compressed(1))
		for i := range packed {
			bad := bytes.Clone(packed)
			bad[i] ^= 1
			if got, err := runtime.Uncompressed(bad); err == nil && open(t, 2).Load(got) == nil && i > 12 {
				t.Errorf("byte %d: accepted", i)
			}
			if _, err := runtime.Uncompressed(packed[:i]); err == nil {
				t.Errorf("cut at %d: accepted", i)
			}
		}
		if _, err := runtime.Uncompressed(open(t, 3).add("x")); !errors.Is(err, runtime.ErrCorrupt) {
			t.Errorf("a message: %v", err)
		}
	}
}
