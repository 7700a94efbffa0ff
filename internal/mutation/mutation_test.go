package mutation

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	all    = flag.Bool("mutation.all", false, "catch every mutant, not a sample alone")
	only   = flag.String("mutation.only", "", "catch the mutants whose names match this pattern alone")
	update = flag.Bool("update", false, "write the table of mutants in docs/testing.md anew")
)

const (
	top    = "../.."
	page   = top + "/docs/testing.md"
	module = "github.com/seed1312cc15/weft"
)

// mutants are all of them.
func mutants() (list []*mutant) {
	for _, of := range [][]mutant{core, types, links} {
		for i := range of {
			list = append(list, &of[i])
		}
	}
	return list
}

// Every snippet still stands in its file, exactly once, so that the table cannot rot.
func TestSnippetsStand(t *testing.T) {
	names := make(map[string]bool)
	byFile := make(map[string][]*mutant)
	for _, m := range mutants() {
		if names[m.name] {
			t.Errorf("two mutants are called %s", m.name)
		}
		names[m.name] = true
		byFile[m.file] = append(byFile[m.file], m)
	}
	if len(names) < 25 {
		t.Errorf("%d mutants", len(names))
	}
	for file, list := range byFile {
		src, err := os.ReadFile(filepath.Join(top, file))
		if err != nil {
			t.Error(err)
			continue
		}
		src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
		for _, m := range list {
			text, _, err := mutate(file, src, []*mutant{m})
			if err != nil {
				t.Error(err)
			} else if text == string(src) {
				t.Errorf("mutant %s changes nothing", m.name)
			}
		}
	}
}

// Every scenario has a mutant, or a reason why none can be planted.
func TestScenariosHaveMutants(t *testing.T) {
	have := make(map[string]bool)
	for _, m := range mutants() {
		have[m.scenario] = true
	}
	for i := 1; i <= 32; i++ {
		r := fmt.Sprintf("R%d", i)
		if reason := notPlanted[r]; have[r] == (reason != "") {
			t.Errorf("%s: a mutant: %v, a reason why there is none: %q", r, have[r], reason)
		}
	}
}

// The page lists the mutants of this table.
func TestPageListsMutants(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- mutants: go test ./internal/mutation -run Page -update -->\n", "<!-- end of mutants -->\n"
	was := strings.ReplaceAll(string(text), "\r\n", "\n")
	head, rest, ok1 := strings.Cut(was, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table of mutants", page)
	}
	now := head + begin + table() + end + tail
	if now == was {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the mutants as they are; write it anew with -update", page)
	}
	if err := os.WriteFile(page, []byte(now), 0o666); err != nil {
		t.Fatal(err)
	}
}

// table is what the page says of the mutants.
func table() string {
	var b strings.Builder
	b.WriteString("| scenario | fault | mutant of | caught by |\n|---|---|---|---|\n")
	list := mutants()
	slices.SortStableFunc(list, func(a, b *mutant) int { return a.number() - b.number() })
	for _, m := range list {
		fmt.Fprintf(&b, "| %s | %s | [`%s`](../%s) | `%s` in `%s` |\n", m.scenario, m.breaks, m.name, m.file, m.test, m.pkg)
	}
	b.WriteString("\n")
	for i := 1; i <= 32; i++ {
		if r := fmt.Sprintf("R%d", i); notPlanted[r] != "" {
			fmt.Fprintf(&b, "%s has none: %s.\n", r, notPlanted[r])
		}
	}
	return b.String()
}

// number sorts mutants by scenario, those of none behind.
func (m *mutant) number() (n int) {
	if _, err := fmt.Sscanf(m.scenario, "R%d", &n); err != nil {
		return 1 << 10
	}
	return n
}

// Each mutant is caught by the test that the table names: that test passes without it and fails with it. Without
// -mutation.all these are the mutants of the sample, so that the machinery is tested by every run.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds test binaries")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	chosen := slices.DeleteFunc(mutants(), func(m *mutant) bool {
		if m.needs != "" {
			if _, err := exec.LookPath(m.needs); err != nil && os.Getenv("CI") == "" {
				t.Logf("mutant %s is left out: %v", m.name, err)
				return true
			}
		}
		if *only != "" {
			return !pattern.MatchString(m.name)
		}
		return !*all && !slices.Contains(sample, m.pkg)
	})
	if len(chosen) == 0 {
		t.Fatalf("no mutant matches %q", *only)
	}
	dir := t.TempDir()
	begin := time.Now()
	build(t, dir, chosen)
	t.Logf("%d mutants, built in %.1f s", len(chosen), time.Since(begin).Seconds())
	var done results
	byPackage := make(map[string][]*mutant)
	for _, m := range chosen {
		byPackage[m.pkg] = append(byPackage[m.pkg], m)
	}
	t.Run("all", func(t *testing.T) {
		for pkg, list := range byPackage {
			t.Run(pkg, func(t *testing.T) {
				t.Parallel()
				r := newRunner(t, pkg, filepath.Join(dir, path.Base(pkg)+".test"+exe()))
				r.control(t, list)
				for _, m := range list {
					t.Run(m.name, func(t *testing.T) {
						t.Parallel() // some mutants make their test wait until its patience ends
						done.add(m, r.catch(t, m))
					})
				}
			})
		}
	})
	t.Logf("%d of %d mutants are caught:\n%s", len(done.lines), len(chosen), strings.Join(slices.Sorted(slices.Values(done.lines)), ""))
}

