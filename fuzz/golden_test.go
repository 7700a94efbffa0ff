package fuzz_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

var update = flag.Bool("update", false, "write testdata/golden anew: never once format version 1 is frozen")

// golden is a document of each form, as testdata/golden keeps it: the outcome of a script in testdata/golden too.
type golden struct {
	value string // JSON
	forms map[string][][]byte
}

var goldenForms = []string{"message", "bundle", "stream", "state", "canonical", "base", "delta"}

func goldenPath(name, ext string) string { return filepath.Join("testdata", "golden", name+ext) }

func (g *golden) String() string {
	var b strings.Builder
	b.WriteString("# A document of format version 1 in all forms. A reader of any later version has to read it; see golden_test.go.\n")
	fmt.Fprintf(&b, "value %s\n", g.value)
	for _, form := range goldenForms {
		for _, data := range g.forms[form] {
			fmt.Fprintf(&b, "%s\n", form)
			for len(data) > 0 {
				n := min(len(data), 60)
				fmt.Fprintf(&b, "  %x\n", data[:n])
				data = data[n:]
			}
		}
	}
	return b.String()
}

func parseGolden(t *testing.T, text string) *golden {
	t.Helper()
	g := &golden{forms: make(map[string][][]byte)}
	form := ""
	for _, l := range strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n") {
		switch v, ok := strings.CutPrefix(l, "value "); {
		case l[0] == '#':
		case ok:
			g.value = v
		case l[0] == ' ':
			b, err := hex.DecodeString(strings.TrimSpace(l))
			if err != nil {
				t.Fatal(err)
			}
			last := &g.forms[form][len(g.forms[form])-1]
			*last = append(*last, b...)
		default:
			form = l
			g.forms[form] = append(g.forms[form], nil)
		}
	}
	return g
}

// written returns what this version writes for the golden script of a schema.
func written(t *testing.T, s fuzz.Schema) *golden {
	t.Helper()
	script, err := os.ReadFile(goldenPath(s.String(), ".script.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rt, messages := fuzz.Outcome(t, s, script)
	g := &golden{value: asJSON(t, rt), forms: map[string][][]byte{"message": messages}}
	one := func(form string, data []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		g.forms[form] = [][]byte{data}
	}
	bundle, err := runtime.Bundle(messages)
	one("bundle", bundle, err)
	var p runtime.Packer
	var stream []byte
	for _, m := range messages {
		if stream, err = p.Append(stream, m); err != nil {
			t.Fatal(err)
		}
	}
	one("stream", stream, nil)
	state, err := rt.Save()
	one("state", state, err)
	bare, err := rt.Save(runtime.CanonicalOnly())
	one("canonical", bare, err)
	base := empty(t)
	for _, m := range messages[:len(messages)/2] {
		take(t, base, m)
	}
	half, err := base.Save()
	one("base", half, err)
	delta, err := rt.SaveSince(base.Clock())
	one("delta", delta, err)
	return g
}

func asJSON(t *testing.T, rt *runtime.Runtime) string {
	t.Helper()
	b, err := json.Marshal(rt.Export())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func empty(t *testing.T) *runtime.Runtime {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func take(t *testing.T, rt *runtime.Runtime, data []byte) {
	t.Helper()
	if _, err := rt.Receive(data); err != nil {
		t.Fatal(err)
	}
}

// Documents of format version 1 are read for ever: messages, bundle, packed stream, state and delta give the value that
// they held when they were written, and the canonical bytes if those of the version are what they were.
func TestGoldenDocumentsAreRead(t *testing.T) {
	for _, s := range fuzz.Schemas() {
		t.Run(s.String(), func(t *testing.T) {
			text, err := os.ReadFile(goldenPath(s.String(), ".txt"))
			if err != nil {
				t.Fatal(err)
			}
			g := parseGolden(t, string(text))
			ways := map[string][][]byte{"message": g.forms["message"], "bundle": g.forms["bundle"], "state": g.forms["state"],
				"canonical": g.forms["canonical"], "delta": {g.forms["base"][0], g.forms["delta"][0]}}
			rest := g.forms["stream"][0]
			for u := (runtime.Unpacker{}); len(rest) > 0; {
				var m []byte
				if m, rest, err = u.Next(rest); err != nil {
					t.Fatal(err)
				}
				ways["stream"] = append(ways["stream"], bytes.Clone(m))
			}
			first := empty(t)
			take(t, first, g.forms["canonical"][0])
			for way, updates := range ways {
				rt := empty(t)
				for _, u := range updates {
					take(t, rt, u)
				}
				if err := rt.Check(); err != nil {
					t.Errorf("%s: %v", way, err)
				}
				if got := asJSON(t, rt); got != g.value {
					t.Errorf("%s: the value is\n%s, not\n%s", way, got, g.value)
				}
				if rt.Digest() != first.Digest() {
					t.Errorf("%s: another document than the state", way)
				}
			}
		})
	}
}

// What this version writes for a script is what it wrote when the golden files were made.
func TestGoldenBytesStay(t *testing.T) {
	for _, s := range fuzz.Schemas() {
		t.Run(s.String(), func(t *testing.T) {
			got := written(t, s).String()
			path := goldenPath(s.String(), ".txt")
			if *update {
				t.Logf("WARNING: %s is written anew. Documents that users have saved are not: once format version 1 is frozen this breaks them", path)
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			g, w := strings.Split(got, "\n"), strings.Split(strings.ReplaceAll(string(want), "\r\n", "\n"), "\n")
			form := ""
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("%s, line %d, %s: the bytes of format version 1 changed. That may be until the version is frozen: run with "+
						"-update then, and never after.\n now %s\nthen %s", path, i+1, form, g[i], w[i])
				}
				if !strings.HasPrefix(g[i], " ") {
					form = g[i]
				}
			}
			if len(g) != len(w) {
				t.Fatalf("%s: the bytes of format version 1 changed: %d lines, not %d", path, len(g), len(w))
			}
		})
	}
}
