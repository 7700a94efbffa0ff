package trace

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Limits bounds what a reader accepts. A zero field stands for its default.
type Limits struct {
	// Bytes bounds the decompressed size of the whole input. Default 1 GiB.
	Bytes int64
	// Work bounds writers x (transactions + parents) of a concurrent trace, above which the check of its graph would
	// be dear. Default 1<<28; the largest trace in use needs about 3 million.
	Work int64
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	if l.Work == 0 {
		l.Work = 1 << 28
	}
	return l
}

// Read decodes one trace, gzipped or not, to the end of r. All that it refuses it reports as *Error.
func Read(r io.Reader, limits Limits) (*Trace, error) {
	limits = limits.withDefaults()
	in, err := open(r, limits)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, readError(0, err)
	}
	return decode(data, 0, limits)
}

// ReadFile is Read of a file under the default limits. The trace is named after the file, its endings cut.
func ReadFile(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := Read(f, Limits{})
	if err != nil {
		if p := new(fs.PathError); errors.As(err, &p) {
			return nil, err // it has the name
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	t.Name = strings.TrimSuffix(name, ".json")
	return t, nil
}

// Lines decodes NDJSON, gzipped or not: one trace a line, blank lines passed over. It yields line numbers from 1, in
// Trace.Name and in Error.Line, and ends after the first error. Limits.Bytes bounds all lines together.
func Lines(r io.Reader, limits Limits) iter.Seq2[*Trace, error] {
	return func(yield func(*Trace, error) bool) {
		limits := limits.withDefaults()
		in, err := open(r, limits)
		if err != nil {
			yield(nil, err)
			return
		}
		buf := bufio.NewReaderSize(in, 1<<16)
		for n := 1; ; n++ {
			line, rerr := buf.ReadBytes('\n')
			if rerr != nil && rerr != io.EOF {
				yield(nil, readError(n, rerr))
				return
			}
			if len(bytes.TrimSpace(line)) > 0 {
				t, err := decode(line, n, limits)
				if err == nil {
					t.Name = fmt.Sprintf("line %d", n)
				}
				if !yield(t, err) || err != nil {
					return
				}
			}
			if rerr == io.EOF {
				return
			}
		}
	}
}

// open sniffs the gzip magic and puts the size limit behind the decompression.
func open(r io.Reader, limits Limits) (io.Reader, error) {
	buf := bufio.NewReaderSize(r, 1<<16)
	magic, err := buf.Peek(2)
	if err != nil && err != io.EOF {
		return nil, readError(0, err)
	}
	var in io.Reader = buf
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(buf); err != nil {
			return nil, readError(0, err)
		}
	}
	return &limitedReader{r: in, left: limits.Bytes}, nil
}

// readError tells damaged compression and a passed limit from a failing reader.
func readError(line int, err error) error {
	e := &Error{Line: line, Txn: -1, Patch: -1, Offset: -1, Err: err}
	var flateErr flate.CorruptInputError
	switch {
	case errors.Is(err, ErrLimit):
		e.Err, e.Detail = ErrLimit, "more bytes than Limits.Bytes"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.EOF), errors.As(err, &flateErr):
		e.Err, e.Detail = ErrCorrupt, err.Error()
	}
	return e
}

// limitedReader returns ErrLimit, unlike io.LimitedReader, when there is more than left.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(b []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrLimit
	}
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1]
	}
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, ErrLimit
	}
	return n, err
}
