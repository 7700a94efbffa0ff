package sequence_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/internal/sequence"
)

// TestDeadContentGoes: a text that is written and deleted again and again keeps no more than twice what it shows, or 16 KiB
// beside it, however its content is moved, and shows what a slice does: also what a rollback brings back.
func TestDeadContentGoes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	s := sequence.New(plainOrder{}, true)
	var model []rune
	pieces := [][]rune{[]rune("ab"), []rune("é"), []rune("漢字"), []rune("🚀x")}
	seq, written, moved, was := uint64(0), 0, 0, 0
	edit := func() {
		at := r.IntN(len(model) + 1)
		if r.IntN(3) == 0 {
			at = len(model) // where typing goes on
		}
		if n := min(r.IntN(500), len(model)-at); n > 0 && len(model) > 1000 {
			if _, err := s.DeleteRange(at, n, nil); err != nil {
				t.Fatal(err)
			}
			model = slices.Delete(model, at, at+n)
			return
		}
		var text []rune
		for range 1 + r.IntN(60) {
			text = append(text, pieces[r.IntN(len(pieces))]...)
		}
		if _, _, err := s.Insert(at, sequence.ID{Seq: seq}, len(text), string(text)); err != nil {
			t.Fatal(err)
		}
		model = slices.Insert(model, at, text...)
		seq, written = seq+uint64(len(text)), written+len(string(text))
	}
	for i := range 700 {
		before := slices.Clone(model)
		mark := s.Mark()
		for range 1 + r.IntN(3) {
			edit()
		}
		if i%5 == 0 {
			s.Rollback(mark)
			model = before
		}
		s.Commit()
		kept, live := sequence.ContentBytes(s), len(string(model))
		if kept > max(2*live, live+16<<10) {
			t.Fatalf("step %d: %d bytes kept for %d", i, kept, live)
		}
		if kept < was {
			moved++
		}
		if was = kept; i%50 == 0 {
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if got := textOf(t, s); got != string(model) {
			t.Fatalf("step %d: %.60q, want %.60q", i, got, string(model))
		}
	}
	if moved < 3 {
		t.Errorf("of %d bytes the dead ones went %d times", written, moved)
	}
}
