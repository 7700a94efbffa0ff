package simulation

import (
	"context"
	"time"

	"github.com/seed1312cc15/weft/internal/parallel"
)

// Total adds up runs.
type Total struct {
	Seeds                        int
	Steps                        int
	Edits                        int
	Frames                       int
	Dropped, Overtaken, Unsynced int
	Faults                       Faults
	Least                        struct{ Clients, Faults int } // of any run
	Virtual                      time.Duration                 // in all
	Failed                       []*Failure
}

func (t *Total) add(r *Report, err error) {
	t.Seeds++
	t.Steps += r.Steps
	t.Edits += r.Edits
	t.Frames += r.Frames
	t.Dropped += r.Dropped
	t.Overtaken += r.Overtaken
	t.Unsynced += r.Unsynced
	t.Virtual += r.Virtual
	for i, n := range r.Faults {
		t.Faults[i] += n
	}
	if t.Seeds == 1 || r.Clients < t.Least.Clients {
		t.Least.Clients = r.Clients
	}
	if n := r.Faults.Sum(); t.Seeds == 1 || n < t.Least.Faults {
		t.Least.Faults = n
	}
	if f, ok := err.(*Failure); ok {
		t.Failed = append(t.Failed, f)
	}
}

// Soak makes runs with the seeds from o.Seed on, jobs at a time, until ctx ends; a positive count bounds them. Whatever ends
// it, runs that have begun are finished. each is called after every run, one call at a time. The error is that of a run whose
// options make no sense.
func Soak(ctx context.Context, o Options, jobs, count int, each func(*Total)) (*Total, error) {
	var total Total
	var wrong error
	begun := 0
	next := func() (run Options, more bool) {
		run, more = o, ctx.Err() == nil && wrong == nil && (count <= 0 || begun < count)
		begun++
		o.Seed++
		return run, more
	}
	parallel.Run(jobs, next, Run, func(r *Report, err error) {
		if r == nil {
			wrong = err
			return
		}
		total.add(r, err)
		if each != nil {
			each(&total)
		}
	})
	return &total, wrong
}
