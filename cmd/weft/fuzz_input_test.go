//go:build !js

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// FuzzTokens reads any token file: its errors name a line and nothing that stands there, and what is accepted keeps the
// rules of the page.
func FuzzTokens(f *testing.F) {
	f.Add("# who may come in\nsecret alice write-own\nsecret alice read prefix=public/ expires=2027-01-31T12:00:00Z\n")
	f.Add("- anybody none\nsha256:" + strings.Repeat("0a", 32) + " peer server\n")
	f.Add("sha256:00 a read\n")
	f.Add("a b c d\n\x00")
	path := filepath.Join(f.TempDir(), "tokens")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := readTokens(path)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path) {
				t.Fatal(err)
			}
			return
		}
		for hash, grants := range table {
			for _, g := range grants {
				if g.principal != grants[0].principal || g.principal == "" || len(g.principal) > providers.MaxPrincipal {
					t.Fatalf("%+v", grants)
				}
				if got := table.access(hash, g.prefix, time.Time{}); got != g.access {
					t.Fatalf("%q has the access %v, not %v", g.prefix, got, g.access)
				}
			}
			if _, ok := table.of(hash, time.Time{}); !ok {
				t.Fatalf("%+v is nobody", grants)
			}
		}
	})
}

// FuzzConnectLine runs any lines as the commands of `weft connect` that edit.
func FuzzConnectLine(f *testing.F) {
	f.Add("set title 'a title'\nset budget/fuel 12 # a comment\nset budget/=7 {\"a\":[1,2.5]}\nadd votes -3\ninsert body 0 \"two\\nlines\"\ndelete body 0 3")
	f.Add("set notes:record/title:register x\nset a:lazymap/b:counter/c 1\nadd list:list 0 1\ndelete list 0")
	f.Add("add a/b 1\nset ~0~1~2:map/=null 1\ninsert l:list 0 {}\nset l/0 'x'\nset l/9 x")
	f.Fuzz(func(t *testing.T, text string) {
		rt, err := newDocument()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			words, err := splitWords(strings.TrimSuffix(line, "\n"))
			if err != nil || len(words) == 0 || checkCommand(words) != nil || madeBy[words[0]] == "" {
				continue
			}
			before, clock := rt.Canonical(), rt.Clock()
			if err := edit(rt, words); err != nil && (string(rt.Canonical()) != string(before) || !rt.Clock().Equal(clock)) {
				t.Fatalf("%q is refused (%v) and has changed something", line, err)
			}
		}
		if err := rt.Check(); err != nil {
			t.Fatal(err)
		}
		parsePath(text)
		var peers peerFlag
		peers.add(text)
	})
}
