package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// named puts a file's name before an error, unless it is there.
func named(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// readUpdate reads a file that should hold an update: a saved state, a delta, a message or a bundle. It reads no more
// than a document may have.
func readUpdate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lim := runtime.DefaultLimits()
	most := int64(max(lim.StateBytes, lim.BundleBytes)) + 64
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, named(path, err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("%s: more than the %s MiB that an update may have", path, count(most>>20))
	case len(b) == 0:
		return nil, fmt.Errorf("%s: empty, want a saved state, a delta, a message or a bundle", path)
	}
	if _, err := runtime.KindOf(b); err != nil {
		return nil, named(path, err)
	}
	return b, nil
}

// writeFile replaces a file in one step, so that a reader sees the old bytes or the new ones. Something that is no
// regular file, such as a device or a pipe, is written to.
func writeFile(path string, data []byte) error {
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, data []byte) (err error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, data, 0o644)
	}
	mode := fs.FileMode(0o644)
	if err == nil {
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".weft-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// newDocument makes an empty document of no schema: it takes updates of any document, and keeps what it does not know.
func newDocument() (*runtime.Runtime, error) {
	return runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}})
}

// join makes a document of several updates, in whatever order they stand: deltas wait until their base is there.
func join(paths []string) (*runtime.Runtime, error) {
	rt, err := newDocument()
	if err != nil {
		return nil, err
	}
	type update struct {
		path string
		data []byte
	}
	var todo []update
	for _, path := range paths {
		data, err := readUpdate(path)
		if err != nil {
			return nil, err
		}
		todo = append(todo, update{path, data})
	}
	// The local section of a state depends on what came first, so the order of the files must not decide that.
	slices.SortFunc(todo, func(a, b update) int { return cmp.Or(rank(a.data)-rank(b.data), bytes.Compare(a.data, b.data)) })
	for len(todo) > 0 {
		var later []update
		var lacks error
		for _, u := range todo {
			_, err := rt.Receive(u.data)
			switch {
			case errors.Is(err, runtime.ErrMissingDeps):
				later, lacks = append(later, u), named(u.path, err)
			case err != nil:
				return nil, named(u.path, err)
			}
		}
		if len(later) == len(todo) {
			return nil, fmt.Errorf("%w: the delta follows a state that is not among the files", lacks)
		}
		todo = later
	}
	return rt, nil
}

// rank orders updates by kind, those that others may follow first.
func rank(data []byte) int {
	kind, _ := runtime.KindOf(data)
	return slices.Index([]runtime.UpdateKind{runtime.StateUpdate, runtime.DeltaUpdate, runtime.BundleUpdate, runtime.MessageUpdate}, kind)
}

// waitingNote says which messages of a document wait for what; "" if none does.
func waitingNote(rt *runtime.Runtime) string {
	n := rt.Waiting()
	if n == 0 {
		return ""
	}
	var missing []string
	spans := rt.Missing()
	for i, s := range spans {
		if i == 3 {
			missing = append(missing, "…")
			break
		}
		missing = append(missing, s.String())
	}
	verb := "wait"
	if n == 1 {
		verb = "waits"
	}
	return fmt.Sprintf("%s %s for transactions that are not here: %s", plural(n, "message"), verb, strings.Join(missing, ", "))
}
