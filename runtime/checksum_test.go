package runtime_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// TestChecksums changes a bit of the checksum at the end of an update: it is told from what cannot be decoded, and nothing changes.
func TestChecksums(t *testing.T) {
	a := open(t, 1)
	a.add("one")
	base := a.Clock()
	long := strings.Repeat("long ", 100) // enough for compression to gain by it
	messages := [][]byte{a.add(long), a.add("three")}
	bundle, err := runtime.Bundle(messages)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.save(runtime.Compressed(2))) >= len(a.save()) || len(a.since(base, runtime.Compressed(2))) >= len(a.since(base)) {
		t.Fatal("they are not compressed")
	}
	for name, update := range map[string][]byte{
		"state": a.save(), "compressed state": a.save(runtime.Compressed(2)), "bundle": bundle,
		"delta": a.since(base), "compressed delta": a.since(base, runtime.Compressed(2)),
	} {
		t.Run(name, func(t *testing.T) {
			for at := len(update) - 4; at < len(update); at++ {
				for bit := range 8 {
					b := open(t, 2)
					b.take(a.sent[0])
					before := b.save()
					bad := bytes.Clone(update)
					bad[at] ^= 1 << bit
					if _, err := b.Receive(bad); !errors.Is(err, runtime.ErrChecksum) {
						t.Fatalf("byte %d of %d, bit %d: %v", at, len(update), bit, err)
					}
					if !bytes.Equal(b.save(), before) {
						t.Fatal("it changed something")
					}
				}
			}
		})
	}
}
