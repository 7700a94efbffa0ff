package fs_test

import (
	"bytes"
	"errors"
	"io"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/seed1312cc15/weft/providers/fs"
)

// simulated is a file system in memory that keeps after a crash what POSIX promises and no more: of a file what was synced,
// and of what was written since any of its 512-byte blocks; of a directory the names as of its last sync, and of the changes
// since any. It can fail at one operation, counted from 0 over all that change something.
type simulated struct {
	mu    sync.Mutex
	names map[string]*inode // as programs see it
	disk  map[string]*inode // what is durable of it
	moves []move            // since
	locks map[string]bool

	ops    int // operations so far
	failAt int // -1: never
	fault  error
	kind   string // of the operation that failed
	lies   bool   // syncs do nothing
	down   bool   // after a crash nothing works
}

type inode struct {
	now, disk []byte
	since     []change
}

// change is a write at an offset, or a new size if data is nil.
type change struct {
	at   int
	data []byte
}

// move gives a name to an inode, nil: takes it away. Both halves of a rename happen, or none.
type move struct {
	name, old string
	to        *inode
}

var errCrash = errors.New("simulated: the power is off")

func newSimulated() *simulated {
	return &simulated{names: map[string]*inode{}, disk: map[string]*inode{}, locks: map[string]bool{}, failAt: -1}
}

// image returns what is left after a crash now. choice decides for everything that is not durable whether it is there.
func (s *simulated) image(choice func() bool) *simulated {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := newSimulated()
	names := maps.Clone(s.disk)
	for _, m := range s.moves {
		if choice() {
			m.apply(names)
		}
	}
	files := make(map[*inode]*inode)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if files[n] == nil {
			data := n.image(choice)
			files[n] = &inode{now: data, disk: slices.Clone(data)}
		}
		out.names[name], out.disk[name] = files[n], files[n]
	}
	return out
}

func (m move) apply(names map[string]*inode) {
	if m.old != "" {
		delete(names, m.old)
	}
	if m.to == nil {
		delete(names, m.name)
	} else {
		names[m.name] = m.to
	}
}

func (n *inode) image(choice func() bool) []byte {
	data := slices.Clone(n.disk)
	for _, c := range n.since {
		if c.data == nil {
			if choice() {
				data = resized(data, c.at)
			}
			continue
		}
		for from := 0; from < len(c.data); {
			to := min(len(c.data), from+512-(c.at+from)%512)
			if choice() {
				data = written(data, c.at+from, c.data[from:to])
			}
			from = to
		}
	}
	return data
}

func resized(data []byte, n int) []byte {
	if n <= len(data) {
		return data[:n]
	}
	return append(data, make([]byte, n-len(data))...)
}

func written(data []byte, at int, b []byte) []byte {
	if at+len(b) > len(data) {
		data = resized(data, at+len(b))
	}
	copy(data[at:], b)
	return data
}

// op counts an operation and returns the error that it is to end with. mu is held.
func (s *simulated) op(kind string) error {
	if s.down {
		return errCrash
	}
	s.ops++
	if s.failAt < 0 || s.ops-1 != s.failAt {
		return nil
	}
	s.kind = kind
	if errors.Is(s.fault, errCrash) {
		s.down = true
	}
	return s.fault
}

func (s *simulated) Open(path string) (fs.Handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.names[path]
	switch {
	case s.down:
		return nil, errCrash
	case n == nil:
		return nil, &iofs.PathError{Op: "open", Path: path, Err: iofs.ErrNotExist}
	}
	return &handle{s, n}, nil
}

func (s *simulated) Append(path string) (fs.Handle, error) { return s.Open(path) }

func (s *simulated) Create(path, _ string) (fs.Handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.op("create"); err != nil {
		return nil, err
	}
	n := &inode{}
	s.move(move{name: path, to: n})
	return &handle{s, n}, nil
}

func (s *simulated) move(m move) {
	m.apply(s.names)
	s.moves = append(s.moves, m)
}

// Rename fails after it was done if the power goes off.
func (s *simulated) Rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[from] == nil {
		return iofs.ErrNotExist
	}
	err := s.op("rename")
	if err == nil || s.down {
		s.move(move{name: to, old: from, to: s.names[from]})
	}
	return err
}

func (s *simulated) Remove(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[path] == nil {
		return iofs.ErrNotExist
	}
	err := s.op("remove")
	if err == nil || s.down {
		s.move(move{name: path})
	}
	return err
}

func (s *simulated) SyncDir(string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.op("sync directory"); err != nil {
		return err
	}
	if !s.lies {
		s.disk, s.moves = maps.Clone(s.names), nil
	}
	return nil
}

func (s *simulated) ReadDir(dir string) (names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Lock leaves a file that no crash does.
func (s *simulated) Lock(path string) (func(bool) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[path] {
		return nil, &fs.LockedError{Path: path}
	}
	s.locks[path], s.names[path] = true, &inode{}
	return func(remove bool) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.locks, path)
		if remove {
			delete(s.names, path)
		}
		return nil
	}, nil
}

type handle struct {
	s *simulated
	n *inode
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return bytes.NewReader(h.n.now).ReadAt(p, off)
}

func (h *handle) Size() (int64, error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return int64(len(h.n.now)), nil
}

// Write appends. When it fails a half is written, of an odd number of operations without an error.
func (h *handle) Write(p []byte) (int, error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	err := h.s.op("write")
	n := len(p)
	if err != nil && !h.s.down {
		n /= 2
	}
	h.n.since = append(h.n.since, change{len(h.n.now), slices.Clone(p[:n])})
	h.n.now = append(h.n.now, p[:n]...)
	if errors.Is(err, io.ErrShortWrite) {
		err = nil
	}
	return n, err
}

func (h *handle) Truncate(size int64) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	err := h.s.op("truncate")
	if err == nil || h.s.down {
		h.n.since = append(h.n.since, change{at: int(size)})
		h.n.now = resized(slices.Clone(h.n.now), int(size))
	}
	return err
}

// Sync that fails leaves pages that seem clean: no later sync writes them (fsyncgate, LWN 752063).
func (h *handle) Sync() error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	err := h.s.op("sync")
	switch {
	case h.s.down, h.s.lies:
	case err != nil:
		h.n.since = nil
	default:
		h.n.disk, h.n.since = h.n.image(func() bool { return true }), nil
	}
	return err
}

func (h *handle) Close() error { return nil }

// faults are what a disk may answer.
var faults = []error{syscall.EIO, syscall.ENOSPC, io.ErrShortWrite}

// choices are ways to lose what is not durable: nothing, everything, and at random.
func choices(seeds int) []func() bool {
	out := []func() bool{func() bool { return true }, func() bool { return false }}
	for i := range seeds {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		out = append(out, func() bool { return r.IntN(2) == 0 })
	}
	return out
}
