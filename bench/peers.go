package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// peer is one library that is measured.
type peer struct {
	name     string
	language string
	needs    string // what must be there for it to be measured
	command  func(o *options, task, trace string) []string
	version  func() string
	history  string // what its saved state keeps
	outside  bool   // its memory is outside of a managed heap
}

func javascript(name, pkg, history string) peer {
	return peer{
		name: name, language: "JavaScript", needs: filepath.Join("js", "node_modules", pkg), history: history,
		command: func(_ *options, task, trace string) []string {
			return []string{"node", "--expose-gc", "--max-old-space-size=8192", filepath.Join("js", "worker.mjs"), name, task, trace}
		},
		version: func() string { return npmVersion(pkg) },
	}
}

func wasm(name, pkg, history string) peer {
	p := javascript(name, pkg, history)
	p.language, p.outside = "wasm in JavaScript", true
	return p
}

func rust(name, history string) peer {
	program := filepath.Join("rust", "target", "release", name)
	return peer{
		name: name, language: "Rust", needs: program, history: history, outside: true,
		command: func(_ *options, task, trace string) []string { return []string{program, task, trace} },
		version: func() string { return crateVersion(name) },
	}
}

// golang is a library that the program in go/ measures.
func golang(name, module, history string) peer {
	return peer{
		name: name, language: "Go", needs: filepath.Join("go", "peers"), history: history,
		command: func(_ *options, task, trace string) []string {
			return []string{filepath.Join("go", "peers"), name, task, trace}
		},
		version: func() string { return moduleVersion(module) },
	}
}

func cgo(name, module, history string) peer {
	p := golang(name, module, history)
	p.language, p.outside = "Rust in Go", true
	return p
}

// peers lists ours first.
var peers = []peer{
	{
		name: "weft", language: "Go", history: "none",
		command: func(o *options, task, trace string) []string {
			args := []string{o.weft, "bench", "-json", "-runs", "1", "-task", task, "-artifacts", filepath.Join(o.work, "weft")}
			if trace != "" {
				args = append(args, filepath.Join(o.traces, trace+".json.gz"))
			}
			return args
		},
		version: func() string { return "" },
	},
	rust("diamond-types", "all but deleted text"),
	rust("yrs", "none"),
	rust("loro", "all"),
	rust("automerge", "all"),
	javascript("yjs", "yjs", "none"),
	javascript("yjs-v2", "yjs", "none"),
	javascript("json-joy", "json-joy", "none"),
	javascript("collabs", "@collabs/collabs", "none"),
	wasm("loro-crdt", "loro-crdt", "all"),
	wasm("automerge-js", "@automerge/automerge", "all"),
	wasm("ywasm", "ywasm", "none"),
	cgo("automerge-go", "github.com/automerge/automerge-go", "all"),
	golang("yorkie", "github.com/yorkie-team/yorkie", "none"),
}

// choose returns the peers to run: those wanted, or those that are installed.
func choose(o *options, wanted []string) (out []peer, err error) {
	for _, p := range peers {
		if len(wanted) > 0 && p.name != "weft" && !slices.Contains(wanted, p.name) {
			continue
		}
		needs := p.needs
		if p.name == "weft" {
			needs = o.weft
		}
		if _, err := os.Stat(needs); err != nil {
			if len(wanted) > 0 || p.name == "weft" {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", p.name, err)
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

func npmVersion(pkg string) string {
	var v struct{ Version string }
	b, err := os.ReadFile(filepath.Join("js", "node_modules", pkg, "package.json"))
	if err != nil || json.Unmarshal(b, &v) != nil {
		return "?"
	}
	return v.Version
}

// crateVersion reads what Cargo.toml pins.
func crateVersion(name string) string {
	b, err := os.ReadFile(filepath.Join("rust", "Cargo.toml"))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == name {
			return strings.Trim(strings.TrimSpace(v), `="`)
		}
	}
	return "?"
}

// moduleVersion reads what go.mod requires.
func moduleVersion(module string) string {
	b, err := os.ReadFile(filepath.Join("go", "go.mod"))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == module {
			return strings.TrimPrefix(f[1], "v")
		}
	}
	return "?"
}
