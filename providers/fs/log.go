package fs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// A log is a file of records, each an update, behind a header. A journal beside a file and the files of a folder are logs.
// docs/files.md draws the bytes, which are part of the format and must not change; log_test.go pins them.
//
//  1. A log only grows; to replace its content is to replace the file, with a new mark.
//  2. One sync makes one record durable, so a crash spoils no more than the last one.
//  3. A record's checksum covers its offset and the mark: bytes of another place or another log are no record.
const (
	logMagic    = "\x89weftlog"
	logMajor    = 1
	logMinor    = 0
	logHead     = 52 // bytes of the header
	recordHead  = 12 // bytes before a record's payload
	mostPayload = 1<<31 - 1
)

// ErrLogVersion marks a log of a version, or with a critical feature, that this version does not read.
var ErrLogVersion = errors.New("fs: unsupported version of a log")

var errNoLog = errors.New("fs: no log: it begins with other bytes")

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// logHeader is what a log begins with.
type logHeader struct {
	Mark    uint32         // random, of this very log
	Session vclock.Replica // of a folder: under which its writer began; zero: a journal
	Device  uuid.UUID      // of a folder: where it was written; zero: unknown
}

func (h *logHeader) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, logMagic...)
	dst = append(dst, logMajor, logMinor, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.Mark)
	dst = append(dst, h.Session[:]...)
	dst = append(dst, h.Device[:]...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], crcTable))
}

// parseLogHeader reads the header of a log. Errors: errNoLog, ErrLogVersion, errTorn.
func parseLogHeader(data []byte) (h logHeader, err error) {
	if n := min(len(data), len(logMagic)); n == 0 || string(data[:n]) != logMagic[:n] {
		return h, errNoLog
	}
	if len(data) < logHead {
		return h, errTorn
	}
	if data[8] != logMajor || data[10] != 0 || data[11] != 0 {
		return h, fmt.Errorf("%w: %d.%d, features %#x", ErrLogVersion, data[8], data[9], binary.LittleEndian.Uint16(data[10:]))
	}
	if crc32.Checksum(data[:logHead-4], crcTable) != binary.LittleEndian.Uint32(data[logHead-4:]) {
		return h, errTorn
	}
	h.Mark = binary.LittleEndian.Uint32(data[12:])
	copy(h.Session[:], data[16:])
	copy(h.Device[:], data[32:])
	return h, nil
}

// appendRecord appends the record that stands at an offset of the log with this mark.
func appendRecord(dst []byte, mark uint32, offset int64, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, mark)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, recordSum(mark, offset, payload))
	return append(dst, payload...)
}

func recordSum(mark uint32, offset int64, payload []byte) uint32 {
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(offset))
	binary.LittleEndian.PutUint32(head[8:], mark)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
	return crc32.Update(crc32.Checksum(head[:], crcTable), crcTable, payload)
}

// errTorn marks a place where a log breaks off: nothing valid follows.
var errTorn = errors.New("fs: the log breaks off")

// badRecordError marks a place in the midst of a log that is not what was written: a valid record follows.
type badRecordError struct{ at, next int64 } // next -1: not looked for to the end

func (e *badRecordError) Error() string {
	if e.next < 0 {
		return fmt.Sprintf("no valid record at offset %d, and too much after it that looks like one", e.at)
	}
	return fmt.Sprintf("no valid record at offset %d, but one at %d: the bytes between are damaged or not all there", e.at, e.next)
}

// nextRecord returns the payload of the record that data begins with, which is part of data, and what follows it. offset is
// where data stands in the log. At the end of data it returns nil; else errTorn, or *badRecordError if anything valid
// follows.
func nextRecord(data []byte, mark uint32, offset int64) (payload, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, nil
	}
	if payload, ok := validRecord(data, mark, offset); ok {
		return payload, data[recordHead+len(payload):], nil
	}
	var pattern [4]byte
	binary.LittleEndian.PutUint32(pattern[:], mark)
	budget := 16 * len(data) // of checksums: bytes that imitate records must not cost more than this
	for i := 1; i < len(data); i++ {
		n := bytes.Index(data[i:], pattern[:])
		if n < 0 {
			break
		}
		i += n
		if payload, ok := validRecord(data[i:], mark, offset+int64(i)); ok {
			return nil, nil, &badRecordError{offset, offset + int64(i)}
		} else if budget -= len(payload); budget < 0 {
			return nil, nil, &badRecordError{offset, -1} // the safe side: nobody cuts this off
		}
	}
	return nil, nil, errTorn
}

// validRecord returns the payload that data claims to begin with, and whether it is one.
func validRecord(data []byte, mark uint32, offset int64) (payload []byte, ok bool) {
	if len(data) < recordHead || binary.LittleEndian.Uint32(data) != mark {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n == 0 || uint64(n) > uint64(len(data)-recordHead) {
		return nil, false
	}
	payload = data[recordHead : recordHead+int(n) : recordHead+int(n)]
	return payload, binary.LittleEndian.Uint32(data[8:]) == recordSum(mark, offset, payload)
}

// payloadOf puts messages into one payload.
func payloadOf(messages [][]byte) ([]byte, error) {
	if len(messages) == 1 {
		return messages[0], nil
	}
	return runtime.Bundle(messages)
}
