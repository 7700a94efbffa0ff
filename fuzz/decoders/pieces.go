package decoders

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// pieces are what larger things are made of, and files of tools.
func pieces() []*decoder {
	return []*decoder{
		{"clock", clocks}, {"packed stream", streams}, {"sequence", sequences}, {"sequence delta", sequenceDeltas},
		{"value", values}, {"trace", traces},
	}
}

func clocks(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	for n := range 12 {
		c := make(vclock.Clock)
		for i := range n {
			c.Set(id(r.IntN(1+i*3)+1), 1+r.Uint64N(1<<r.IntN(53)))
		}
		b, err := c.MarshalBinary()
		must(err)
		seeds = append(seeds, b)
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			c, n, err := vclock.DecodeClock(input, 1000)
			if err != nil {
				var d *vclock.DecodeError
				if !errors.As(err, &d) || d.Offset < 0 || d.Offset > len(input) {
					return 0, err
				}
				return refused, nil
			}
			if err := c.Validate(); err != nil {
				return 0, err
			}
			if again, err := c.MarshalBinary(); err != nil || !bytes.Equal(again, input[:n]) {
				return 0, fmt.Errorf("written as %x, %w", again, err)
			}
			return accepted, nil
		}
	}
}

// streams are packed messages, read from the beginning or, with the state of an unpacker in front, from the middle.
func streams(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	h := newHistory(r)
	split := r.IntN(2) == 0
	state, first, second := h.stream(split)
	resume := split && r.IntN(2) == 0
	if resume {
		seeds = [][]byte{state, state, state}
	} else {
		seeds = [][]byte{append(bytes.Clone(first), second...), first}
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			u := runtime.Unpacker{Split: split}
			rest, out := input, accepted
			if resume {
				if err := u.Restore(input); err != nil {
					return refused, nil
				}
				again := runtime.Unpacker{Split: true}
				if err := again.Restore(u.Packer().AppendState(nil)); err != nil {
					return 0, fmt.Errorf("its own state: %w", err)
				}
				rest = second
			}
			for len(rest) > 0 {
				m, after, err := u.Next(rest)
				if err != nil && !errors.Is(err, runtime.ErrLostPlace) {
					if !typed(err) {
						return 0, err
					}
					out = refused
					break
				}
				if len(after) >= len(rest) || len(m) > 1<<20 {
					return 0, fmt.Errorf("a message of %d bytes, %d bytes behind %d", len(m), len(after), len(rest))
				}
				rest = after
			}
			return out, nil
		}
	}
}

// byNumber orders replicas by their number.
type byNumber struct{}

func (byNumber) CompareReplicas(a, b uint32) int { return int(a) - int(b) }

func same(n uint32) int          { return int(n) }
func known(n int) (uint32, bool) { return uint32(n), n < 1<<20 }
func typedByField(err error) bool {
	var d *sequence.DecodeError
	return errors.As(err, &d) && d.Field != ""
}

var elements = sequence.Limits{MaxElements: 1 << 14, Order: byNumber{}}

// someSequences returns texts and lists that one or several replicas made.
func someSequences(r *rand.Rand) (out []*sequence.Sequence) {
	for n := range 6 {
		s := sequence.New(byNumber{}, n%2 == 0)
		var seq [3]uint64
		for range 4 + r.IntN(30) {
			rep, count, text := r.IntN(3), 1+r.IntN(3), ""
			if n%2 == 0 {
				text = "aé😀"[:[]int{0, 1, 3, 7}[count]]
			}
			if r.IntN(4) == 0 && s.Len(sequence.CodePoints) > 0 {
				at := r.IntN(s.Len(sequence.CodePoints))
				n := min(count, s.Len(sequence.CodePoints)-at)
				_, err := s.DeleteRange(at, n, nil)
				must(err)
				continue
			}
			_, _, err := s.Insert(r.IntN(s.Len(sequence.CodePoints)+1), sequence.ID{Rep: uint32(rep), Seq: seq[rep]}, count, text)
			must(err)
			seq[rep] += uint64(count + r.IntN(2))
		}
		s.Commit()
		out = append(out, s)
	}
	return out
}

