package crdt

import (
	"unicode/utf8"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// Replace makes the text equal to s by few edits: it deletes and inserts only code points in which the two differ, so
// that what others write elsewhere meanwhile, cursors and history stay where they belong. The difference is minimal
// (Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1986) unless the two differ so much that
// finding it would be dear: then it is that of whole lines, with minimal ones inside of them where they are cheap, and at
// worst one replacement of all that stands between the common start and the common end. Errors as in Insert. Cost: O(length) and a
// bounded amount of comparing: about 16 steps a code point of what differs, plus 4 million.
func (t Text) Replace(tx runtime.Tx, s string) error {
	if _, err := countText(s); err != nil {
		return err
	}
	if err := tx.Writable(t.node); err != nil {
		return err
	}
	st := t.state()
	old, _ := st.slice(0, st.seq.Len(sequence.CodePoints))
	before, after := commonEnds(old, s)
	at := utf8.RuneCountInString(old[:before])
	a, b := []rune(old[before:len(old)-after]), []rune(s[before:len(s)-after])
	shift := at
	for _, h := range diffRunes(a, b) {
		if err := t.Splice(tx, h.a+shift, h.del, string(b[h.b:h.b+h.ins])); err != nil {
			return err
		}
		shift += h.ins - h.del
	}
	return nil
}

// commonEnds returns the lengths in bytes of the common start and the common end of two texts, whole code points that do
// not overlap.
func commonEnds(a, b string) (before, after int) {
	n := min(len(a), len(b))
	for before < n && a[before] == b[before] {
		before++
	}
	for before > 0 && (before < len(a) && !utf8.RuneStart(a[before]) || before < len(b) && !utf8.RuneStart(b[before])) {
		before--
	}
	for after < n-before && a[len(a)-1-after] == b[len(b)-1-after] {
		after++
	}
	for after > 0 && !utf8.RuneStart(a[len(a)-after]) {
		after--
	}
	return before, after
}

// hunk replaces del elements of the old list from a on by ins elements of the new one from b on.
type hunk struct{ a, del, b, ins int }

const (
	diffSteps    = 4 << 20 // comparisons that a difference may always take
	diffStepsPer = 16      // and so many more for each element
	diffEdits    = 1024    // edits up to which a difference is looked for; the memory is their square, times 4 bytes
)

// diffRunes returns how to make b of a.
func diffRunes(a, b []rune) []hunk {
	budget := diffSteps + diffStepsPer*(len(a)+len(b))
	if hs, ok := diff(a, b, &budget); ok {
		return hs
	}
	la, lb := lineStarts(a), lineStarts(b)
	numbers := map[string]int32{}
	budget = diffSteps + diffStepsPer*(len(la)+len(lb))
	lines, ok := diff(numberLines(a, la, numbers), numberLines(b, lb, numbers), &budget)
	if !ok {
		return []hunk{{0, len(a), 0, len(b)}}
	}
	budget = diffSteps + diffStepsPer*(len(a)+len(b))
	var out []hunk
	for _, l := range lines {
		from, to := la[l.a], la[l.a+l.del]
		newFrom, newTo := lb[l.b], lb[l.b+l.ins]
		inner, ok := diff(a[from:to], b[newFrom:newTo], &budget)
		if !ok {
			inner = []hunk{{0, to - from, 0, newTo - newFrom}}
		}
		for _, h := range inner {
			out = append(out, hunk{h.a + from, h.del, h.b + newFrom, h.ins})
		}
	}
	return out
}

// lineStarts returns where the lines of text start, and its length.
func lineStarts(text []rune) []int {
	starts := []int{0}
	for i, r := range text {
		if r == '\n' && i+1 < len(text) {
			starts = append(starts, i+1)
		}
	}
	if len(text) > 0 {
		starts = append(starts, len(text))
	}
	return starts
}

// numberLines gives equal lines equal numbers.
func numberLines(text []rune, starts []int, numbers map[string]int32) []int32 {
	out := make([]int32, len(starts)-1)
	for i := range out {
		line := string(text[starts[i]:starts[i+1]])
		n, ok := numbers[line]
		if !ok {
			n = int32(len(numbers))
			numbers[line] = n
		}
		out[i] = n
	}
	return out
}

// diff returns the fewest deletes and inserts that make b of a, in as few hunks as sliding them gives; false if that
// takes more than diffEdits edits or more comparisons than the budget, which it spends.
func diff[E comparable](a, b []E, budget *int) ([]hunk, bool) {
	before := 0
	for before < len(a) && before < len(b) && a[before] == b[before] {
		before++
	}
	a, b = a[before:], b[before:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var hs []hunk
	if len(a) == 0 || len(b) == 0 {
		if len(a)+len(b) > 0 {
			hs = append(hs, hunk{0, len(a), 0, len(b)})
		}
	} else {
		trace, ok := furthest(a, b, budget)
		if !ok {
			return nil, false
		}
		hs = slide(a, b, backtrack(trace, len(a), len(b)))
	}
	for i := range hs {
		hs[i].a += before
		hs[i].b += before
	}
	return hs, true
}

// furthest is the greedy algorithm of Myers: trace[d][i] is the furthest x on diagonal k = 2i-d that d edits reach.
func furthest[E comparable](a, b []E, budget *int) (trace [][]int32, ok bool) {
	for d := 0; d <= min(diffEdits, len(a)+len(b)); d++ {
		v := make([]int32, d+1)
		for i := range v {
			x := step(trace, d, i)
			y := int(x) - (2*i - d)
			from := x
			if y >= 0 && int(x) <= len(a) && y <= len(b) {
				for int(x) < len(a) && y < len(b) && a[x] == b[y] {
					x++
					y++
				}
			}
			*budget -= int(x-from) + 1
			v[i] = x
			if int(x) == len(a) && y == len(b) {
				return append(trace, v), true
			}
		}
		if *budget < 0 {
			return nil, false
		}
		trace = append(trace, v)
	}
	return nil, false
}

// step returns where the d-th edit arrives on diagonal 2i-d before any equal elements.
func step(trace [][]int32, d, i int) int32 {
	if d == 0 {
		return 0
	}
	if insertLast(trace, d, i) {
		return trace[d-1][i]
	}
	return trace[d-1][i-1] + 1
}

// insertLast reports whether the d-th edit on the way to diagonal 2i-d is an insert, which comes from the diagonal above.
func insertLast(trace [][]int32, d, i int) bool {
	return i == 0 || i < d && trace[d-1][i-1] < trace[d-1][i]
}

// backtrack turns a trace into hunks.
func backtrack(trace [][]int32, n, m int) []hunk {
	var out []hunk // from the last to the first
	i := (n - m + len(trace) - 1) / 2
	for d := len(trace) - 1; d > 0; d-- {
		at := int(step(trace, d, i))
		insert := insertLast(trace, d, i)
		y := at - (2*i - d)
		h := hunk{a: at, b: y}
		if insert {
			h.b, h.ins = y-1, 1
		} else {
			h.a, h.del = at-1, 1
			i--
		}
		if k := len(out) - 1; k >= 0 && h.a+h.del == out[k].a && h.b+h.ins == out[k].b {
			out[k] = hunk{h.a, h.del + out[k].del, h.b, h.ins + out[k].ins}
		} else {
			out = append(out, h)
		}
	}
	for l, r := 0, len(out)-1; l < r; l, r = l+1, r-1 {
		out[l], out[r] = out[r], out[l]
	}
	return out
}

// slide moves hunks that only delete or only insert to the next hunk where equal elements allow it, and joins the two.
func slide[E comparable](a, b []E, hs []hunk) []hunk {
	out := hs[:0]
	for _, h := range hs {
		if k := len(out) - 1; k >= 0 && slides(a, b, out[k], h.a-out[k].a-out[k].del) {
			last := &out[k]
			gap := h.a - last.a - last.del
			*last = hunk{last.a + gap, last.del + h.del, last.b + gap, last.ins + h.ins}
			continue
		}
		out = append(out, h)
	}
	return out
}

// slides reports whether the hunk may stand gap elements further on.
func slides[E comparable](a, b []E, h hunk, gap int) bool {
	list, at, n := a, h.a, h.del
	switch {
	case h.ins == 0:
	case h.del == 0:
		list, at, n = b, h.b, h.ins
	default:
		return false
	}
	for i := range gap {
		if list[at+i] != list[at+i+n] {
			return false
		}
	}
	return true
}
