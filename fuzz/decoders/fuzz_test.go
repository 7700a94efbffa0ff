package decoders

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// lowest makes every check that a receiver makes now and then.
type lowest struct{}

func (lowest) Uint64() uint64 { return 0 }

// fixed is what the inputs of FuzzUpdates are about.
type fixed struct {
	*history
	base []byte // the state of the first half
}

// histories are one of each schema.
var histories = sync.OnceValue(func() (out []fixed) {
	for i := range schemas()[2:] { // the first three are one
		for seed := uint64(1); ; seed++ {
			r := rand.New(rand.NewPCG(seed, 7))
			if r.IntN(len(schemas())) == i+2 {
				h := newHistory(rand.New(rand.NewPCG(seed, 7)))
				base, err := h.half.Save()
				must(err)
				out = append(out, fixed{h, base})
				break
			}
		}
	}
	return out
})

// FuzzUpdates hands any update, its lengths and checksums made right, to a replica that has the first half of a history, or
// to an empty one that knows no kinds.
func FuzzUpdates(f *testing.F) {
	for i, h := range histories() {
		for _, u := range h.updates() {
			f.Add(byte(i), true, u)
			f.Add(byte(i), false, u)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, known bool, data []byte) {
		h := histories()[int(which)%len(histories())]
		fresh := func() *runtime.Runtime {
			o := &runtime.Options{Replica: id(30), Limits: limits}
			if known {
				rt, _ := h.open(o)
				return rt
			}
			rt, err := runtime.New(o)
			must(err)
			return rt
		}
		x := &receiver{rng: rand.New(lowest{}), rt: fresh(), again: fresh}
		if known {
			_, err := x.rt.Receive(h.base)
			must(err)
		}
		x.canonical = x.rt.Canonical()
		if _, err := x.read(reseal(data)); err != nil {
			t.Fatal(err)
		}
	})
}
