package sequence

import "github.com/seed1312cc15/weft/internal/bitcol"

// # The saved form (normative)
//
// A state is the elements in list order, each with its dot, origin and visibility, and for text the visible
// content. Equal states have equal bytes; a decoder refuses bytes that no encoder writes.
//
// A canonical span is a longest run of elements that follow one another in the list with consecutive dots of one
// replica, each after the first the right child of the one before, all visible or all hidden.
//
//	state   = head [ table bits ] [ text ] [ fill ]
//	head    = uvarint: number of canonical spans * 2 + (1 if the sequence has content). 0 spans end the state.
//	table   = uvarint k, then k uvarints: the replicas by their numbers in the owner's table, in the order of
//	          their first use by the spans. Below, replicas are numbered by their place in it.
//	bits    = the bit stream below, its last byte filled with zero bits
//	text    = the UTF-8 of the visible elements, only with content
//	fill    = zero bytes, as many as bring a state that is shorter to a byte for each canonical span
//
// A uvarint is that of encoding/binary in its shortest form. Bits are taken from the least significant of the
// first byte on; a number of n bits begins with its least significant, a Huffman code with its first bit.
//
// # Bit stream
//
// There are ten columns: symbols in contexts 0 to 3, length, seqSame, seqOther, replica, climb, back. First, a
// flag for each in that order: 0, the column has its default code (see defaults); 1, its own code follows at
// once: 6 bits, the greatest symbol used; then for each symbol from 0 to that, 4 bits, the length of its code, 0
// if unused. The lengths are those that bitcol.Lengths gives for the frequencies; a code of one symbol has length
// 1. A column has its own code if and only if it takes fewer bits in all, these included, than the default.
//
// Then each span in list order: its symbol; climb and back with kind C; replica, unless k = 1, or it is the first
// span, or the shape says "next"; seqSame or seqOther, unless the shape says "next"; length.
//
// A number v in a column is coded as the symbol bits.Len(v), and if that is above 1, the bits of v below its
// highest.
//
// # Machine
//
// Reader and writer keep: x, the element before the span (at first the start of the list); the chain, a stack of
// elements, at first the start of the list alone; pending, a stack of parents that are still to come, because
// their left children have come. A pending parent remembers the length of the chain as it was below its first
// left child; the top of that chain is the left origin that this parent and its left children share.
//
// The kind says what the left origin of the span's first element e is:
//
//	A  x itself: e descends from it.
//	B  that of the top pending parent, which is e itself and is popped. The chain is cut to its length.
//	S  that of the top pending parent, to which e belongs as, or below, a further left child. The chain is cut
//	   to its length.
//	C  another: the chain is cut by climb elements, then the top is replaced by the element back (back + 1 if
//	   climb = 0) before it in its canonical span. The chain stays longer than that of the top pending parent.
//
// A right child's parent is its left origin. A left child's parent is the top pending parent with "share", which
// is possible with S, and with B when after the pop the top pending parent has the same length of chain (a right
// child is not possible then); else it is a new one, pushed with the present length of the chain. Afterwards the last element of the span is pushed on
// the chain. At the end nothing is pending.
//
//	shape   kind side
//	0 flip  A    right, next: hidden if x is visible, and the other way round. Not as first span
//	1       A    right
//	2       A    left, new
//	3       B    right, next
//	4       B    right
//	5       B    left, new
//	6       B    left, share
//	7       S    left, new
//	8       S    left, share
//	9       C    right, next
//	10      C    right
//	11      C    left, new
//
// "next" means that e's dot is the one after its left origin's; the other right shapes are not used then. Symbol 0
// is shape 0; symbol 2f-1 is shape f visible, 2f shape f hidden. The context of a symbol is 1 if the span before
// is hidden, plus 2 if its first element is a left child; 0 for the first span.
//
//	length    elements of the span - 1
//	replica   0: that of e's left origin, or if this is the start of the list, of the span before; else the
//	          replica's number + 1. The first span has number 0
//	seqSame   if the left origin has the same replica: e's seq - that of the left origin - 1
//	seqOther  else: the zigzag code of e's seq - the end of that replica's last span before, or - 0
//
// Seqs stay below 2^53. No dot occurs twice. A child of the same replica has a greater seq than its parent. Children of one element on one side ascend by (replica, seq).

const (
	colSymbol   = iota // and the next three: one for each context
	_                  //
	_                  //
	_                  //
	colLength          //
	colSeqSame         //
	colSeqOther        //
	colReplica         //
	colClimb           //
	colBack            //
	columns            //
)

// maxSeq bounds the seq of a dot: one above the greatest.
const maxSeq = 1 << 53

