package fuzz_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/internal/converge/bag"
)

func TestBags(t *testing.T) { fuzz.Check(t, bags(bag.Options{}), nil) }

func FuzzBags(f *testing.F) { fuzz.Fuzz(f, bags(bag.Options{})) }

// defaultChecks changes how often rapid checks, unless the command line says so.
func defaultChecks(t *testing.T, n string) {
	if flag.Lookup("rapid.checks").Value.String() == "100" {
		set(t, "rapid.checks", n)
	}
}

// short histories; TestHistories makes the long ones.
func TestSchemas(t *testing.T) {
	defaultChecks(t, "40")
	for _, s := range fuzz.Schemas() {
		t.Run(s.String(), func(t *testing.T) { fuzz.CheckSchema(t, s, &fuzz.Options{Ops: -1}) })
	}
}

// shares say how the operations of TestHistories are shared among the schemas, in percent: the cheap ones, with the small
// states, get more of them, so that the schemas take about equal time.
var shares = map[string]int{
	"counter": 10, "register": 10, "mvregister": 10, "flag": 10, "flag-dw": 10, "set": 10, "map": 10, "text": 8, "list": 5,
	"record": 5, "lazymap": 3, "objectmap": 3, "objectset": 3, "objectlist": 1, "board": 2,
}

// TestHistories makes long random histories of all schemas: 400,000 local operations, or as many as -fuzz.ops says. Each is
// delivered to two other replicas or more; what steps touched is checked every 16 steps.
func TestHistories(t *testing.T) {
	all := fuzz.Ops(400_000)
	var mu sync.Mutex
	var total fuzz.Count
	begin := time.Now()
	t.Run("all", func(t *testing.T) {
		for _, s := range fuzz.Schemas() {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				n := fuzz.RandomHistories(t, s, all*shares[s.String()]/100)
				if n.Delivered < 2*n.Ops {
					t.Errorf("%d operations were delivered %d times", n.Ops, n.Delivered)
				}
				for _, what := range fuzz.Outcomes() {
					if n.Did[what] == 0 && n.Ops >= 4000 {
						t.Errorf("%q never happened", what)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				total.Add(n)
			})
		}
	})
	t.Logf("%d histories, %d local operations (%.0f a second), delivered %d times", total.Histories, total.Ops,
		float64(total.Ops)/time.Since(begin).Seconds(), total.Delivered)
	if total.Ops < all {
		t.Errorf("%d operations of %d", total.Ops, all)
	}
}

func TestLaws(t *testing.T) {
	defaultChecks(t, "25")
	for _, s := range fuzz.Schemas() {
		t.Run(s.String(), func(t *testing.T) { fuzz.LawsOf(t, s, nil) })
	}
	t.Run("bag", func(t *testing.T) { fuzz.Laws(t, bags(bag.Options{}), nil) })
}

// quiet is a test that may fail.
type quiet struct {
	*testing.T
	failed bool
	log    strings.Builder
}

type stopped struct{}

func (q *quiet) Helper()                   {}
func (q *quiet) Logf(f string, a ...any)   { fmt.Fprintf(&q.log, f+"\n", a...) }
func (q *quiet) Log(a ...any)              { fmt.Fprintln(&q.log, a...) }
func (q *quiet) Errorf(f string, a ...any) { q.failed = true; q.Logf(f, a...) }
func (q *quiet) Error(a ...any)            { q.failed = true; q.Log(a...) }
func (q *quiet) Fatalf(f string, a ...any) { q.Errorf(f, a...); panic(stopped{}) }
func (q *quiet) Fatal(a ...any)            { q.Error(a...); panic(stopped{}) }
func (q *quiet) FailNow()                  { q.failed = true; panic(stopped{}) }
func (q *quiet) Fail()                     { q.failed = true }
func (q *quiet) Failed() bool              { return q.failed }

// failing runs a test that may fail and returns what it logged.
func failing(t *testing.T, test func(q *quiet)) *quiet {
	q := &quiet{T: t}
	func() {
		defer func() {
			if v := recover(); v != nil {
				if _, ok := v.(stopped); !ok {
					panic(v)
				}
			}
		}()
		test(q)
	}()
	return q
}

// set changes a flag until the test ends.
func set(t *testing.T, name, value string) {
	was := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, was) })
}

// A schema that cannot be opened fails at once, with no script.
func TestSchemaThatDoesNotOpen(t *testing.T) {
	dir := t.TempDir()
	for _, check := range []func(q *quiet){
		func(q *quiet) {
			fuzz.Check(q, fuzz.Of[struct{ Untagged crdt.Counter }]("untagged"), &fuzz.Options{Scripts: dir})
		},
		func(q *quiet) {
			fuzz.Laws(q, fuzz.Of[struct{ Untagged crdt.Counter }]("untagged"), &fuzz.Options{Scripts: dir})
		},
	} {
		q := failing(t, check)
		if !q.failed || !strings.Contains(q.log.String(), "untagged does not open: crdt: type struct") {
			t.Error(q.log.String())
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Error(files, err)
		}
	}
}

// Laws finds each breach of the contract that a bag can be made to commit, and names the law where one is broken.
func TestLawsNameTheBreach(t *testing.T) {
	set(t, "rapid.shrinktime", "0s")
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.seed", "1")
	set(t, "test.short", "false")
	named := map[string]string{
		"order": "law: m", "known": "law: m", "deleted": "law: m", "removed": "law: m", "live": "law: m", "outside": "law: m",
	}
	for _, m := range bag.Mutants {
		q := failing(t, func(q *quiet) {
			fuzz.Laws(q, bags(bag.Options{Break: m}), &fuzz.Options{Scripts: "-", Shrink: 100 * time.Millisecond})
		})
		_, why, ok := strings.Cut(q.log.String(), "which ends with: ")
		if !q.failed || !ok || !strings.HasPrefix(why, named[m]) {
			t.Errorf("bags without %q: %v, %.200s", m, q.failed, why)
		}
		t.Logf("%s: %.100s", m, why)
	}
}

// The kit finds each breach of the contract that a bag can be made to commit: driven by rapid, and by its own generator.
func TestMutantsAreFound(t *testing.T) {
	set(t, "rapid.shrinktime", "0s")
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.seed", "1")
	set(t, "test.short", "false") // with it rapid makes a tenth of what it takes to find them
	for _, m := range bag.Mutants {
		for _, way := range []struct {
			name   string
			checks string
			ops    int
		}{{"rapid", "400", -1}, {"generator", "1", 5000}} {
			t.Run(m+"/"+way.name, func(t *testing.T) {
				set(t, "rapid.checks", way.checks)
				begin := time.Now()
				q := failing(t, func(q *quiet) {
					fuzz.Check(q, bags(bag.Options{Break: m}), &fuzz.Options{Scripts: "-", Ops: way.ops, Shrink: 200 * time.Millisecond})
				})
				if !q.failed {
					t.Fatalf("bags without %q pass", m)
				}
				_, script, ok := strings.Cut(q.log.String(), "script of the failure:")
				if !ok || strings.Contains(q.log.String(), "does not fail when it is replayed") {
					t.Fatalf("no script that repeats the failure:\n%s", q.log.String())
				}
				t.Logf("found in %v:%s", time.Since(begin), script)
			})
		}
	}
}
