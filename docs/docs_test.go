// Package docs_test keeps the documentation true: its Go code is code that the tests compile and run, its links lead
// somewhere, and what it names exists.
package docs_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const top = ".."

// documents are what is checked, from the top of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			out[filepath.ToSlash(strings.TrimPrefix(p, top+string(filepath.Separator)))] = read(t, p)
		}
	}
	if len(out) < 5 {
		t.Fatalf("only %d documents found", len(out))
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// goFiles returns the Go files of this module that a build or test on this machine compiles.
func goFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			_, nested := os.Stat(filepath.Join(p, "go.mod"))
			if d.Name() == "testdata" || p != top && (nested == nil || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(p, ".go"):
			return nil
		}
		ok, err := build.Default.MatchFile(filepath.Dir(p), d.Name())
		if ok {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A snippet is a block of Go code in a document or a package comment.
type snippet struct {
	where string
	code  string
	info  string // what stands behind "go"
	above string // the line above the block
}

var fence = regexp.MustCompile("(?m)^(```+)([^\n]*)\n((?s:.*?))^```+ *$")

func snippets(where, text string) (out []snippet) {
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		language, info, _ := strings.Cut(strings.TrimSpace(text[m[4]:m[5]]), " ")
		if language != "go" {
			continue
		}
		before := strings.Split(strings.TrimRight(text[:m[0]], "\n"), "\n")
		line := strings.Count(text[:m[0]], "\n") + 1
		out = append(out, snippet{fmt.Sprintf("%s:%d", where, line), text[m[6]:m[7]], info, before[len(before)-1]})
	}
	return out
}

// plain removes the indentation that all lines of code share, and what ends lines.
func plain(code string) string {
	lines := strings.Split(strings.Trim(code, "\n"), "\n")
	indent := -1
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
		if n := len(lines[i]) - len(strings.TrimLeft(lines[i], "\t")); lines[i] != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	for i := range lines {
		lines[i] = lines[i][min(max(indent, 0), len(lines[i])):]
	}
	return strings.Join(lines, "\n")
}

// compiled finds excerpts of Go files.
type compiled [][]string

func newCompiled(t *testing.T) (c compiled) {
	for _, p := range goFiles(t) {
		c = append(c, strings.Split(read(t, p), "\n"))
	}
	return c
}

// has reports whether the lines of code follow one another in some file, indented as a whole or not.
func (c compiled) has(code string) bool {
	want := strings.Split(plain(code), "\n")
	for _, lines := range c {
		for i := 0; i+len(want) <= len(lines); i++ {
			if strings.TrimLeft(lines[i], "\t") == strings.TrimLeft(want[0], "\t") &&
				plain(strings.Join(lines[i:i+len(want)], "\n")) == strings.Join(want, "\n") {
				return true
			}
		}
	}
	return false
}

func TestSnippetsAreCompiled(t *testing.T) {
	code := newCompiled(t)
	for name, text := range documents(t) {
		for _, s := range snippets(name, text) {
			if s.info == "ignore" {
				if len(s.above) < 20 {
					t.Errorf("%s: an ignored snippet needs its reason in the line above", s.where)
				}
				continue
			}
			if !code.has(s.code) {
				t.Errorf("%s: this stands in no Go file that is compiled:\n%s", s.where, s.code)
			}
		}
	}
}

// TestPackageCommentsAreCompiled does the same for the comments of packages. Code there is checked paragraph by paragraph.
func TestPackageCommentsAreCompiled(t *testing.T) {
	code := newCompiled(t)
	for dir := range packages {
		path := filepath.Join(top, dir, "doc.go")
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range new(comment.Parser).Parse(f.Doc.Text()).Content {
			block, ok := b.(*comment.Code)
			if !ok || !isGo(block.Text) {
				continue
			}
			for _, s := range strings.Split(strings.TrimSpace(block.Text), "\n\n") {
				if !code.has(s) {
					t.Errorf("%s: this stands in no Go file that is compiled:\n%s", path, s)
				}
			}
		}
	}
}

// isGo tells code from tables and commands.
func isGo(text string) bool {
	fset := token.NewFileSet()
	_, decls := parser.ParseFile(fset, "", "package p\n"+text, parser.SkipObjectResolution)
	if decls == nil {
		return true
	}
	for _, s := range strings.Split(text, "\n\n") {
		_, decls = parser.ParseFile(fset, "", "package p\n"+s, parser.SkipObjectResolution)
		_, stmts := parser.ParseFile(fset, "", "package p\nfunc _() {\n"+s+"\n}", parser.SkipObjectResolution)
		if decls != nil && stmts != nil {
			return false
		}
	}
	return true
}

// TestDumpsAreGolden keeps the examples of the format to what the golden tests of the types print.
func TestDumpsAreGolden(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(top, "crdt", "testdata", "golden", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, p := range paths {
		all += read(t, p) + "\n"
	}
	n := 0
	for _, m := range fence.FindAllStringSubmatch(documents(t)["docs/format-types.md"], -1) {
		if n++; strings.TrimSpace(m[2]) != "text" || !strings.Contains(all, "\n"+m[3]+"\n") {
			t.Errorf("docs/format-types.md: this stands in no golden file of crdt:\n%s", m[3])
		}
	}
	if n < 10 {
		t.Errorf("only %d examples", n)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	codes   = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
)

func TestLinksResolve(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(codes.ReplaceAllString(text, ""), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path := name
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			if _, err := os.Stat(filepath.Join(top, path)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			} else if fragment != "" && !slices.Contains(anchors(all[path]), fragment) {
				t.Errorf("%s: %s has no section #%s", name, path, fragment)
			}
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

// anchors returns the names of a document's sections, as GitHub makes them.
func anchors(text string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), ""), " ", "-"))
	}
	return out
}

