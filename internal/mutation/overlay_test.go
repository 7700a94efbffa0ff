package mutation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// variable is the environment variable that names the mutant which is on. Processes that a test starts inherit it.
const variable = "WEFT_MUTANT"

// identifier is a mutant's name as a part of Go names.
func (m *mutant) identifier() string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, m.name)
}

// edit replaces the bytes [from, to) of a source.
type edit struct {
	from, to int
	text     string
}

// apply makes edits that do not overlap.
func apply(src string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(src[at:e.from])
		b.WriteString(e.text)
		at = e.to
	}
	b.WriteString(src[at:])
	return b.String()
}

// mutate returns a source with all mutants of its file in it, each behind a switch. A function that has one gets a twin,
// its copy with the fault, and begins with a jump to the twin for when the mutant is on. It returns the package's name too.
func mutate(file string, src []byte, mutants []*mutant) (text, pkg string, err error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return "", "", err
	}
	var edits []edit
	var twins strings.Builder
	for _, m := range mutants {
		if n := bytes.Count(src, []byte(m.find)); n != 1 {
			return "", "", fmt.Errorf("mutant %s: its snippet stands in %s %d times, not once; find the code that does the same now", m.name, file, n)
		}
		at := bytes.Index(src, []byte(m.find))
		fn := functionAt(fset, f, at, at+len(m.find))
		if fn == nil {
			return "", "", fmt.Errorf("mutant %s: its snippet in %s is not inside of a function", m.name, file)
		}
		jump, err := jumpTo(fset, src, fn, m)
		if err != nil {
			return "", "", err
		}
		body := fset.Position(fn.Body.Lbrace).Offset + 1
		edits = append(edits, edit{body, body, jump})
		start, end := fset.Position(fn.Pos()).Offset, fset.Position(fn.End()).Offset
		name := fset.Position(fn.Name.End()).Offset
		twins.WriteString("\n\n" + apply(string(src[start:end]), []edit{
			{name - start, name - start, twin(m)},
			{at - start, at - start + len(m.find), m.put},
		}))
	}
	return apply(string(src), edits) + twins.String() + "\n", f.Name.Name, nil
}

func twin(m *mutant) string { return "Mutant_" + m.identifier() }

// functionAt returns the function whose body holds the bytes [from, to).
func functionAt(fset *token.FileSet, f *ast.File, from, to int) *ast.FuncDecl {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Body != nil && fset.Position(fn.Body.Lbrace).Offset < from && to < fset.Position(fn.Body.End()).Offset {
			return fn
		}
	}
	return nil
}

// jumpTo is the statement in front of a function that goes on with its twin if the mutant is on.
func jumpTo(fset *token.FileSet, src []byte, fn *ast.FuncDecl, m *mutant) (string, error) {
	name := func(list *ast.FieldList) (names []string, err error) {
		for _, field := range list.List {
			if len(field.Names) == 0 {
				return nil, fmt.Errorf("mutant %s: %s has a parameter without a name", m.name, fn.Name.Name)
			}
			for _, n := range field.Names {
				if n.Name == "_" {
					return nil, fmt.Errorf("mutant %s: %s has a parameter without a name", m.name, fn.Name.Name)
				}
				dots := ""
				if _, ok := field.Type.(*ast.Ellipsis); ok {
					dots = "..."
				}
				names = append(names, n.Name+dots)
			}
		}
		return names, nil
	}
	call := fn.Name.Name + twin(m)
	if fn.Recv != nil {
		receiver, err := name(fn.Recv)
		if err != nil {
			return "", err
		}
		call = receiver[0] + "." + call
	}
	if fn.Type.TypeParams != nil {
		types, err := name(fn.Type.TypeParams)
		if err != nil {
			return "", err
		}
		call += "[" + strings.Join(types, ", ") + "]"
	}
	args, err := name(fn.Type.Params)
	if err != nil {
		return "", err
	}
	call += "(" + strings.Join(args, ", ") + ")"
	if fn.Type.Results == nil {
		return fmt.Sprintf("\nif mutantOn == %q { %s; return }\n", m.name, call), nil
	}
	return fmt.Sprintf("\nif mutantOn == %q { return %s }\n", m.name, call), nil
}

// overlay writes sources with all mutants in them into dir, and the file that tells `go build -overlay` to take these in the
// place of those below top.
func overlay(top, dir string, mutants []*mutant) (string, error) {
	replace := make(map[string]string)
	put := func(file, text string) error {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "+"))
		from, err := filepath.Abs(filepath.Join(top, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		replace[from] = to
		return os.WriteFile(to, []byte(text), 0o666)
	}
	byFile := make(map[string][]*mutant)
	for _, m := range mutants {
		byFile[m.file] = append(byFile[m.file], m)
	}
	for file, list := range byFile {
		src, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(file)))
		if err != nil {
			return "", err
		}
		text, pkg, err := mutate(file, bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")), list)
		if err != nil {
			return "", err
		}
		on := fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar mutantOn = os.Getenv(%q)\n", pkg, variable)
		if err := put(file, text); err != nil {
			return "", err
		}
		if err := put(path.Join(path.Dir(file), "mutants_on.go"), on); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "overlay.json")
	return to, os.WriteFile(to, b, 0o666)
}
