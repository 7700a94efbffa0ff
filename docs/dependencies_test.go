package docs_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Every module that go.mod requires stands on the page with its licence, and no other.
func TestDependenciesAreListed(t *testing.T) {
	names := func(file, pattern string) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, filepath.Join(top, file)), -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	required := names("go.mod", `(?m)^(?:require )?\s*([a-z][^\s]*\.[^\s]+) v[0-9]`)
	listed := names("docs/dependencies.md", "(?m)^\\| `([^`]+)` \\| [A-Z][^|]+ \\| [^|]+ \\| [^|]+ \\|$")
	if len(required) < 5 || !slices.Equal(required, listed) {
		t.Errorf("go.mod requires %q, the page lists %q", required, listed)
	}
}
