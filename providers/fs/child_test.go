package fs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

const childEnv = "WEFT_FS_CHILD"

// children are what this program does when a test starts it again; a line on stdout says that it is ready.
var children = map[string]func(t *testing.T, path string){
	"lock": func(t *testing.T, path string) {
		r := newReplica(t, runtime.Options{})
		f, err := fs.OpenFile(r.rt, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.write(t, "child")
		if err := f.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	},
	// A session of a folder: "write X" answers when X is durable, "sync" with what the document then holds.
	"folder": func(t *testing.T, path string) {
		r := newReplica(t, runtime.Options{})
		f, err := fs.OpenFolder(r.rt, path, &fs.FolderOptions{Interval: 3 * time.Millisecond, Local: path + ".local", Sessions: 2, LogBytes: 4000})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "write "); ok {
				r.write(t, text)
				err = f.Flush(context.Background())
				fmt.Println("answer written")
			} else {
				err = f.Sync(context.Background())
				fmt.Printf("answer %x %s\n", r.rt.Digest(), r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	},
}

// process is a child that runs.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// ask sends a line and returns the answer.
func (p *process) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
	for p.out.Scan() {
		if answer, ok := strings.CutPrefix(p.out.Text(), "answer "); ok {
			return answer
		}
	}
	t.Fatal("the child ended")
	return ""
}

// child starts this program again and waits until it is ready.
func child(t *testing.T, name, path string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+name, childEnv+"_PATH="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p := &process{cmd, in, bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	for p.out.Scan() {
		if p.out.Text() == "ready" {
			return p
		}
	}
	t.Fatal("the child ended")
	return nil
}

func TestChild(t *testing.T) {
	run := children[os.Getenv(childEnv)]
	if run == nil {
		t.Skip("this is what other tests start in a process of its own")
	}
	run(t, os.Getenv(childEnv+"_PATH"))
}

// eventually waits for what another goroutine or process is about to do.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}
