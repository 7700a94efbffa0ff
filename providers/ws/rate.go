//go:build !js

package ws

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed1312cc15/weft/providers"
)

func bucket(perSecond int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), burst*perSecond)
}

func bucketPerMinute(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(float64(n)/60), n) }

// pace holds what one connection may send. Its reader alone uses it, apart from opens.
type pace struct {
	bytes   *rate.Limiter
	frames  *rate.Limiter
	updates *rate.Limiter
	opens   *rate.Limiter
	pings   *rate.Limiter

	pause   time.Duration // to be kept before the next frame is read
	strikes int
	struck  time.Time // the first of the strikes
}

func newPace(l *Limits) pace {
	return pace{
		bytes: bucket(l.BytesPerSecond), frames: bucket(l.FramesPerSecond), updates: bucket(l.UpdatesPerSecond),
		opens: bucketPerMinute(l.OpensPerMinute), pings: bucket(l.PingsPerSecond),
	}
}

// spend takes n tokens and returns how long to wait for them. More than the bucket holds is taken in parts.
func spend(b *rate.Limiter, now time.Time, n int) (wait time.Duration) {
	for n > 0 {
		part := min(n, b.Burst())
		wait = b.ReserveN(now, part).DelayFrom(now)
		n -= part
	}
	return wait
}

// take takes a token of each bucket for one update, or none: then it returns the refusal.
func (p *pace) take(now time.Time, longest time.Duration, buckets ...*rate.Limiter) error {
	var wait time.Duration
	var taken [2]*rate.Reservation
	for i, b := range buckets {
		taken[i] = b.ReserveN(now, 1)
		if d := taken[i].DelayFrom(now); d > longest {
			for _, r := range taken[:i+1] {
				r.CancelAt(now)
			}
			return &providers.RefusedError{Code: providers.CodeRate, Reason: "updates come too fast"}
		} else {
			wait = max(wait, d)
		}
	}
	p.pause = max(p.pause, wait)
	return nil
}

// strike counts a refusal, and reports whether it is the third in a minute.
func (p *pace) strike(now time.Time) bool {
	if now.Sub(p.struck) > time.Minute {
		p.struck, p.strikes = now, 0
	}
	p.strikes++
	return p.strikes >= 3
}

// pauseFor waits, or until ctx ends.
func pauseFor(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
