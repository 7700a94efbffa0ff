package fs

import (
	"io"

	"github.com/seed1312cc15/weft/vclock"
)

type (
	FileSystem = fileSystem
	Handle     = file
	OSFiles    = osFS
)

func (o *FileOptions) Inject(fsys FileSystem, rand io.Reader) *FileOptions {
	o.fs, o.rand = fsys, rand
	return o
}

func (o *FolderOptions) Inject(fsys FileSystem, rand io.Reader) *FolderOptions {
	o.fs, o.rand = fsys, rand
	return o
}

// Prefix returns what dots says of the dots of one replica after spans were added.
func Prefix(spans [][2]uint64) (prefix uint64, runs int) {
	d := make(dots)
	for _, s := range spans {
		d.add(vclock.Replica{}, s[0], s[1])
	}
	return d.prefix(vclock.Replica{}), len(d[vclock.Replica{}])
}

type LogHeader = logHeader

func AppendLog(h *LogHeader, payloads ...[]byte) []byte {
	b := h.append(nil)
	for _, p := range payloads {
		b = appendRecord(b, h.Mark, int64(len(b)), p)
	}
	return b
}

// ReadLog returns the payloads of a log up to its end or the first error, and the offset where that is.
func ReadLog(b []byte) (payloads [][]byte, at int64, err error) {
	h, err := parseLogHeader(b)
	if err != nil {
		return nil, 0, err
	}
	rest := b[logHead:]
	for {
		at := int64(len(b) - len(rest))
		payload, next, err := nextRecord(rest, h.Mark, at)
		if err != nil || payload == nil {
			return payloads, at, err
		}
		payloads, rest = append(payloads, payload), next
	}
}

var (
	ErrTorn  = errTorn
	ErrNoLog = errNoLog
)
