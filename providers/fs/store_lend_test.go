//go:build unix

package fs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

func TestStoreLend(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	id, release, err := s.Lend(t.Context(), "doc")
	if err != nil || id == uuid.Nil {
		t.Fatal(id, err)
	}
	if other := lend(t, s, "other"); other == id {
		t.Error("two documents have one ID")
	}
	if _, _, err := s.Lend(t.Context(), "doc"); !errors.Is(err, fs.ErrLent) {
		t.Error(err)
	}
	release()
	release()
	if again := lend(t, s, "doc"); again != id {
		t.Error("another ID")
	}
	s.Close()
	s = openStore(t, dir, quiet)
	if again, release, err := s.Lend(t.Context(), "doc"); err != nil || again != id || s.Boot().Moved != "" || s.Boot().Count != 2 {
		t.Errorf("%v, %v, %+v", again, err, s.Boot())
	} else {
		release()
	}
	if err := s.Drop(t.Context(), "doc"); err != nil {
		t.Fatal(err)
	}
	if again := lend(t, s, "doc"); again == id {
		t.Error("a dropped ID is lent again")
	}
}

// TestStoreRestoredOrCopied brings a store into states that its directory was in before, in the ways that people do that. Each
// time the replica ID may not be used again.
func TestStoreRestoredOrCopied(t *testing.T) {
	read := func(t *testing.T, path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// write keeps the inode.
	write := func(t *testing.T, path string, b []byte) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	const db, owner = "store.db", "store.owner"
	type world struct {
		dir    string
		s      *fs.Store
		backup bytes.Buffer // made while s was open
		db     []byte       // of the end before
		owner  []byte
	}
	for name, restore := range map[string]func(t *testing.T, w *world) string{
		"backup into a new directory": func(t *testing.T, w *world) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, db), w.backup.Bytes())
			return dir
		},
		"backup in place": func(t *testing.T, w *world) string {
			w.s.Close()
			write(t, filepath.Join(w.dir, db), w.backup.Bytes())
			return w.dir
		},
		"backup of this opening in place, after a crash": func(t *testing.T, w *world) string {
			fs.Abandon(w.s)
			write(t, filepath.Join(w.dir, db), w.backup.Bytes())
			return w.dir
		},
		"copy of the directory": func(t *testing.T, w *world) string {
			w.s.Close()
			dir := t.TempDir()
			write(t, filepath.Join(dir, db), read(t, filepath.Join(w.dir, db)))
			write(t, filepath.Join(dir, owner), read(t, filepath.Join(w.dir, owner)))
			return dir
		},
		"copy of the directory of a running store": func(t *testing.T, w *world) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, db), read(t, filepath.Join(w.dir, db)))
			write(t, filepath.Join(dir, owner), read(t, filepath.Join(w.dir, owner)))
			return dir
		},
		"both files in place, as they were before": func(t *testing.T, w *world) string {
			w.s.Close()
			write(t, filepath.Join(w.dir, db), w.db)
			write(t, filepath.Join(w.dir, owner), w.owner)
			return w.dir
		},
		"both files in place, as they were while it ran, after a crash": func(t *testing.T, w *world) string {
			before, owned := read(t, filepath.Join(w.dir, db)), read(t, filepath.Join(w.dir, owner))
			put(t, w.s, "doc", "later still")
			fs.Abandon(w.s)
			write(t, filepath.Join(w.dir, db), before)
			write(t, filepath.Join(w.dir, owner), owned)
			return w.dir
		},
		"owner file lost": func(t *testing.T, w *world) string {
			w.s.Close()
			os.Remove(filepath.Join(w.dir, owner))
			return w.dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{dir: t.TempDir()}
			s := openStore(t, w.dir, quiet)
			id := lend(t, s, "doc")
			put(t, s, "doc", "x")
			s.Close()
			w.db, w.owner = read(t, filepath.Join(w.dir, db)), read(t, filepath.Join(w.dir, owner))
			w.s = openStore(t, w.dir, quiet)
			if err := w.s.Backup(t.Context(), &w.backup); err != nil {
				t.Fatal(err)
			}
			put(t, w.s, "doc", "later")
			s = openStore(t, restore(t, w), quiet)
			if s.Boot().Moved == "" {
				t.Error("it was not noticed")
			}
			if again := lend(t, s, "doc"); again == id {
				t.Error("the replica ID goes on")
			}
			if got := contentsOf(must(s.Load(t.Context(), "doc"))); got != "x" && got != "xlater" {
				t.Error(got)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestStoreCompactAndCrashKeepTheID: neither makes a copy.
func TestStoreCompactAndCrashKeepTheID(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	id := lend(t, s, "doc")
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir, quiet)
	if again := lend(t, s, "doc"); again != id || s.Boot().Moved != "" {
		t.Errorf("%v, %+v", again, s.Boot())
	}
	if err := s.Backup(t.Context(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	fs.Abandon(s)
	s = openStore(t, dir, quiet)
	if again := lend(t, s, "doc"); again != id || s.Boot().Moved != "" {
		t.Errorf("%v, %+v", again, s.Boot())
	}
}

// TestStoreKeepsADocumentUnderItsID ties a runtime to a store, three times.
func TestStoreKeepsADocumentUnderItsID(t *testing.T) {
	dir := t.TempDir()
	var id uuid.UUID
	for round := range 3 {
		s := openStore(t, dir, quiet)
		lent, release, err := s.Lend(t.Context(), "doc")
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			id = lent
		}
		rt, err := runtime.New(&runtime.Options{Replica: lent, Kinds: crdt.Kinds()})
		if err != nil {
			t.Fatal(err)
		}
		body, err := crdt.NewText(rt, "body")
		if err != nil {
			t.Fatal(err)
		}
		k, err := providers.Keep(t.Context(), rt, s, "doc", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Transact(func(tx runtime.Tx) error { return body.Insert(tx, body.Len(tx), "x") }); err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		release()
		s.Close()
		if lent != id || rt.Replica() != id || len(rt.Clock()) != 1 || rt.Clock()[id] != uint64(round+1) {
			t.Errorf("round %d: %v, %v", round, rt.Replica(), rt.Clock())
		}
	}
}
