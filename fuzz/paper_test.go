package fuzz_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/fuzz"
)

// The worked examples of the papers, as scripts: what they say a document shows is what it shows.

type example struct {
	name   string // paper and section
	schema string
	script string
	shows  []string // JSON of the root; any of them
}

const (
	threeReplicas = "join name=A id=1\njoin name=B id=2\njoin name=C id=3\n"
	fugue         = "Weidner, Gentle, Kleppmann, The Art of the Fugue (arXiv:2305.00583)"
	orset         = "Shapiro, Preguiça, Baquero, Zawirski, A comprehensive study (Inria RR-7506)"
	counters      = "Weidner, Almeida, An oblivious observed-reset embeddable replicated counter (arXiv:2207.04516)"
	jsons         = "Kleppmann, Beresford, A conflict-free replicated JSON datatype (arXiv:1608.03960)"
	moves         = "Kleppmann, Moving elements in list CRDTs (PaPoC 2020)"
	dynam         = "DeCandia et al., Dynamo (SOSP 2007)"
)

var examples = []example{
	{fugue + ", section 1: a shopping list, two insert at one place, forward", "text", `
edit writer=A is=m1
  type text="Shopping"
deliver to=B message=m1
edit writer=A is=m2
  insert at=8 text="e"
  insert at=9 text="g"
  insert at=10 text="g"
  insert at=11 text="s"
edit writer=B is=m3
  insert at=8 text="b"
  insert at=9 text="r"
  insert at=10 text="e"
  insert at=11 text="a"
  insert at=12 text="d"
`, []string{`"Shoppingeggsbread"`, `"Shoppingbreadeggs"`}},
	{fugue + ", backward interleaving: each inserts in front of its last character", "text", `
edit writer=A is=m1
  insert at=0 text="s"
  insert at=0 text="g"
  insert at=0 text="g"
  insert at=0 text="e"
edit writer=B is=m2
  insert at=0 text="d"
  insert at=0 text="a"
  insert at=0 text="e"
  insert at=0 text="r"
  insert at=0 text="b"
`, []string{`"eggsbread"`, `"breadeggs"`}},
	{fugue + ", one goes back to the start of its own insertion", "text", `
edit writer=A is=m1
  insert at=0 text="Jane"
  insert at=0 text="Dear "
edit writer=B is=m2
  insert at=0 text="Bob"
`, []string{`"Dear JaneBob"`, `"BobDear Jane"`}},
	{fugue + ", non-interleaving: three writers at one place, forward, backward and both", "text", `
edit writer=A is=m1
  insert at=0 text="a"
  insert at=1 text="a"
  insert at=0 text="a"
edit writer=B is=m2
  insert at=0 text="b"
  insert at=0 text="b"
  insert at=2 text="b"
edit writer=C is=m3
  insert at=0 text="c"
  insert at=1 text="c"
  insert at=2 text="c"
`, []string{`"aaabbbccc"`, `"aaacccbbb"`, `"bbbaaaccc"`, `"bbbcccaaa"`, `"cccaaabbb"`, `"cccbbbaaa"`}},
	{orset + ", section 3.3.5: an add wins over a concurrent remove", "set", `
edit writer=A is=m1
  add element=a
deliver to=B message=m1
edit writer=B is=m2
  remove element=a
edit writer=A is=m3
  add element=a
`, []string{`["a"]`}},
	{orset + ", section 3.3.5: a remove takes every add that its writer had seen, and no other", "set", `
edit writer=A is=m1
  add element=a
edit writer=B is=m2
  add element=a
deliver to=C message=m1
edit writer=C is=m3
  remove element=a
deliver to=A message=m3
edit writer=A is=m4
  add element=b
`, []string{`["a","b"]`}},
	{orset + ", section 3.3.5: what all had seen goes for good, whatever comes late", "set", `
edit writer=A is=m1
  add element=a
edit writer=B is=m2
  add element=a
deliver to=C message=m1 message=m2
edit writer=C is=m3
  remove element=a
`, []string{`[]`, `null`}},
	{dynam + ", section 4.4, figure 3: D3 and D4 are both kept, and D5 replaces both", "mvregister", `
edit writer=A is=m1
  set value=D1
edit writer=A is=m2
  set value=D2
deliver to=B message=m1 message=m2
deliver to=C message=m1 message=m2
edit writer=B is=m3
  set value=D3
edit writer=C is=m4
  set value=D4
`, []string{`["D3","D4"]`}},
	{dynam + ", section 4.4, figure 3: the client that reads both reconciles them", "mvregister", `
edit writer=A is=m2
  set value=D2
deliver to=B message=m2
deliver to=C message=m2
edit writer=B is=m3
  set value=D3
edit writer=C is=m4
  set value=D4
deliver to=A message=m3 message=m4
edit writer=A is=m5
  set value=D5
`, []string{`["D5"]`}},
	{orset + ", section 3.1.3: increments and decrements of all add up", "counter", `
edit writer=A is=m1
  add n=3
edit writer=B is=m2
  add n=-1
edit writer=C is=m3
  add n=4
`, []string{`6`}},
	{counters + ", the problem: a reset takes what its writer had seen, and no concurrent addition", "counter", `
edit writer=A is=m1
  add n=3
edit writer=B is=m2
  add n=5
deliver to=C message=m1
edit writer=C is=m3
  reset
edit writer=A is=m4
  add n=1
`, []string{`6`}},
	{counters + ", the problem: of concurrent resets each takes what it saw, once", "counter", `
edit writer=A is=m1
  add n=3
deliver to=B message=m1
deliver to=C message=m1
edit writer=B is=m2
  reset
edit writer=C is=m3
  reset
  add n=2
`, []string{`2`}},
	{jsons + ", figure 1: both of two concurrent assignments are kept", "mvregister", `
edit writer=A is=m1
  set value=A
deliver to=B message=m1
edit writer=A is=m2
  set value=B
edit writer=B is=m3
  set value=C
`, []string{`["B","C"]`}},
	{jsons + ", figure 2: a map is emptied while another key is set", "map", `
edit writer=A is=m1
  set key=blue value=b
deliver to=B message=m1
edit writer=A is=m2
  set key=red value=r
edit writer=B is=m3
  clear
  set key=green value=g
`, []string{`{"green":"g","red":"r"}`}},
	{jsons + ", figure 4: two insert into a list at one place, one another one behind", "list", `
edit writer=A is=m1
  insert at=0 value=1
  insert at=1 value=2
  insert at=2 value=3
deliver to=B message=m1
edit writer=A is=m2
  delete at=1 count=1
  insert at=1 value=4
edit writer=B is=m3
  insert at=0 value=5
  insert at=3 value=6
`, []string{`[5,1,4,6,3]`}},
	{jsons + ", figure 6, where we differ: a deleted item stays deleted as a whole, whoever edits it meanwhile", "objectmap", `
edit writer=A is=m1
  set key=item
  in child=0 edit=name.insert at=0 text=milk
deliver to=B message=m1
edit writer=A is=m2
  delete child=0
edit writer=B is=m3
  in child=0 edit=done.enable
`, []string{`{}`, `null`}},
	{moves + ", two move one item: it is in one place, not in two", "list", `
edit writer=A is=m1
  insert at=0 value=1
  insert at=1 value=2
  insert at=2 value=3
deliver to=B message=m1
edit writer=A is=m2
  move at=2 count=1 to=0
edit writer=B is=m3
  move at=2 count=1 to=1
`, []string{`[3,1,2]`, `[1,3,2]`}},
	{moves + ", two move the same range: each item is in one place", "list", `
edit writer=A is=m1
  insert at=0 value=1
  insert at=1 value=2
  insert at=2 value=3
  insert at=3 value=4
deliver to=B message=m1
edit writer=A is=m2
  move at=2 count=2 to=0
edit writer=B is=m3
  move at=2 count=2 to=1
`, []string{`[3,4,1,2]`, `[1,3,4,2]`}},
}

func TestExamplesOfPapers(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			i := slices.IndexFunc(fuzz.Schemas(), func(s fuzz.Schema) bool { return s.String() == e.schema })
			rt, _ := fuzz.Outcome(t, fuzz.Schemas()[i], []byte(fmt.Sprintf("schema %s\n%s%s", e.schema, threeReplicas, e.script)))
			got, err := json.Marshal(rt.Export()["x"])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(e.shows, string(got)) {
				t.Errorf("it shows %s, not %v", got, e.shows)
			}
		})
	}
}
