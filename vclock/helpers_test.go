package vclock_test

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/vclock"
)

// rep returns a replica whose last byte is n.
func rep(n byte) vclock.Replica { return vclock.Replica{15: n} }

var a, b, c = rep(0xa), rep(0xb), rep(0xc)

// clocks generates valid clocks that share replicas often; nil now and then.
func clocks() *rapid.Generator[vclock.Clock] {
	return rapid.Custom(func(t *rapid.T) vclock.Clock {
		entries := rapid.MapOf(replicas(), ends()).Draw(t, "entries")
		if len(entries) == 0 && rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return entries
	})
}

// replicas generates few replicas, which differ in the first, the ninth or the last byte.
func replicas() *rapid.Generator[vclock.Replica] {
	return rapid.Custom(func(t *rapid.T) vclock.Replica {
		var r vclock.Replica
		at := rapid.SampledFrom([]int{0, 8, 15}).Draw(t, "byte")
		r[at] = rapid.SampledFrom([]byte{1, 2, 0x7f, 0x80, 0xff}).Draw(t, "value")
		return r
	})
}

// ends generates small ends, so that clocks are ordered now and then, and any others.
func ends() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(1, vclock.MaxSeq+1), rapid.Just[uint64](vclock.MaxSeq+1))
}

// bigClock returns a clock of n random replicas, always the same for one seed.
func bigClock(n int, seed uint64) vclock.Clock {
	rng := rand.New(rand.NewPCG(seed, 1))
	clock := make(vclock.Clock, n)
	for range n {
		var r uuid.UUID
		binary.BigEndian.PutUint64(r[:8], rng.Uint64())
		binary.BigEndian.PutUint64(r[8:], rng.Uint64())
		clock[r] = 1 + rng.Uint64N(10_000)
	}
	return clock
}

// golden returns the bytes of an annotated dump: hex digits, with comments from # to the end of a line.
func golden(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	data, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return data
}
