//go:build !js && !wasip1 && !plan9

package fs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its pages, and on opening walks them in a goroutine of its own: a damaged or truncated file would end the
// process, out of reach of recover. checkTree reads the file first, without a memory map, and finds what bbolt would stumble
// over. It follows bbolt's file format, version 2 (go.etcd.io/bbolt, internal/common/page.go, meta.go, inode.go):
//
//	page      id u64, flags u16, count u16, overflow u32; then count elements of 16 bytes; then keys and values, with no gap
//	branch    pos u32, ksize u32, child u64
//	leaf      flags u32, pos u32, ksize u32, vsize u32; flag 1: the value is a bucket
//	bucket    root u64, sequence u64; root 0: a page follows, inline
//	meta      magic u32, version u32, page size u32, flags u32, root bucket 16, freelist u64, pages u64, txid u64, FNV-1a u64
//
// in the byte order of the machine. What it does not see is a page with fewer elements than were written: see totals.
const (
	pageHeader = 16
	element    = 16
	metaLen    = 64

	branchPage, leafPage, metaPage, freelistPage = 0x01, 0x02, 0x04, 0x10

	bucketElement = 1
	noFreelist    = ^uint64(0)
	maxTreeDepth  = 64
	maxPageSize   = 64 << 10
)

var native = binary.NativeEndian

type treeMeta struct {
	pageSize       int64
	root, freelist uint64
	pages, txid    uint64
}

// tree is a walk over the pages that a meta page reaches.
type tree struct {
	r    io.ReaderAt
	size int64
	meta treeMeta
	seen []uint64 // bit per page
	used uint64   // pages reached, meta pages included
}

// treeError says which page is wrong.
type treeError struct {
	offset int64
	reason string
}

func (e *treeError) Error() string { return fmt.Sprintf("offset %d: %s", e.offset, e.reason) }

// checkTree returns how many pages are in use, of how many. An error is a *treeError or one of reading.
func checkTree(r io.ReaderAt, size int64) (used, pages uint64, err error) {
	t := &tree{r: r, size: size}
	if err := t.readMeta(); err != nil {
		return 0, 0, err
	}
	m := &t.meta
	if m.pages > uint64(size/m.pageSize) {
		return 0, 0, &treeError{size, fmt.Sprintf("the file ends here, %d bytes before its last page does", int64(m.pages)*m.pageSize-size)}
	}
	t.seen = make([]uint64, (m.pages+63)/64)
	t.used = 2
	if m.freelist != noFreelist {
		if err := t.checkFreelist(); err != nil {
			return 0, 0, err
		}
	}
	if err := t.walk(m.root, nil, nil, 0); err != nil {
		return 0, 0, err
	}
	return t.used, m.pages, nil
}

// readMeta takes the valid meta page with the greater transaction. It looks where bbolt does: the first valid one tells the size
// of pages, and so where the second stands. What is valid has to make sense, since bbolt takes it as it is.
func (t *tree) readMeta() error {
	first, valid, err := t.metaAt(0)
	if err != nil {
		return err
	}
	size := first.pageSize
	for page := int64(1 << 10); page <= maxPageSize && !valid; page <<= 1 {
		if first, valid, err = t.metaAt(page); err != nil {
			return err
		}
		if size = page; valid && first.pageSize != page {
			return &treeError{page, "the meta page is at the place of another size of pages"}
		}
	}
	if !valid {
		return &treeError{0, "no valid meta page: this is no store, or its first two pages are damaged"}
	}
	t.meta = first
	second, valid, err := t.metaAt(size)
	if err != nil {
		return err
	}
	if valid && second.pageSize != size {
		return &treeError{size, "the two meta pages tell of different sizes of pages"}
	}
	if valid && second.txid > first.txid {
		t.meta = second
	}
	return nil
}

// metaAt reads the meta page at an offset. One that is not valid is none; one that is valid and makes no sense is an error.
func (t *tree) metaAt(offset int64) (m treeMeta, valid bool, err error) {
	buf := make([]byte, pageHeader+metaLen)
	if _, err := t.r.ReadAt(buf, offset); err != nil {
		return m, false, nil
	}
	m, valid, sane := parseMeta(buf)
	if valid && !sane {
		return m, false, &treeError{offset, "the meta page makes no sense"}
	}
	return m, valid, nil
}

// parseMeta reads a meta page. bbolt takes what is valid; what it writes is sane.
func parseMeta(b []byte) (m treeMeta, valid, sane bool) {
	flags := native.Uint16(b[8:])
	b = b[pageHeader:]
	h := fnv.New64a()
	h.Write(b[:56])
	m = treeMeta{int64(native.Uint32(b[8:])), native.Uint64(b[16:]), native.Uint64(b[32:]), native.Uint64(b[40:]), native.Uint64(b[48:])}
	valid = native.Uint32(b) == 0xED0CDAED && native.Uint32(b[4:]) == 2 && h.Sum64() == native.Uint64(b[56:])
	sane = flags == metaPage && m.pageSize >= 1<<10 && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
	return m, valid, sane
}

// fail says what is wrong with a page; one that is made up stands behind the last.
func (t *tree) fail(page uint64, format string, args ...any) error {
	return &treeError{int64(min(page, t.meta.pages)) * t.meta.pageSize, fmt.Sprintf("page %d ", page) + fmt.Sprintf(format, args...)}
}

