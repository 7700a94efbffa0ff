package decoders

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/internal/parallel"
)

// Options choose a round. Zero fields mean the defaults.
type Options struct {
	Seed       uint64
	Executions int    // default 10,000
	Decoder    string // default: by the seed
}

const executions = 10_000

// decoder is something that reads bytes from outside.
type decoder struct {
	name string
	// begin returns what inputs of a round grow from, and how to open a reader for them.
	begin func(r *rand.Rand) (seeds [][]byte, open func() reader)
}

// reader takes one input after the other. The error is a promise that was broken.
type reader func(input []byte) (outcome, error)

type outcome uint8

// What a reader says of an input, and of itself.
const (
	refused  outcome = iota
	accepted         // an input to grow further ones from
	spent            // as accepted, and this reader takes no more
	over             // as refused, and this reader takes no more
)

// Decoders returns the names of all that is tested.
func Decoders() (names []string) {
	for _, d := range all() {
		names = append(names, d.name)
	}
	return names
}

var all = sync.OnceValue(func() []*decoder { return slices.Concat(updates(), frames(), pieces()) })

// Report is what came of a round.
type Report struct {
	Seed       uint64
	Decoder    string
	Executions int
	Accepted   int
	// Digest is a hash of all inputs and of what came of them: equal for equal seeds.
	Digest uint64
	Took   time.Duration
}

// Failure is a promise that was broken.
type Failure struct {
	Seed    uint64
	Decoder string
	Index   int // of the input in its round
	Input   []byte
	Err     error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("decoders: %s, seed %d, input %d: %v\n%x", f.Decoder, f.Seed, f.Index, f.Err, f.Input)
}

func (f *Failure) Unwrap() error { return f.Err }

// Run makes one round. It returns a *Failure if a promise was broken; the report is there in any case.
func Run(o Options) (*Report, error) {
	d, err := choose(o)
	if err != nil {
		return nil, err
	}
	if o.Executions == 0 {
		o.Executions = executions
	}
	begun := time.Now()
	r := rand.New(rand.NewPCG(o.Seed, 0x6465636f))
	seeds, open := d.begin(r)
	m := &mutator{rng: r, pool: seeds, seeds: len(seeds)}
	report := &Report{Seed: o.Seed, Decoder: d.name}
	read := open()
	for report.Executions < o.Executions {
		input := m.next()
		given := bytes.Clone(input)
		out, err := protected(read, input)
		if err == nil && !bytes.Equal(given, input) {
			err = errors.New("the input was written to")
		}
		if err != nil {
			report.Took = time.Since(begun)
			return report, &Failure{o.Seed, d.name, report.Executions, given, err}
		}
		report.Executions++
		report.Digest = fold(report.Digest, input, out)
		if out == accepted || out == spent {
			report.Accepted++
			m.keep(input)
		}
		if out == spent || out == over {
			read = open()
		}
	}
	report.Took = time.Since(begun)
	return report, nil
}

func choose(o Options) (*decoder, error) {
	if o.Executions < 0 {
		return nil, errors.New("decoders: Executions is not negative")
	}
	if o.Decoder == "" {
		return all()[o.Seed%uint64(len(all()))], nil
	}
	for _, d := range all() {
		if d.name == o.Decoder {
			return d, nil
		}
	}
	return nil, fmt.Errorf("decoders: %q is not among %q", o.Decoder, Decoders())
}

// protected makes a panic an error.
func protected(read reader, input []byte) (out outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return read(input)
}

// fold is FNV-1a.
func fold(h uint64, input []byte, out outcome) uint64 {
	for _, b := range input {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return (h ^ uint64(out) + 256) * 1099511628211
}

// Total adds up rounds.
type Total struct {
	Rounds     int
	Executions int
	Accepted   int
	Of         map[string]int // executions, by decoder
	Took       map[string]time.Duration
	Failed     []*Failure
}

// Soak makes rounds with the seeds from o.Seed on, jobs at a time, until there were so many executions, or ctx ends; zero
// executions: until ctx ends. Rounds that have begun are finished. each is called after every round, one call at a
// time. The error is that of a round whose options make no sense.
func Soak(ctx context.Context, o Options, jobs, executions int, each func(*Total)) (*Total, error) {
	var wrong error
	size, begun := o.Executions, 0
	if size == 0 {
		size = 10_000
	}
	total := &Total{Of: make(map[string]int), Took: make(map[string]time.Duration)}
	next := func() (round Options, more bool) {
		if ctx.Err() != nil || wrong != nil || executions > 0 && begun >= executions {
			return o, false
		}
		round = o
		if round.Executions = size; executions > 0 {
			round.Executions = min(size, executions-begun)
		}
		begun += round.Executions
		o.Seed++
		return round, true
	}
	parallel.Run(jobs, next, Run, func(r *Report, err error) {
		if r == nil {
			wrong = err
			return
		}
		total.add(r, err)
		if each != nil {
			each(total)
		}
	})
	return total, wrong
}

func (t *Total) add(r *Report, err error) {
	t.Rounds++
	t.Executions += r.Executions
	t.Accepted += r.Accepted
	t.Of[r.Decoder] += r.Executions
	t.Took[r.Decoder] += r.Took
	if f, ok := err.(*Failure); ok {
		t.Failed = append(t.Failed, f)
	}
}
