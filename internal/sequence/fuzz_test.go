package sequence_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/sequence"
)

// fuzzLimits keeps a hostile count from being worked off element by element by Check.
var fuzzLimits = sequence.Limits{MaxElements: 1 << 16, Order: plainOrder{}}

// corpus calls add with states of small histories.
func corpus(f *testing.F, add func(*sequence.Sequence)) {
	f.Helper()
	add(sequence.New(plainOrder{}, true))
	add(sequence.New(plainOrder{}, false))
	for seed := range uint64(30) {
		r := replay(f, plain.GenerateConcurrent(seed, 2+int(seed%8), 5+int(seed)*5), func(*replica) {})
		add(r.s)
	}
	s := sequence.New(plainOrder{}, false)
	for i := range 40 {
		if _, _, err := s.Insert(i/2, sequence.ID{Seq: uint64(3 * i)}, 3, ""); err != nil {
			f.Fatal(err)
		}
	}
	add(s)
}

// FuzzDecode tests that what Decode accepts loads, is sound, and is saved again as it was.
func FuzzDecode(f *testing.F) {
	corpus(f, func(s *sequence.Sequence) { f.Add(save(s)) })
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		st, err := sequence.Decode(data, known, fuzzLimits)
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			checkDecodeError(t, err, len(data))
			return
		}
		s := sequence.New(plainOrder{}, len(data) > 0 && data[0]&1 != 0)
		mark := s.Mark()
		if err := s.Load(st); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if got := save(s); !bytes.Equal(got, data) {
			t.Fatalf("read %x, written %x", data, got)
		}
		mergeAgain(t, s, data)
		s.Rollback(mark)
		s.Commit()
		if s.Elements() != 0 || s.Check() != nil {
			t.Fatal("rollback left something")
		}
	})
}

// mergeAgain merges the state that s was loaded from into sequences that have none and all of it.
func mergeAgain(t *testing.T, s *sequence.Sequence, data []byte) {
	t.Helper()
	st, err := sequence.Decode(data, known, fuzzLimits)
	if err != nil {
		t.Fatal(err)
	}
	u := sequence.New(plainOrder{}, data[0]&1 != 0)
	for _, end := range []uint64{0, 1 << 60} {
		if err := u.Merge(st, func(id sequence.ID) bool { return id.Seq < end }, sequence.Events{}); err != nil {
			t.Fatal(err)
		}
		if err := u.Check(); err != nil {
			t.Fatal(err)
		}
		if got := save(u); !bytes.Equal(got, data) {
			t.Fatalf("read %x, merged %x", data, got)
		}
	}
	base := uint64(7)
	delta := s.AppendDelta(nil, same, from(base))
	if _, err := sequence.DecodeDelta(delta, known, from(base), fuzzLimits); err != nil {
		t.Fatal(err)
	}
}

// from is a base that holds so many dots of each replica.
func from(base uint64) func(uint32) uint64 { return func(uint32) uint64 { return base } }

func checkDecodeError(t *testing.T, err error, size int) {
	t.Helper()
	var d *sequence.DecodeError
	if !errors.As(err, &d) || d.Offset < 0 || d.Offset > size || d.Field == "" {
		t.Fatalf("%#v", err)
	}
	if !errors.Is(err, sequence.ErrCorrupt) && !errors.Is(err, sequence.ErrLimit) {
		t.Fatalf("%v is of no class", err)
	}
}

// FuzzDelta tests that merging what DecodeDelta accepts is sound, or changes nothing.
func FuzzDelta(f *testing.F) {
	corpus(f, func(s *sequence.Sequence) {
		for _, base := range []uint64{0, 3, 20} {
			f.Add(base, s.AppendDelta(nil, same, from(base)))
		}
	})
	f.Fuzz(func(t *testing.T, base uint64, data []byte) {
		base %= 1 << 53
		st, err := sequence.DecodeDelta(data, known, from(base), fuzzLimits)
		if err != nil {
			checkDecodeError(t, err, len(data))
			return
		}
		s := sequence.New(plainOrder{}, len(data) > 0 && data[0]&1 != 0)
		text := ""
		if data[0]&1 != 0 {
			text = "0123456789"
		}
		if _, _, err := s.Insert(0, sequence.ID{}, 10, text); err != nil {
			t.Fatal(err)
		}
		before := save(s)
		if err := s.Merge(st, func(id sequence.ID) bool { return id.Rep == 0 && id.Seq < 10 }, sequence.Events{}); err != nil {
			if !bytes.Equal(before, save(s)) {
				t.Fatal("a failed merge changed something")
			}
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		reload(t, plainOrder{}, save(s), data[0]&1 != 0)
	})
}
