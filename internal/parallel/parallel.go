// Package parallel does work of many parts, several at a time.
package parallel

import "sync"

// Run runs what next gives, jobs at a time, until next says that there is no more, and tells done what came of
// each. next and done run one call at a time.
func Run[O, R any](jobs int, next func() (part O, more bool), run func(O) (R, error), done func(R, error)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	take := func() (O, bool) {
		mu.Lock()
		defer mu.Unlock()
		return next()
	}
	for range max(1, jobs) {
		wg.Go(func() {
			for part, more := take(); more; part, more = take() {
				r, err := run(part)
				mu.Lock()
				done(r, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
