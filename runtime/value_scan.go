package runtime

import "unicode/utf8"

// Value reads one CBOR item, which aliases the input: values are self-delimiting, so no length stands before them.
func (r *Reader) Value(field string) []byte {
	b := r.buf[r.off:]
	n := valueLen(b)
	if n == 0 || ValidValue(b[:n]) != nil {
		r.Fail(field, ErrCorrupt)
		return nil
	}
	r.off += n
	return b[:n:n]
}

// Key reads one CBOR item that may be a key, see CanonicalKey. It aliases the input.
func (r *Reader) Key(field string) []byte {
	b := r.buf[r.off:]
	n := valueLen(b)
	if n == 0 || CanonicalKey(b[:n]) != nil {
		r.Fail(field, ErrCorrupt)
		return nil
	}
	r.off += n
	return b[:n:n]
}

// valueLen returns the length of the CBOR item at the start of b, 0 if none ends within b. It accepts more than
// ValidValue, which judges what it found. Cost: O(items), no allocation.
func valueLen(b []byte) int {
	at := 0
	for open := uint64(1); open > 0; open-- {
		major, arg, n := itemHead(b[at:])
		if n == 0 {
			return 0
		}
		at += n
		left := uint64(len(b) - at)
		switch major {
		case 2, 3:
			if arg > left {
				return 0
			}
			at += int(arg)
		case 4, 5:
			if arg > left {
				return 0
			}
			if open += arg; major == 5 {
				open += arg
			}
		case 6:
			open++
		}
	}
	return at
}

// itemHead reads the head of a CBOR item (RFC 8949 section 3); n is 0 if there is none of definite length.
func itemHead(b []byte) (major byte, arg uint64, n int) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	major, info := b[0]>>5, b[0]&31
	if info < 24 {
		return major, uint64(info), 1
	}
	if n = 1 + 1<<(info-24); info > 27 || len(b) < n {
		return 0, 0, 0
	}
	for _, c := range b[1:n] {
		arg = arg<<8 | uint64(c)
	}
	return major, arg, n
}

// plainValue reports whether data is one integer, string, bool or null: what most values are. Such data is well-formed.
// canonical says that it is in core deterministic form too.
func plainValue(data []byte) (plain, canonical bool) {
	major, arg, n := itemHead(data)
	if n == 0 {
		return false, false
	}
	minimal := n == 1 || arg >= 24 && n == 2 || arg > 0xff && n == 3 || arg > 0xffff && n == 5 || arg > 0xffffffff
	switch major {
	case 0, 1:
		return n == len(data), minimal
	case 2:
		return arg == uint64(len(data)-n), minimal
	case 3:
		return arg == uint64(len(data)-n), minimal && utf8.Valid(data[n:])
	case 7:
		return len(data) == 1 && arg >= 20 && arg <= 22, true
	}
	return false, false
}