func sequences(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	for _, s := range someSequences(r) {
		seeds = append(seeds, s.AppendState(nil, same))
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			st, err := sequence.Decode(input, known, elements)
			if err != nil {
				if !typedByField(err) {
					return 0, err
				}
				return refused, nil
			}
			s := sequence.New(byNumber{}, input[0]&1 != 0)
			mark := s.Mark()
			if err := s.Load(st); err != nil {
				return 0, fmt.Errorf("decoded, not loaded: %w", err)
			}
			if err := s.Check(); err != nil {
				return 0, err
			}
			if got := s.AppendState(nil, same); !bytes.Equal(got, input) {
				return 0, fmt.Errorf("written as %x", got)
			}
			if s.Rollback(mark); s.Elements() != 0 {
				return 0, errors.New("rollback left something")
			}
			return accepted, s.Check()
		}
	}
}

func sequenceDeltas(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	all := someSequences(r)
	for _, s := range all {
		for _, base := range []uint64{0, 2, 9} {
			seeds = append(seeds, s.AppendDelta([]byte{byte(base)}, same, func(uint32) uint64 { return base }))
		}
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			if len(input) < 2 {
				return refused, nil
			}
			base := uint64(input[0])
			input = input[1:]
			st, err := sequence.DecodeDelta(input, known, func(uint32) uint64 { return base }, elements)
			if err != nil {
				if !typedByField(err) {
					return 0, err
				}
				return refused, nil
			}
			text, s := "", sequence.New(byNumber{}, input[0]&1 != 0)
			if input[0]&1 != 0 {
				text = "0123456789"
			}
			_, _, err = s.Insert(0, sequence.ID{}, 10, text)
			must(err)
			before := s.AppendState(nil, same)
			inside := func(d sequence.ID) bool { return d.Rep == 0 && d.Seq < 10 }
			if err := s.Merge(st, inside, sequence.Events{}); err != nil && !bytes.Equal(before, s.AppendState(nil, same)) {
				return 0, fmt.Errorf("a failed merge changed something: %w", err)
			}
			return accepted, s.Check()
		}
	}
}

// values are CBOR.
func values(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	for _, v := range []any{
		nil, true, 7, -1, uint64(1 << 63), 1.5, "text", "é😀", []byte{1, 2}, []any{1, "a", []any{}}, map[string]int{"a": 1, "bb": 2, "c": 3},
		map[int]any{1: []int{2}, 3: map[string]bool{"x": true}}, r.Uint64(), r.Float64(),
	} {
		b, err := runtime.EncodeValue(v)
		must(err)
		seeds = append(seeds, b)
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			key, err := runtime.CanonicalKey(input), runtime.ValidValue(input)
			if key == nil && err != nil {
				return 0, fmt.Errorf("valid as a key, and not as a value: %w", err)
			}
			var v any
			if err := runtime.DecodeValue(input, &v); err != nil {
				return refused, nil
			}
			if err != nil {
				return 0, fmt.Errorf("decoded and not valid: %w", err)
			}
			if key == nil {
				again, err := runtime.EncodeValue(v)
				if err == nil && !bytes.Equal(again, input) {
					return 0, fmt.Errorf("a key that is written as %x", again)
				}
			}
			return accepted, nil
		}
	}
}

// traces are recorded histories, as weft replay reads them.
func traces(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	var b bytes.Buffer
	must(trace.Generate(r.Uint64(), 20).Write(&b))
	seeds = [][]byte{b.Bytes(), []byte(`{"kind":"concurrent","numAgents":2,"endContent":"yx","txns":[` +
		`{"parents":[],"agent":0,"patches":[[0,0,"x"]]},{"parents":[],"agent":1,"patches":[[0,0,"y"]]},{"parents":[0,1],"agent":0,"patches":[]}]}`)}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			t, err := trace.Read(bytes.NewReader(input), trace.Limits{Bytes: 1 << 20, Work: 1 << 20})
			if err != nil {
				if e := (*trace.Error)(nil); !errors.As(err, &e) {
					return 0, err
				}
				return refused, nil
			}
			return accepted, t.Validate()
		}
	}
}
