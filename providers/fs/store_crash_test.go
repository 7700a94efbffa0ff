//go:build linux

package fs_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers/fs"
)

// TestStoreCrashImages cuts the power at every moment, on paper: a process that writes is traced, and from the calls up to
// some moment a disk is built that holds what was synced and any part of what was not. Each must open and hold all that was
// acknowledged by then. After ALICE (Pillai and others, OSDI 2014).
func TestStoreCrashImages(t *testing.T) {
	events := traceStore(t)
	t.Run("synced", func(t *testing.T) {
		r := crashRun{t: t, events: events, images: *storeImages}
		if testing.Short() && r.images > 0 {
			r.images = min(r.images, 100)
		}
		if r.run(); len(r.bad) > 0 {
			t.Errorf("%d of %d images: %s", len(r.bad), r.count, strings.Join(r.bad[:min(5, len(r.bad))], "\n"))
		}
		t.Logf("%d images of %d moments, %d of them held what was acknowledged", r.count, len(events), r.loaded)
		if r.loaded < r.count/2 {
			t.Error("most images are of moments before anything was acknowledged")
		}
	})
	t.Run("syncs ignored", func(t *testing.T) { // or else this test could not find anything
		r := crashRun{t: t, events: events, images: 80, ignoreSyncs: true}
		if r.run(); len(r.bad) < r.count/10 {
			t.Errorf("of %d images of a disk that ignores syncs only %d are bad", r.count, len(r.bad))
		}
	})
}

// traceStore runs a writer under strace and returns what it asked of its disk.
func traceStore(t *testing.T) []crashEvent {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI is set, and strace is not there")
		}
		t.Skip("strace is not there")
	}
	base := t.TempDir()
	dir, trace := filepath.Join(base, "store"), filepath.Join(base, "trace")
	cmd := storeChild(t, fmt.Sprintf("write %s %d 40", dir, rand.Uint64N(1000)), strace, "-f", "-y", "-xx", "-s", "2000000",
		"-e", "trace=pwrite64,write,fdatasync,fsync,ftruncate,rename,renameat,renameat2,openat,unlink,unlinkat", "-o", trace)
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "closed\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &traceParser{dir: dir, syncing: map[string]string{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		p.line(lines.Text())
	}
	if lines.Err() != nil || len(p.events) < 200 {
		t.Fatalf("%d events, %v", len(p.events), lines.Err())
	}
	return p.events
}

// crashEvent is one call: write, size, sync, syncdir, create, rename, unlink, ack.
type crashEvent struct {
	op       string
	name, to string
	offset   int64
	data     []byte
}

type traceParser struct {
	dir     string
	events  []crashEvent
	syncing map[string]string // thread -> name
}

var traceResume = regexp.MustCompile(`^(\d+) +<\.\.\. (fsync|fdatasync) resumed>.*= 0$`)

// cutCall divides "123 call(args) = 0" or "123 call(args <unfinished ...>"; ok is false for what failed or is no call.
func cutCall(line string) (thread, call, args string, done, ok bool) {
	thread, rest, _ := strings.Cut(line, " ")
	call, rest, ok = strings.Cut(strings.TrimLeft(rest, " "), "(")
	if !ok || strings.ContainsAny(call, " <") {
		return "", "", "", false, false
	}
	if args, ok = strings.CutSuffix(rest, " <unfinished ...>"); ok {
		return thread, call, args, false, true
	}
	at := strings.LastIndex(rest, ") ")
	if at < 0 || strings.HasPrefix(strings.TrimLeft(rest[at+2:], " ="), "-1") {
		return "", "", "", false, false
	}
	return thread, call, rest[:at], true, true
}

// hexStrings returns the strings and paths among arguments, each byte of which is \xHH.
func hexStrings(args string) (out []string) {
	for {
		at := strings.IndexAny(args, `"<`)
		if at < 0 {
			return out
		}
		end := at + 1 + strings.IndexAny(args[at+1:], `">`)
		b, _ := hex.DecodeString(strings.ReplaceAll(args[at+1:end], `\x`, ""))
		out = append(out, string(b))
		args = args[end+1:]
	}
}

func (p *traceParser) line(line string) {
	if len(line) < 200 {
		if m := traceResume.FindStringSubmatch(line); m != nil {
			p.sync(p.syncing[m[1]])
			return
		}
	}
	thread, call, args, done, ok := cutCall(line)
	if !ok {
		return
	}
	text := hexStrings(args)
	number := func(fromEnd int) int64 {
		f := strings.Split(args, ", ")
		n, _ := strconv.ParseInt(f[len(f)-1-fromEnd], 10, 64)
		return n
	}
	switch call {
	case "pwrite64":
		p.add(crashEvent{op: "write", name: text[0], data: []byte(text[1]), offset: number(0)})
	case "write":
		if strings.HasPrefix(args, "1<") {
			p.events = append(p.events, crashEvent{op: "ack", name: text[1]})
			return
		}
		p.add(crashEvent{op: "write", name: text[0], data: []byte(text[1]), offset: -1}) // at the end
	case "ftruncate":
		p.add(crashEvent{op: "size", name: text[0], offset: number(0)})
	case "fsync", "fdatasync":
		if done {
			p.sync(text[0])
		} else {
			p.syncing[thread] = text[0]
		}
	case "openat":
		if strings.Contains(args, "O_CREAT") {
			p.add(crashEvent{op: "create", name: text[1]})
		}
		if strings.Contains(args, "O_TRUNC") {
			p.add(crashEvent{op: "size", name: text[1]})
		}
	case "rename", "renameat", "renameat2":
		n := len(text)
		p.add(crashEvent{op: "rename", name: text[min(1, n-3)], to: text[n-1]})
	case "unlink", "unlinkat":
		p.add(crashEvent{op: "unlink", name: text[len(text)-1]})
	}
}

