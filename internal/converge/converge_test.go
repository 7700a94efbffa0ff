package converge_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/converge/bag"
)

func TestBagsConverge(t *testing.T) { bag.Subject(bag.Options{}).Test(t) }

func FuzzBagsConverge(f *testing.F) { bag.Subject(bag.Options{}).Fuzz(f) }

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

// set changes a flag until the test ends.
func set(t *testing.T, name, value string) {
	was := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, was) })
}

// The kit finds each breach of the contract that a bag can be made to commit.
func TestMutantsAreFound(t *testing.T) {
	set(t, "rapid.shrinktime", "0s")
	set(t, "rapid.nofailfile", "true")
	for _, m := range bag.Mutants {
		t.Run(m, func(t *testing.T) {
			q := &quiet{T: t}
			func() {
				defer func() {
					if v := recover(); v != nil {
						if _, ok := v.(stopped); !ok {
							panic(v)
						}
					}
				}()
				rapid.Check(q, bag.Subject(bag.Options{Break: m}).Check)
			}()
			if !q.failed {
				t.Errorf("bags without %q pass", m)
			}
		})
	}
}
