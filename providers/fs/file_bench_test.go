package fs_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/providers/fs"
)

// BenchmarkFile makes one-letter transactions durable, each awaited, by one writer and by 64 at once.
func BenchmarkFile(b *testing.B) {
	for _, x := range []struct {
		name    string
		writers int
	}{{"writers=1", 1}, {"writers=64", 64}} {
		b.Run(x.name, func(b *testing.B) {
			r := numbered(b, 1)
			f, err := fs.OpenFile(r.rt, filepath.Join(b.TempDir(), "notes.weft"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range x.writers {
				wg.Go(func() {
					for range (b.N + x.writers - 1 - w) / x.writers {
						r.write(b, "x")
						if err := f.Flush(b.Context()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "durable/s")
		})
	}
}
