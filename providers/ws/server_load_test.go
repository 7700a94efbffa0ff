//go:build linux

package ws_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
)

const loadChild = "WEFT_TEST_LOAD_CHILD"

// TestMemoryOfIdleConnections measures a server in a process of its own: what its resident memory grows by for each idle
// connection that is authenticated, and for each that also has a small document open, ten to a document.
// WEFT_TEST_CONNECTIONS sets how many there are.
func TestMemoryOfIdleConnections(t *testing.T) {
	if os.Getenv(loadChild) != "" {
		serveChild(t)
		return
	}
	n := 1000
	if s := os.Getenv("WEFT_TEST_CONNECTIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		open bool
		most int // bytes
	}{{"authenticated", false, 20_000}, {"with a document", true, 40_000}} {
		t.Run(c.name, func(t *testing.T) {
			url, ask := startChild(t, "TestMemoryOfIdleConnections")
			connect := func(from, n int) {
				var all []*rawClient
				for k := range n {
					r := dialRaw(t, url).hello(fmt.Sprint("user ", (from+k)/50))
					r.SetDeadline(time.Now().Add(5 * time.Minute))
					all = append(all, r)
				}
				for k, r := range all {
					r.await(providers.FrameHello)
					if id := uuid.New(); c.open {
						r.frame(5, 1, []byte(fmt.Sprint("doc ", (from+k)/10)), map[int]any{1: id[:], 2: []byte{0}})
					}
				}
				for _, r := range all {
					if c.open {
						r.await(providers.FrameSynced)
					}
				}
			}
			connect(0, 20) // what the first ones cost is not for each
			before, _ := strconv.Atoi(ask("memory"))
			connect(20, n)
			after, _ := strconv.Atoi(ask("memory"))
			each := (after - before) / n
			t.Logf("%d connections: %d bytes each", n, each)
			if each > c.most && !raceDetector { // which keeps books of its own
				t.Errorf("%d bytes for a connection; at most %d", each, c.most)
			}
			if got := ask("connections"); got != fmt.Sprint(20+n) {
				t.Errorf("%s connections are left of %d", got, 20+n)
			}
		})
	}
}

// startChild starts a server in a process of its own. ask puts a question to it.
func startChild(t testing.TB, test string) (url string, ask func(what string) string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.timeout=5m")
	child.Env = append(os.Environ(), loadChild+"=1", "GOMAXPROCS=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		in.Close()
		for lines.Scan() {
		}
		child.Wait()
	})
	lines.Scan()
	return lines.Text(), func(what string) string {
		fmt.Fprintln(in, what)
		if !lines.Scan() {
			t.Fatal("the server has died")
		}
		return lines.Text()
	}
}

// BenchmarkDeliveries has 200 peers in one document write an update a second each, and measures what the server's process
// spends on each of the 199 deliveries of an update. An operation is an update.
func BenchmarkDeliveries(b *testing.B) {
	const peers = 200
	url, ask := startChild(b, "TestMemoryOfIdleConnections")
	var all []*peer
	for i := range peers {
		all = append(all, join(b, url, peerOptions{token: fmt.Sprint(i), options: providers.Options{Follow: &providers.Follower{}}}))
	}
	for _, p := range all {
		p.synced()
		p.insert("x")
	}
	for _, p := range all {
		p.saved()
	}
	cpu := func() float64 {
		n, err := strconv.ParseFloat(ask("cpu"), 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	before := cpu()
	began := time.Now()
	for i := range b.N {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / peers)))
		all[i%peers].insert("x")
	}
	for _, p := range all {
		p.saved()
	}
	equal(b, all...)
	b.ReportMetric((cpu()-before)/float64(b.N)/(peers-1), "server-ns/delivery")
	b.ReportMetric(float64(b.N)*(peers-1)/time.Since(began).Seconds(), "deliveries/s")
}

func serveChild(t *testing.T) {
	s, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: mem.NewStore(), Limits: ws.Limits{ConnectionsPerAddress: 1 << 20, Heartbeat: time.Hour}}) // the raw clients answer no ping
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := ws.HTTPServer(s)
	go func() {
		if err := h.Serve(l); err != http.ErrServerClosed {
			panic(err)
		}
	}()
	fmt.Println("ws://" + l.Addr().String())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "memory":
			for range 4 { // stacks shrink by half each time
				goruntime.GC()
			}
			debug.FreeOSMemory()
			fmt.Println(resident())
		case "cpu":
			var u syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
				panic(err)
			}
			fmt.Println(u.Utime.Nano() + u.Stime.Nano())
		case "connections":
			fmt.Println(s.Stats().Connections)
		}
	}
	h.Close()
	s.Close()
}

// resident returns the resident memory of the process, bytes.
func resident() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		panic(err)
	}
	return pages * os.Getpagesize()
}
