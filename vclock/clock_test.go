package vclock_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/vclock"
)

func TestCompare(t *testing.T) {
	tests := []struct {
		x, y vclock.Clock
		want vclock.Ordering
	}{
		{nil, nil, vclock.Equal},
		{nil, vclock.Clock{}, vclock.Equal},
		{nil, vclock.Clock{a: 1}, vclock.Before},
		{vclock.Clock{a: 1}, vclock.Clock{a: 1}, vclock.Equal},
		{vclock.Clock{a: 1}, vclock.Clock{a: 2}, vclock.Before},
		{vclock.Clock{a: 1}, vclock.Clock{b: 1}, vclock.Concurrent},
		{vclock.Clock{a: 1}, vclock.Clock{a: 1, b: 1}, vclock.Before},
		{vclock.Clock{a: 2}, vclock.Clock{a: 1, b: 1}, vclock.Concurrent},
		{vclock.Clock{a: 2, b: 1}, vclock.Clock{a: 1, b: 2}, vclock.Concurrent},
		{vclock.Clock{a: 2, b: 1}, vclock.Clock{a: 1, c: 1}, vclock.Concurrent},
		{vclock.Clock{a: 1, b: 1}, vclock.Clock{a: 1, c: 1}, vclock.Concurrent},
	}
	mirror := map[vclock.Ordering]vclock.Ordering{vclock.Before: vclock.After, vclock.After: vclock.Before}
	for _, test := range tests {
		if got := test.x.Compare(test.y); got != test.want {
			t.Errorf("%v.Compare(%v) = %v, want %v", test.x, test.y, got, test.want)
		}
		want, ok := mirror[test.want]
		if !ok {
			want = test.want
		}
		if got := test.y.Compare(test.x); got != want {
			t.Errorf("%v.Compare(%v) = %v, want %v", test.y, test.x, got, want)
		}
	}
}

func TestNilClockIsReadable(t *testing.T) {
	var none vclock.Clock
	switch {
	case none.Get(a) != 0, none.Covers(vclock.Dot{Replica: a}), none.Sum() != 0, none.Diff(none) != nil,
		none.CoversSpan(vclock.Span{Replica: a, End: 1}), !none.CoversClock(nil), !none.Equal(vclock.Clock{}),
		none.Validate() != nil, none.String() != "{}", len(none.Min(vclock.Clock{a: 1})) != 0:
		t.Error("the nil clock is not the empty clock")
	}
	none.Merge(nil)
	none.Set(a, 0)
	for range none.Sorted() {
		t.Error("the nil clock has an entry")
	}
	if clone := none.Clone(); clone == nil {
		t.Error("the clone of a nil clock cannot be written")
	}
}

func TestCloneIsIndependent(t *testing.T) {
	clock := vclock.Clock{a: 1}
	clone := clock.Clone()
	clone.Set(a, 2)
	if clock.Get(a) != 1 {
		t.Error("writing to the clone changed the original")
	}
}

func TestAdd(t *testing.T) {
	clock := vclock.Clock{}
	if err := clock.Add(vclock.Span{Replica: a, Start: 0, End: 3}); err != nil {
		t.Fatal(err)
	}
	var gap *vclock.GapError
	err := clock.Add(vclock.Span{Replica: a, Start: 5, End: 6})
	if !errors.As(err, &gap) || !errors.Is(err, vclock.ErrGap) || gap.Missing() != (vclock.Span{Replica: a, Start: 3, End: 5}) {
		t.Errorf("after a gap: %v", err)
	}
	for end, covered := range map[uint64]bool{2: true, 3: true, 4: false} {
		var overlap *vclock.OverlapError
		err = clock.Add(vclock.Span{Replica: a, Start: 1, End: end})
		if !errors.As(err, &overlap) || !errors.Is(err, vclock.ErrOverlap) || overlap.Covered() != covered {
			t.Errorf("overlap up to %d: %v", end, err)
		}
	}
	for _, s := range []vclock.Span{{a, 3, 3}, {a, 3, 2}, {a, 3, vclock.MaxSeq + 2}} {
		if err := clock.Add(s); !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("Add(%v): %v, want ErrInvalid", s, err)
		}
	}
	if want := (vclock.Clock{a: 3}); !clock.Equal(want) {
		t.Errorf("refused spans changed the clock to %v", clock)
	}
}

func TestSet(t *testing.T) {
	clock := vclock.Clock{}
	clock.Set(a, 5)
	clock.Set(b, vclock.MaxSeq+1)
	clock.Set(a, 4)
	if want := (vclock.Clock{a: 4, b: vclock.MaxSeq + 1}); !clock.Equal(want) {
		t.Errorf("clock is %v, want %v", clock, want)
	}
	clock.Set(a, 0)
	if _, ok := clock[a]; ok {
		t.Error("Set to zero left an entry")
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("Set beyond 2^53: panic %v, want ErrInvalid", err)
		}
	}()
	clock.Set(a, vclock.MaxSeq+2)
}

func TestSumSaturates(t *testing.T) {
	clock := vclock.Clock{}
	for i := range 3000 {
		clock[vclock.Replica{byte(i >> 8), byte(i)}] = vclock.MaxSeq + 1
	}
	if got := clock.Sum(); got != math.MaxUint64 {
		t.Errorf("Sum = %d, want MaxUint64", got)
	}
	if got := (vclock.Clock{a: 2, b: 3}).Sum(); got != 5 {
		t.Errorf("Sum = %d, want 5", got)
	}
}

func TestSorted(t *testing.T) {
	clock := bigClock(1000, 1)
	var seen []vclock.Replica
	for r, end := range clock.Sorted() {
		if clock.Get(r) != end {
			t.Fatalf("entry %v:%d, want %d", r, end, clock.Get(r))
		}
		seen = append(seen, r)
	}
	if len(seen) != len(clock) || !slices.IsSortedFunc(seen, vclock.CompareReplicas) {
		t.Errorf("%d of %d entries, or out of order", len(seen), len(clock))
	}
	for range clock.Sorted() {
		break // stops without a further call
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []vclock.Clock{{a: 0}, {a: 1, b: vclock.MaxSeq + 2}} {
		if err := bad.Validate(); !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("Validate(%v) = %v, want ErrInvalid", bad, err)
		}
		if out, err := bad.AppendBinary([]byte("x")); !errors.Is(err, vclock.ErrInvalid) || string(out) != "x" {
			t.Errorf("AppendBinary(%v) = %q, %v, want ErrInvalid", bad, out, err)
		}
		if _, err := bad.MarshalBinary(); !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("MarshalBinary(%v): %v, want ErrInvalid", bad, err)
		}
		if _, err := bad.MarshalJSON(); !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("MarshalJSON(%v): %v, want ErrInvalid", bad, err)
		}
	}
	if err := (vclock.Clock{a: 1, b: vclock.MaxSeq + 1}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestOrderingString(t *testing.T) {
	got := fmt.Sprint(vclock.Equal, vclock.Before, vclock.After, vclock.Concurrent, vclock.Ordering(9))
	if want := "equal before after concurrent Ordering(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
