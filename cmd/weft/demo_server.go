//go:build !js

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// conversationEdits is how much of a recorded conversation the demo replays over the server.
const conversationEdits = 6000

// conversation is the second part of the demo: a server in a process of its own, clients over WebSocket.
type conversation struct {
	w       io.Writer
	ctx     context.Context
	step    int
	dir     string
	url     string
	process *exec.Cmd
	log     bytes.Buffer // what the servers wrote to stderr
	script  *script

	writers []*guest
	cleo    *guest
	all     []*guest

	mu      sync.Mutex
	changed *sync.Cond
	written []writing // of each transaction, once it is written
	typed   int
	counted [][]byte // Cleo's messages
	failed  error
}

// writing is a transaction that was written.
type writing struct {
	message []byte
	replica vclock.Replica
	end     uint64
}

// runConversation tells the story. It returns an error if anything went other than told.
func runConversation(c *console) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "weft-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &conversation{w: c.out, ctx: ctx, dir: dir, url: "127.0.0.1:0"}
	d.changed = sync.NewCond(&d.mu)
	stop := context.AfterFunc(ctx, func() { d.fail(errors.New("two minutes are over")) })
	defer stop()
	defer d.close()
	if err := d.tell(); err != nil {
		return fmt.Errorf("%w\n%s", err, d.log.Bytes())
	}
	return nil
}

func (d *conversation) tell() error {
	for _, part := range []func() error{d.begin, d.cutOff, d.kill, d.restart, d.comeBack, d.finish} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (d *conversation) say(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.w, "\n%d. %s\n", d.step, fmt.Sprintf(format, args...))
}

func (d *conversation) note(format string, args ...any) { fmt.Fprintf(d.w, "   "+format+"\n", args...) }

// begin starts server, clients and typing.
func (d *conversation) begin() error {
	t, err := recordedConversation()
	if err != nil {
		return err
	}
	d.script = newScript(t)
	d.written = make([]writing, len(t.Txns))
	d.say("A server starts, in a process of its own, and keeps its documents on the disk. Ann, Ben and Cleo connect over\n   WebSocket.")
	if err := d.serve(); err != nil {
		return err
	}
	d.note("weft serve: listening on %s", d.url)
	for _, name := range []string{"Ann", "Ben", "Cleo"} {
		g, err := newGuest(name, d.url)
		if err != nil {
			return err
		}
		d.all = append(d.all, g)
	}
	d.writers, d.cleo = d.all[:2], d.all[2]
	for k := range d.writers {
		go d.run(func() error { return d.typing(k) })
	}
	go d.run(d.counting)
	d.say("Ann and Ben write one text, at once, as it was recorded (%s keystrokes of %q). Cleo, who reads,\n   counts in the same document.",
		count(len(t.Txns)), t.Name)
	return nil
}

func recordedConversation() (*trace.Trace, error) {
	path := filepath.Join("..", "shared", "traces", "friendsforever.json.gz")
	if _, err := os.Stat(path); err != nil {
		return chat(1, conversationEdits)
	}
	t, err := trace.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t.Txns = t.Txns[:min(len(t.Txns), conversationEdits)]
	return t, nil
}

// serve starts the server and waits until it listens.
func (d *conversation) serve() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Its limits are for people, who do not type like this.
	d.process = exec.Command(self, "serve", "--data", filepath.Join(d.dir, "data"), "--listen", strings.TrimPrefix(d.url, "ws://"),
		"--log-level", "warn", "--limit", "UpdatesPerSecond=100000", "--limit", "DocumentUpdatesPerSecond=100000",
		"--limit", "FramesPerSecond=100000", "--limit", "BytesPerSecond=100MB", "--limit", "ConnectionsPerAddress=1000")
	d.process.Stderr = &d.log
	out, err := d.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.process.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		d.process.Process.Kill()
		d.process.Wait()
		return fmt.Errorf("the server does not start: %q, %v", line, err)
	}
	d.url = url
	return nil
}

func (d *conversation) run(f func() error) {
	if err := f(); err != nil {
		d.fail(err)
	}
}

func (d *conversation) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = err
	}
	d.changed.Broadcast()
}

