package sequence_test

import (
	"testing"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/trace"
)

// TestConformance replays the recorded histories, with Check and the twin after each transaction.
func TestConformance(t *testing.T) {
	for name, histories := range map[string]int{"list-order": 500, "list-order-unicode": 200} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for tr, err := range trace.Lines(shared(t, "conformance/"+name+".ndjson.gz"), trace.Limits{}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				reader := replay(t, tr, func(r *replica) { r.compare() })
				reader.compare()
				if got := textOf(t, reader.s); got != tr.End {
					t.Fatalf("%s: got %q, want %q", tr.Name, got, tr.End)
				}
			}
			if n != histories {
				t.Errorf("%d histories, want %d", n, histories)
			}
		})
	}
}

func TestGeneratedHistories(t *testing.T) {
	for seed := range uint64(60) {
		tr := plain.GenerateConcurrent(seed, 2+int(seed%8), 120)
		reader := replay(t, tr, func(r *replica) { r.compare() })
		reader.compare()
	}
}
