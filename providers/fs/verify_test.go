//go:build !js && !wasip1 && !plan9

package fs_test

import (
	"context"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/vclock"
)

// TestVerifyBuildsNoStates: the scrub goes over all documents for ever, beside a server that has other use for the memory.
func TestVerifyBuildsNoStates(t *testing.T) {
	const size = 8 << 20
	s, err := fs.Open(t.TempDir(), &fs.StoreOptions{ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte("record")}}); err != nil {
		t.Fatal(err)
	}
	x := &providers.Snapshot{Clock: vclock.Clock{{1}: 1}, Through: 1, State: make([]byte, size)}
	if err := s.Snapshot(ctx, "doc", x); err != nil {
		t.Fatal(err)
	}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	report, err := s.Verify(ctx)
	goruntime.ReadMemStats(&after)
	if err != nil || report.Snapshots != 1 || report.Bytes < size || len(report.Damaged) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > size/8 {
		t.Errorf("%d bytes were allocated to verify %d", n, size)
	}
}
