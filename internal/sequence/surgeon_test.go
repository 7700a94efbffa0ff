package sequence

import (
	"fmt"
	"strings"
	"testing"
)

type byNumber struct{}

func (byNumber) CompareReplicas(a, b uint32) int { return int(a) - int(b) }

// patient returns a sequence that has something of everything: inner nodes, tombstones, wide content, a crowd of
// siblings, all indexes, a remembered place.
func patient(t *testing.T) *Sequence {
	t.Helper()
	s := New(byNumber{}, true)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	seq := uint64(0)
	put := func(at int, text string) {
		n := len([]rune(text))
		_, _, err := s.Insert(at, ID{Seq: seq}, n, text)
		must(err)
		seq += uint64(n)
	}
	put(0, "abcdef")
	for i := range 3000 {
		put(i*7%s.Len(CodePoints), "xé"[:1+i%2*2])
	}
	for i := range 100 {
		_, err := s.DeleteRange(i*11, 3, nil)
		must(err)
	}
	for k := range 20 {
		_, err := s.Integrate(ID{Rep: uint32(20 - k)}, 1, []byte("y"), Origin{Parent: ID{Seq: 5}})
		must(err)
		_, err = s.Integrate(ID{Rep: uint32(30 + k)}, 1, []byte("y"), Origin{Parent: ID{Seq: 3}})
		must(err)
	}
	put(40, "z")
	must(s.Check())
	if len(s.sibs) == 0 || s.top == 0 || s.index.Load() == nil || s.dots.Load() == nil || !s.place.known {
		t.Fatal("the patient is too healthy")
	}
	return s
}

// spanThat returns the first span that f holds of.
func spanThat(s *Sequence, f func(*span) bool) *span {
	for _, sp := range s.spans() {
		if f(sp) {
			return sp
		}
	}
	panic("no such span")
}

// TestCheckFindsDamage breaks one invariant at a time.
func TestCheckFindsDamage(t *testing.T) {
	hidden := func(sp *span) bool { return sp.hidden() }
	live := func(sp *span) bool { return !sp.hidden() }
	wide := func(sp *span) bool { return !sp.hidden() && sp.wide() }
	for name, c := range map[string]struct {
		number int
		damage func(s *Sequence)
	}{
		"total":          {1, func(s *Sequence) { s.total.vis++ }},
		"sum":            {1, func(s *Sequence) { s.inners[s.top].vis[1]++; s.inners[s.top].vis[0]-- }},
		"UTF-16 sum":     {1, func(s *Sequence) { s.inners[s.leaves[s.first].parent].u16[0]++ }},
		"byte sum":       {1, func(s *Sequence) { s.inners[s.leaves[s.first].parent].byt[0]++ }},
		"parent":         {1, func(s *Sequence) { s.leaves[s.first].parent = 0 }},
		"position":       {1, func(s *Sequence) { s.leaves[s.first].pos++ }},
		"next leaf":      {1, func(s *Sequence) { s.leaves[s.first].next = s.tail }},
		"previous leaf":  {1, func(s *Sequence) { s.leaves[s.tail].prev = s.first }},
		"last leaf":      {1, func(s *Sequence) { s.tail = s.first }},
		"empty leaf":     {1, func(s *Sequence) { s.leaves[s.first].n = 0 }},
		"LID twice":      {2, func(s *Sequence) { spanThat(s, hidden).first++ }},
		"count":          {2, func(s *Sequence) { s.count++ }},
		"hidden length":  {2, func(s *Sequence) { spanThat(s, hidden).n++ }},
		"hidden content": {3, func(s *Sequence) { spanThat(s, hidden).off = 1 }},
		"shared content": {3, func(s *Sequence) {
			spanThat(s, func(sp *span) bool { return live(sp) && !sp.wide() && sp.n == 1 && sp.off > 9 }).off = 0
		}},
		"content beyond":    {3, func(s *Sequence) { spanThat(s, live).off = uint32(len(s.content)) }},
		"content cut":       {3, func(s *Sequence) { spanThat(s, wide).off++ }},
		"left origin":       {4, func(s *Sequence) { spanThat(s, func(sp *span) bool { return sp.flags&flagLeft != 0 }).lorig = 7777 }},
		"parent element":    {4, func(s *Sequence) { spanThat(s, func(sp *span) bool { return sp.parent != root }).parent = s.count }},
		"has left":          {5, func(s *Sequence) { spanThat(s, hidden).flags ^= flagHasLeft }},
		"has right":         {5, func(s *Sequence) { spanThat(s, hidden).flags ^= flagHasRight }},
		"order of replicas": {6, func(s *Sequence) { swapReplicas(s, 3, 4) }},
		"dot twice":         {7, func(s *Sequence) { s.runs[1] = run{s.runs[1].lid, s.runs[0].rep, s.runs[0].seq} }},
		"first run":         {7, func(s *Sequence) { s.runs[0].lid = 1 }},
		"span index":        {8, func(s *Sequence) { s.index.Load().set(s.leaves[s.first].spans[0].first, s.tail) }},
		"span not in index": {8, func(s *Sequence) { s.index.Load().unset(s.leaves[s.first].spans[1].first) }},
		"dot index":         {8, func(s *Sequence) { s.dots.Load().byRep[3].runs[0] = 0 }},
		"place":             {8, func(s *Sequence) { s.place.start++ }},
		"sibling index": {8, func(s *Sequence) {
			for _, b := range s.sibs {
				c := b.chunks[0]
				c[0], c[1] = c[1], c[0]
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := patient(t)
			c.damage(s)
			err := s.Check()
			if want := fmt.Sprintf("invariant %d:", c.number); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// swapReplicas exchanges the dots of two replicas with an element each, here and in the index.
func swapReplicas(s *Sequence, a, b uint32) {
	for i := range s.runs {
		switch r := &s.runs[i]; r.rep {
		case a:
			r.rep = b
		case b:
			r.rep = a
		}
	}
}
