// Package layering holds the rules about the source that no compiler checks: which package may import which, where
// goroutines and clocks may be, how long a file may get. It has tests only.
package layering

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed1312cc15/weft"

// layers lists what each layer may import of this module, test files excepted; a trailing /... takes all below. The
// first pattern that a package matches counts.
var layers = []struct {
	pkg string
	may []string
}{
	// Test kits drive whole documents. Only tests may import them, see TestKitsAreForTests.
	{"internal/converge/...", []string{"vclock", "runtime"}},
	{"internal/...", []string{"vclock", "internal/..."}},
	{"vclock", nil},
	{"runtime", []string{"vclock", "internal/..."}},
	{"crdt", []string{"vclock", "runtime", "internal/..."}},
	{".", []string{"vclock", "runtime", "crdt", "internal/..."}},
	{"providers/...", []string{".", "vclock", "runtime", "crdt", "providers/...", "internal/..."}},
	{"fuzz/...", []string{"..."}},
	{"cmd/...", []string{"..."}},
	{"examples/...", []string{".", "vclock", "runtime", "crdt", "providers/..."}},
}

var kits = []string{"internal/converge/...", "providers/providertest", "fuzz/..."}

// dependencies are the modules that the libraries may need outside of tests. What is heavy goes into a nested module.
var dependencies = []string{"github.com/google/uuid", "github.com/fxamacker/cbor/v2", "github.com/klauspost/compress",
	"github.com/coder/websocket", "golang.org/x/time", "go.etcd.io/bbolt", "github.com/gofrs/flock", "golang.org/x/sys"}

// tools are those that the programs may need besides.
var tools = []string{"github.com/HdrHistogram/hdrhistogram-go"}

// pure are the packages that start no goroutine.
var pure = []string{"vclock", "runtime", "crdt", "internal/sequence", "internal/bitcol"}

// effects are what vclock, crdt and the sequence core do not touch: clocks, randomness and I/O are injected into
// runtime.
var effects = []string{"time", "os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "unsafe"}

const mostLines = 600

type source struct {
	path string // slashed, from the top of the module
	pkg  string // its directory
	test bool
	text []byte
	ast  *ast.File
	fset *token.FileSet
}

func (s *source) imports() []string {
	var out []string
	for _, i := range s.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

// own returns the directory of an import of this module.
func own(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// top is the directory of the module's go.mod.
func top(t *testing.T) string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files calls fn for each file of this module, nested modules left out.
func files(t *testing.T, fn func(rel string, text func() []byte)) {
	t.Helper()
	dir := top(t)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(p, "go.mod")); d.Name() == ".git" || err == nil && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		fn(filepath.ToSlash(rel), func() []byte {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func goFiles(t *testing.T) []*source {
	t.Helper()
	var out []*source
	files(t, func(rel string, text func() []byte) {
		if !strings.HasSuffix(rel, ".go") || strings.Contains(rel, "testdata/") {
			return
		}
		s := &source{path: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), text: text(), fset: token.NewFileSet()}
		var err error
		if s.ast, err = parser.ParseFile(s.fset, rel, s.text, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	})
	if len(out) < 50 {
		t.Fatalf("only %d Go files found", len(out))
	}
	return out
}

func TestImportsFollowTheLayers(t *testing.T) {
	for _, s := range goFiles(t) {
		if s.test {
			continue
		}
		i := slices.IndexFunc(layers, func(l struct {
			pkg string
			may []string
		}) bool {
			return matches(l.pkg, s.pkg)
		})
		if i < 0 {
			t.Errorf("%s: package %s is in no layer; add it here and to docs/architecture.md", s.path, s.pkg)
			continue
		}
		for _, imported := range s.imports() {
			if dir, ok := own(imported); ok && dir != s.pkg && !matchesAny(layers[i].may, dir) {
				t.Errorf("%s: %s may not import %s", s.path, s.pkg, dir)
			}
		}
	}
}

func TestKitsAreForTests(t *testing.T) {
	for _, s := range goFiles(t) {
		if s.test || matchesAny(kits, s.pkg) || s.path == "cmd/weft/fuzz.go" || s.path == "cmd/weft/simulate.go" {
			continue
		}
		for _, imported := range s.imports() {
			if dir, ok := own(imported); ok && matchesAny(kits, dir) {
				t.Errorf("%s imports the test kit %s", s.path, dir)
			}
		}
	}
}

func TestDependenciesAreFew(t *testing.T) {
	for _, s := range goFiles(t) {
		for _, imported := range s.imports() {
			first, _, _ := strings.Cut(imported, "/")
			if _, ok := own(imported); s.test || ok || !strings.Contains(first, ".") || matchesAny(kits, s.pkg) {
				continue
			}
			may := dependencies
			if strings.HasPrefix(s.pkg, "cmd/") {
				may = slices.Concat(dependencies, tools)
			}
			known := slices.ContainsFunc(may, func(d string) bool { return imported == d || strings.HasPrefix(imported, d+"/") })
			if !known {
				t.Errorf("%s imports %s, which is not among the dependencies", s.path, imported)
			}
		}
	}
}

func TestCoreHasNoGoroutinesAndNoEffects(t *testing.T) {
	for _, s := range goFiles(t) {
		if s.test || !matchesAny(pure, s.pkg) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%v: a goroutine in %s", s.fset.Position(g.Pos()), s.pkg)
			}
			return true
		})
		if s.pkg == "runtime" {
			continue
		}
		for _, imported := range s.imports() {
			if slices.Contains(effects, imported) {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

// TestTypesUseThePublicContract keeps a user's own type able to do all that the types of package crdt do.
func TestTypesUseThePublicContract(t *testing.T) {
	for _, s := range goFiles(t) {
		if s.pkg == "crdt" && bytes.Contains(s.text, []byte("//go:"+"linkname")) {
			t.Errorf("%s reaches behind the contract with linkname", s.path)
		}
		if s.pkg == "runtime" && !s.test {
			for _, imported := range s.imports() {
				if dir, ok := own(imported); ok && dir == "internal/sequence" {
					t.Errorf("%s: the runtime knows a type's core", s.path)
				}
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range goFiles(t) {
		if n := bytes.Count(s.text, []byte("\n")); !s.test && n >= mostLines {
			t.Errorf("%s has %d lines; split it by content below %d", s.path, n, mostLines)
		}
	}
}

// TestNoMachinePaths finds paths of the machine that something was written on.
func TestNoMachinePaths(t *testing.T) {
	marks := []string{"/wor" + "k/", "/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/", "/tmp/br" + "ief"}
	texts := []string{".go", ".md", ".mod", ".sh", ".yml", ".yaml", ".json", ".cddl", ".txt", ".gitignore"}
	files(t, func(rel string, text func() []byte) {
		name := path.Base(rel)
		if !slices.Contains(texts, path.Ext(name)) && name != "Makefile" && rel != ".ci/run" {
			return
		}
		b := text()
		for _, m := range marks {
			for i, line := range bytes.Split(b, []byte("\n")) {
				if bytes.Contains(line, []byte(m)) {
					t.Errorf("%s:%d mentions %s", rel, i+1, m)
				}
			}
		}
	})
}
