package fs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

func openFile(t testing.TB, r *replica, path string, o *fs.FileOptions) *fs.File {
	t.Helper()
	f, err := fs.OpenFile(r.rt, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func flush(t testing.TB, f interface{ Flush(context.Context) error }) {
	t.Helper()
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func shut(t testing.TB, f interface{ Close() error }) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestFileKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	a.write(t, "before ")
	f := openFile(t, a, path, nil)
	var told sync.WaitGroup
	told.Add(1)
	stop := f.OnDurable(sync.OnceFunc(told.Done))
	a.write(t, "after")
	flush(t, f)
	told.Wait()
	stop()
	if n := f.Durable(a.rt.Replica()); n != 12 || exists(path) || !exists(path+".journal") || !exists(path+".lock") {
		t.Fatal(n, exists(path))
	}
	// A state from elsewhere has no messages: the file is written.
	other := numbered(t, 2)
	other.write(t, "other ")
	state, err := other.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.rt.Receive(state); err != nil {
		t.Fatal(err)
	}
	flush(t, f)
	if !exists(path) || exists(path+".journal") || f.Durable(other.rt.Replica()) != 6 {
		t.Fatal("the state was not folded in")
	}
	a.write(t, "!")
	flush(t, f)
	shut(t, f)
	shut(t, f)
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Fatal("left behind:", names)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal("all is durable:", err)
	}
	if err := f.Fold(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}

	before, _ := os.ReadFile(path)
	b := numbered(t, 3)
	f = openFile(t, b, path, nil)
	equal(t, a, b)
	if f.Durable(a.rt.Replica()) != 13 || b.rt.Replica() == a.rt.Replica() {
		t.Fatal("what was loaded is not durable, or the replica ID was lent")
	}
	info, _ := os.Stat(path)
	shut(t, f)
	again, _ := os.Stat(path)
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) || !os.SameFile(info, again) {
		t.Fatal("reading wrote the file")
	}
}

func list(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// copied returns a copy of file and journal as a crash would leave them.
func copied(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.weft")
	for _, end := range []string{"", ".journal"} {
		b, err := os.ReadFile(path + end)
		if err == nil {
			err = os.WriteFile(to+end, b, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return to
}

func TestJournalFoldsWhenLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	f := openFile(t, a, path, &fs.FileOptions{FoldBytes: 2000, Compress: 1})
	folds, last := 0, os.FileInfo(nil)
	for i := range 200 {
		a.write(t, "0123456789")
		flush(t, f)
		if i%20 == 19 {
			b := numbered(t, 2)
			g := openFile(t, b, copied(t, path), nil)
			equal(t, a, b)
			shut(t, g)
		}
		if info, err := os.Stat(path); err == nil && (last == nil || !os.SameFile(info, last)) {
			folds, last = folds+1, info
		}
	}
	if folds < 3 || folds > 20 {
		t.Fatal("folded", folds, "times")
	}
	if err := f.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	b := numbered(t, 2)
	if err := b.rt.Load(whole); err != nil {
		t.Fatal(err)
	}
	equal(t, a, b)
}

func TestManyWritersShareSyncs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	f := openFile(t, a, path, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				a.write(t, "x")
				flush(t, f)
			}
		})
	}
	wg.Wait()
	b := numbered(t, 2)
	openFile(t, b, copied(t, path), nil)
	equal(t, a, b)
	if len(a.String()) != 200 || exists(path) {
		t.Fatal("a state was written where messages would do")
	}
}

func TestTornJournalIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	f := openFile(t, a, path, nil)
	var ends []int
	for range 3 {
		a.write(t, "abc")
		flush(t, f)
		b, _ := os.ReadFile(path + ".journal")
		ends = append(ends, len(b))
	}
	journal, _ := os.ReadFile(path + ".journal")
	for _, cut := range []int{ends[1], ends[1] + 1, ends[1] + 12, ends[2] - 1} {
		for _, zeros := range []int{0, 100} {
			to := filepath.Join(t.TempDir(), "torn.weft")
			torn := append(bytes.Clone(journal[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(to+".journal", torn, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			b := numbered(t, 2)
			g := openFile(t, b, to, &fs.FileOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if b.String() != "abcabc" {
				t.Fatalf("cut at %d: %q", cut, b)
			}
			if n := strings.Count(log.String(), "\n"); (n == 1) != (len(torn) > ends[1]) || n > 1 {
				t.Fatalf("cut at %d: logged %q", cut, log.String())
			}
			b.write(t, "!")
			shut(t, g)
			c := numbered(t, 3)
			openFile(t, c, to, nil)
			equal(t, b, c)
		}
	}
	shut(t, f)
}

// A bit that is flipped in the midst of a journal is reported with its place, and nothing is written.
func TestDamageIsReported(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.weft")
	a := numbered(t, 1)
	a.write(t, "state")
	shut(t, openFile(t, a, path, nil))
	f := openFile(t, a, path, nil)
	var ends []int64
	for range 3 {
		a.write(t, "abc")
		flush(t, f)
		info, _ := os.Stat(path + ".journal")
		ends = append(ends, info.Size())
	}
	good := copied(t, path)
	journal, _ := os.ReadFile(good + ".journal")
	state, _ := os.ReadFile(good)
	check := func(what string, state, journal []byte, in string, offset int64) {
		t.Helper()
		bad := filepath.Join(t.TempDir(), "bad.weft")
		if os.WriteFile(bad, state, 0o600) != nil || os.WriteFile(bad+".journal", journal, 0o600) != nil {
			t.Fatal("write")
		}
		_, err := fs.OpenFile(numbered(t, 9).rt, bad, nil)
		var damage *providers.DamageError
		if !errors.As(err, &damage) || !errors.Is(err, providers.ErrDamaged) || !strings.HasSuffix(damage.Document, in) || offset >= 0 && damage.Offset != offset {
			t.Fatalf("%s: %v", what, err)
		}
		s, _ := os.ReadFile(bad)
		j, _ := os.ReadFile(bad + ".journal")
		if !bytes.Equal(s, state) || !bytes.Equal(j, journal) || exists(bad+".lock") {
			t.Fatalf("%s: something was written", what)
		}
	}
	for _, at := range []int64{52, 56, 60, 64, ends[0], ends[1] - 1} {
		bad := bytes.Clone(journal)
		bad[at] ^= 4
		start := int64(52)
		if at >= ends[0] {
			start = ends[0]
		}
		check("record", state, bad, "bad.weft.journal", start)
	}
	for _, at := range []int{0, 10, 13, 40, 51} {
		bad := bytes.Clone(journal)
		bad[at] ^= 4
		if at == 10 {
			if _, err := fs.OpenFile(numbered(t, 9).rt, write(t, state, bad), nil); !errors.Is(err, fs.ErrLogVersion) {
				t.Fatal(err)
			}
			continue
		}
		check("header", state, bad, ".journal", 0)
	}
	check("short header", state, journal[:30], ".journal", 0)
	for at := 12; at < len(state); at += 5 {
		bad := bytes.Clone(state)
		bad[at] ^= 4
		check("state", bad, journal, "bad.weft", -1)
	}
	check("empty", nil, journal, "bad.weft", 0)
	check("other", []byte("{}"), journal, "bad.weft", 0)
	ms, _ := a.rt.MessagesSince(nil)
	if _, err := fs.OpenFile(numbered(t, 9).rt, write(t, ms[0], journal), nil); err == nil || !strings.Contains(err.Error(), "weft merge") {
		t.Fatal(err)
	}
}

func write(t testing.TB, state, journal []byte) string {
	path := filepath.Join(t.TempDir(), "doc.weft")
	if os.WriteFile(path, state, 0o600) != nil || os.WriteFile(path+".journal", journal, 0o600) != nil {
		t.Fatal("write")
	}
	return path
}

func TestSecondOpeningNamesTheOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.weft")
	a := numbered(t, 1)
	a.write(t, "x")
	f := openFile(t, a, path, nil)
	if err := f.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.weft")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	for _, p := range []string{path, link} {
		_, err := fs.OpenFile(numbered(t, 2).rt, p, nil)
		var locked *fs.LockedError
		if !errors.Is(err, fs.ErrLocked) || !errors.As(err, &locked) || locked.Owner.PID != os.Getpid() {
			t.Fatal(err)
		}
	}
	// Another process, and one that was killed.
	shut(t, f)
	p := child(t, "lock", path)
	_, err := fs.OpenFile(numbered(t, 2).rt, path, nil)
	var locked *fs.LockedError
	if !errors.As(err, &locked) || locked.Owner.PID != p.cmd.Process.Pid {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	b := numbered(t, 3)
	g := openFile(t, b, link, nil)
	if b.String() != "xchild" {
		t.Fatalf("%q", b)
	}
	shut(t, g)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Fatal("the link was replaced")
	}
}

func TestPermissionsStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	a.write(t, "x")
	shut(t, openFile(t, a, path, nil))
	os.Chmod(path, 0o600)
	f := openFile(t, a, path, nil)
	a.write(t, "y")
	flush(t, f)
	for _, p := range []string{path, path + ".journal"} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(p, info.Mode(), err)
		}
	}
	shut(t, f)
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode())
	}
}

