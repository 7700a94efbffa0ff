package runtime

import "fmt"

// Kinds in payloads are coded as the number of a well-known kind, or as 0 and the name spelled out.

// Kind appends the name of a kind of object, one byte for the kinds of this library.
func (w *OpWriter) Kind(name string) {
	code := kindCode(name)
	w.Uvarint(code)
	if code == 0 {
		w.Uvarint(uint64(len(name)))
		w.RawString(name)
	}
}

// Kind appends the name of a kind of object, one byte for the kinds of this library.
func (w *StateWriter) Kind(name string) {
	code := kindCode(name)
	w.Uvarint(code)
	if code == 0 {
		w.Uvarint(uint64(len(name)))
		w.RawString(name)
	}
}

// RawString appends s without its length.
func (w *StateWriter) RawString(s string) { w.buf = append(w.buf, s...) }

// Kind reads what OpWriter.Kind or StateWriter.Kind wrote. A code that a newer version gave out fails with ErrVersion.
func (r *Reader) Kind(field string) string {
	code := r.Uvarint(field)
	switch {
	case code >= uint64(len(wellKnown)):
		r.Fail(field, ErrVersion)
		return ""
	case code > 0 || r.err != nil:
		return wellKnown[code]
	}
	b := r.Bytes(field)
	if r.err == nil && (len(b) == 0 || len(b) > maxKindName || kindCode(string(b)) != 0) {
		r.Fail(field, ErrCorrupt)
		return ""
	}
	return string(b)
}

// CheckKind returns nil if objects of this kind can be made and edited here, else ErrUnknownKind.
func (r *Runtime) CheckKind(name string) error {
	r.table.Lock()
	defer r.table.Unlock()
	if k := r.findKind(name); k == nil || k.new == nil {
		return fmt.Errorf("%w: %q", ErrUnknownKind, name)
	}
	return nil
}
