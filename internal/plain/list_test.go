package plain_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/trace"
)

func site(k int) *plain.Site { return plain.NewSite(trace.AgentReplica(k)) }

func dot(k int, seq uint64) plain.Dot { return plain.Dot{Replica: trace.AgentReplica(k), Seq: seq} }

type fataler interface{ Fatal(...any) }

// insert and remove edit l, which must go well.
func insert(t fataler, l *plain.List, index int, s string) plain.Op {
	op, err := l.Insert(index, []rune(s)...)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func remove(t fataler, l *plain.List, index, n int) plain.Op {
	op, err := l.Delete(index, n)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func TestListDotsAndTree(t *testing.T) {
	l := plain.NewList(site(1))
	insert(t, l, 0, "ab") // dots 0, 1
	remove(t, l, 0, 2)    // dot 2
	insert(t, l, 0, "c")  // dot 3: before a, whose left origin is the start
	insert(t, l, 1, "d")  // dot 4: c has no child, and a's left origin is the start
	insert(t, l, 1, "e")  // dot 5: d's left origin is c
	want := []plain.Element{
		{Dot: dot(1, 3), Parent: dot(1, 0), Side: plain.Left, Rune: 'c'},
		{Dot: dot(1, 5), Parent: dot(1, 4), Side: plain.Left, Rune: 'e'},
		{Dot: dot(1, 4), Parent: dot(1, 3), Side: plain.Right, Rune: 'd'},
		{Dot: dot(1, 0), AtStart: true, Side: plain.Right, Deleted: true, Rune: 'a'},
		{Dot: dot(1, 1), Parent: dot(1, 0), Side: plain.Right, Deleted: true, Rune: 'b'},
	}
	if got := l.Elements(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := l.Clock()[trace.AgentReplica(1)]; got != 6 || l.Text() != "ced" || l.Len() != 3 {
		t.Errorf("clock %d, text %q", got, l.Text())
	}
}

func TestListIndexErrors(t *testing.T) {
	l := plain.NewList(site(0))
	insert(t, l, 0, "ab")
	for _, at := range [][2]int{{-1, 0}, {3, 0}, {0, 3}, {2, 1}, {0, -1}} {
		if _, err := l.Delete(at[0], at[1]); !errors.Is(err, plain.ErrRange) {
			t.Errorf("Delete%v: %v", at, err)
		}
	}
	for _, at := range []int{-1, 3} {
		if _, err := l.Insert(at, 'x'); !errors.Is(err, plain.ErrRange) {
			t.Errorf("Insert(%d): %v", at, err)
		}
	}
}

func TestListApplyRefuses(t *testing.T) {
	a := plain.NewList(site(0))
	first, second := insert(t, a, 0, "ab"), insert(t, a, 2, "c")
	third := remove(t, a, 0, 1)
	b := plain.NewList(site(1))
	for _, op := range []plain.Op{second, third} {
		if err := b.Apply(op); !errors.Is(err, plain.ErrCausal) {
			t.Errorf("early: %v", err)
		}
	}
	both := first
	both.Delete = third.Delete
	wrong := first
	wrong.Insert = []plain.Element{{Dot: dot(0, 7), AtStart: true, Side: plain.Right}}
	for _, op := range []plain.Op{both, wrong} {
		if err := b.Apply(op); !errors.Is(err, plain.ErrOp) {
			t.Errorf("senseless: %v", err)
		}
	}
	if len(b.Elements()) != 0 {
		t.Error("a refused operation had an effect")
	}
	for _, op := range []plain.Op{{}, first, first, second, third, first} {
		if err := b.Apply(op); err != nil {
			t.Error(err)
		}
	}
	if b.Text() != "bc" {
		t.Errorf("got %q", b.Text())
	}
}

// The examples of the paper's introduction: two users write at one place while apart. No order of the users' IDs may
// mix their text, whether typed forward or backward (Fugue, Weidner, Gentle and Kleppmann 2023, sections 1 and 3).
func TestPaperInterleaving(t *testing.T) {
	type typing func(l *plain.List, at int, s string)
	forward := func(l *plain.List, at int, s string) {
		for i, r := range []rune(s) {
			insert(t, l, at+i, string(r))
		}
	}
	backward := func(l *plain.List, at int, s string) {
		rs := []rune(s)
		for i := len(rs) - 1; i >= 0; i-- {
			insert(t, l, at, string(rs[i]))
		}
	}
	// outward types the second half forward, then the first half backward, before it.
	outward := func(l *plain.List, at int, s string) {
		rs := []rune(s)
		forward(l, at, string(rs[len(rs)/2:]))
		backward(l, at, string(rs[:len(rs)/2]))
	}
	manners := map[string]typing{"forward": forward, "backward": backward, "outward": outward}
	for nameA, typeA := range manners {
		for nameB, typeB := range manners {
			t.Run(nameA+"-"+nameB, func(t *testing.T) {
				for _, base := range []string{"", "Shopping: ;", "\n"} {
					for at := range len(base) + 1 {
						start := plain.NewList(site(1))
						insert(t, start, 0, base)
						a, b := start.Clone(site(2)), start.Clone(site(3))
						typeA(a, at, "milk, eggs")
						typeB(b, at, "bread, apples")
						a.Merge(b)
						want := base[:at] + "milk, eggs" + "bread, apples" + base[at:]
						other := base[:at] + "bread, apples" + "milk, eggs" + base[at:]
						if got := a.Text(); got != want && got != other {
							t.Errorf("at %d: %q", at, got)
						}
					}
				}
			})
		}
	}
}

// Runs of one writer inserted at one place, each before the last, are not mixed with those of another.
func TestPaperInterleavingOfRuns(t *testing.T) {
	a, b := plain.NewList(site(1)), plain.NewList(site(2))
	for _, line := range []string{"three\n", "two\n", "one\n"} {
		insert(t, a, 0, line)
		insert(t, b, 0, strings.ToUpper(line))
	}
	a.Merge(b)
	if got := a.Text(); got != "one\ntwo\nthree\nONE\nTWO\nTHREE\n" && got != "ONE\nTWO\nTHREE\none\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
}

func TestR3DeletedStaysDeleted(t *testing.T) {
	a := plain.NewList(site(1))
	insert(t, a, 0, "hello")
	c := a.Clone(site(3))
	remove(t, a, 0, 5)
	b := plain.NewList(site(2))
	insert(t, b, 0, "!")
	b.Merge(a)
	insert(t, c, 5, "C")
	b.Merge(c)
	a.Merge(b)
	if a.Text() != b.Text() || strings.ContainsAny(a.Text(), "helo") {
		t.Errorf("a %q, b %q", a.Text(), b.Text())
	}
}

func TestR17CoveredElementsJoinTheirFlag(t *testing.T) {
	a := plain.NewList(site(1))
	insert(t, a, 0, "abc")
	b := a.Clone(site(2))
	op := remove(t, a, 1, 1)
	b.Merge(a)
	if err := b.Apply(op); err != nil || b.Text() != "ac" {
		t.Errorf("got %q, %v", b.Text(), err)
	}
}

func TestR18LeftChildBesideRun(t *testing.T) {
	b := plain.NewList(site(2))
	insert(t, b, 0, "ab")
	a := b.Clone(site(1))
	insert(t, a, 2, "x")
	b.Merge(a)
	insert(t, b, 2, "c")
	if b.Text() != "abcx" || b.Clone(nil).Text() != "abcx" {
		t.Errorf("got %q", b.Text())
	}
	if c := b.Elements()[2]; c.Side != plain.Left || c.Parent != dot(1, 0) {
		t.Errorf("c is %+v", c)
	}
}

func TestSiteTransactions(t *testing.T) {
	s := site(1)
	l := plain.NewList(s)
	var x, y plain.Op
	s.Transact(func() { x, y = insert(t, l, 0, "ab"), insert(t, l, 0, "c") })
	z := remove(t, l, 0, 1)
	if x.Lamport != 1 || y.Lamport != 1 || z.Lamport != 2 || y.Seq != 2 || z.Seq != 3 || z.After != 3 {
		t.Errorf("%+v %+v %+v", x.Stamp, y.Stamp, z.Stamp)
	}
	s.Next = 10 // dots of other objects
	if op := insert(t, l, 0, "d"); op.Seq != 10 || op.After != 4 {
		t.Errorf("%+v", op.Stamp)
	}
}

// TestListLaws edits some replicas that exchange operations and states in random ways. In the end all are equal,
// however the news came, and equal to a replica that got every operation twice.
func TestListLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "replicas")
		lists := make([]*plain.List, n)
		logs := make([][]plain.Op, n) // what each applied, in a causal order
		var all []plain.Op
		for k := range lists {
			lists[k] = plain.NewList(site(k))
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			k := rapid.IntRange(0, n-1).Draw(t, "replica")
			l := lists[k]
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				text := rapid.StringOfN(rapid.SampledFrom([]rune("ab🚀\u0301")), 1, 4, -1).Draw(t, "text")
				op := insert(t, l, rapid.IntRange(0, l.Len()).Draw(t, "at"), text)
				all, logs[k] = append(all, op), append(logs[k], op)
			case 2:
				at := rapid.IntRange(0, l.Len()).Draw(t, "at")
				if op := remove(t, l, at, rapid.IntRange(0, l.Len()-at).Draw(t, "n")); len(op.Delete) > 0 {
					all, logs[k] = append(all, op), append(logs[k], op)
				}
			case 3:
				from := rapid.IntRange(0, n-1).Draw(t, "from")
				if rapid.Bool().Draw(t, "state") {
					l.Merge(lists[from])
				} else {
					applyAll(t, l, logs[from])
				}
				logs[k] = append(logs[k], logs[from]...)
			}
		}
		reader := plain.NewList(plain.NewSite(plain.ReaderID))
		applyAll(t, reader, all)
		applyAll(t, reader, all)
		for k, l := range lists {
			for _, other := range rapid.Permutation(lists).Draw(t, "order") {
				l.Merge(other)
				l.Merge(other)
			}
			if !reflect.DeepEqual(l.Elements(), reader.Elements()) || !reflect.DeepEqual(l.Clock(), reader.Clock()) {
				t.Fatalf("replica %d: %q, want %q", k, l.Text(), reader.Text())
			}
		}
		checkElements(t, reader)
	})
}

