package fuzz

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	flagOps    = flag.Int("fuzz.ops", -1, "local operations of random histories in each fuzz.Check, beside those of rapid; -1: as Options say")
	flagSeed   = flag.Uint64("fuzz.seed", 0, "seed of the random histories of fuzz.Check; 0: as Options say")
	flagReplay = flag.String("fuzz.replay", "", "a script that fuzz.Check replays step by step instead of anything else")
)

// Options configure Check and Laws. nil and zero fields mean the defaults.
type Options struct {
	// Ops is how many local operations random histories have in all, beside those that rapid drives; default 2,000, none if
	// negative. The flag -fuzz.ops replaces it. They are much faster than rapid's, and longer.
	Ops int
	// Steps is the length of such a history; default 250. A step makes up to four operations.
	Steps int
	// Every says after how many steps of such a history the replicas that they touched are checked; default 16.
	Every int
	// Seed is that of the first such history; default 1. The flag -fuzz.seed replaces it.
	Seed uint64
	// Scripts is the directory of the scripts that are replayed first, and where that of a failure goes; default
	// testdata/scripts, "-": none.
	Scripts string
	// Shrink bounds the time spent on making a failing script shorter, after rapid has done its part; default 10 s.
	Shrink time.Duration
}

func (o *Options) fill() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Ops == 0 {
		out.Ops = 2000
	}
	if *flagOps >= 0 {
		out.Ops = *flagOps
	}
	if out.Steps <= 0 {
		out.Steps = 250
	}
	if out.Every <= 0 {
		out.Every = 16
	}
	if *flagSeed != 0 {
		out.Seed = *flagSeed
	}
	if out.Seed == 0 {
		out.Seed = 1
	}
	if out.Scripts == "" {
		out.Scripts = filepath.Join("testdata", "scripts")
	}
	if out.Shrink == 0 {
		out.Shrink = 10 * time.Second
	}
	return out
}

// Check proves, as far as tests can, that replicas of a document converge; the package comment says what it does and
// checks. It replays the scripts of Options.Scripts whose schema is this subject, then lets rapid drive histories, as
// many as -rapid.checks says, then makes longer ones until there were Options.Ops local operations. It returns what the
// latter did.
//
// A failure is shortened, written to Options.Scripts and logged: move the file to where it stays, or delete it.
func Check[H any](t testing.TB, s *Subject[H], o *Options) Count {
	t.Helper()
	return check(t, s, o)
}

// Fuzz lets the fuzzer choose the steps.
func Fuzz[H any](f *testing.F, s *Subject[H]) {
	f.Helper()
	e, err := s.erase()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { newWorld(e, thorough).property(t, short) }))
}

func check(t testing.TB, s Schema, o *Options) Count {
	t.Helper()
	opts := o.fill()
	e, err := s.erase()
	if err != nil {
		t.Fatal(err)
	}
	if *flagReplay != "" {
		replayFlag(t, e)
		return Count{}
	}
	c := checker{t, e, opts}
	c.scripts()
	c.drive(thorough, func(w *world, t *rapid.T) { w.property(t, short) })
	return c.random()
}

type checker struct {
	t    testing.TB
	s    *subject
	opts Options
}

func replayFlag(t testing.TB, s *subject) {
	t.Helper()
	data, err := os.ReadFile(*flagReplay)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := parseScript(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if sc.schema != s.name {
		t.Skipf("the script is of schema %s, not %s", sc.schema, s.name)
	}
	var out strings.Builder
	err = s.replayTo(sc, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
}

// scripts replays those that are kept.
func (c *checker) scripts() {
	c.t.Helper()
	paths, _ := filepath.Glob(filepath.Join(c.opts.Scripts, "*.txt"))
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			c.t.Fatal(err)
		}
		sc, err := parseScript(f)
		f.Close()
		if err != nil {
			c.t.Fatalf("%s: %v", p, err)
		}
		if sc.schema != c.s.name {
			continue
		}
		if _, err := c.s.replay(sc, thorough, nil); err != nil {
			c.t.Fatalf("%s: %v", p, err)
		}
	}
}

// drive lets rapid make histories.
func (c *checker) drive(m mode, property func(w *world, t *rapid.T)) {
	c.t.Helper()
	var last *world
	good := false
	defer func() {
		if !good && last != nil {
			c.report(last.script, m, nil)
		}
	}()
	rapid.Check(c.t, func(t *rapid.T) {
		noted := m
		noted.note = true
		last = newWorld(c.s, noted)
		property(last, t)
	})
	good = !c.t.Failed()
}

// random makes histories until there were enough operations.
func (c *checker) random() (total Count) {
	c.t.Helper()
	m := mode{every: c.opts.Every, long: true}
	begin := time.Now()
	for seed := c.opts.Seed; total.Ops < c.opts.Ops; seed++ {
		w, err := c.s.random(seed, c.opts.Steps, long, m)
		if err != nil {
			m.note = true
			again, _ := c.s.random(seed, c.opts.Steps, long, m)
			m.note = false
			c.t.Errorf("history %d of %s: %v", seed, c.s.name, err)
			c.report(again.script, m, err)
			c.t.FailNow()
		}
		total.Add(w.count)
		if total.Ops == 0 && total.Histories > 100 {
			c.t.Fatalf("%d histories without an operation", total.Histories)
		}
	}
	if took := time.Since(begin); total.Ops > 0 {
		c.t.Logf("%s: %d histories, %d local operations (%.0f a second), delivered %d times, %d checks of a replica, %d of a pair", c.s.name,
			total.Histories, total.Ops, float64(total.Ops)/took.Seconds(), total.Delivered, total.Checks, total.Compared)
	}
	return total
}

// report shortens a script that failed, and says where it is.
func (c *checker) report(sc *script, m mode, err error) {
	c.t.Helper()
	first := thorough
	if m.laws {
		first = m // so that the law is named
	}
	small, why := c.s.shrink(sc, first, c.opts.Shrink)
	if why == nil && !m.full {
		small, why = c.s.shrink(sc, m, c.opts.Shrink)
	}
	text := small.String()
	if why == nil {
		why = err
		c.t.Logf("the script does not fail when it is replayed: something depends on more than what is drawn")
	}
	c.t.Logf("script of the failure:\n\n%s\nwhich ends with: %v", text, why)
	if c.opts.Scripts == "-" {
		return
	}
	h := fnv.New32a()
	h.Write([]byte(text))
	path := filepath.Join(c.opts.Scripts, fmt.Sprintf("%s-%08x.txt", c.s.name, h.Sum32()))
	err = os.MkdirAll(c.opts.Scripts, 0o777)
	if err == nil {
		err = os.WriteFile(path, []byte(commented(why)+text), 0o666)
	}
	if err != nil {
		c.t.Logf("the script is not kept: %v", err)
		return
	}
	c.t.Logf("to see each step: go test -run '^%s$' -v . -fuzz.replay=%s", c.t.Name(), path)
}

// commented renders the first lines of an error as comments of a script.
func commented(err error) string {
	var b strings.Builder
	if err != nil {
		for i, l := range strings.Split(err.Error(), "\n") {
			if i < 4 {
				fmt.Fprintf(&b, "# %.200s\n", l)
			}
		}
	}
	return b.String()
}
