package fs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers/fs"
)

// read and put are how a tool that copies files sees the simulated file system.
func (s *simulated) read(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.names[path]; n != nil {
		return slices.Clone(n.now)
	}
	return nil
}

func (s *simulated) put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data = slices.Clone(data)
	s.names[path] = &inode{now: data, disk: data}
	s.disk[path] = s.names[path]
}

func (s *simulated) take(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, path)
	delete(s.disk, path)
}

// devices are directories, each with sessions that come and go, and a tool that copies files between them: in random order,
// halves of them, older versions, under odd names; files vanish, and removals travel before what replaces them.
type devices struct {
	t        *testing.T
	r        *rand.Rand
	s        *simulated
	sessions [3][]*folderSession
	owner    map[string]int      // of each file, by name
	versions map[string][][]byte // that were seen
	words    []string            // that were durable
	next     byte
}

type folderSession struct {
	*replica
	f *fs.Folder
}

func (d *devices) dir(i int) string { return fmt.Sprintf("/device%d/shared", i) }

func (d *devices) open(i int) {
	d.next++
	x := &folderSession{replica: numbered(d.t, d.next)}
	o := still(fmt.Sprintf("/device%d/local", i)).Inject(d.s, rand.NewChaCha8([32]byte{d.next}))
	o.Sessions, o.Grace, o.LogBytes = 2, 4, 1500
	x.f = openFolder(d.t, x.replica, d.dir(i), o)
	d.owner[filepath.Base(x.f.Path())] = i
	d.sessions[i] = append(d.sessions[i], x)
}

func (d *devices) files(i int) []string {
	names, _ := d.s.ReadDir(d.dir(i))
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, ".") })
}

// copy brings a file to another device.
func (d *devices) copy(from, to int, name string) {
	data := d.s.read(filepath.Join(d.dir(from), name))
	d.versions[name] = append(d.versions[name], data)
	target := filepath.Join(d.dir(to), name)
	switch d.r.IntN(6) {
	case 0:
		data = data[:d.r.IntN(len(data)+1)]
	case 1:
		data = d.versions[name][d.r.IntN(len(d.versions[name]))]
	case 2:
		target += " (copy).weftlog"
	case 3: // half of the blocks
		data = slices.Clone(data)
		if n := len(data); n > 0 {
			at := d.r.IntN(n)
			clear(data[at:min(n, at+64)])
		}
	}
	d.s.put(target, data)
}

func (d *devices) step() {
	i, j := d.r.IntN(3), d.r.IntN(3)
	switch running := d.sessions[i]; d.r.IntN(12) {
	case 0:
		if len(running) < 2 {
			d.open(i)
		}
	case 1:
		if len(running) > 0 {
			shut(d.t, running[0].f)
			d.sessions[i] = running[1:]
		}
	case 2, 3, 4:
		if len(running) > 0 {
			word := fmt.Sprintf("<%d>", len(d.words))
			running[0].write(d.t, word)
			flush(d.t, running[0].f)
			d.words = append(d.words, word)
		}
	case 5, 6:
		for _, x := range running {
			syncAll(d.t, x.f)
		}
	case 7: // vanishes, comes again later
		if names := d.files(j); i != j && len(names) > 0 {
			if name := names[d.r.IntN(len(names))]; d.owner[name] != j {
				d.s.take(filepath.Join(d.dir(j), name))
			}
		}
	case 8:
		d.removals(j)
	default:
		names := d.files(i)
		if i != j && len(names) > 0 {
			if name := names[d.r.IntN(len(names))]; d.owner[name] != j {
				d.copy(i, j, name)
			}
		}
	}
}

// removals does on a device what was done where a file belongs.
func (d *devices) removals(j int) {
	for _, name := range d.files(j) {
		if o, ok := d.owner[name]; ok && o != j && d.s.read(filepath.Join(d.dir(o), name)) == nil {
			d.s.take(filepath.Join(d.dir(j), name))
		}
	}
}

