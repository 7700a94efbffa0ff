package crdt

import (
	"unicode/utf8"

	"github.com/seed1312cc15/weft/runtime"
)

// TextEvent tells how one transaction, state or delta changed a text.
type TextEvent struct {
	runtime.Meta
	// Delta turns the text before into the text after: read from the start, keep Retain code points, put in Insert,
	// drop Delete code points; what follows the last step is kept. Each step has exactly one of the three.
	Delta []TextDelta
}

// TextDelta is one step of a TextEvent. Retain and Delete count code points.
type TextDelta struct {
	Retain int    `json:"retain,omitempty"`
	Insert string `json:"insert,omitempty"`
	Delete int    `json:"delete,omitempty"`
}

// Apply returns what the steps make of the text before. Cost: O(length).
func (e TextEvent) Apply(before string) string {
	out := make([]byte, 0, len(before))
	at := 0
	skip := func(n int) int {
		for ; n > 0 && at < len(before); n-- {
			_, size := utf8.DecodeRuneInString(before[at:])
			at += size
		}
		return at
	}
	for _, d := range e.Delta {
		from := at
		switch {
		case d.Retain > 0:
			out = append(out, before[from:skip(d.Retain)]...)
		case d.Delete > 0:
			skip(d.Delete)
		default:
			out = append(out, d.Insert...)
		}
	}
	return string(append(out, before[at:]...))
}

// deltaBuilder composes edits, each told with its index in the text that the ones before left, into one delta. It keeps
// the steps in two stacks around the place of the last edit, so that edits near each other cost O(1).
//
//  1. left holds the steps before the place, the nearest last; right those after it, the nearest last.
//  2. at is the index of the place: the code points that the steps of left retain and insert.
//  3. What no step tells is retained.
type deltaBuilder struct {
	left, right []deltaStep
	at          int
	active      bool // an edit was told
}

type deltaStep struct {
	kind uint8
	n    int    // code points
	text []byte // stepInsert
}

const (
	stepRetain = iota
	stepInsert
	stepDelete
)

func (b *deltaBuilder) reset() {
	if b.active {
		*b = deltaBuilder{}
	}
}

func (b *deltaBuilder) insert(i, n int, s string) {
	b.active = true
	b.seek(i)
	b.push(deltaStep{stepInsert, n, []byte(s)})
}

func (b *deltaBuilder) delete(i, n int) {
	b.active = true
	b.seek(i)
	for n > 0 {
		k := len(b.right) - 1
		if k < 0 {
			b.push(deltaStep{kind: stepDelete, n: n})
			return
		}
		s := b.right[k]
		b.right = b.right[:k]
		if s.kind == stepDelete {
			b.push(s)
			continue
		}
		if s.n > n {
			var rest deltaStep
			s, rest = s.split(n)
			b.right = append(b.right, rest)
		}
		n -= s.n
		if s.kind == stepRetain {
			b.push(deltaStep{kind: stepDelete, n: s.n})
		}
	}
}

// seek moves the place to index i.
func (b *deltaBuilder) seek(i int) {
	for b.at > i {
		k := len(b.left) - 1
		s := b.left[k]
		b.left = b.left[:k]
		if s.kind == stepDelete {
			b.right = append(b.right, s)
			continue
		}
		if b.at-s.n < i {
			var head deltaStep
			head, s = s.split(i - (b.at - s.n))
			b.left = append(b.left, head)
		}
		b.at -= s.n
		b.right = append(b.right, s)
	}
	for b.at < i {
		k := len(b.right) - 1
		if k < 0 {
			b.push(deltaStep{kind: stepRetain, n: i - b.at})
			return
		}
		s := b.right[k]
		b.right = b.right[:k]
		if s.kind != stepDelete && b.at+s.n > i {
			var rest deltaStep
			s, rest = s.split(i - b.at)
			b.right = append(b.right, rest)
		}
		b.push(s)
	}
}

// push appends a step to the left, joining it to the one before where it can.
func (b *deltaBuilder) push(s deltaStep) {
	if s.kind != stepDelete {
		b.at += s.n
	}
	if k := len(b.left); k > 0 && b.left[k-1].kind == s.kind {
		last := &b.left[k-1]
		last.n += s.n
		last.text = append(last.text, s.text...)
		return
	}
	b.left = append(b.left, s)
}

// split cuts the step after n code points.
func (s deltaStep) split(n int) (head, tail deltaStep) {
	head, tail = deltaStep{kind: s.kind, n: n}, deltaStep{kind: s.kind, n: s.n - n}
	if s.kind == stepInsert {
		at := n
		if len(s.text) != s.n {
			at = 0
			for range n {
				_, size := utf8.DecodeRune(s.text[at:])
				at += size
			}
		}
		head.text, tail.text = s.text[:at:at], s.text[at:]
	}
	return head, tail
}

// take returns the delta in its shortest form, between two retains at most one insert and then one delete, and resets.
func (b *deltaBuilder) take() []TextDelta {
	for i := len(b.right) - 1; i >= 0; i-- {
		b.push(b.right[i])
	}
	var out []TextDelta
	var insert []byte
	retain, drop := 0, 0
	flush := func() {
		if retain > 0 && (len(insert) > 0 || drop > 0) {
			out = append(out, TextDelta{Retain: retain})
			retain = 0
		}
		if len(insert) > 0 {
			out = append(out, TextDelta{Insert: string(insert)})
		}
		if drop > 0 {
			out = append(out, TextDelta{Delete: drop})
		}
		insert, drop = nil, 0
	}
	for _, s := range b.left {
		switch s.kind {
		case stepRetain:
			flush()
			retain += s.n
		case stepInsert:
			insert = append(insert, s.text...)
		case stepDelete:
			drop += s.n
		}
	}
	flush()
	*b = deltaBuilder{}
	return out
}