// header reads a page's header and takes all its pages.
func (t *tree) header(id uint64, buf []byte) (flags, count uint16, span int64, err error) {
	if id < 2 || id >= t.meta.pages {
		return 0, 0, 0, t.fail(id, "is referred to and does not exist")
	}
	if _, err := t.r.ReadAt(buf[:pageHeader], int64(id)*t.meta.pageSize); err != nil {
		return 0, 0, 0, err
	}
	overflow := uint64(native.Uint32(buf[12:]))
	if native.Uint64(buf) != id || id+overflow >= t.meta.pages {
		return 0, 0, 0, t.fail(id, "has a damaged header")
	}
	for p := id; p <= id+overflow; p++ {
		if t.seen[p/64]&(1<<(p%64)) != 0 {
			return 0, 0, 0, t.fail(p, "is referred to twice")
		}
		t.seen[p/64] |= 1 << (p % 64)
	}
	t.used += 1 + overflow
	return native.Uint16(buf[8:]), native.Uint16(buf[10:]), int64(1+overflow) * t.meta.pageSize, nil
}

// checkFreelist is for files that were written with a list of free pages: bbolt's first transaction, other tools.
func (t *tree) checkFreelist() error {
	var buf [pageHeader + 8]byte
	used := t.used
	flags, count, span, err := t.header(t.meta.freelist, buf[:])
	if err != nil {
		return err
	}
	t.used = used
	n := int64(count)
	if count == 0xffff {
		if _, err := t.r.ReadAt(buf[:], int64(t.meta.freelist)*t.meta.pageSize); err != nil {
			return err
		}
		n = 1 + int64(min(native.Uint64(buf[pageHeader:]), 1<<40))
	}
	if flags != freelistPage || pageHeader+8*n > span {
		return t.fail(t.meta.freelist, "is not the list of free pages")
	}
	return nil
}

// walk checks a subtree, whose keys must lie in [low, high); nil: no bound.
func (t *tree) walk(id uint64, low, high []byte, depth int) error {
	if depth > maxTreeDepth {
		return t.fail(id, "is too deep")
	}
	buf := make([]byte, t.meta.pageSize)
	flags, count, span, err := t.header(id, buf)
	if err != nil {
		return err
	}
	at := int64(id) * t.meta.pageSize
	if _, err := t.r.ReadAt(buf, at); err != nil {
		return err
	}
	p := &treePage{t: t, id: id, at: at, span: span, buf: buf, leaf: flags == leafPage, count: int(count)}
	if flags != leafPage && flags != branchPage {
		return t.fail(id, "is neither leaf nor branch")
	}
	return p.check(low, high, depth)
}

// treePage is a leaf or branch page, or an inline bucket's.
type treePage struct {
	t     *tree
	id    uint64
	at    int64 // offset in the file
	span  int64 // bytes
	buf   []byte
	leaf  bool
	count int
}

// bytes returns n bytes of the page from an offset in it.
func (p *treePage) bytes(from, n int64) ([]byte, error) {
	if from+n <= int64(len(p.buf)) {
		return p.buf[from : from+n], nil
	}
	b := make([]byte, n)
	_, err := p.t.r.ReadAt(b, p.at+from)
	return b, err
}

func (p *treePage) check(low, high []byte, depth int) error {
	elements, err := p.bytes(pageHeader, min(element*int64(p.count), p.span-pageHeader))
	if err != nil {
		return err
	}
	if len(elements) != element*p.count || !p.leaf && p.count == 0 {
		return p.t.fail(p.id, "has a wrong count")
	}
	next := pageHeader + element*int64(p.count)
	keys := make([][]byte, p.count)
	for i := range p.count {
		e := elements[element*i:]
		pos, ksize, vsize := int64(native.Uint32(e)), int64(native.Uint32(e[4:])), int64(0)
		if p.leaf {
			pos, ksize, vsize = int64(native.Uint32(e[4:])), int64(native.Uint32(e[8:])), int64(native.Uint32(e[12:]))
		}
		if pageHeader+element*int64(i)+pos != next || next+ksize+vsize > p.span || ksize == 0 || ksize > 32<<10 {
			return p.t.fail(p.id, "has a damaged element %d", i)
		}
		if keys[i], err = p.bytes(next, ksize); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return p.t.fail(p.id, "has keys out of order at element %d", i)
		}
		if p.leaf {
			if err := p.bucket(native.Uint32(e), next+ksize, vsize, depth); err != nil {
				return err
			}
		}
		next += ksize + vsize
	}
	if p.count > 0 && (low != nil && bytes.Compare(keys[0], low) < 0 || high != nil && bytes.Compare(keys[p.count-1], high) >= 0) {
		return p.t.fail(p.id, "has keys outside of its range")
	}
	if p.leaf {
		return nil
	}
	for i := range p.count {
		bound := high
		if i+1 < p.count {
			bound = keys[i+1]
		}
		if err := p.t.walk(native.Uint64(elements[element*i+8:]), keys[i], bound, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bucket follows an element that is a bucket.
func (p *treePage) bucket(flags uint32, from, vsize int64, depth int) error {
	switch {
	case flags == 0:
		return nil
	case flags != bucketElement || vsize < 16:
		return p.t.fail(p.id, "has an element with unknown flags")
	}
	b, err := p.bytes(from, vsize)
	if err != nil {
		return err
	}
	if root := native.Uint64(b); root != 0 {
		return p.t.walk(root, nil, nil, depth+1)
	}
	b = b[16:]
	if len(b) < pageHeader || native.Uint16(b[8:]) != leafPage || native.Uint32(b[12:]) != 0 || depth >= maxTreeDepth {
		return p.t.fail(p.id, "has a damaged inline bucket")
	}
	inline := &treePage{p.t, p.id, p.at + from + 16, int64(len(b)), b, true, int(native.Uint16(b[10:]))}
	return inline.check(nil, nil, depth+1)
}