// packages are those whose names documents may use, by directory.
var packages = map[string]string{".": "weft", "vclock": "vclock", "runtime": "runtime", "crdt": "crdt",
	"providers": "providers", "providers/mem": "mem", "providers/ephemeral": "ephemeral", "providers/fs": "fs", "providers/ws": "ws",
	"fuzz": "fuzz"}

// names holds what packages export: "crdt.Text", "crdt.Text.Insert".
type names struct {
	known map[string]bool
	alias map[string]string // "weft.Text": "crdt.Text"
	types map[string][]string
}

func exported(t *testing.T) *names {
	n := &names{make(map[string]bool), make(map[string]string), make(map[string][]string)}
	for dir, pkg := range packages {
		paths, err := filepath.Glob(filepath.Join(top, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				n.add(pkg, d)
			}
		}
	}
	return n
}

func (n *names) add(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := pkg + "." + d.Name.Name
		if d.Recv != nil {
			name = pkg + "." + typeName(d.Recv.List[0].Type) + "." + d.Name.Name
		}
		n.known[name] = true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, id := range s.Names {
					n.known[pkg+"."+id.Name] = true
				}
			case *ast.TypeSpec:
				n.addType(pkg, s)
			}
		}
	}
}

func (n *names) addType(pkg string, s *ast.TypeSpec) {
	name := pkg + "." + s.Name.Name
	n.known[name] = true
	n.types[s.Name.Name] = append(n.types[s.Name.Name], name)
	var fields *ast.FieldList
	switch x := s.Type.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields = x.Methods
	default:
		if target := qualified(x); s.Assign.IsValid() && target != "" {
			n.alias[name] = target
		}
		return
	}
	for _, f := range fields.List {
		for _, id := range f.Names {
			n.known[name+"."+id.Name] = true
		}
		if len(f.Names) == 0 {
			n.known[name+"."+typeName(f.Type)] = true
		}
	}
}

// typeName returns the name of a type without package, pointer and type arguments.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// qualified returns "crdt.Text" for that type, with type arguments or without.
func qualified(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.IndexExpr:
		return qualified(x.X)
	case *ast.IndexListExpr:
		return qualified(x.X)
	case *ast.SelectorExpr:
		if id, ok := x.X.(*ast.Ident); ok {
			return id.Name + "." + x.Sel.Name
		}
	}
	return ""
}

// has reports whether a type, by its qualified name, has a member.
func (n *names) has(typ, member string) bool {
	if to, ok := n.alias[typ]; ok {
		typ = to
	}
	return n.known[typ+"."+member]
}

var (
	ofPackage = regexp.MustCompile(`\b(weft|vclock|runtime|crdt|providers|fuzz)\.([A-Z]\w*)(?:\[[^\]\n]*\])?(?:\.([A-Z]\w*))?`)
	ofType    = regexp.MustCompile("`\\*?([A-Z]\\w*)\\.([A-Z]\\w*)(?:\\([^`]*)?`")
)

func TestNamesExist(t *testing.T) {
	n := exported(t)
	for doc, text := range documents(t) {
		for _, m := range ofPackage.FindAllStringSubmatch(text, -1) {
			name := m[1] + "." + m[2]
			if !n.known[name] {
				t.Errorf("%s: there is no %s", doc, name)
			} else if m[3] != "" && !n.has(name, m[3]) {
				t.Errorf("%s: there is no %s.%s", doc, name, m[3])
			}
		}
		for _, m := range ofType.FindAllStringSubmatch(text, -1) {
			types := n.types[m[1]]
			if len(types) > 0 && !slices.ContainsFunc(types, func(typ string) bool { return n.has(typ, m[2]) }) {
				t.Errorf("%s: there is no %s.%s", doc, m[1], m[2])
			}
		}
	}
}

// TestTheTests damages documents in each way that the tests above are there to find.
func TestTheTests(t *testing.T) {
	code := newCompiled(t)
	if !code.has("\tfor name, text := range documents(t) {\n\t\tfor _, s := range snippets(name, text) {\n") {
		t.Error("an excerpt of this file is not found")
	}
	if code.has("for name, text := range documents(t) {\n\n\tfor _, s := range snippets(name, text) {") {
		t.Error("an excerpt that differs by a line is found")
	}
	got := snippets("x", "a\n```go\none\n```\nwhy\n\n```go ignore\ntwo\n```\n```\nthree\n```\n")
	if len(got) != 2 || got[0].code != "one\n" || got[1].info != "ignore" || got[1].above != "why" || got[1].where != "x:7" {
		t.Errorf("snippets: %q", got)
	}
	n := exported(t)
	for name, want := range map[string]bool{"weft.Text": true, "crdt.Text": true, "weft.Nothing": false} {
		if n.known[name] != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if !n.has("weft.Text", "Insert") || !n.has("weft.Map", "Get") || !n.has("runtime.Update", "Data") || n.has("weft.Text", "Nothing") {
		t.Error("members")
	}
	if a := anchors("# One\n## What is it, really?\n"); !slices.Equal(a, []string{"one", "what-is-it-really"}) {
		t.Errorf("anchors %q", a)
	}
}
