package fs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
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
}

// child starts this program again and waits until it is ready.
func child(t *testing.T, name, path string) (*exec.Cmd, io.WriteCloser) {
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
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			go io.Copy(io.Discard, out)
			return cmd, in
		}
	}
	t.Fatal("the child ended")
	return nil, nil
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
