package vclock_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/vclock"
)

// FuzzDecodeClock checks that what is accepted is canonical and what is refused is refused by a typed error.
// The seeds are in testdata/fuzz/FuzzDecodeClock.
func FuzzDecodeClock(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		clock, n, err := vclock.DecodeClock(data, 0)
		if err != nil {
			var decode *vclock.DecodeError
			if !errors.As(err, &decode) || !errors.Is(err, vclock.ErrCorrupt) && !errors.Is(err, vclock.ErrLimit) {
				t.Fatalf("error without type: %v", err)
			}
			if decode.Offset < 0 || decode.Offset > len(data) {
				t.Fatalf("offset %d outside of %d bytes", decode.Offset, len(data))
			}
			return
		}
		if err := clock.Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := clock.MarshalBinary()
		if err != nil || !bytes.Equal(back, data[:n]) {
			t.Fatalf("decoded %x, encoded %x, %v", data[:n], back, err)
		}
	})
}

// FuzzClockJSON checks that what is accepted is valid and round trips, and what is refused leaves the clock as it was.
func FuzzClockJSON(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(` {"00000000-0000-4000-8000-000000000001": 1, "00000000-0000-4000-8000-000000000002": 9007199254740992}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		clock := vclock.Clock{{1}: 7}
		if err := clock.UnmarshalJSON(data); err != nil {
			var decode *vclock.DecodeError
			if !errors.As(err, &decode) || !clock.Equal(vclock.Clock{{1}: 7}) {
				t.Fatalf("%v, %v", err, clock)
			}
			return
		}
		if err := clock.Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := clock.MarshalJSON()
		var again vclock.Clock
		if err := errors.Join(err, again.UnmarshalJSON(back)); err != nil || !again.Equal(clock) {
			t.Fatalf("%s: %v", back, err)
		}
	})
}
