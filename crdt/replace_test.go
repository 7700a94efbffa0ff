package crdt_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// distance returns the least number of code points to delete and insert that make b of a.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal
			} else {
				row[j+1] = 1 + min(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// replaceText replaces old by s and returns how many code points that deleted and inserted, and in how many steps.
func replaceText(t testing.TB, old, s string) (changed, steps int) {
	t.Helper()
	rt, text := newText(t, 1)
	do(t, rt, insertAt(text, 0, old))
	text.OnChange(func(e crdt.TextEvent) {
		steps = len(e.Delta)
		for _, d := range e.Delta {
			changed += d.Delete + len([]rune(d.Insert))
		}
	})
	do(t, rt, func(tx runtime.Tx) error { return text.Replace(tx, s) })
	wantText(t, rt, text, s)
	if err := rt.Check(); err != nil {
		t.Fatal(err)
	}
	return changed, steps
}

func TestReplaceIsMinimal(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.StringMatching("[abé🚀\n]{0,40}")
		a, b := text.Draw(r, "a"), text.Draw(r, "b")
		if got, _ := replaceText(t, a, b); got != distance([]rune(a), []rune(b)) {
			r.Fatalf("%d code points changed, %d would do", got, distance([]rune(a), []rune(b)))
		}
	})
}

func TestReplaceKeepsHunksTogether(t *testing.T) {
	for _, c := range []struct {
		old, new string
		steps    int
	}{
		{"abcd", "abcd", 0},
		{"abd", "abcd", 2},
		{"🚀", "🚁", 2}, // the common bytes of the two are not a common part
		{"one two three", "one three", 2},
		{"f(a)\nf(b)\n", "f(a)\nf(x)\nf(b)\n", 2},
		{"", "new", 1},
		{"old", "", 1},
	} {
		if _, steps := replaceText(t, c.old, c.new); steps != c.steps {
			t.Errorf("%q to %q: %d steps, want %d", c.old, c.new, steps, c.steps)
		}
	}
}

// TestReplaceOfMuch checks that a dear difference is bounded, and still that of lines.
func TestReplaceOfMuch(t *testing.T) {
	var a, b strings.Builder
	for i := range 2000 {
		line := strings.Repeat(string(rune('a'+i%26)), 20)
		a.WriteString(line + "\n")
		if i%10 == 0 {
			line = strings.ToUpper(line) + strings.Repeat("~", i%7)
		}
		b.WriteString(line + "\n")
	}
	changed, _ := replaceText(t, a.String(), b.String())
	if most := 3 * 200 * 21 * 2; changed > most {
		t.Errorf("%d code points changed, expected at most %d", changed, most)
	}
	replaceText(t, strings.Repeat("ab", 20_000), strings.Repeat("cd", 20_000))
}
