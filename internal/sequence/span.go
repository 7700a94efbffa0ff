package sequence

// LID is the local number of an element: dense, in order of arrival; a loaded state numbers in list order. It
// means nothing to other replicas.
type LID = uint32

// root is the LID that stands for the start of the list, the parent of the first elements.
const root LID = 1<<32 - 1

// maxElements bounds elements, tombstones included, so that counts fit an int32 on every platform.
const maxElements = 1<<31 - 1

// maxWide bounds the code points of a span with content beyond ASCII, so that a position inside it is found by a
// short scan and its widths fit the flags. The value is not part of any format.
const maxWide = 256

// A span is a run of elements that follow one another in the list, with consecutive LIDs, each after the first
// being the right child of the one before, all visible or all hidden. It may cross from one run of dots into
// the next; the saved form splits there.
//
// Only the first element of a span can have left children, because inserting one splits before its parent; only
// the last can have right children that are not in the span before any other of its right children.
type span struct {
	first  LID
	n      uint32 // elements, at least 1
	off    uint32 // byte offset of the content; 0 when hidden, or when the sequence has no content
	parent LID    // of the first element; root for the start of the list
	lorig  LID    // left origin of the first element: its parent, or for a left child its parent's left origin
	flags  uint32 // flag bits, then the extra widths
}

const (
	flagLeft     = 1 << iota // the first element is a left child
	flagHidden               // the elements are tombstones
	flagHasLeft              // the first element has left children
	flagHasRight             // the last element has right children (none is in this span)

	flagBits   = 8
	u16Shift   = flagBits // 10 bits: UTF-16 units beyond one for each code point
	byteShift  = 18       // 14 bits: bytes beyond one for each code point
	u16Mask    = 1<<(byteShift-u16Shift) - 1
	extrasMask = ^uint32(1<<flagBits - 1)
)

// width is a visible length: code points (or elements), and what UTF-16 and UTF-8 take beyond one unit for each.
// Differences wrap around; sums of them are right all the same.
type width struct {
	vis, u16, byt uint32
}

func (w width) neg() width { return width{-w.vis, -w.u16, -w.byt} }

func (w width) plus(v width) width { return width{w.vis + v.vis, w.u16 + v.u16, w.byt + v.byt} }

// in returns the width in unit u.
func (w width) in(u Unit) int {
	switch u {
	case UTF16:
		return int(w.vis) + int(w.u16)
	case Bytes:
		return int(w.vis) + int(w.byt)
	}
	return int(w.vis)
}

func (sp *span) hidden() bool { return sp.flags&flagHidden != 0 }
func (sp *span) last() LID    { return sp.first + sp.n - 1 }

// vis returns the number of visible elements.
func (sp *span) vis() uint32 {
	if sp.flags&flagHidden != 0 {
		return 0
	}
	return sp.n
}

// wide says whether some code point takes more than a byte.
func (sp *span) wide() bool { return sp.flags>>byteShift != 0 }

// width returns what the span adds to the visible length.
func (sp *span) width() width {
	if sp.flags&flagHidden != 0 {
		return width{}
	}
	return width{sp.n, sp.flags >> u16Shift & u16Mask, sp.flags >> byteShift}
}

// bytes returns the length of the span's content.
func (sp *span) bytes() uint32 {
	if sp.flags&flagHidden != 0 {
		return 0
	}
	return sp.n + sp.flags>>byteShift
}

// extras returns the flag bits that hold w's widths.
func extras(w width) uint32 { return w.u16<<u16Shift | w.byt<<byteShift }

// setExtras replaces the extra widths.
func (sp *span) setExtras(w width) { sp.flags = sp.flags&^extrasMask | extras(w) }

// origin returns the parent, left origin and side of element k of the span.
func (sp *span) origin(k uint32) (parent, lorig LID, left bool) {
	if k > 0 {
		p := sp.first + k - 1
		return p, p, false
	}
	return sp.parent, sp.lorig, sp.flags&flagLeft != 0
}

// continuedBy says whether next, which follows sp in the list, starts with the right child of sp's last element
// under the next LID: whether the two may share a span if visibility and content allow.
func (sp *span) continuedBy(next *span) bool {
	return next.first == sp.first+sp.n && next.parent == sp.last() && next.flags&flagLeft == 0
}
