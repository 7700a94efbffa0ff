package fs

import (
	"slices"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// dots is the set of the dots that some files hold, whether or not what they depend on is there too: per replica, spans
// that ascend and do not touch. Updates come as messages, which need nothing but dots, and as states, which need nothing.
// So a replica whose whole clock is in the set can be rebuilt from those files.
type dots map[vclock.Replica][]run

type run struct{ start, end uint64 }

func (d dots) add(r vclock.Replica, start, end uint64) {
	if start >= end {
		return
	}
	runs := d[r]
	i, _ := slices.BinarySearchFunc(runs, start, func(x run, s uint64) int {
		if x.end < s {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(runs) && runs[j].start <= end; j++ {
		start, end = min(start, runs[j].start), max(end, runs[j].end)
	}
	d[r] = slices.Replace(runs, i, j, run{start, end})
}

func (d dots) clone() dots {
	out := make(dots, len(d))
	for r, runs := range d {
		out[r] = slices.Clone(runs)
	}
	return out
}

func (d dots) addClock(c vclock.Clock) {
	for r, n := range c {
		d.add(r, 0, n)
	}
}

func (d dots) addAll(other dots) {
	for r, runs := range other {
		for _, x := range runs {
			d.add(r, x.start, x.end)
		}
	}
}

// addUpdate adds what a message, a bundle or a state brings. Errors: those of Inspect, and errDelta.
func (d dots) addUpdate(data []byte) error {
	kind, err := runtime.KindOf(data)
	if err != nil {
		return err
	}
	messages := [][]byte{data}
	switch kind {
	case runtime.BundleUpdate:
		if messages, err = runtime.SplitBundle(data); err != nil {
			return err
		}
	case runtime.StateUpdate:
		info, err := runtime.Inspect(data)
		if err == nil {
			d.addClock(info.Clock)
		}
		return err
	case runtime.DeltaUpdate:
		return errDelta
	}
	for _, m := range messages {
		info, err := runtime.Inspect(m)
		if err != nil {
			return err
		}
		d.add(info.Sender, info.Start, info.End)
	}
	return nil
}

// prefix returns how many dots of a replica are there without a gap.
func (d dots) prefix(r vclock.Replica) uint64 {
	if runs := d[r]; len(runs) > 0 && runs[0].start == 0 {
		return runs[0].end
	}
	return 0
}

// covers reports whether everything up to a clock is there.
func (d dots) covers(c vclock.Clock) bool {
	for r, n := range c {
		if d.prefix(r) < n {
			return false
		}
	}
	return true
}

// coversAll reports whether every dot of other is there.
func (d dots) coversAll(other dots) bool {
	for r, runs := range other {
		if n := len(runs); d.prefix(r) < runs[n-1].end {
			return false
		}
	}
	return true
}
