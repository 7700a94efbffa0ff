package vclock_test

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/seed1312cc15/weft/vclock"
)

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	few, many := bigClock(16, 1), bigClock(5000, 1)
	same, manyMore := many.Clone(), many.Clone()
	manyMore.Set(a, 1)
	dst := make([]byte, 0, 200_000)
	span := vclock.Span{Replica: a, Start: 1, End: 2}
	tests := []struct {
		name string
		max  float64
		f    func()
	}{
		{"CompareReplicas", 0, func() { vclock.CompareReplicas(a, b) }},
		{"Compare", 0, func() { many.Compare(same) }},
		{"Equal", 0, func() { many.Equal(same) }},
		{"CoversClock", 0, func() { manyMore.CoversClock(many) }},
		{"CoversSpan", 0, func() { manyMore.CoversSpan(span) }},
		{"Merge of known dots", 0, func() { manyMore.Merge(many) }},
		{"Sum", 0, func() { many.Sum() }},
		{"Diff of equal clocks", 0, func() { many.Diff(same) }},
		{"Diff of one span", 1, func() { manyMore.Diff(many) }},
		{"Add", 0, func() { manyMore.Set(a, 1); _ = manyMore.Add(span) }},
		{"AppendBinary of 16", 0, func() { _, _ = few.AppendBinary(dst) }},
		{"AppendBinary of 5000", 1, func() { _, _ = many.AppendBinary(dst) }},
		{"MarshalBinary of 5000", 2, func() { _, _ = many.MarshalBinary() }},
	}
	for _, test := range tests {
		if got := testing.AllocsPerRun(20, test.f); got > test.max {
			t.Errorf("%s: %v allocations, want at most %v", test.name, got, test.max)
		}
	}
}

// allocated returns the bytes that f allocates: the least of several calls, since the counter is the whole process's.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestDecodeAllocatesASmallMultiple(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	data, _ := bigClock(20_000, 1).MarshalBinary()
	good := allocated(func() { _, _, _ = vclock.DecodeClock(data, 0) })
	if limit := uint64(8 * len(data)); good > limit {
		t.Errorf("decoding %d bytes allocated %d, want at most %d", len(data), good, limit)
	}
	bad := bytes.Clone(data)
	bad[len(bad)-1] = 0 // the last end
	refused := allocated(func() { _, _, _ = vclock.DecodeClock(bad, 0) })
	if refused > 4096 {
		t.Errorf("refusing %d bytes allocated %d", len(bad), refused)
	}
}
