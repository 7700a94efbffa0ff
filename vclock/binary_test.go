package vclock_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/vclock"
)

func TestGoldenBytes(t *testing.T) {
	data := golden(t, "testdata/clock.golden")
	want := vclock.Clock{rep(1): 1, rep(0xff): 128, {0: 0xa0}: 1 << 53}
	got, n, err := vclock.DecodeClock(data, 3)
	if err != nil || n != len(data) || !got.Equal(want) {
		t.Errorf("decoded %v, %d, %v; want %v, %d", got, n, err, want, len(data))
	}
	if back, err := want.MarshalBinary(); err != nil || !bytes.Equal(back, data) {
		t.Errorf("encoded %x, %v; want %x", back, err, data)
	}
}

func TestBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := clocks().Draw(t, "clock")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "prefix")
		suffix := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "suffix")
		data, err := clock.AppendBinary(bytes.Clone(prefix))
		if err != nil || !bytes.HasPrefix(data, prefix) {
			t.Fatalf("AppendBinary: %x, %v", data, err)
		}
		form := data[len(prefix):]
		got, n, err := vclock.DecodeClock(append(bytes.Clone(form), suffix...), 0)
		if err != nil || n != len(form) || got == nil || !got.Equal(clock) {
			t.Fatalf("DecodeClock: %v, %d, %v; want %v, %d", got, n, err, clock, len(form))
		}
		back := vclock.Clock{a: 1}
		if err := back.UnmarshalBinary(form); err != nil || !back.Equal(clock) {
			t.Fatalf("UnmarshalBinary: %v, %v; want %v", back, err, clock)
		}
	})
}

func TestBytesDoNotDependOnHistory(t *testing.T) {
	clock := bigClock(500, 2)
	want, _ := clock.MarshalBinary()
	grown := vclock.Clock{}
	for r, end := range clock {
		grown.Set(rep(1), 7)
		grown.Set(r, end)
		grown.Set(rep(1), 0)
	}
	if got, _ := grown.MarshalBinary(); !bytes.Equal(got, want) {
		t.Error("equal clocks have different bytes")
	}
}

func TestTruncation(t *testing.T) {
	data := golden(t, "testdata/clock.golden")
	for n := range data {
		if _, _, err := vclock.DecodeClock(data[:n], 0); !errors.Is(err, vclock.ErrCorrupt) {
			t.Errorf("first %d of %d bytes: error %v, want ErrCorrupt", n, len(data), err)
		}
	}
}

// TestFlippedBits: a clock has no checksum; with any bit flipped it is refused, or is another sound one with these bytes.
func TestFlippedBits(t *testing.T) {
	data := golden(t, "testdata/clock.golden")
	for i := range data {
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			clock, n, err := vclock.DecodeClock(bad, 0)
			var decode *vclock.DecodeError
			switch {
			case err != nil:
				if !errors.As(err, &decode) || !errors.Is(err, vclock.ErrCorrupt) && !errors.Is(err, vclock.ErrLimit) {
					t.Errorf("byte %d, bit %d: %v", i, bit, err)
				}
			case clock.Validate() != nil:
				t.Errorf("byte %d, bit %d: %v", i, bit, clock)
			default:
				if again, err := clock.MarshalBinary(); err != nil || !bytes.Equal(again, bad[:n]) {
					t.Errorf("byte %d, bit %d: %x becomes %x, %v", i, bit, bad[:n], again, err)
				}
			}
		}
	}
}

// form returns the parts of a binary form in one piece: numbers as uvarints, the rest as it is.
func form(parts ...any) []byte {
	var data []byte
	for _, part := range parts {
		switch part := part.(type) {
		case int:
			data = binary.AppendUvarint(data, uint64(part))
		case uint64:
			data = binary.AppendUvarint(data, part)
		case vclock.Replica:
			data = append(data, part[:]...)
		case string:
			data = append(data, part...)
		}
	}
	return data
}

