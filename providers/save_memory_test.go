package providers_test

import (
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// TestMemoryOfASave: what a server allocates to encode a large document decides how much memory it needs when that is opened.
func TestMemoryOfASave(t *testing.T) {
	n := newNode(t, 1, runtime.Options{})
	letters := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		var b strings.Builder
		for range 256 << 10 {
			b.WriteByte('0' + byte(letters.IntN(64)))
		}
		n.insert(t, 0, b.String())
	}
	for _, options := range [][]runtime.SaveOption{nil, {runtime.Compressed(1)}} {
		var b []byte
		var before, after goruntime.MemStats
		least := ^uint64(0)
		for range 5 { // the first makes encoders, as does one after a garbage collection
			goruntime.ReadMemStats(&before)
			var err error
			if b, err = n.rt.Save(options...); err != nil {
				t.Fatal(err)
			}
			goruntime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		if least > uint64(4*len(b)) {
			t.Errorf("%d bytes are allocated to save %d", least, len(b))
		}
	}
}
