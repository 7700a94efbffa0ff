// Package bitcol packs small numbers into bits: a bit stream, canonical Huffman codes of bounded length, and
// buckets that split a number into a symbol and raw bits. A format that uses it names its columns and their
// default codes; see Code for when a column carries a code of its own.
//
// Bits are numbered from the least significant bit of the first byte on; a number's least significant bit comes
// first. Huffman codes are written most significant bit first, as RFC 1951 does.
package bitcol
