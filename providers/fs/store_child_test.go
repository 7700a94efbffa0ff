//go:build linux

package fs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/vclock"
)

const storeChildEnv = "WEFT_STORE_CHILD"

// TestStoreChild is what this program does when a test starts it again.
func TestStoreChild(t *testing.T) {
	mode, args, _ := strings.Cut(os.Getenv(storeChildEnv), " ")
	if mode == "" {
		t.Skip("started by other tests")
	}
	f := strings.Fields(args)
	switch mode {
	case "own":
		openStore(t, f[0], quiet)
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "write":
		seed, _ := strconv.ParseUint(f[1], 10, 64)
		steps, _ := strconv.Atoi(f[2])
		writeAcknowledged(t, f[0], seed, steps)
	case "limit":
		writeToLimit(t, f[0])
	case "fault":
		writeToFault(t, f[0])
	}
}

// storeChild returns a command that runs a mode of TestStoreChild, maybe under another program.
func storeChild(t *testing.T, mode string, under ...string) *exec.Cmd {
	t.Helper()
	args := append(under, os.Args[0], "-test.run=^TestStoreChild$")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), storeChildEnv+"="+mode)
	cmd.Stderr = os.Stderr
	return cmd
}

// writeAcknowledged has four writers append, and snapshot, trim and compact now and then, and say on stdout what is durable:
//
//	ack <document> <content>
//
// Contents are "<number>." of the writer. The state of a snapshot is the concatenation of the contents that it covers, so that
// a document's contents are those of its snapshot and its records.
func writeAcknowledged(t *testing.T, dir string, seed uint64, steps int) {
	s, err := fs.Open(dir, &fs.StoreOptions{ScrubEvery: -1, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			a := &ackWriter{t: t, s: s, document: fmt.Sprint("doc", w), rng: rand.New(rand.NewPCG(seed, uint64(w)))}
			a.resume()
			for range steps {
				a.step()
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("closed")
}

type ackWriter struct {
	t        *testing.T
	s        *fs.Store
	document string
	rng      *rand.Rand
	next     int
	all      string
	last     uint64
}

// resume goes on after what is stored.
func (a *ackWriter) resume() {
	x, err := a.s.Load(a.t.Context(), a.document)
	if err != nil {
		a.t.Fatal(err)
	}
	a.all = contentsOf(x)
	for _, r := range x.Records {
		a.last = r.Position
	}
	if x.Snapshot != nil {
		a.last = max(a.last, x.Snapshot.Through)
	}
	for c := range strings.SplitSeq(a.all, ".") {
		if n, err := strconv.Atoi(c); err == nil {
			a.next = max(a.next, n+1)
		}
	}
}

func (a *ackWriter) step() {
	ctx := context.Background()
	var err error
	switch n := a.rng.IntN(20); {
	case n < 2 && a.last > 0:
		clock := vclock.Clock{{1}: uint64(a.next) + 1}
		padding := strings.Repeat("_", a.rng.IntN(80_000)) + "."
		if err = a.s.Snapshot(ctx, a.document, &providers.Snapshot{Clock: clock, Through: a.last, State: []byte(padding + a.all)}); err == nil {
			err = a.s.Trim(ctx, a.document, a.last)
		}
	case n == 2 && a.rng.IntN(4) == 0:
		fmt.Println("compacting")
		err = a.s.Compact(ctx)
		fmt.Println("compacted")
	default:
		var records []providers.Record
		var said string
		for range 1 + a.rng.IntN(3) {
			c := fmt.Sprintf("%d.", a.next)
			a.next++
			said += c
			records = append(records, providers.Record{Document: a.document, Data: []byte(c)})
		}
		var p []uint64
		if p, err = a.s.Append(ctx, records); err == nil {
			a.last = p[len(p)-1]
			a.all += said
			fmt.Printf("ack %s %s\n", a.document, said)
		}
	}
	if err != nil {
		a.t.Error(err)
	}
}

// acks is what a child said to be durable.
type acks map[string][]string

func (a acks) add(line string) {
	f := strings.Fields(line)
	if len(f) == 3 && f[0] == "ack" {
		a[f[1]] = append(a[f[1]], strings.Split(strings.TrimSuffix(f[2], "."), ".")...)
	}
}

// missing returns what of it is not in a store; an error is one of reading.
func (a acks) missing(ctx context.Context, s *fs.Store) (string, error) {
	for document, want := range a {
		x, err := s.Load(ctx, document)
		if err != nil {
			return "", err
		}
		have := map[string]bool{}
		for c := range strings.SplitSeq(contentsOf(x), ".") {
			have[c] = true
		}
		for _, c := range want {
			if !have[c] {
				return document + " " + c, nil
			}
		}
	}
	return "", nil
}

// TestStoreKilled kills a process that writes, again and again, in the middle of anything.
func TestStoreKilled(t *testing.T) {
	rounds := *storeRounds
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	dir := t.TempDir()
	all := acks{}
	for round := range rounds {
		cmd := storeChild(t, fmt.Sprintf("write %s %d 100000", dir, round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		compactions := 0
		next := func() bool {
			if !lines.Scan() {
				return false
			}
			all.add(lines.Text())
			switch lines.Text() {
			case "compacting":
				compactions++
			case "compacted":
				compactions--
			}
			return true
		}
		for n := 0; n < 10+13*round%90 && next(); n++ {
		}
		cmd.Process.Kill()
		for next() { // what was in the pipe: said before the end
		}
		cmd.Wait()
		s, err := fs.Open(dir, quiet)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if !s.Boot().Unclean || s.Boot().Moved != "" && compactions == 0 {
			t.Fatalf("round %d: %+v", round, s.Boot())
		}
		if lost, err := all.missing(t.Context(), s); err != nil || lost != "" {
			t.Fatalf("round %d: lost %q, %v", round, lost, err)
		}
		if r, err := s.Verify(t.Context()); err != nil || len(r.Damaged) > 0 {
			t.Fatalf("round %d: %+v, %v", round, r, err)
		}
		s.Close()
	}
	if len(all) != 4 {
		t.Fatalf("%d documents were written", len(all))
	}
}

func TestStoreSecondProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := storeChild(t, "own "+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	var owned *fs.OwnedError
	for _, o := range []*fs.StoreOptions{nil, {ReadOnly: true}} {
		_, err := fs.Open(dir, o)
		host, _ := os.Hostname()
		if !errors.As(err, &owned) || !errors.Is(err, fs.ErrOwned) || owned.Owner.PID != cmd.Process.Pid || owned.Owner.Host != host || owned.Owner.Since.IsZero() {
			t.Errorf("%v: %+v", err, owned)
		}
	}
	in.Close()
	cmd.Wait()
	s := openStore(t, dir, nil)
	if _, err := fs.Open(dir, nil); !errors.Is(err, fs.ErrOwned) {
		t.Error("a second one in this process: ", err)
	}
	s.Close()
	readers := []*fs.Store{openStore(t, dir, &fs.StoreOptions{ReadOnly: true}), openStore(t, dir, &fs.StoreOptions{ReadOnly: true})}
	if _, err := fs.Open(dir, nil); !errors.Is(err, fs.ErrOwned) {
		t.Error("a writer beside readers: ", err)
	}
	for _, r := range readers {
		r.Close()
	}
}

// writeToLimit writes until files may not grow any more, and says what it met.
func writeToLimit(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	s := openStore(t, dir, &fs.StoreOptions{ScrubEvery: -1, Reserve: -1})
	p := put(t, s, "before", "x")
	snap(t, s, "before", 1, p[0], []byte("state"))
	const most = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: most * 100}); err != nil {
		t.Fatal(err)
	}
	n, err := fill(t, s, 1000)
	if !errors.Is(err, providers.ErrStoreFull) || errors.Is(err, providers.ErrStoreFailed) || n < 10 {
		t.Fatalf("after %d records: %v", n, err)
	}
	checkFilled(t, s, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most * 100, Max: most * 100}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "after", "there is room again")
	checkFilled(t, s, n)
	s.Close()
	s = openStore(t, dir, quiet)
	checkFilled(t, s, n)
	if got := held(t, s, "after"); !strings.HasSuffix(got, "there is room again") {
		t.Error(got)
	}
	if t.Failed() {
		return
	}
	fmt.Println("good")
}

// fill appends records of 10 kB until that fails.
func fill(t *testing.T, s *fs.Store, most int) (n int, err error) {
	for ; n < most; n++ {
		data := strings.Repeat(fmt.Sprintf("%06d", n), 1700)
		if _, err := s.Append(t.Context(), []providers.Record{{Document: "fill", Data: []byte(data)}}); err != nil {
			return n, err
		}
	}
	return n, nil
}

func checkFilled(t *testing.T, s *fs.Store, n int) {
	t.Helper()
	x, err := s.Load(t.Context(), "fill")
	if err != nil || len(x.Records) != n {
		t.Fatalf("%d records of %d, %v", len(x.Records), n, err)
	}
	for i, r := range x.Records {
		if string(r.Data[:6]) != fmt.Sprintf("%06d", i) {
			t.Fatalf("record %d is %s", i, r.Data[:6])
		}
	}
}

func TestStoreFileSizeLimit(t *testing.T) {
	out, err := storeChild(t, "limit "+t.TempDir()).Output()
	if err != nil || !strings.Contains(string(out), "good\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
