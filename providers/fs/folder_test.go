package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

// still looks only when asked to.
func still(local string) *fs.FolderOptions { return &fs.FolderOptions{Interval: -1, Local: local} }

func openFolder(t testing.TB, r *replica, dir string, o *fs.FolderOptions) *fs.Folder {
	t.Helper()
	if o == nil {
		o = still("")
	}
	f, err := fs.OpenFolder(r.rt, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func syncAll(t testing.TB, folders ...*fs.Folder) {
	t.Helper()
	for _, f := range folders {
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderConverges(t *testing.T) {
	dir := t.TempDir()
	a, b := numbered(t, 1), numbered(t, 2)
	f, g := openFolder(t, a, dir, nil), openFolder(t, b, dir, nil)
	if len(list(t, dir)) != 0 {
		t.Fatal("a session that writes nothing left a file")
	}
	for range 5 {
		a.write(t, "a")
		b.write(t, "b")
		syncAll(t, f, g)
	}
	syncAll(t, f)
	equal(t, a, b)
	names := list(t, dir)
	if len(names) != 2 || !strings.HasPrefix(names[0], a.rt.Replica().String()) || f.Durable(b.rt.Replica()) != 5 {
		t.Fatal(names, f.Durable(b.rt.Replica()))
	}
	// What comes from elsewhere, as a state, goes to the folder too; what came from the folder is not written twice.
	c := numbered(t, 3)
	c.write(t, "elsewhere")
	state, _ := c.rt.Save()
	if _, err := a.rt.Receive(state); err != nil {
		t.Fatal(err)
	}
	syncAll(t, f, g)
	equal(t, a, b)
	shut(t, f)
	shut(t, g)
	if info, _ := os.Stat(filepath.Join(dir, names[1])); info.Size() > 1000 {
		t.Fatal(info.Size(), "bytes for five letters")
	}
	d := numbered(t, 4)
	shut(t, openFolder(t, d, dir, nil))
	equal(t, a, d)
	if got := list(t, dir); !slices.Equal(got, names) {
		t.Fatal(got)
	}
}

func TestFolderIgnoresOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"README.md": "notes", ".hidden.weftlog": "x", "empty": "", "~x.weftlog": "x", "empty.weftlog": "",
		"zeros.weftlog": strings.Repeat("\x00", 100), "bad.weftlog": "something else"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "dir.weftlog"), 0o700)
	a := numbered(t, 1)
	f := openFolder(t, a, dir, nil)
	status := f.Files()
	if len(status) != 3 || status[0].Name != "bad.weftlog" || status[0].Err == nil || errors.Is(status[0].Err, fs.ErrIncomplete) ||
		!errors.Is(status[1].Err, fs.ErrIncomplete) || !errors.Is(status[2].Err, fs.ErrIncomplete) {
		t.Fatal(status)
	}
}

// read returns the only file of a folder, and where its records begin and end.
func only(t testing.TB, dir string) (path string, data []byte) {
	t.Helper()
	names := slices.DeleteFunc(list(t, dir), func(n string) bool { return strings.HasPrefix(n, ".") }) // being written
	if len(names) != 1 {
		t.Fatal(names)
	}
	path = filepath.Join(dir, names[0])
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

// A file that comes byte by byte, with holes, as an older version or under another name: what is valid is applied, nothing is
// skipped, and in the end all is there.
func TestFolderFilesComeInParts(t *testing.T) {
	from := t.TempDir()
	a := numbered(t, 1)
	f := openFolder(t, a, from, nil)
	var ends []int
	for range 4 {
		a.write(t, "abc")
		flush(t, f)
		_, data := only(t, from)
		ends = append(ends, len(data))
	}
	path, data := only(t, from)
	dir := t.TempDir()
	to := filepath.Join(dir, filepath.Base(path))
	b := numbered(t, 2)
	var log bytes.Buffer
	o := still("")
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	g := openFolder(t, b, dir, o)
	arrive := func(name string, data []byte, want int, err error) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		syncAll(t, g)
		if n := b.rt.Clock()[a.rt.Replica()]; n != uint64(3*want) {
			t.Fatalf("%d dots, want %d", n, 3*want)
		}
		status := g.Files()
		if got := status[0].Err; !errors.Is(got, err) && !(err == nil && got == nil) {
			t.Fatalf("%v, want %v", got, err)
		}
	}
	for n := 1; n <= ends[1]; n += 7 {
		want := 0
		for want < 2 && n >= ends[want] {
			want++
		}
		arrive(to, data[:n], want, map[bool]error{true: nil, false: fs.ErrIncomplete}[n == ends[0]])
	}
	holed := bytes.Clone(data)
	clear(holed[ends[1] : ends[1]+20])
	if log.Len() > 0 {
		t.Fatal(log.String())
	}
	arrive(to, holed, 2, providers.ErrDamaged)
	syncAll(t, g)
	var damage *providers.DamageError
	if !errors.As(g.Files()[0].Err, &damage) || damage.Offset != int64(ends[1]) || damage.Document != to || strings.Count(log.String(), "\n") != 1 {
		t.Fatal(damage, log.String())
	}
	arrive(to, data[:ends[2]], 3, nil)
	arrive(to, data[:ends[0]], 3, nil)
	arrive(filepath.Join(dir, "a (conflicted copy).weftlog"), data, 4, nil)
	os.Remove(to)
	syncAll(t, g)
	equal(t, a, b)
	if len(list(t, dir)) != 1 {
		t.Fatal("something was written that the folder holds")
	}
}

// A record that the document refuses is reported, and does not hold up what others wrote.
func TestFolderReportsWhatIsRefused(t *testing.T) {
	dir := t.TempDir()
	a, twin, b := numbered(t, 1), numbered(t, 1), numbered(t, 2)
	for _, x := range []struct {
		r    *replica
		text string
	}{{a, "one"}, {twin, "two"}, {b, "b"}} {
		f := openFolder(t, x.r, t.TempDir(), nil)
		x.r.write(t, x.text)
		flush(t, f)
		path, data := only(t, filepath.Dir(f.Path()))
		os.WriteFile(filepath.Join(dir, filepath.Base(path)), data, 0o600)
		shut(t, f)
	}
	c := numbered(t, 3)
	f := openFolder(t, c, dir, nil)
	bad := 0
	for _, s := range f.Files() {
		if errors.Is(s.Err, runtime.ErrEquivocation) {
			bad++
		} else if s.Err != nil {
			t.Fatal(s.Err)
		}
	}
	if bad != 1 || c.rt.Clock()[b.rt.Replica()] != 1 || c.rt.Clock()[a.rt.Replica()] != 3 {
		t.Fatal(f.Files(), c.rt.Clock())
	}
}

// The own file may vanish or be put back to an older version at any time: the session writes it anew.
func TestFolderMakesItsFileAnew(t *testing.T) {
	dir := t.TempDir()
	a := numbered(t, 1)
	f := openFolder(t, a, dir, nil)
	a.write(t, "one ")
	flush(t, f)
	path, data := only(t, dir)
	for i, damage := range []func(){
		func() { os.Remove(path) },
		func() {
			a.write(t, "two ")
			flush(t, f)
			os.WriteFile(path, data, 0o600)
		},
		func() { os.WriteFile(path, append(bytes.Clone(data), data...), 0o600) },
		func() { os.WriteFile(path, make([]byte, len(data)), 0o600) },
		func() { os.Rename(path, filepath.Join(dir, "odd name.weftlog")) },
	} {
		damage()
		switch i % 2 {
		case 0:
			syncAll(t, f)
		case 1:
			a.write(t, fmt.Sprint(i))
			flush(t, f)
		}
		to := t.TempDir()
		var err error
		if data, err = os.ReadFile(path); err != nil {
			t.Fatal(i, err)
		}
		os.WriteFile(filepath.Join(to, "copy.weftlog"), data, 0o600)
		b := numbered(t, 2)
		openFolder(t, b, to, nil)
		equal(t, a, b)
	}
}

// When a file vanishes and nobody has what it held but this document, it is written again: after Grace, or on Close.
func TestFolderKeepsWhatVanishes(t *testing.T) {
	for i := range 4 {
		closing := i%2 == 0
		vanish := os.Remove
		if i/2 == 0 {
			vanish = func(path string) error { return os.Truncate(path, 60) }
		}
		written := func(dir string) bool { return len(list(t, dir)) > 1-i/2 }
		dir := t.TempDir()
		a, b := numbered(t, 1), numbered(t, 2)
		f := openFolder(t, a, dir, nil)
		a.write(t, "precious")
		shut(t, f)
		o := still("")
		o.Grace = 3
		g := openFolder(t, b, dir, o)
		path, data := only(t, dir)
		vanish(path)
		syncAll(t, g, g)
		if written(dir) {
			t.Fatal("written before Grace")
		}
		os.WriteFile(path, data, 0o600)
		syncAll(t, g)
		vanish(path)
		syncAll(t, g, g)
		if written(dir) {
			t.Fatal("Grace did not begin anew")
		}
		if closing {
			shut(t, g)
		} else {
			syncAll(t, g)
		}
		c := numbered(t, 3)
		openFolder(t, c, dir, nil)
		equal(t, a, c)
	}
}

// Sessions of one device come and go, some crash, one goes on; their files do not pile up and nothing is lost.
func TestFolderFoldsEndedSessions(t *testing.T) {
	dir, local, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	other := numbered(t, 200)
	x := openFolder(t, other, dir, still(elsewhere))
	other.write(t, "other device ")
	flush(t, x)
	shut(t, x)
	long := numbered(t, 201)
	o := still(local)
	o.Sessions = 3
	running := openFolder(t, long, dir, o)
	long.write(t, "running ")
	flush(t, running)
	var last *replica
	for i := range 20 {
		last = numbered(t, byte(i+1))
		f := openFolder(t, last, dir, o)
		last.write(t, fmt.Sprintf("session %d ", i))
		flush(t, f)
		if i%3 == 0 { // a crash, in the midst of a write
			shut(t, f)
			name := newest(t, dir, last)
			data, _ := os.ReadFile(name)
			os.WriteFile(name, append(data, data[52:70]...), 0o600)
			continue
		}
		syncAll(t, f)
		if !exists(running.Path()) {
			t.Fatal("the file of a running session was removed")
		}
		if n := len(list(t, dir)); n > 3+1+1+1 {
			t.Fatal(n, "files after", i+1, "sessions")
		}
		shut(t, f)
	}
	syncAll(t, running)
	long.write(t, "still")
	syncAll(t, running)
	names := strings.Join(list(t, dir), " ")
	if !strings.Contains(names, long.rt.Replica().String()) || !strings.Contains(names, other.rt.Replica().String()) {
		t.Fatal("the file of a running session or of another device is gone:", names)
	}
	b := numbered(t, 100)
	openFolder(t, b, dir, nil)
	equal(t, long, b)
	if s := b.String(); strings.Count(s, "session") != 20 {
		t.Fatalf("%q", s)
	}
	shut(t, running)
	if got := list(t, local); !slices.Equal(got, []string{"device"}) {
		t.Fatal("locks are left:", got)
	}
}

func newest(t testing.TB, dir string, r *replica) string {
	t.Helper()
	for _, name := range list(t, dir) {
		if strings.HasPrefix(name, r.rt.Replica().String()) {
			return filepath.Join(dir, name)
		}
	}
	t.Fatal("no file")
	return ""
}

func TestFolderRewritesALongLog(t *testing.T) {
	dir := t.TempDir()
	a := numbered(t, 1)
	o := still("")
	o.LogBytes = 3000
	f := openFolder(t, a, dir, o)
	most, b := 0, numbered(t, 2)
	g := openFolder(t, b, dir, nil)
	for i := range 100 {
		a.write(t, "0123456789")
		flush(t, f)
		_, data := only(t, dir)
		most = max(most, len(data))
		if i%10 == 0 {
			syncAll(t, g)
			if b.String() != a.String() {
				t.Fatalf("%q", b)
			}
		}
	}
	if _, data := only(t, dir); most > 4000 || len(data) == most {
		t.Fatal(most, "bytes; never rewritten")
	}
	syncAll(t, f, g)
	equal(t, a, b)
}

func TestFolderOptions(t *testing.T) {
	for _, o := range []fs.FolderOptions{{Sessions: -1}, {LogBytes: 1<<30 + 1}, {FileBytes: -1}, {Grace: -1}} {
		if _, err := fs.OpenFolder(numbered(t, 1).rt, t.TempDir(), &o); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Error(o, err)
		}
	}
	if _, err := fs.OpenFolder(numbered(t, 1).rt, filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	local := t.TempDir()
	os.WriteFile(filepath.Join(local, "device"), []byte("x"), 0o600)
	if _, err := fs.OpenFolder(numbered(t, 1).rt, t.TempDir(), still(local)); err == nil || !strings.Contains(err.Error(), "no device ID") {
		t.Error(err)
	}
	a := numbered(t, 1)
	f := openFolder(t, a, t.TempDir(), nil)
	shut(t, f)
	if err := f.Sync(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}