// A file that others replace while it is open, as git does, is merged; an unreadable one is never overwritten.
func TestReplacedFileIsMerged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	a.write(t, "base ")
	f := openFile(t, a, path, nil)
	if err := f.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := numbered(t, 2)
	state, _ := os.ReadFile(path)
	if err := b.rt.Load(state); err != nil {
		t.Fatal(err)
	}
	b.write(t, "theirs ")
	theirs, _ := b.rt.Save()
	a.write(t, "ours ")
	if err := os.WriteFile(path, theirs, 0o600); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan error, 1)
	stop := a.rt.OnUpdate(func(u runtime.Update) { // a handler may wait for the file
		if u.Kind == runtime.StateUpdate {
			flushed <- f.Flush(t.Context())
		}
	})
	if err := f.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	stop()
	whole, _ := os.ReadFile(path)
	c := numbered(t, 3)
	if err := c.rt.Load(whole); err != nil {
		t.Fatal(err)
	}
	equal(t, a, c)
	if s := a.String(); !strings.Contains(s, "ours") || !strings.Contains(s, "theirs") {
		t.Fatalf("%q", s)
	}
	a.write(t, "!")
	flush(t, f)
	os.WriteFile(path, []byte("<<<<<<< HEAD"), 0o600)
	if err := f.Fold(t.Context()); !errors.Is(err, providers.ErrDamaged) && !errors.Is(f.Err(), providers.ErrDamaged) {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, providers.ErrStoreFailed) {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "<<<<<<< HEAD" || !exists(path+".journal") {
		t.Fatal("overwritten, or the journal is gone")
	}
}

// A journal that others remove costs nothing: the document is here.
func TestRemovedJournalIsMadeUpFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.weft")
	a := numbered(t, 1)
	f := openFile(t, a, path, nil)
	a.write(t, "one ")
	flush(t, f)
	os.Remove(path + ".journal")
	a.write(t, "two ")
	flush(t, f)
	b := numbered(t, 2)
	openFile(t, b, copied(t, path), nil)
	equal(t, a, b)
}

func TestJSONCopy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.weft")
	a := numbered(t, 1)
	o := &fs.FileOptions{JSON: filepath.Join(dir, "notes.json"), JSONDelay: 1}
	f := openFile(t, a, path, o)
	read := func() (v map[string]any) {
		b, _ := os.ReadFile(o.JSON)
		json.Unmarshal(b, &v)
		return v
	}
	for i, s := range []string{"one", " two"} {
		a.write(t, s)
		eventually(t, func() bool { return read()["body"] == "one two"[:3+4*i] })
	}
	o = &fs.FileOptions{JSON: o.JSON, JSONDelay: 1 << 40}
	shut(t, f)
	f = openFile(t, a, path, o)
	a.write(t, "!")
	shut(t, f)
	if b, _ := os.ReadFile(o.JSON); string(b) != "{\n  \"body\": \"one two!\"\n}\n" {
		t.Fatalf("%s", b)
	}
	f = openFile(t, a, path, &fs.FileOptions{JSON: filepath.Join(dir, "none", "x.json")})
	a.write(t, "?")
	if err := f.Close(); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	b := numbered(t, 2)
	openFile(t, b, path, nil)
	equal(t, a, b)
}

func TestFileOptions(t *testing.T) {
	for _, o := range []fs.FileOptions{{FoldBytes: -1}, {FoldBytes: 1<<30 + 1}, {Compress: 5}, {JSONDelay: -1}} {
		if _, err := fs.OpenFile(numbered(t, 1).rt, filepath.Join(t.TempDir(), "x"), &o); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Error(o, err)
		}
	}
	if _, err := fs.OpenFile(numbered(t, 1).rt, filepath.Join(t.TempDir(), "none", "x"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// weft merge is a merge driver: two branches that both changed a document merge without a conflict.
func TestGitMerge(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not here")
	}
	dir := t.TempDir()
	weft := filepath.Join(dir, "weft")
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		if cmd.Dir = filepath.Join(dir, "repo"); name == "go" {
			cmd.Dir = ""
		}
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("go", "build", "-o", weft, "github.com/seed1312cc15/weft/cmd/weft")
	os.Mkdir(filepath.Join(dir, "repo"), 0o700)
	path := filepath.Join(dir, "repo", "notes.weft")
	run(git, "init", "-q", "-b", "main")
	run(git, "config", "user.name", "t")
	run(git, "config", "user.email", "t@example.org")
	run(git, "config", "merge.weft.driver", weft+" merge -o %A %A %B")
	os.WriteFile(filepath.Join(dir, "repo", ".gitattributes"), []byte("*.weft merge=weft -diff\n"), 0o600)
	edit := func(n byte, s string) {
		t.Helper()
		r := numbered(t, n)
		f := openFile(t, r, path, nil)
		r.write(t, s)
		shut(t, f)
		run(git, "add", ".")
		run(git, "commit", "-qm", s)
	}
	edit(1, "base ")
	run(git, "checkout", "-qb", "topic")
	edit(2, "topic ")
	run(git, "checkout", "-q", "main")
	edit(3, "main ")
	run(git, "merge", "-q", "-m", "merged", "topic")
	r := numbered(t, 4)
	openFile(t, r, path, nil)
	if s := r.String(); s != "base topic main " && s != "base main topic " {
		t.Fatalf("%q", s)
	}
}
