//go:build !js

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	goruntime "runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/providers/ws"
)

// serverConfig is how the server of a run is set up.
type serverConfig struct {
	Data      string        `json:"data"`
	CPU       int           `json:"cpu"` // to run on; -1: any
	IdleAfter time.Duration `json:"idle_after"`
}

// serverFigures are what the server says of itself.
type serverFigures struct {
	RSS, Peak  int64 // bytes
	Own        int64 // of RSS, what is no part of a file
	CPU        time.Duration
	Waited     time.Duration // for a core, beside CPU
	Heap       int64         // bytes in use
	Goroutines int
	Stats      ws.Stats
}

// loadLimits leave to the load what the defaults would keep from one address.
func loadLimits(idle time.Duration) ws.Limits {
	const many = 1 << 20
	return ws.Limits{
		ConnectionsPerAddress: many, ConnectionsPerPrincipal: many, ConnectionsPerDocument: many, OpensPerMinute: many, DocumentUpdatesPerSecond: many,
		UpdatesPerSecond: many, BytesPerSecond: 1 << 30, FramesPerSecond: many, Documents: many, HelloAfter: time.Minute, IdleAfter: idle,
	}
}

// serveLoad is the process of the server: it prints its URL, answers what is asked on its standard input, a line each, and
// ends with it.
func serveLoad(config string) (err error) {
	var o serverConfig
	if err := json.Unmarshal([]byte(config), &o); err != nil {
		return err
	}
	if o.CPU >= 0 {
		if _, err := pinTo(o.CPU); err != nil {
			return err
		}
	}
	store, err := fs.Open(o.Data, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s, err := ws.NewServer(&ws.ServerOptions{
		Authenticate: func(_ context.Context, _ *http.Request, token []byte) (ws.Principal, error) {
			if len(token) == 0 {
				return ws.Principal{}, errors.New("no token")
			}
			return ws.Principal{ID: string(token)}, nil
		},
		Authorize: ws.AllowAll, Store: store, Limits: loadLimits(o.IdleAfter),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := ws.HTTPServer(s)
	go h.Serve(listener)
	defer h.Close()
	fmt.Println("ws://" + listener.Addr().String())
	var profile *os.File
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		what, path, _ := strings.Cut(in.Text(), " ")
		switch what {
		case "collect":
			for range 4 { // stacks shrink by half each time
				goruntime.GC()
			}
			debug.FreeOSMemory()
			forgetPeak()
		case "profile":
			if profile, err = os.Create(path); err == nil {
				err = pprof.StartCPUProfile(profile)
			}
		case "profiled":
			pprof.StopCPUProfile()
			err = profile.Close()
		case "heap":
			var f *os.File
			if f, err = os.Create(path); err == nil {
				goruntime.GC()
				err = errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
			}
		}
		if err != nil {
			return err
		}
		f := serverFigures{CPU: cpuTime(), Waited: waited(), Goroutines: goruntime.NumGoroutine(), Stats: s.Stats()}
		f.RSS, f.Peak, f.Own = residentMemory()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		f.Heap = int64(m.HeapInuse)
		if err := writeJSON(os.Stdout, f); err != nil {
			return err
		}
	}
	return nil
}

// child is the server's process as the generator sees it.
type child struct {
	url string
	cmd *exec.Cmd
	in  io.WriteCloser

	mu    sync.Mutex
	lines *bufio.Scanner
}

// start starts a server on a directory.
func (l *load) start(dir string, idle time.Duration) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(serverConfig{Data: dir, CPU: l.serverCPU, IdleAfter: idle})
	if err != nil {
		return nil, err
	}
	s := &child{cmd: exec.Command(exe, "bench-server", "server", string(config))}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.lines = bufio.NewScanner(out)
	s.lines.Buffer(nil, 1<<20)
	if !s.lines.Scan() {
		return nil, errors.Join(errors.New("the server has not started"), s.stop())
	}
	s.url = s.lines.Text()
	return s, nil
}

// ask puts a question to the server.
func (s *child) ask(what string) (f serverFigures, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.in, what)
	if !s.lines.Scan() {
		return f, errors.New("the server has died")
	}
	return f, json.Unmarshal(s.lines.Bytes(), &f)
}

// stop ends the server in good order.
func (s *child) stop() error {
	s.in.Close()
	for s.lines.Scan() {
	}
	return s.cmd.Wait()
}
