package trace

import (
	"fmt"
	"math/rand/v2"
)

// Generate returns a sequential trace of the given number of edits, one in each transaction, that resembles typing:
// runs of words, pauses at a new place, backspaces, now and then a paste or the delete of a selection. Equal arguments
// give equal traces.
func Generate(seed uint64, edits int) *Trace {
	g := &typist{rnd: rand.New(rand.NewPCG(seed, 1))}
	t := &Trace{Name: fmt.Sprintf("generated %d", seed), Agents: 1, Txns: make([]Txn, 0, edits)}
	for range edits {
		p := g.next()
		g.text.splice(p)
		g.cursor = p.Pos + len([]rune(p.Inserted))
		t.Txns = append(t.Txns, Txn{Patches: []Patch{p}})
	}
	t.End = g.text.String()
	return t
}

const (
	letters = "eeeeeetttttaaaaoooiiinnnssshhrrddlluucmwfgypbvkjxqz"
	others  = "éüñ—…αβ字漢👩🚀"
)

type typist struct {
	rnd    *rand.Rand
	text   gapBuffer
	cursor int
	word   int // letters still to type before the next space
}

// n draws from [0, max). It uses Uint64 alone, whose sequence is fixed by the definition of PCG.
func (g *typist) n(max int) int { return int(g.rnd.Uint64() % uint64(max)) }

func (g *typist) next() Patch {
	size := g.text.len()
	switch roll := g.n(1000); {
	case roll < 8 && size > 0: // go on elsewhere
		g.cursor = g.n(size + 1)
	case roll < 12 && size > 200: // delete a selection
		pos := g.n(size - 100)
		return Patch{Pos: pos, Deleted: 1 + g.n(100)}
	case roll < 15: // paste
		return Patch{Pos: g.cursor, Inserted: g.words(20 + g.n(200))}
	case roll < 130 && g.cursor > 0: // backspace
		return Patch{Pos: g.cursor - 1, Deleted: 1}
	case roll < 140 && g.cursor < size: // replace the character ahead
		return Patch{Pos: g.cursor, Deleted: 1, Inserted: g.words(1)}
	}
	return Patch{Pos: g.cursor, Inserted: g.words(1)}
}

func (g *typist) words(n int) string {
	out := make([]rune, n)
	for i := range out {
		out[i] = g.char()
	}
	return string(out)
}

func (g *typist) char() rune {
	if g.word == 0 {
		g.word = 1 + g.n(9)
		if g.n(12) == 0 {
			return '\n'
		}
		return ' '
	}
	g.word--
	if g.n(200) == 0 {
		all := []rune(others)
		return all[g.n(len(all))]
	}
	return rune(letters[g.n(len(letters))])
}

// gapBuffer is a text with its free space at the last edit, so that nearby edits move little.
type gapBuffer struct {
	before []rune
	after  []rune // reversed
}

func (b *gapBuffer) len() int { return len(b.before) + len(b.after) }

func (b *gapBuffer) splice(p Patch) {
	for len(b.before) > p.Pos {
		last := len(b.before) - 1
		b.after = append(b.after, b.before[last])
		b.before = b.before[:last]
	}
	for len(b.before) < p.Pos {
		last := len(b.after) - 1
		b.before = append(b.before, b.after[last])
		b.after = b.after[:last]
	}
	b.after = b.after[:len(b.after)-p.Deleted]
	b.before = append(b.before, []rune(p.Inserted)...)
}

func (b *gapBuffer) String() string {
	out := append([]rune(nil), b.before...)
	for i := len(b.after) - 1; i >= 0; i-- {
		out = append(out, b.after[i])
	}
	return string(out)
}
