package vclock

import (
	"encoding/binary"
	"math/bits"
)

// uvarintLen returns the number of bytes of v as a uvarint: 7 bits a byte, least significant first.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// readUvarint returns the uvarint at the start of data and its length. It refuses what binary.Uvarint lets
// pass: a form that is longer than needed.
func readUvarint(data []byte) (uint64, int, error) {
	v, n := binary.Uvarint(data)
	switch {
	case n == 0:
		return 0, 0, errTruncated
	case n < 0:
		return 0, 0, errOverflow
	case n > 1 && data[n-1] == 0:
		return 0, 0, errOverlong
	}
	return v, n, nil
}