func TestDecodeClockRefuses(t *testing.T) {
	tests := []struct {
		name   string
		data   []byte
		field  string
		offset int
		err    error
	}{
		{"empty", nil, "count", 0, vclock.ErrCorrupt},
		{"unsorted", form(2, b, a, 1, 1), "replica", 17, vclock.ErrCorrupt},
		{"duplicate", form(3, a, b, b, 1, 1, 1), "replica", 33, vclock.ErrCorrupt},
		{"zero entry", form(2, a, b, 1, 0), "end", 34, vclock.ErrCorrupt},
		{"end beyond 2^53", form(1, a, uint64(1<<53+1)), "end", 17, vclock.ErrCorrupt},
		{"end of 64 bits", form(1, a, uint64(math.MaxUint64)), "end", 17, vclock.ErrCorrupt},
		{"overlong count", form("\x81\x00", a, 1), "count", 0, vclock.ErrCorrupt},
		{"overlong zero count", form("\x80\x00"), "count", 0, vclock.ErrCorrupt},
		{"overlong end", form(1, a, "\x81\x80\x00"), "end", 17, vclock.ErrCorrupt},
		{"uvarint of 11 bytes", form(strings.Repeat("\xff", 10) + "\x01"), "count", 0, vclock.ErrCorrupt},
		{"uvarint over 64 bits", form(strings.Repeat("\xff", 9) + "\x02"), "count", 0, vclock.ErrCorrupt},
		{"uvarint without end", form(1, a, "\x80"), "end", 17, vclock.ErrCorrupt},
		{"huge count", form(uint64(math.MaxUint64), a, 1), "count", 0, vclock.ErrCorrupt},
		{"count one too high", form(2, a, b, 1), "count", 0, vclock.ErrCorrupt},
		{"over the limit", form(5, rep(1), rep(2), rep(3), rep(4), rep(5), "\x01\x01\x01\x01\x01"), "count", 0, vclock.ErrLimit},
	}
	for _, test := range tests {
		clock, n, err := vclock.DecodeClock(test.data, 4)
		var decode *vclock.DecodeError
		if clock != nil || n != 0 || !errors.As(err, &decode) || !errors.Is(err, test.err) {
			t.Errorf("%s: %v, %d, %v; want a *DecodeError of %v", test.name, clock, n, err, test.err)
			continue
		}
		if decode.Field != test.field || decode.Offset != test.offset {
			t.Errorf("%s: %v, want %s at %d", test.name, err, test.field, test.offset)
		}
	}
}

func TestDefaultLimit(t *testing.T) {
	n := vclock.DefaultMaxReplicas + 1
	data := binary.AppendUvarint(nil, uint64(n))
	for i := range n {
		data = binary.BigEndian.AppendUint64(data, uint64(i))
		data = binary.BigEndian.AppendUint64(data, 0)
	}
	data = append(data, bytes.Repeat([]byte{1}, n)...)
	if _, _, err := vclock.DecodeClock(data, 0); !errors.Is(err, vclock.ErrLimit) {
		t.Errorf("one replica over the default limit: %v, want ErrLimit", err)
	}
	if clock, _, err := vclock.DecodeClock(data, n); err != nil || len(clock) != n {
		t.Errorf("at the stated limit: %d replicas, %v", len(clock), err)
	}
}

func TestUnmarshalBinaryRefuses(t *testing.T) {
	for _, data := range [][]byte{nil, form(1, a), form(1, a, 1, "x"), form(0, 0)} {
		clock := vclock.Clock{c: 9}
		if err := clock.UnmarshalBinary(data); !errors.Is(err, vclock.ErrCorrupt) {
			t.Errorf("UnmarshalBinary(%x): %v, want ErrCorrupt", data, err)
		}
		if !clock.Equal(vclock.Clock{c: 9}) {
			t.Errorf("UnmarshalBinary(%x) changed the clock to %v", data, clock)
		}
	}
}
