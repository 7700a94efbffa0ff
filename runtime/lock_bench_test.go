package runtime

import (
	"sync"
	"testing"
)

// BenchmarkLock compares what an edit pays for with the standard lock.
func BenchmarkLock(b *testing.B) {
	b.Run("docLock", func(b *testing.B) {
		var l docLock
		for b.Loop() {
			l.TryLock()
			l.Unlock()
		}
	})
	b.Run("RWMutex", func(b *testing.B) {
		var l sync.RWMutex
		for b.Loop() {
			l.TryLock()
			l.Unlock()
		}
	})
}
