package trace

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of ignored values.
const maxDepth = 64

// scanner reads JSON (RFC 8259) from b without going back. encoding/json is not used because it puts U+FFFD in the
// place of bad UTF-8 and lone surrogates, takes keys in any case and the last of two equal keys.
//
// The first error stays in err; from then on every method does nothing and returns zero.
type scanner struct {
	b     []byte
	i     int
	line  int
	txn   int
	patch int
	field string
	err   *Error
}

func (s *scanner) fail(detail string) {
	if s.err == nil {
		s.err = &Error{Line: s.line, Txn: s.txn, Patch: s.patch, Field: s.field, Offset: s.i, Detail: detail, Err: ErrCorrupt}
	}
}

// peek passes white space and returns the next byte, 0 at the end and after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.fail("want " + strconv.QuoteRune(rune(c)))
		return
	}
	s.i++
}

func (s *scanner) end() {
	s.peek()
	if s.i < len(s.b) {
		s.fail("more after the trace")
	}
}

// list reads what lies between open and end, its parts parted by commas.
func (s *scanner) list(open, end byte, part func(i int)) {
	s.expect(open)
	if s.peek() == end {
		s.i++
		return
	}
	for i := 0; s.err == nil; i++ {
		part(i)
		if s.peek() == end {
			s.i++
			return
		}
		s.expect(',')
	}
}

func (s *scanner) array(elem func(i int)) { s.list('[', ']', elem) }

// object calls value for each key that is in keys, with its index, and skips the others. It returns the set of keys
// seen; a second time is an error.
func (s *scanner) object(keys []string, value func(k int)) (seen uint) {
	s.list('{', '}', func(int) {
		key := s.str()
		s.expect(':')
		for k, name := range keys {
			if name != key || s.err != nil {
				continue
			}
			outer := s.field
			s.field = name
			if seen&(1<<k) != 0 {
				s.fail("given twice")
			}
			seen |= 1 << k
			value(k)
			s.field = outer
			return
		}
		s.skip(0)
	})
	return seen
}

func (s *scanner) need(seen uint, keys []string, k int) {
	if s.err == nil && seen&(1<<k) == 0 {
		s.field = keys[k]
		s.fail("missing")
	}
}

// int reads a whole number in [0, 1<<31), written without sign, fraction or exponent.
func (s *scanner) int() int {
	s.peek()
	if s.err != nil {
		return 0
	}
	start, n := s.i, int64(0)
	for ; s.i < len(s.b) && isDigit(s.b[s.i]); s.i++ {
		if n = n*10 + int64(s.b[s.i]-'0'); n > math.MaxInt32 {
			s.fail("number too large")
			return 0
		}
	}
	switch {
	case s.i == start:
		s.fail("want a number that is not negative")
	case s.b[start] == '0' && s.i > start+1:
		s.fail("number with a leading zero")
	case s.i < len(s.b) && bytes.IndexByte([]byte(".eE"), s.b[s.i]) >= 0:
		s.fail("want a whole number")
	}
	return int(n)
}

func (s *scanner) str() string {
	s.expect('"')
	if s.err != nil {
		return ""
	}
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			raw := s.b[start:s.i]
			s.i++
			return s.text(raw)
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.fail("control character in a string")
			return ""
		}
	}
	s.fail("string without an end")
	return ""
}

// escaped reads on from the first backslash of a string that began at start.
func (s *scanner) escaped(start int) string {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) && s.err == nil {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.text(out)
		case c == '\\':
			out = utf8.AppendRune(out, s.escape())
		case c < 0x20:
			s.fail("control character in a string")
		default:
			out = append(out, c)
			s.i++
		}
	}
	s.fail("string without an end")
	return ""
}

func (s *scanner) text(raw []byte) string {
	if s.err == nil && !utf8.Valid(raw) {
		s.fail("invalid UTF-8")
	}
	if s.err != nil {
		return ""
	}
	return string(raw)
}

var (
	escapeNames  = []byte(`"\/bfnrt`)
	escapeValues = []byte("\"\\/\b\f\n\r\t")
)

func (s *scanner) escape() rune {
	s.i++ // the backslash
	if s.i >= len(s.b) {
		return 0
	}
	c := s.b[s.i]
	if k := bytes.IndexByte(escapeNames, c); k >= 0 {
		s.i++
		return rune(escapeValues[k])
	}
	if c != 'u' {
		s.fail("unknown escape")
		return 0
	}
	r := s.hex()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.i+1 < len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		s.i++
		if pair := utf16.DecodeRune(r, s.hex()); pair != utf8.RuneError {
			return pair
		}
	}
	s.fail("lone surrogate")
	return 0
}

// hex reads u and four hexadecimal digits.
func (s *scanner) hex() rune {
	if s.i+5 > len(s.b) {
		s.fail("want four hexadecimal digits")
		return 0
	}
	var r rune
	for _, c := range s.b[s.i+1 : s.i+5] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			s.fail("want four hexadecimal digits")
			return 0
		}
	}
	s.i += 5
	return r
}

// skip passes one value of any kind.
func (s *scanner) skip(depth int) {
	c := s.peek()
	switch {
	case depth > maxDepth:
		s.fail("nested too deeply")
	case c == '{':
		s.list('{', '}', func(int) {
			s.str()
			s.expect(':')
			s.skip(depth + 1)
		})
	case c == '[':
		s.list('[', ']', func(int) { s.skip(depth + 1) })
	case c == '"':
		s.str()
	case c == '-' || isDigit(c):
		s.skipNumber()
	default:
		s.skipLiteral()
	}
}

func (s *scanner) skipLiteral() {
	for _, word := range []string{"true", "false", "null"} {
		if s.err == nil && bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return
		}
	}
	s.fail("want a value")
}

func (s *scanner) skipNumber() {
	if s.at("-") {
		s.i++
	}
	if s.at("0") {
		s.i++
	} else {
		s.skipDigits()
	}
	if s.at(".") {
		s.i++
		s.skipDigits()
	}
	if s.at("eE") {
		s.i++
		if s.at("+-") {
			s.i++
		}
		s.skipDigits()
	}
}

func (s *scanner) skipDigits() {
	start := s.i
	for s.i < len(s.b) && isDigit(s.b[s.i]) {
		s.i++
	}
	if s.i == start {
		s.fail("want a digit")
	}
}

func (s *scanner) at(set string) bool {
	return s.err == nil && s.i < len(s.b) && bytes.IndexByte([]byte(set), s.b[s.i]) >= 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
