package vclock_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/vclock"
)

// join returns the merge of x and y, which stay as they are.
func join(x, y vclock.Clock) vclock.Clock {
	z := x.Clone()
	z.Merge(y)
	return z
}

// law checks f on three clocks, and that f left them valid and unchanged.
func law(t *testing.T, f func(t *rapid.T, x, y, z vclock.Clock)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		in := [3]vclock.Clock{clocks().Draw(t, "x"), clocks().Draw(t, "y"), clocks().Draw(t, "z")}
		was := [3]vclock.Clock{in[0].Clone(), in[1].Clone(), in[2].Clone()}
		f(t, in[0], in[1], in[2])
		for i := range in {
			if !in[i].Equal(was[i]) || in[i].Validate() != nil {
				t.Fatalf("argument %d changed from %v to %v", i, was[i], in[i])
			}
		}
	})
}

// same fails the test if got and want differ or got is not valid.
func same(t *rapid.T, name string, got, want vclock.Clock) {
	t.Helper()
	if !got.Equal(want) || got.Validate() != nil {
		t.Fatalf("%s: %v, want %v", name, got, want)
	}
}

func TestMergeAndMinAreALattice(t *testing.T) {
	law(t, func(t *rapid.T, x, y, z vclock.Clock) {
		same(t, "join commutes", join(x, y), join(y, x))
		same(t, "join associates", join(join(x, y), z), join(x, join(y, z)))
		same(t, "join is idempotent", join(x, x), x)
		same(t, "meet commutes", x.Min(y), y.Min(x))
		same(t, "meet associates", x.Min(y).Min(z), x.Min(y.Min(z)))
		same(t, "meet is idempotent", x.Min(x), x)
		same(t, "join absorbs", join(x, x.Min(y)), x)
		same(t, "meet absorbs", x.Min(join(x, y)), x)
		same(t, "meet distributes", x.Min(join(y, z)), join(x.Min(y), x.Min(z)))
	})
}

func TestCompareAgreesWithCovers(t *testing.T) {
	law(t, func(t *rapid.T, x, y, z vclock.Clock) {
		for _, pair := range [][2]vclock.Clock{{x, y}, {x, join(x, y)}, {join(x, z), x.Min(y)}, {x, x.Clone()}} {
			x, y := pair[0], pair[1]
			want := vclock.Concurrent
			switch down, up := coversSlowly(x, y), coversSlowly(y, x); {
			case down && up:
				want = vclock.Equal
			case up:
				want = vclock.Before
			case down:
				want = vclock.After
			}
			if got := x.Compare(y); got != want {
				t.Fatalf("%v.Compare(%v) = %v, want %v", x, y, got, want)
			}
			if got := x.CoversClock(y); got != coversSlowly(x, y) {
				t.Fatalf("%v.CoversClock(%v) = %v", x, y, got)
			}
			if got := x.Equal(y); got != (want == vclock.Equal) {
				t.Fatalf("%v.Equal(%v) = %v", x, y, got)
			}
		}
	})
}

// coversSlowly says by Covers alone whether x holds the last dot, thus every dot, of each replica in y.
func coversSlowly(x, y vclock.Clock) bool {
	for r, end := range y {
		last := vclock.Dot{Replica: r, Seq: end - 1}
		if span := (vclock.Span{Replica: r, Start: end - 1, End: end}); x.Covers(last) != x.CoversSpan(span) {
			panic("Covers and CoversSpan differ")
		}
		if !x.Covers(last) {
			return false
		}
	}
	return true
}

func TestDiffThenAddIsMerge(t *testing.T) {
	law(t, func(t *rapid.T, x, y, _ vclock.Clock) {
		got := y.Clone()
		spans := x.Diff(y)
		for i, s := range spans {
			if i > 0 && vclock.CompareReplicas(spans[i-1].Replica, s.Replica) >= 0 {
				t.Fatalf("spans out of order: %v", spans)
			}
			if y.Covers(vclock.Dot{Replica: s.Replica, Seq: s.Start}) || !x.CoversSpan(s) {
				t.Fatalf("span %v is not in %v alone", s, x)
			}
			if err := got.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "diff then add", got, join(x, y))
		if (len(spans) == 0) != y.CoversClock(x) {
			t.Fatalf("diff %v, but covers %v", spans, y.CoversClock(x))
		}
	})
}
