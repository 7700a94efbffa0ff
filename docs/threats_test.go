package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// threatPackages are where the tests are that the tables of threat-model.md name.
var threatPackages = map[string]string{"vclock": "vclock", "runtime": "runtime", "crdt": "crdt", "providers": "providers", "ws": "providers/ws",
	"fs": "providers/fs", "mem": "providers/mem", "ephemeral": "providers/ephemeral", "fuzz": "fuzz", "weft": "cmd/weft"}

// testsOf returns the tests and fuzz targets of a package, on any system, and the text of its test files.
func testsOf(t *testing.T, dir string) (names []string, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(top, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && testName.MatchString(fn.Name.Name) {
				names = append(names, fn.Name.Name)
			}
		}
		text += read(t, p)
	}
	return names, text
}

var (
	testName   = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
	byNumber   = regexp.MustCompile(`^Test(S|Scenario)(\d\d)[A-Z]`)
	threatRow  = regexp.MustCompile(`(?m)^\| (S\d+|R\d+|\d+) \|(.*)\|(.*)\|(.*)\|$`)
	threatTest = regexp.MustCompile("([a-z]+): |`((?:Test|Fuzz)\\w+)(?:/([^`]+))?`|`([^`]+)`")
)

// numbered are the rows that must be there: the threats, the scenarios, and those of the conformance data that need a server.
func numbered() (out []string) {
	for i := range 29 {
		out = append(out, fmt.Sprint("S", i+1))
	}
	for i := range 25 {
		out = append(out, fmt.Sprint(i+1))
	}
	return append(out, "R10", "R12", "R31", "R32")
}

// checkThreats returns what is wrong with the tables of a text.
func checkThreats(t *testing.T, text string) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	names, texts := make(map[string][]string), make(map[string]string)
	for pkg, dir := range threatPackages {
		names[pkg], texts[pkg] = testsOf(t, dir)
	}
	var rows []string
	named := make(map[string]string) // row -> its tests
	for _, m := range threatRow.FindAllStringSubmatch(text, -1) {
		number, tests, open := m[1], m[3], strings.TrimSpace(m[4])
		rows = append(rows, number)
		pkg, n := "", 0
		for _, x := range threatTest.FindAllStringSubmatch(tests, -1) {
			switch {
			case x[1] != "":
				pkg = x[1]
				if threatPackages[pkg] == "" {
					bad("row %s: there is no package %s", number, pkg)
				}
			case x[4] != "":
				bad("row %s: %s is no test", number, x[4])
			case !slices.Contains(names[pkg], x[2]):
				bad("row %s: package %q has no %s", number, pkg, x[2])
			case x[3] != "" && !strings.Contains(texts[pkg], `"`+x[3]+`"`):
				bad("row %s: %s has no subtest %s", number, x[2], x[3])
			default:
				n++
				named[number] += " " + x[2] + " "
			}
		}
		if n == 0 && !strings.HasPrefix(open, "not built") {
			bad("row %s has no test and does not say that it is not built", number)
		}
	}
	if !slices.Equal(rows, numbered()) {
		bad("the rows are %v", rows)
	}
	for pkg, all := range names {
		for _, name := range all {
			if m := byNumber.FindStringSubmatch(name); m != nil {
				row := strings.TrimLeft(m[2], "0")
				if m[1] == "S" {
					row = "S" + row
				}
				if !strings.Contains(named[row], " "+name+" ") {
					bad("row %s does not name %s of package %s", row, name, pkg)
				}
			}
		}
	}
	return wrong
}

// TestThreatsHaveTests reads the tables of threat-model.md: every threat and scenario is there, every test that they name is, and
// every test with a number stands beside it.
func TestThreatsHaveTests(t *testing.T) {
	text := read(t, filepath.Join(top, "docs", "threat-model.md"))
	for _, w := range checkThreats(t, text) {
		t.Error("docs/threat-model.md: ", w)
	}
	for change, to := range map[string]string{
		"`TestS03NoCompression`": "`TestS03Nothing`", "| S7 |": "| S77 |", "`TestLimits/DocumentBytes`": "`TestLimits/Document`", "| 9 |": "| nine |",
		"not built: ": "built: ", "weft: `TestServeTLS`": "nowhere: `TestServeTLS`",
	} {
		if broken := strings.Replace(text, change, to, 1); broken == text || len(checkThreats(t, broken)) == 0 {
			t.Errorf("%s for %s is not noticed", to, change)
		}
	}
}
