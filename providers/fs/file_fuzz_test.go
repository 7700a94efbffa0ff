package fs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

// holds puts a file where a program finds it after the last one has ended well.
func (s *simulated) holds(name string, data []byte) {
	n := &inode{now: data, disk: bytes.Clone(data)}
	s.names[name], s.disk[name] = n, n
}

// payloads cuts data into the payloads of a log, each behind its length in two bytes.
func payloads(data []byte) (out [][]byte) {
	for len(data) >= 2 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		if n > 0 {
			out = append(out, data[2:2+n])
		}
		data = data[2+n:]
	}
	return out
}

// FuzzFile opens any bytes as a document's file, beside any journal under right checksums, and these as a folder: what is
// refused is refused by a typed error, what is accepted opens again to the same.
func FuzzFile(f *testing.F) {
	r := numbered(f, 1)
	var journal []byte
	for _, s := range []string{"ab", "c", "de"} {
		before := r.rt.Clock()
		r.write(f, s)
		messages, err := r.rt.MessagesSince(before)
		if err != nil {
			f.Fatal(err)
		}
		journal = append(binary.BigEndian.AppendUint16(journal, uint16(len(messages[0]))), messages[0]...)
	}
	state, err := r.rt.Save()
	if err != nil {
		f.Fatal(err)
	}
	delta, err := r.rt.SaveSince(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(delta, []byte{})
	f.Add(state, []byte{})
	f.Add(state, journal)
	f.Add([]byte{}, journal)
	f.Add([]byte("junk"), []byte{0, 1, 'x'})
	f.Add(journal[2:], []byte{}) // no state
	f.Fuzz(func(t *testing.T, state, journal []byte) {
		disk := newSimulated()
		if len(state) > 0 {
			disk.holds(crashPath, state)
		}
		log := fs.AppendLog(&fs.LogHeader{Mark: 7, Session: r.rt.Replica()}, payloads(journal)...)
		disk.holds(crashPath+".journal", log)
		a := numbered(t, 9)
		file, err := fs.OpenFile(a.rt, crashPath, fileOptions(disk))
		if err != nil {
			refusedFile(t, err)
		} else {
			sound(t, a)
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := reopened(t, disk)
			if err != nil || !bytes.Equal(a.rt.Canonical(), b.rt.Canonical()) {
				t.Fatalf("opened again: %v, %v and %v", err, a, b)
			}
		}
		disk = newSimulated()
		disk.holds("/notes/a.weftlog", log)
		b := numbered(t, 9)
		folder, err := fs.OpenFolder(b.rt, "/notes", still("").Inject(disk, bytes.NewReader(make([]byte, 4096))))
		if err != nil {
			refusedFile(t, err)
			return
		}
		sound(t, b)
		if err := folder.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func sound(t *testing.T, r *replica) {
	t.Helper()
	if err := r.rt.Check(); err != nil {
		t.Fatal(err)
	}
}

func refusedFile(t *testing.T, err error) {
	t.Helper()
	var damage *providers.DamageError
	for _, known := range []error{
		runtime.ErrCorrupt, runtime.ErrChecksum, runtime.ErrVersion, runtime.ErrLimit, runtime.ErrWrongDocument, runtime.ErrMissingDeps,
		runtime.ErrEquivocation, runtime.ErrClockJump, runtime.ErrRefused, fs.ErrNotState,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	if !errors.As(err, &damage) {
		t.Fatal(err)
	}
}
