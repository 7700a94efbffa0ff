package vclock_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/vclock"
)

func TestCompareReplicasIsByteOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.OneOf(replicas(), rapid.Custom(func(t *rapid.T) vclock.Replica {
			return vclock.Replica(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		}))
		x, y := gen.Draw(t, "x"), gen.Draw(t, "y")
		if got, want := vclock.CompareReplicas(x, y), bytes.Compare(x[:], y[:]); got != want {
			t.Fatalf("CompareReplicas(%v, %v) = %d, want %d", x, y, got, want)
		}
	})
}

func TestDotCompare(t *testing.T) {
	sorted := []vclock.Dot{{a, 0}, {a, 1}, {a, vclock.MaxSeq}, {b, 0}, {vclock.Replica{0: 1}, 0}}
	for i, x := range sorted {
		for j, y := range sorted {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := x.Compare(y); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", x, y, got, want)
			}
		}
	}
}

func TestParseDotRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := vclock.Dot{Replica: replicas().Draw(t, "replica"), Seq: rapid.Uint64Range(0, vclock.MaxSeq).Draw(t, "seq")}
		if got, err := vclock.ParseDot(d.String()); err != nil || got != d {
			t.Fatalf("ParseDot(%q) = %v, %v", d, got, err)
		}
	})
}

func TestParseDotRefuses(t *testing.T) {
	id := vclock.Replica{0: 0xab}.String()
	tests := []struct {
		text, field string
		offset      int
	}{
		{"", "replica", 0},
		{":1", "replica", 0},
		{id, "replica", 0},
		{id + "-1", "replica", 0},
		{strings.ToUpper(id) + ":1", "replica", 0},
		{strings.ReplaceAll(id, "-", "") + "    :1", "replica", 0},
		{"z" + id[1:] + ":1", "replica", 0},
		{"{" + id + "}:1", "replica", 0},
		{id + ":", "seq", 37},
		{id + ":01", "seq", 37},
		{id + ":+1", "seq", 37},
		{id + ":-1", "seq", 37},
		{id + ":1 ", "seq", 37},
		{id + ":1_0", "seq", 37},
		{id + ":9007199254740992", "seq", 37},
		{id + ":99999999999999999999999", "seq", 37},
	}
	for _, test := range tests {
		_, err := vclock.ParseDot(test.text)
		var decode *vclock.DecodeError
		if !errors.As(err, &decode) || !errors.Is(err, vclock.ErrCorrupt) {
			t.Errorf("ParseDot(%q): error %v, want a *DecodeError of ErrCorrupt", test.text, err)
			continue
		}
		if decode.Field != test.field || decode.Offset != test.offset {
			t.Errorf("ParseDot(%q): %v, want field %s at %d", test.text, err, test.field, test.offset)
		}
	}
}

func TestSpan(t *testing.T) {
	s := vclock.Span{Replica: a, Start: 2, End: 5}
	if s.Len() != 3 {
		t.Errorf("Len = %d, want 3", s.Len())
	}
	for seq, want := range []bool{false, false, true, true, true, false} {
		if got := s.Contains(vclock.Dot{Replica: a, Seq: uint64(seq)}); got != want {
			t.Errorf("Contains(seq %d) = %v, want %v", seq, got, want)
		}
	}
	if s.Contains(vclock.Dot{Replica: b, Seq: 3}) {
		t.Error("contains a dot of another replica")
	}
}

func TestSpanValidate(t *testing.T) {
	tests := []struct {
		start, end uint64
		ok         bool
	}{
		{0, 1, true},
		{vclock.MaxSeq, vclock.MaxSeq + 1, true},
		{0, vclock.MaxSeq + 1, true},
		{0, 0, false},
		{3, 3, false},
		{4, 3, false},
		{0, vclock.MaxSeq + 2, false},
		{vclock.MaxSeq + 1, vclock.MaxSeq + 2, false},
	}
	for _, test := range tests {
		err := vclock.Span{Replica: a, Start: test.start, End: test.end}.Validate()
		if (err == nil) != test.ok || err != nil && !errors.Is(err, vclock.ErrInvalid) {
			t.Errorf("[%d,%d): %v, want ok %v", test.start, test.end, err, test.ok)
		}
	}
}