// until waits for a condition, which is looked at under mu whenever something was typed or has arrived.
func (d *conversation) until(is func() bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !is() && d.failed == nil {
		d.changed.Wait()
	}
	return d.failed
}

func (d *conversation) wake(runtime.Update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed.Broadcast()
}

// typing writes what one agent of the trace wrote. The writer sees exactly what its agent saw then: what has come from the
// server waits on the client's desk until the trace says that it was read.
func (d *conversation) typing(k int) error {
	desk := d.writers[k].rt
	defer desk.OnUpdate(d.wake)()
	r, err := newReplica(trace.AgentReplica(k), runtime.Options{})
	if err != nil {
		return err
	}
	var last runtime.Update
	r.rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			last = u
		}
	})
	for i, agent := range d.script.agents {
		if int(agent) != k {
			continue
		}
		for _, j := range d.script.plan[i] {
			// A transaction that has no effect has no message, and end 0.
			arrived := func() bool {
				return d.written[j].replica != vclock.Replica{} && desk.Clock()[d.written[j].replica] >= d.written[j].end
			}
			if err := d.until(arrived); err != nil {
				return err
			}
			if d.written[j].message == nil {
				continue
			}
			if _, err := r.rt.Receive(d.written[j].message); err != nil {
				return err
			}
		}
		last = runtime.Update{}
		if err := r.replay(d.script, i); err != nil {
			return fmt.Errorf("%s, transaction %d: %w", d.writers[k].name, i, err)
		}
		if last.Data != nil {
			if _, err := desk.Receive(last.Data); err != nil {
				return err
			}
		}
		d.mu.Lock()
		d.written[i] = writing{last.Data, r.rt.Replica(), last.End}
		d.typed++
		d.changed.Broadcast()
		d.mu.Unlock()
	}
	return r.problem
}

// counting adds one to a counter for every hundred keystrokes.
func (d *conversation) counting() error {
	counter, err := crdt.NewCounter(d.cleo.rt, "hundreds")
	if err != nil {
		return err
	}
	defer d.cleo.rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.counted = append(d.counted, u.Data)
			d.changed.Broadcast()
		}
	})()
	for n := 100; n <= len(d.written); n += 100 {
		if err := d.until(func() bool { return d.typed >= n }); err != nil {
			return err
		}
		if err := d.cleo.rt.Transact(func(tx runtime.Tx) error { return counter.Add(tx, 1) }); err != nil {
			return err
		}
	}
	return nil
}

// cutOff takes Cleo's network away.
func (d *conversation) cutOff() error {
	if err := d.until(func() bool { return d.typed >= len(d.written)/4 }); err != nil {
		return err
	}
	if err := d.cleo.offline(d.ctx); err != nil {
		return err
	}
	d.say("Cleo's network fails. She goes on counting.")
	return nil
}

// kill ends the server as a power cut would.
func (d *conversation) kill() error {
	if err := d.until(func() bool { return d.typed >= len(d.written)/2 }); err != nil {
		return err
	}
	if err := d.process.Process.Kill(); err != nil {
		return err
	}
	d.process.Wait()
	d.say("The server is killed (SIGKILL) while Ann and Ben write. What each of them was told to be saved:")
	for _, g := range d.all {
		if err := g.offline(d.ctx); err != nil {
			return err
		}
		saved, has := g.saved(), g.rt.Clock()
		d.note("%-4s has %6s edits, %6s of them saved for sure", g.name, count(edits(has)), count(edits(saved)))
	}
	return nil
}

// edits returns how many dots a clock counts.
func edits(c vclock.Clock) (n uint64) {
	for _, end := range c {
		n += end
	}
	return n
}

// restart starts the server anew, and asks it what it has before anybody else brings anything.
func (d *conversation) restart() error {
	promised := make([]vclock.Clock, len(d.all))
	for i, g := range d.all {
		promised[i] = g.saved()
	}
	if err := d.serve(); err != nil {
		return err
	}
	d.say("The server starts again, on what is on its disk. Dan, a newcomer with an empty document, is the first to connect.")
	dan, err := newGuest("Dan", d.url)
	if err != nil {
		return err
	}
	d.all = append(d.all, dan)
	if err := dan.doc.Synced(d.ctx); err != nil {
		return err
	}
	has := dan.rt.Clock()
	for i, g := range d.all[:3] {
		for r, end := range promised[i] {
			if has[r] < end {
				return fmt.Errorf("LOST: %s was told that edits up to %d of %v are saved, the server has %d", g.name, end, r, has[r])
			}
		}
	}
	d.note("The server has %s edits: all that it had said to be saved, nothing acknowledged is lost.", count(edits(has)))
	return nil
}

