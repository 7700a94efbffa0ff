package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A run is one file, results.jsonl: first what was run and on what, then a line for each process. Only figures of one run
// are compared, so a run that was interrupted goes on only with the same program.

// header is the first line.
type header struct {
	Started  time.Time         `json:"started"`
	Program  string            `json:"program"` // hash of the weft program
	Commit   string            `json:"commit"`
	Machine  []string          `json:"machine"`
	Versions map[string]string `json:"versions"` // of the libraries that run
}

// row is what one process measured; see measurement in cmd/weft for the fields that are numbers.
type row struct {
	Peer, Task, Trace string
	Different         bool
	Skipped           string
	Load              string // the machine's load average then
	At                time.Time
	Figures           map[string]float64
}

func (r *row) UnmarshalJSON(b []byte) error {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	r.Figures = map[string]float64{}
	for k, v := range all {
		if x, ok := v.(float64); ok {
			r.Figures[k] = x
		}
	}
	text := func(k string) string { s, _ := all[k].(string); return s }
	r.Peer, r.Task, r.Trace, r.Skipped, r.Load = text("peer"), text("task"), text("trace"), text("skipped"), text("load")
	r.Different, _ = all["different"].(bool)
	r.At, _ = time.Parse(time.RFC3339, text("at"))
	return nil
}

type key struct{ peer, task, trace string }

func (r *row) key() key { return key{r.Peer, r.Task, r.Trace} }

// record is an open results.jsonl.
type record struct {
	f    *os.File
	rows []row // that were there when it was opened
}

func (o *options) resultsFile() string { return filepath.Join(o.work, "results.jsonl") }

// openRecord begins a run, or goes on with one.
func openRecord(o *options) (*record, error) {
	h, err := newHeader(o)
	if err != nil {
		return nil, err
	}
	if o.resume {
		old, rows, err := readRecord(o.resultsFile())
		if err != nil {
			return nil, fmt.Errorf("nothing to go on with: %w", err)
		}
		if old.Program != h.Program {
			return nil, errors.New("the weft program is not the one that the run began with: run without -resume")
		}
		f, err := os.OpenFile(o.resultsFile(), os.O_WRONLY|os.O_APPEND, 0o644)
		return &record{f, rows}, err
	}
	if err := os.Remove(o.growthFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.Create(o.resultsFile())
	if err != nil {
		return nil, err
	}
	return &record{f: f}, json.NewEncoder(f).Encode(h)
}

func (r *record) add(line []byte) error {
	_, err := r.f.Write(append(line, '\n'))
	return err
}

// readRecord reads a run. A last line that was cut off is ignored.
func readRecord(path string) (h header, rows []row, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return h, rows, nil
		}
		if err != nil {
			return h, nil, err
		}
		if n == 0 {
			if err := json.Unmarshal(line, &h); err != nil {
				return h, nil, fmt.Errorf("%s: %w", path, err)
			}
			continue
		}
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			return h, nil, fmt.Errorf("%s: %w", path, err)
		}
		rows = append(rows, r)
	}
}

func newHeader(o *options) (h header, err error) {
	b, err := os.ReadFile(o.weft)
	if err != nil {
		return h, err
	}
	sum := sha256.Sum256(b)
	h = header{Started: time.Now().UTC(), Program: hex.EncodeToString(sum[:8]), Commit: commit(), Versions: map[string]string{}}
	for _, p := range o.peers {
		h.Versions[p.name] = p.version()
	}
	h.Versions["weft"] = h.Commit
	h.Machine = []string{fmt.Sprintf("%d cores", runtime.NumCPU()), after("/proc/cpuinfo", "model name", ":"), after("/etc/os-release", "PRETTY_NAME", "="),
		said("uname", "-sr"), strings.TrimPrefix(said("go", "version"), "go version "), "Node " + said("node", "--version"), said("rustc", "--version")}
	return h, nil
}

// commit names what is checked out, and tells whether files were changed since.
func commit() string {
	c := said("git", "rev-parse", "--short=12", "HEAD")
	if s := said("git", "status", "--porcelain", "--untracked-files=no"); s != "" && s != "?" {
		c += ", changed"
	}
	return c
}

func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}

// after returns what follows a name and a separator in a file of such lines.
func after(path, name, separator string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == name {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "?"
}