func (p *traceParser) sync(name string) {
	if name == p.dir {
		p.events = append(p.events, crashEvent{op: "syncdir"})
		return
	}
	p.add(crashEvent{op: "sync", name: name})
}

// add keeps events of the store's directory.
func (p *traceParser) add(e crashEvent) {
	for _, n := range []*string{&e.name, &e.to} {
		if *n == "" {
			continue
		}
		if filepath.Dir(*n) != p.dir {
			return
		}
		*n = filepath.Base(*n)
	}
	p.events = append(p.events, e)
}

// crashFile is a file of which some is synced and some is not.
type crashFile struct {
	synced  []byte
	pending []crashEvent
	size    int64
}

const crashBlock = 4096

// content returns what may be there after a crash: of each unsynced block either state.
func (f *crashFile) content(lucky func() bool) []byte {
	out := append([]byte(nil), f.synced...)
	for _, e := range f.pending {
		if e.op == "size" {
			if lucky() {
				out = resize(out, e.offset)
			}
			continue
		}
		for at := int64(0); at < int64(len(e.data)); at += crashBlock {
			if lucky() {
				out = overwrite(out, e.offset+at, e.data[at:min(at+crashBlock, int64(len(e.data)))])
			}
		}
	}
	return out
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func overwrite(b []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[at:], data)
	return b
}

// crashDisk is a directory of which the names, too, may be synced or not.
type crashDisk struct {
	now, synced map[string]*crashFile
	pending     []crashEvent
}

func (d *crashDisk) apply(e crashEvent, ignoreSyncs bool) {
	f := d.now[e.name]
	switch e.op {
	case "create":
		if f == nil {
			d.named(e)
		}
	case "rename", "unlink":
		d.named(e)
	case "write":
		if e.offset < 0 {
			e.offset = f.size
		}
		f.size = max(f.size, e.offset+int64(len(e.data)))
		f.pending = append(f.pending, e)
	case "size":
		f.size = e.offset
		f.pending = append(f.pending, e)
	case "sync":
		if !ignoreSyncs {
			f.synced, f.pending = f.content(func() bool { return true }), nil
		}
	case "syncdir":
		if !ignoreSyncs {
			d.synced, d.pending = maps.Clone(d.now), nil
		}
	}
}

func (d *crashDisk) named(e crashEvent) {
	file := d.now[e.name]
	if e.op == "create" {
		file = &crashFile{}
	}
	d.now = rename(d.now, e, file)
	d.pending = append(d.pending, e)
}

func rename(names map[string]*crashFile, e crashEvent, f *crashFile) map[string]*crashFile {
	names = maps.Clone(names)
	if e.op != "create" {
		delete(names, e.name)
	}
	switch e.op {
	case "create":
		names[e.name] = f
	case "rename":
		names[e.to] = f
	}
	return names
}

// names returns a directory after a crash: changes that were not synced happened up to some point.
func (d *crashDisk) names(rng *rand.Rand) map[string]*crashFile {
	if len(d.pending) == 0 || rng.IntN(2) == 0 {
		return d.now
	}
	return d.synced
}

type crashRun struct {
	t             *testing.T
	events        []crashEvent
	images        int // 0: three of each moment
	ignoreSyncs   bool
	count, loaded int
	bad           []string
}

func (r *crashRun) run() {
	seed := rand.Uint64()
	r.t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	d := &crashDisk{now: map[string]*crashFile{}, synced: map[string]*crashFile{}}
	said := acks{}
	dir := r.t.TempDir()
	for i, e := range r.events {
		if e.op == "ack" {
			for line := range strings.Lines(e.name) {
				said.add(line)
			}
		} else {
			d.apply(e, r.ignoreSyncs)
		}
		n := 3
		if r.images > 0 {
			n = ((i+1)*r.images)/len(r.events) - i*r.images/len(r.events)
		}
		for range n {
			r.count++
			if why := r.check(d, said, filepath.Join(dir, strconv.Itoa(r.count)), rng); why != "" {
				r.bad = append(r.bad, fmt.Sprintf("after call %d (%s %s): %s", i, e.op, e.name, why))
			}
		}
	}
}

// check opens an image and says what is wrong.
func (r *crashRun) check(d *crashDisk, said acks, dir string, rng *rand.Rand) string {
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	odds := rng.Float64()
	names := d.names(rng)
	for name, f := range names {
		if err := os.WriteFile(filepath.Join(dir, name), f.content(func() bool { return rng.Float64() < odds }), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	readOnly := len(said) > 0 && rng.IntN(4) > 0
	s, err := fs.Open(dir, &fs.StoreOptions{ScrubEvery: -1, ReadOnly: readOnly, CompactPercent: -1})
	if err != nil {
		if names["store.db"] == nil && errors.Is(err, os.ErrNotExist) && len(said) == 0 {
			return ""
		}
		return err.Error()
	}
	defer s.Close()
	if len(said) > 0 {
		r.loaded++
	}
	lost, err := said.missing(r.t.Context(), s)
	if err != nil {
		return err.Error()
	}
	if v, err := s.Verify(r.t.Context()); err != nil || len(v.Damaged) > 0 {
		return fmt.Sprintf("%v, %v", v.Damaged, err)
	}
	if lost != "" {
		return "lost " + lost
	}
	return ""
}