func applyAll(t *rapid.T, l *plain.List, ops []plain.Op) {
	for _, op := range ops {
		if err := l.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
}

// checkElements checks what the definition says of the dump, without the tree: every element stands on its side of
// its parent, same-side siblings ascend, and every dot occurs once.
func checkElements(t *rapid.T, l *plain.List) {
	at := map[plain.Dot]int{}
	type place struct {
		parent  plain.Dot
		atStart bool
		side    plain.Side
	}
	lastSibling := map[place]plain.Dot{}
	for i, e := range l.Elements() {
		if _, twice := at[e.Dot]; twice {
			t.Fatalf("%v twice", e.Dot)
		}
		at[e.Dot] = i
		p := place{e.Parent, e.AtStart, e.Side}
		if last, ok := lastSibling[p]; ok && last.Compare(e.Dot) >= 0 {
			t.Fatalf("siblings %v, %v", last, e.Dot)
		}
		lastSibling[p] = e.Dot
	}
	for i, e := range l.Elements() {
		parent, ok := at[e.Parent]
		if e.AtStart {
			parent, ok = -1, true
		}
		if !ok || (e.Side == plain.Right) != (parent < i) {
			t.Fatalf("%+v at %d, its parent at %d", e, i, parent)
		}
	}
}

// TestListAgainstSlice compares one replica with a plain slice of runes, which made End.
func TestListAgainstSlice(t *testing.T) {
	for seed := range uint64(5) {
		tr := trace.Generate(seed, 300)
		l, err := plain.Replay(tr)
		if err != nil || l.Text() != tr.End {
			t.Errorf("seed %d: %q, want %q (%v)", seed, l.Text(), tr.End, err)
		}
	}
}

func TestGenerateConcurrent(t *testing.T) {
	concurrent := 0
	for seed := range uint64(60) {
		a, b := plain.GenerateConcurrent(seed, 5, 30), plain.GenerateConcurrent(seed, 5, 30)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: not deterministic", seed)
		}
		if err := a.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range a.Txns {
			if len(a.Ancestors(i)) < i {
				concurrent++
			}
		}
		l, err := plain.Replay(a)
		if err != nil || l.Text() != a.End {
			t.Errorf("seed %d: %q, want %q (%v)", seed, l.Text(), a.End, err)
		}
	}
	if concurrent < 600 {
		t.Errorf("only %d of 1800 transactions are concurrent with an earlier one", concurrent)
	}
}

func ExampleList() {
	a := plain.NewList(plain.NewSite(uuid.UUID{1}))
	op, _ := a.Insert(0, []rune("ac")...)
	b := plain.NewList(plain.NewSite(uuid.UUID{2}))
	if err := b.Apply(op); err != nil {
		fmt.Println(err)
	}
	b.Insert(1, 'b')
	a.Merge(b)
	for _, e := range a.Elements() {
		fmt.Println(e.Dot.Replica[0], e.Dot.Seq, e.Side, string(e.Rune))
	}
	// Output:
	// 1 0 right a
	// 2 0 left b
	// 1 1 right c
}
