package vclock_test

import (
	"testing"

	"github.com/seed1312cc15/weft/vclock"
)

// Benchmark100k measures every linear operation on clocks of 100,000 replicas.
func Benchmark100k(b *testing.B) {
	const n = 100_000
	clock := bigClock(n, 1)
	ahead := clock.Clone()
	ahead.Set(rep(1), 1)
	data, err := clock.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, len(data))
	benchmarks := []struct {
		name string
		f    func()
	}{
		{"Compare", func() { clock.Compare(ahead) }},
		{"CoversClock", func() { ahead.CoversClock(clock) }},
		{"Merge", func() { ahead.Merge(clock) }},
		{"Min", func() { ahead.Min(clock) }},
		{"Diff/one", func() { ahead.Diff(clock) }},
		{"Diff/all", func() { clock.Diff(nil) }},
		{"Clone", func() { clock.Clone() }},
		{"AppendBinary", func() { _, _ = clock.AppendBinary(dst) }},
		{"DecodeClock", func() { _, _, _ = vclock.DecodeClock(data, 0) }},
	}
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.f()
			}
		})
	}
}
