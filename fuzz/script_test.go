package fuzz_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/internal/converge/bag"
)

// A failure leaves a script, the next Check fails with it before anything else, and passes once the fault is mended.
func TestScriptsStay(t *testing.T) {
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.shrinktime", "0s")
	dir := filepath.Join(t.TempDir(), "scripts")
	opts := &fuzz.Options{Scripts: dir, Shrink: 300 * time.Millisecond, Ops: 300}
	q := failing(t, func(q *quiet) { fuzz.Check(q, bags(bag.Options{Break: "order"}), opts) })
	paths, _ := filepath.Glob(filepath.Join(dir, "bag-*.txt"))
	if !q.failed || len(paths) != 1 {
		t.Fatalf("scripts %v\n%s", paths, q.log.String())
	}
	set(t, "rapid.checks", "1")
	q = failing(t, func(q *quiet) { fuzz.Check(q, bags(bag.Options{Break: "order"}), opts) })
	if !strings.HasPrefix(q.log.String(), paths[0]) {
		t.Errorf("the script is not replayed first:\n%s", q.log.String())
	}
	fuzz.Check(t, bags(bag.Options{}), opts)

	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := fuzz.Replay(strings.NewReader(string(text)), &out, bags(bag.Options{Break: "order"})); err == nil || !strings.Contains(out.String(), "it fails") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := fuzz.Replay(strings.NewReader(string(text)), &out, bags(bag.Options{})); err != nil {
		t.Error(err)
	}
}

// Whatever stands in a script: it is refused, or replayed without a fault of the kit. What is refused gives ErrScript.
func FuzzScript(f *testing.F) {
	paths, _ := filepath.Glob(filepath.Join("testdata", "golden", "*.script.txt"))
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("schema text\njoin name=A\nedit writer=A\n  insert at=9 text=\"\\xff\"\n")
	f.Add("schema set\njoin\nreopen who=A\nlaws a=A b=A c=A\n")
	schemas := fuzz.Schemas()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "\n") > 60 {
			return
		}
		var out strings.Builder
		if err := fuzz.Replay(strings.NewReader(text), &out, schemas...); err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatalf("%v\n%s", err, out.String())
		}
	})
}
