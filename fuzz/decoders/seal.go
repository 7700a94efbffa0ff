package decoders

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	tag        = []byte{0xda, 'w', 'e', 'f', 't'}
)

const bundle = 0x12 // the first byte of one; states and deltas have others

// unseal takes a message, bundle, state or delta apart: what stands under its lengths and checksums. seal puts parts together
// under right ones; nil: it is something else.
func unseal(u []byte) (parts [][]byte, seal func(parts [][]byte) []byte) {
	content, ok := unwrap(u)
	switch {
	case !ok:
		return nil, nil
	case u[0] != tag[0]:
		return [][]byte{content}, func(p [][]byte) []byte { return wrap(nil, p[0]) }
	case len(content) < 8:
		return nil, nil
	case content[0] == bundle || content[2]&1 != 0: // compressed states have one checksum, too
		return [][]byte{content[:len(content)-4]}, func(p [][]byte) []byte { return wrap(tag, sum(nil, p[0])) }
	}
	head := 3
	if content[2]&2 != 0 {
		head += 16
	}
	canonical, rest, ok := counted(content[min(head, len(content)):], 4)
	local, _, ok2 := counted(rest, 4)
	if !ok || !ok2 {
		return nil, nil
	}
	return [][]byte{content[:head], canonical, local}, func(p [][]byte) []byte {
		b := append(slices.Clone(p[0]), binary.AppendUvarint(nil, uint64(len(p[1])))...)
		b = sum(nil, append(b, p[1]...))
		return wrap(tag, sum(b, append(binary.AppendUvarint(nil, uint64(len(p[2]))), p[2]...)))
	}
}

// reseal makes the lengths and checksums right of what looks like an update and is not one.
func reseal(u []byte) []byte {
	if parts, seal := unseal(u); seal != nil {
		return seal(parts)
	}
	return u
}

// sum appends b and its checksum.
func sum(dst, b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, b...), crc32.Checksum(b, castagnoli))
}

// counted cuts off a length, so many bytes, and more of them behind.
func counted(b []byte, more int) (data, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) || size+int(n)+more > len(b) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n)+more:], true
}

// unwrap returns the content of a byte string, behind the tag if there is one, whatever the length that it claims.
func unwrap(u []byte) (content []byte, ok bool) {
	u = bytes.TrimPrefix(u, tag)
	if len(u) == 0 || u[0]>>5 != 2 {
		return nil, false
	}
	head := 1
	switch u[0] & 31 {
	case 24, 25, 26, 27:
		head += 1 << (u[0]&31 - 24)
	}
	if len(u) < head {
		return nil, false
	}
	return u[head:], true
}

// wrap makes content a byte string with the shortest head, behind a prefix.
func wrap(prefix, content []byte) []byte {
	b := slices.Clone(prefix)
	switch n := len(content); {
	case n < 24:
		b = append(b, 0x40|byte(n))
	case n < 1<<8:
		b = append(b, 0x58, byte(n))
	case n < 1<<16:
		b = append(b, 0x59, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0x5a), uint32(n))
	}
	return append(b, content...)
}