// results are what is printed in the end.
type results struct {
	sync.Mutex
	lines []string
}

func (r *results) add(m *mutant, took time.Duration) {
	r.Lock()
	defer r.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%-4s %-44s %-44s %-22s %5.2f s\n", m.scenario, m.name, m.test, m.pkg, took.Seconds()))
}

// build makes the test binaries of the packages that catch the mutants, with the switches in them.
func build(t *testing.T, dir string, list []*mutant) {
	t.Helper()
	file, err := overlay(top, dir, list)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-c", "-vet=off", "-pgo=off", "-overlay", file, "-o", dir + string(filepath.Separator)}
	var packages []string
	for _, m := range list {
		packages = append(packages, "./"+m.pkg)
	}
	slices.Sort(packages)
	cmd := exec.Command("go", append(args, slices.Compact(packages)...)...)
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nA mutant that does not compile is in a function Mutant_NAME", err, out)
	}
}

// exe is how the names of programs end.
func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// runner runs one package's tests.
type runner struct {
	dir, binary string
	flags       []string // of every run
}

// newRunner gives a package's tests a directory of their own, with a copy of their data: a test that fails may write there
// what reproduces it.
func newRunner(t *testing.T, pkg, binary string) *runner {
	r := &runner{dir: t.TempDir(), binary: binary}
	data := filepath.Join(top, pkg, "testdata")
	if _, err := os.Stat(data); err == nil {
		if err := os.CopyFS(filepath.Join(r.dir, "testdata"), os.DirFS(data)); err != nil {
			t.Fatal(err)
		}
	}
	usage, _ := exec.Command(binary, "-h").CombinedOutput()
	if bytes.Contains(usage, []byte("-rapid.seed")) {
		r.flags = []string{"-rapid.seed=1", "-rapid.shrinktime=0s"}
	}
	return r
}

// most bounds the time of one run: no mutant may hang its test for long.
const most = 2 * time.Minute

func (r *runner) run(mutant, tests string) (out string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	args := append([]string{"-test.run=" + tests, "-test.count=1", "-test.failfast", "-test.v", "-test.timeout=60s"}, r.flags...)
	cmd := exec.CommandContext(ctx, r.binary, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), variable+"="+mutant)
	b, err := cmd.CombinedOutput()
	if s := cmd.ProcessState; s != nil {
		took = s.UserTime() + s.SystemTime()
	}
	return string(b), took, err
}

// control sees to it that the tests pass while no mutant is on.
func (r *runner) control(t *testing.T, list []*mutant) {
	var tests []string
	for _, m := range list {
		tests = append(tests, m.test)
	}
	slices.Sort(tests)
	tests = slices.Compact(tests)
	out, took, err := r.run("", "^("+strings.Join(tests, "|")+")$")
	if err != nil {
		t.Fatalf("without a mutant: %v\n%s", err, out)
	}
	for _, name := range tests {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			t.Fatalf("%s did not pass without a mutant:\n%s", name, out)
		}
	}
	t.Logf("%d tests pass without a mutant, in %.2f s of CPU", len(tests), took.Seconds())
}

// trouble is the first line by which a test says what is wrong.
var trouble = regexp.MustCompile(`(?m)^ +\S+\.go:\d+: .*$|^panic: .*$|^fatal error: .*$`)

// catch runs the test of a mutant, and returns the CPU time that it took to fail.
func (r *runner) catch(t *testing.T, m *mutant) time.Duration {
	out, took, err := r.run(m.name, "^"+m.test+"$")
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Fatalf("not caught by %s: %s", m.test, m.breaks)
	case !errors.As(err, &exit):
		t.Fatal(err)
	case strings.Contains(out, "panic: test timed out"):
		t.Fatalf("%s does not end; a mutant should fail its test:\n%s", m.test, out)
	case !strings.Contains(out, "--- FAIL: "+m.test) && !strings.Contains(out, "panic: ") && !strings.Contains(out, "fatal error: "):
		t.Fatalf("%s neither passed nor failed: %v\n%s", m.test, err, out)
	}
	t.Logf("%s fails in %.2f s of CPU:%.200s", m.test, took.Seconds(), trouble.FindString(out))
	return took
}