// comeBack lets all clients connect again.
func (d *conversation) comeBack() error {
	for _, g := range d.writers {
		g.online()
	}
	d.say("Ann and Ben are connected again by themselves, and go on where they were.")
	if err := d.until(func() bool { return d.typed >= len(d.written)*3/4 }); err != nil {
		return err
	}
	d.note("Cleo has %s edits that the server lacks, and lacks the most of what Ann and Ben wrote. Her network is back.", count(spanned(d.cleo.doc.Unsaved())))
	d.cleo.online()
	return nil
}

func spanned(spans []vclock.Span) (n uint64) {
	for _, s := range spans {
		n += s.Len()
	}
	return n
}

// finish waits until all have everything, and compares them with each other, the disk, and a replay without any network.
func (d *conversation) finish() error {
	want, err := d.reference()
	if err != nil {
		return err
	}
	for _, g := range d.all {
		defer g.rt.OnUpdate(d.wake)()
	}
	for _, g := range d.all {
		if err := d.until(func() bool { return g.rt.Clock().CoversClock(want.rt.Clock()) }); err != nil {
			return fmt.Errorf("%s does not get everything: %w", g.name, err)
		}
		if err := g.doc.Saved(d.ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	d.say("All is written, and all are told that it is saved. The server shuts down (SIGTERM).")
	if err := d.stop(); err != nil {
		return err
	}
	stored, err := d.stored()
	if err != nil {
		return err
	}
	digest := want.rt.Digest()
	show := func(who string, rt *runtime.Runtime) error {
		got := rt.Digest()
		d.note("%-30s %s edits, digest %x", who, count(edits(rt.Clock())), got[:4])
		if got != digest {
			return fmt.Errorf("%s differs", who)
		}
		return rt.Check()
	}
	for _, g := range d.all {
		if err := show(g.name, g.rt); err != nil {
			return err
		}
	}
	if err := errors.Join(show("the server's disk", stored), show("a replay without any network", want.rt)); err != nil {
		return err
	}
	fmt.Fprintln(d.w, "\n   All hold the same bytes.")
	return nil
}

// reference replays the trace in this process, and adds what Cleo counted. It returns when all of it is written.
func (d *conversation) reference() (*replica, error) {
	if err := d.until(func() bool { return d.typed == len(d.written) }); err != nil {
		return nil, err
	}
	w := newWriters(d.script, true, runtime.Options{})
	if _, err := w.run(wallTime); err != nil {
		return nil, err
	}
	r, err := w.last()
	if err != nil {
		return nil, err
	}
	if err := d.until(func() bool { return len(d.counted) == len(d.written)/100 }); err != nil {
		return nil, err
	}
	for _, m := range d.counted {
		if _, err := r.rt.Receive(m); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// stop ends the server in good order.
func (d *conversation) stop() error {
	if err := d.process.Process.Signal(syscall.SIGTERM); err != nil { // Windows has no such signal
		d.process.Process.Kill()
		d.process.Wait()
		return nil
	}
	if err := d.process.Wait(); err != nil {
		return fmt.Errorf("the server's end: %w", err)
	}
	return nil
}

// stored returns what is on the disk.
func (d *conversation) stored() (*runtime.Runtime, error) {
	store, err := fs.Open(filepath.Join(d.dir, "data"), nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	rt, err := newDocument()
	if err != nil {
		return nil, err
	}
	k, err := providers.Keep(d.ctx, rt, store, demoDocument, nil)
	if err != nil {
		return nil, err
	}
	return rt, k.Close()
}

func (d *conversation) close() {
	for _, g := range d.all {
		g.client.Close()
	}
	if d.process != nil && d.process.ProcessState == nil {
		d.process.Process.Kill()
		d.process.Wait()
	}
}
