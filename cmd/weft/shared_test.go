package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared returns a file of the shared data beside the repository, and skips the test where there is none.
func shared(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI the shared data must be there: %v", err)
		}
		t.Skipf("no shared data beside the repository: %v", err)
	}
	return path
}

func TestSharedHistories(t *testing.T) {
	b := newBox(t)
	order, unicode := shared(t, "conformance/list-order.ndjson.gz"), shared(t, "conformance/list-order-unicode.ndjson.gz")
	if out, _ := b.run(0, "conformance", order, unicode); out != "700 passed, 0 failed\n" {
		t.Error(out)
	}
}

// 646 agents write git-makefile: as many replicas live at once.
func TestSharedTraces(t *testing.T) {
	names := []string{"automerge-paper", "friendsforever", "git-makefile", "sveltecomponent"}
	if testing.Short() {
		names = names[1:]
	}
	args := []string{"replay", "--json"}
	for _, n := range names {
		args = append(args, shared(t, "traces/"+n+".json.gz"))
	}
	b := newBox(t)
	out, _ := b.run(0, args...)
	edits := map[string]int{"automerge-paper": 259778, "friendsforever": 26078, "git-makefile": 15957, "sveltecomponent": 19749}
	for i, r := range b.replayed(out) {
		if r.Trace != names[i] || !r.OK || r.Edits != edits[r.Trace] {
			t.Errorf("%+v", r)
		}
	}
}

func TestDemo(t *testing.T) {
	b := newBox(t)
	b.trace("t.json", greeting())
	out, _ := b.run(0, "demo", "t.json")
	story, table, ok := strings.Cut(out, "== A real editing history")
	if !ok {
		t.Fatal(out)
	}
	b.contains(table, " ok ", "t ")
	b.contains(table, "saved for sure", "nothing acknowledged is lost", "All hold the same bytes.")
	b.contains(story, "Ann, Ben, Cleo: digest", "Ann, Ben, Cleo, Dan: digest", "All four hold the same bytes.")
	b.golden("demo", story)
}
