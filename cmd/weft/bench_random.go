package main

import "unicode/utf8"

// randomness is a small repeatable generator (mulberry32 by Tommy Ettinger).
type randomness struct{ seed uint32 }

func (r *randomness) next() uint32 {
	r.seed += 0x6d2b79f5
	t := r.seed
	t = (t ^ t>>15) * (t | 1)
	t ^= t + (t^t>>7)*(t|61)
	return t ^ t>>14
}

// below returns a number in [0, n).
func (r *randomness) below(n int) int { return int(uint64(r.next()) * uint64(n) >> 32) }

// between returns a number in [from, to].
func (r *randomness) between(from, to int) int { return from + r.below(to-from+1) }

// word returns n letters.
func (r *randomness) word(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.below(26))
	}
	return string(b)
}

// numbers returns n numbers below 2^31.
func (r *randomness) numbers(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = r.below(1<<31 - 1)
	}
	return out
}

// divergence returns n edits, a transaction each, of one who works on text: mostly typing, some deleting, at places that
// change now and then.
func divergence(text string, who uint32, n int) *script {
	r := randomness{seed: 77 + who}
	length := utf8.RuneCountInString(text)
	s := &script{writers: 1, agents: make([]int32, n)}
	at := r.below(length + 1)
	var typed []byte
	for i := range n {
		if r.below(30) == 0 {
			at = r.below(length + 1)
		}
		p := patch{from: uint32(len(typed))}
		if at > 0 && r.below(6) == 0 {
			at--
			length--
			p.pos, p.deleted = int32(at), 1
		} else {
			p.pos = int32(at)
			typed = append(typed, byte('a'+r.below(26)))
			at++
			length++
		}
		p.to = uint32(len(typed))
		s.patches = append(s.patches, p)
		s.ends = append(s.ends, int32(i+1))
	}
	s.text = string(typed)
	return s
}
