package decoders

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/seed1312cc15/weft/runtime"
)

// typed reports whether an error is one that a caller can act on.
func typed(err error) bool {
	for _, e := range []error{
		runtime.ErrCorrupt, runtime.ErrChecksum, runtime.ErrVersion, runtime.ErrLimit, runtime.ErrWrongDocument, runtime.ErrMissingDeps,
		runtime.ErrEquivocation, runtime.ErrClockJump, runtime.ErrRefused,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// limits are small: what is long is refused, not worked off.
var limits = runtime.Limits{MessageBytes: 1 << 16, StateBytes: 1 << 18, DecodedBytes: 4 << 20, Replicas: 200, Waiting: 64}

func updates() []*decoder {
	return []*decoder{
		{"updates", func(r *rand.Rand) ([][]byte, func() reader) { return receivers(r, false) }},
		{"updates of unknown kinds", func(r *rand.Rand) ([][]byte, func() reader) { return receivers(r, true) }},
		{"inspect", inspectors},
		{"bundle", bundles},
	}
}

// receiver is a replica that takes updates until it has applied one.
type receiver struct {
	rng       *rand.Rand
	rt        *runtime.Runtime
	again     func() *runtime.Runtime // an empty one
	canonical []byte
	taken     int
}

// receivers are replicas that have the first half of a history.
func receivers(r *rand.Rand, unknown bool) ([][]byte, func() reader) {
	h := newHistory(r)
	base, err := h.half.Save()
	must(err)
	fresh := func() *runtime.Runtime {
		o := &runtime.Options{Replica: id(30), Limits: limits, Rand: random{r}}
		if unknown {
			rt, err := runtime.New(o)
			must(err)
			return rt
		}
		rt, _ := h.open(o)
		return rt
	}
	return h.updates(), func() reader {
		x := &receiver{rng: r, rt: fresh(), again: fresh}
		if r.IntN(8) > 0 {
			_, err := x.rt.Receive(base)
			must(err)
		}
		x.canonical = x.rt.Canonical()
		return x.read
	}
}

func (x *receiver) read(input []byte) (outcome, error) {
	x.taken++
	waited := x.rt.Waiting() > 0
	res, err := x.rt.Receive(input)
	if err != nil && !typed(err) {
		return 0, fmt.Errorf("an error that nobody can test for: %w", err)
	}
	if err == nil && res.Applied > 0 || err != nil && res.Applied > 0 {
		return spent, x.applied(input, err == nil, waited)
	}
	// A sender that contradicts itself is refused from there on, and the waiting room fills.
	last := x.taken == 64 || errors.Is(err, runtime.ErrEquivocation) || errors.Is(err, runtime.ErrClockJump) || x.rt.Waiting() > 48
	if last || x.rng.IntN(16) == 0 {
		if err := x.unchanged(); err != nil {
			return 0, err
		}
	}
	switch {
	case last:
		return over, nil
	case err == nil:
		return accepted, nil
	}
	return refused, nil
}

func (x *receiver) unchanged() error {
	if !bytes.Equal(x.rt.Canonical(), x.canonical) {
		return errors.New("nothing was applied, and the document has changed")
	}
	return x.rt.Check()
}

// applied looks at a document that has changed. The same again changes nothing, unless messages waited before: a state may
// bring a message of which a twin waited then, refused at that time, and wanted once the twin has gone.
func (x *receiver) applied(input []byte, whole, waited bool) error {
	if err := x.rt.Check(); err != nil {
		return err
	}
	if x.rng.IntN(4) > 0 {
		return nil
	}
	canonical := x.rt.Canonical()
	for times := 2; ; times++ {
		res, err := x.rt.Receive(input)
		if whole && err != nil {
			return fmt.Errorf("refused at time %d, and not before: %w", times, err)
		}
		if whole && res.Applied > 0 && waited && times < 64 {
			canonical = x.rt.Canonical()
			continue
		}
		if whole && res.Applied > 0 {
			return fmt.Errorf("applied at time %d again: %+v", times, res)
		}
		break
	}
	if !bytes.Equal(x.rt.Canonical(), canonical) {
		return errors.New("the same again changed something")
	}
	x.rt.Export()
	state, err := x.rt.Save()
	if err != nil {
		return fmt.Errorf("Save: %w", err)
	}
	again := x.again()
	if _, err := again.Receive(state); err != nil {
		return fmt.Errorf("what was saved does not load: %w", err)
	}
	if !bytes.Equal(again.Canonical(), canonical) {
		return errors.New("saved and loaded, it is another document")
	}
	return nil
}

// inspectors read envelopes alone.
func inspectors(r *rand.Rand) ([][]byte, func() reader) {
	return newHistory(r).updates(), func() reader {
		return func(input []byte) (outcome, error) {
			kind, err := runtime.KindOf(input)
			if err != nil && !typed(err) {
				return 0, err
			}
			info, err2 := runtime.Inspect(input)
			switch {
			case err2 != nil && !typed(err2):
				return 0, err2
			case err2 == nil && (err != nil || info.Kind != kind || info.Bytes != len(input)):
				return 0, fmt.Errorf("KindOf says %v, %v, Inspect %v, and %d bytes of %d", kind, err, info.Kind, info.Bytes, len(input))
			case err2 == nil:
				return accepted, nil
			}
			return refused, nil
		}
	}
}

// bundles are split and put together again.
func bundles(r *rand.Rand) ([][]byte, func() reader) {
	h := newHistory(r)
	var seeds [][]byte
	for _, n := range []int{1, 3, len(h.messages)} {
		b, err := runtime.Bundle(h.messages[:min(n, len(h.messages))])
		must(err)
		seeds = append(seeds, b)
	}
	return seeds, func() reader {
		return func(input []byte) (outcome, error) {
			ms, err := runtime.SplitBundle(input)
			if err != nil {
				if !typed(err) {
					return 0, err
				}
				return refused, nil
			}
			again, err := runtime.Bundle(ms)
			if err != nil {
				return accepted, nil // what was in it is no message
			}
			split, err := runtime.SplitBundle(again)
			if err != nil || len(split) != len(ms) {
				return 0, fmt.Errorf("%d messages became %d: %w", len(ms), len(split), err)
			}
			for i := range ms {
				if !bytes.Equal(ms[i], split[i]) {
					return 0, errors.New("a bundle changed a message")
				}
			}
			return accepted, nil
		}
	}
}
