package main

import (
	"slices"
	"time"
)

// stopwatch reads a clock that only its differences give a meaning to.
type stopwatch func() time.Duration

var processStart = time.Now()

// wallTime is real time.
func wallTime() time.Duration { return time.Since(processStart) }

// median returns the middle of ds, the lower one of two.
func median(ds []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(ds))
	return s[(len(s)-1)/2]
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