// settle copies everything as it is.
func (d *devices) settle() {
	for i := range 3 {
		for _, name := range d.files(i) {
			for j := range 3 {
				if o, ok := d.owner[name]; ok && o == i && j != i {
					d.s.put(filepath.Join(d.dir(j), name), d.s.read(filepath.Join(d.dir(i), name)))
				}
			}
		}
		d.removals(i)
	}
}

func TestFoldersConvergeThroughAnyCopier(t *testing.T) {
	folded := 0
	for seed := range uint64(25) {
		d := &devices{t: t, r: rand.New(rand.NewPCG(seed, 2)), s: newSimulated(), owner: map[string]int{}, versions: map[string][][]byte{}}
		for range 250 {
			d.step()
		}
		for i := range 3 {
			d.open(i)
		}
		var all []*replica
		for range 3 {
			d.settle()
			all = all[:0]
			for i := range 3 {
				for _, x := range d.sessions[i] {
					syncAll(t, x.f)
					all = append(all, x.replica)
				}
			}
		}
		for i := range 3 {
			d.open(i)
			all = append(all, d.sessions[i][len(d.sessions[i])-1].replica)
		}
		equal(t, all...)
		text := all[0].String()
		for _, word := range d.words {
			if strings.Count(text, word) != 1 {
				t.Fatalf("seed %d: %s was durable and is there %d times", seed, word, strings.Count(text, word))
			}
		}
		for name := range maps.Keys(d.owner) {
			if len(d.versions[name]) > 0 && d.s.read(filepath.Join(d.dir(d.owner[name]), name)) == nil {
				folded++
			}
		}
		for i := range 3 {
			for _, x := range d.sessions[i] {
				shut(t, x.f)
			}
		}
	}
	if folded < 50 {
		t.Fatal("only", folded, "files that had travelled were folded")
	}
}

// Two processes on two directories, one of which is killed and started again, and a loop that copies both ways.
func TestProcessesConvergeThroughACopier(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	top := t.TempDir()
	dirs := []string{filepath.Join(top, "a"), filepath.Join(top, "b")}
	var running [2]*process
	for i, dir := range dirs {
		if os.Mkdir(dir, 0o700) != nil || os.Mkdir(dir+".local", 0o700) != nil {
			t.Fatal("mkdir")
		}
		running[i] = child(t, "folder", dir)
	}
	home := make(map[string]int) // where a file was first seen
	transfer := func(i int, whole bool) {
		for _, name := range list(t, dirs[i]) {
			if strings.HasPrefix(name, ".") {
				continue
			}
			if _, ok := home[name]; !ok {
				home[name] = i
			}
			data, err := os.ReadFile(filepath.Join(dirs[i], name))
			if home[name] != i || err != nil { // it was folded in just now
				continue
			}
			if !whole {
				data = data[:r.IntN(len(data)+1)]
			}
			if err := os.WriteFile(filepath.Join(dirs[1-i], name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, at := range home {
			if _, err := os.Stat(filepath.Join(dirs[at], name)); at == i && err != nil {
				os.Remove(filepath.Join(dirs[1-i], name))
			}
		}
	}
	var words []string
	for n := range 40 {
		i := r.IntN(2)
		word := fmt.Sprintf("<%d>", n)
		running[i].ask(t, "write "+word)
		words = append(words, word)
		transfer(r.IntN(2), r.IntN(2) == 0)
		if n%8 == 7 {
			running[0].cmd.Process.Kill()
			running[0].cmd.Wait()
			running[0] = child(t, "folder", dirs[0])
		}
	}
	var answers [2]string
	eventually(t, func() bool {
		for i := range 2 {
			transfer(i, true)
			answers[i] = running[i].ask(t, "sync")
		}
		return answers[0] == answers[1]
	})
	for _, word := range words {
		if strings.Count(answers[0], word) != 1 {
			t.Errorf("%s is lost: %s", word, answers[0])
		}
	}
	for _, p := range running {
		p.in.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