// alphabet is the number of symbols of each column.
var alphabet = [columns]int{symbols, symbols, symbols, symbols, 32, 55, 55, 34, 33, 33}

// defaults are the lengths of the default codes. They are part of the format and must not change.
var defaults = [columns][]uint8{
	{5, 2, 8, 1, 6, 4, 4, 7, 8, 6, 5, 10, 11, 10, 10, 9, 10, 10, 11, 9, 10, 8, 10},
	{3, 7, 4, 4, 2, 4, 2, 8, 4, 5, 4, 12, 9, 10, 10, 10, 9, 12, 11, 9, 8, 8, 9},
	{5, 4, 9, 2, 6, 2, 2, 8, 8, 4, 4, 11, 11, 10, 11, 10, 10, 12, 12, 12, 12, 12, 12},
	{4, 7, 5, 6, 2, 5, 1, 8, 6, 7, 4, 12, 8, 9, 10, 11, 9, 11, 11, 11, 12, 12, 12},
	{2, 3, 3, 3, 3, 3, 4, 6, 6, 7, 10, 6, 11, 11, 11, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12},
	{8, 4, 2, 3, 4, 4, 4, 5, 4, 4, 4, 4, 6, 6, 7, 7, 7, 6, 7, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11},
	{1, 9, 6, 5, 5, 5, 5, 6, 6, 8, 12, 12, 4, 3, 5, 12, 5, 4, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12},
	{1, 4, 2, 3, 5, 9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10},
	{4, 1, 2, 3, 7, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9, 9, 9},
	{1, 4, 2, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8},
}

// defaultCodes are the codes of defaults, ready to read and write.
var defaultCodes = prepareDefaults()

func prepareDefaults() (codes [columns]*bitcol.Code) {
	for i, l := range defaults {
		c, ok := bitcol.NewCode(l)
		if !ok {
			panic("sequence: bad default code")
		}
		prepare(c, i)
		codes[i] = c
	}
	return codes
}

// prepare makes the code of a column ready to read.
func prepare(c *bitcol.Code, column int) {
	if column < colLength {
		c.Prepare()
	} else {
		c.PrepareNumbers()
	}
}

// shape is a span's kind and side and what goes with them.
type shape uint8

const (
	shapeFlip   shape = iota
	shapeARight       // right child of the element before
	shapeALeft
	shapeBNext
	shapeBRight
	shapeBLeft
	shapeBShare
	shapeSLeft
	shapeSShare
	shapeCNext
	shapeCRight
	shapeCLeft
	shapes
)

// symbols is the number of symbols: shapeFlip implies its visibility, the others come visible and hidden.
const symbols = int(shapes)*2 - 1

// symbol returns the symbol of a span of this shape with these flags.
func (f shape) symbol(flags uint32) int { return max(int(f)*2-1+int(flags&flagHidden/flagHidden), 0) }

// next returns the shape of a right child whose dot follows its left origin's.
func (f shape) next() shape {
	switch f {
	case shapeARight:
		return shapeFlip
	case shapeBRight:
		return shapeBNext
	}
	return shapeCNext
}

// isNext, isLeft and isShare say what the table in the format says of the shape.
func (f shape) isNext() bool  { return f == shapeFlip || f == shapeBNext || f == shapeCNext }
func (f shape) isLeft() bool  { return 1<<f&shapesLeft != 0 }
func (f shape) isShare() bool { return f == shapeBShare || f == shapeSShare }

const shapesLeft = 1<<shapeALeft | 1<<shapeBLeft | 1<<shapeBShare | 1<<shapeSLeft | 1<<shapeSShare | 1<<shapeCLeft

// codeFor returns the code of a column with these frequencies: its own, if that takes fewer bits with its statement, else
// the default and false.
func codeFor(column int, freq []uint32) (*bitcol.Code, bool) {
	byDefault, _ := defaultCodes[column].Cost(freq)
	symbols, last := uint64(0), 0
	for i, n := range freq {
		if n > 0 {
			symbols, last = symbols+uint64(n), i
		}
	}
	if symbols+6+4*uint64(last+1) >= byDefault { // as if each took a bit
		return defaultCodes[column], false
	}
	lengths := bitcol.Lengths(freq)
	own, ok := bitcol.NewCode(lengths)
	if !ok {
		return defaultCodes[column], false
	}
	cost, _ := own.Cost(freq)
	if cost+6+4*uint64(lastUsed(lengths)+1) < byDefault {
		return own, true
	}
	return defaultCodes[column], false
}

// lastUsed returns the greatest symbol with a code.
func lastUsed(lengths []uint8) int {
	last := 0
	for i, l := range lengths {
		if l > 0 {
			last = i
		}
	}
	return last
}
