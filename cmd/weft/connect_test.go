//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/providers/ws"
)

// client is a program that runs, with its stdin and stdout.
type client struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log *buffer
}

func (b *box) start(args ...string) *client {
	b.Helper()
	c := &client{cmd: exec.Command(binary, args...), log: &buffer{}}
	c.cmd.Dir, c.cmd.Stderr = b.dir, c.log
	in, err := c.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	late := time.AfterFunc(30*time.Second, func() { c.cmd.Process.Kill() }) // it hangs, and so would the test
	b.Cleanup(func() {
		late.Stop()
		c.kill()
	})
	return c
}

func (c *client) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// wait returns the exit code.
func (c *client) wait() int {
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// script runs connect with commands on stdin.
func (s *server) script(code int, commands string) (stdout, stderr string) {
	s.Helper()
	cmd := exec.Command(binary, "connect", "--json", "--timeout", "20s", s.url, "doc")
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, strings.NewReader(commands), &out, &errs
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.Fatalf("exit code %d, want %d\n%s%s", got, code, out.Bytes(), errs.Bytes())
	}
	return out.String(), errs.String()
}

func TestConnectEdits(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	for _, c := range []struct{ commands, want string }{
		{"set title 'Lake trip'", `{"title":"Lake trip"}`},
		{"delete title", `{}`},
		{"insert notes 0 hello\ninsert notes end \" w\\u00f6rld\"\ndelete notes 0 1\ninsert notes 0 J", `{"notes":"Jello wörld"}`},
		{"set notes 'Hello world'", `{"notes":"Hello world"}`},
		{"delete notes 0 11", `{"notes":""}`},
		{"add votes 3\nadd votes -5", `{"notes":"","votes":-2}`},
		{"add votes 2", `{"notes":"","votes":0}`},
		{"set budget/fuel 60\nset budget/=12 '{\"a\":[1,2.5,null]}'\nset budget/a~1b true", `{"budget":{"12":{"a":[1,2.5,null]},"a/b":true,"fuel":60},"notes":"","votes":0}`},
		{"delete budget/fuel\ndelete budget/=12\ndelete budget/a~1b", `{"notes":"","votes":0}`},
		{"insert todo:list 0 b\ninsert todo 0 '\"a\"'\nset todo/1 [1]", `{"notes":"","todo":["a",[1]],"votes":0}`},
		{"delete todo/0\ndelete todo 0 1", `{"notes":"","todo":[],"votes":0}`},
		{"add going:set Ann\nadd going 7\ndelete going Ann", `{"going":[7],"notes":"","todo":[],"votes":0}`},
		{"delete going 7\nset on:flag true\nset off:flag-dw true\nset off false", `{"notes":"","off":false,"on":true,"todo":[],"votes":0}`},
		{"set on false\nset many:mvregister 1\ndelete many\ndelete off:flag-dw", "exit 1"},
	} {
		if c.want == "exit 1" {
			_, errs := s.script(1, c.commands)
			s.contains(errs, `there is no "delete" for a flag-dw`)
			continue
		}
		s.script(0, c.commands+" # done\n\n")
		s.prints(c.want)
	}
}

// Objects inside of others, and names of which the program has to find out what they are.
func TestConnectNested(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	s.connect(0, "insert", "trip:record/notes", "0", "bring food")
	s.connect(0, "add", "trip/votes", "2")
	s.connect(0, "set", "trip/budget:map/fuel", "60")
	s.connect(0, "add", "hits:lazymap/home", "1")
	s.connect(0, "add", "hits/home", "1")
	s.connect(0, "add", "hits/=7:counter", "5")
	s.prints(`{"hits":{"7":5,"home":2},"trip":{"budget":{"fuel":60},"notes":"bring food","votes":2}}`)
	s.prints("60", "trip/budget/fuel")
	s.prints("5", "hits/=7")
	_, errs := s.connect(1, "print", "trip/nothing")
	s.contains(errs, "nothing there")
	_, errs = s.connect(1, "set", "trip/notes/x", "1")
	s.contains(errs, "a text has no parts")
	_, errs = s.connect(1, "insert", "trip/notes", "99", "x")
	s.contains(errs, "outside of 0 to 10")
	_, errs = s.connect(2, "add", "new/one", "1")
	s.contains(errs, "new:record")
	_, errs = s.connect(1, "set", "x:nonsense", "1")
	s.contains(errs, "kind")
}

// Trip is a document with objects that only programs make.
type Trip struct {
	Bags  weft.ObjectMap[string, Bag] `weft:"bags"`
	Paras weft.ObjectList[weft.Text]  `weft:"paras"`
}

type Bag struct {
	Pieces weft.Counter             `weft:"pieces"`
	In     weft.Map[string, string] `weft:"in"`
}

func TestConnectMadeObjects(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	trip, err := weft.Open[Trip](nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ws.NewClient(s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	doc, err := c.Open(trip.Runtime, "doc", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = trip.Transact(func(tx weft.Tx) error {
		tent, err := trip.Root.Bags.Set(tx, "tent", nil)
		if err != nil {
			return err
		}
		para, err := trip.Root.Paras.Append(tx, nil)
		return errors.Join(err, tent.Pieces.Add(tx, 1), para.Insert(tx, 0, "first"))
	})
	if err := errors.Join(err, doc.Saved(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.script(0, "add bags/tent/pieces 2\nset bags/tent/in:map/a b\ninsert paras/0 end ' one'")
	s.prints(`{"bags":{"tent":{"in":{"a":"b"},"pieces":3}},"paras":["first one"]}`)
	_, errs := s.connect(1, "add", "bags/stove/pieces", "1")
	s.contains(errs, "has no stove")
	s.script(0, "delete bags/tent\ndelete paras 0 1")
	s.prints(`{"paras":[]}`)
}

func TestConnectUsage(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	for _, c := range []struct {
		code       int
		args, want string
	}{
		{2, "", "which document"},
		{2, "URL", "which document"},
		{2, "http://x doc print", "no ws://"},
		{2, "URL doc frobnicate", "no command"},
		{2, "URL doc set x", "want: set PATH VALUE"},
		{2, "URL doc insert x 0", "want: insert PATH INDEX TEXT"},
		{2, "URL doc set /x 1", "name of a root"},
		{2, "URL doc set x/=nonsense 1", "JSON"},
		{2, "URL doc save", "stdin"},
		{2, "URL doc watch none", "number above 0"},
		{2, "--wait nonsense URL doc print", "saved or synced"},
		{2, "--timeout -1s URL doc print", "negative"},
		{1, "--token-file missing URL doc print", "missing"},
		{1, "--timeout 100ms ws://127.0.0.1:1 doc print", "nothing after 100ms"},
		{1, "URL doc add votes many", "whole number"},
		{3, "URL " + strings.Repeat("x", 129) + " print", "BAD_NAME"},
		{0, "URL ../x set x 1", ""},
		{0, "URL a/b set x 1", ""},
		{0, "URL doc set x -- ", ""},
	} {
		_, errs := s.run(c.code, append([]string{"connect"}, strings.Fields(strings.ReplaceAll(c.args, "URL", s.url))...)...)
		s.contains(errs, c.want)
	}
	s.run(3, "connect", s.url, "", "print")
	if _, err := os.Stat(s.path("x")); err == nil {
		t.Error("a name became a path")
	}
	s.prints(`{"x":"--"}`)

	_, errs := s.script(2, "add votes 1\nadd votes 1\nfrobnicate\nadd votes 1\n")
	s.contains(errs, "line 3:", "frobnicate")
	s.prints("2", "votes") // what came before stays
	_, errs = s.script(2, "set x 'y\n")
	s.contains(errs, "line 1:", "not closed")
	s.stop()
}

func TestConnectWatch(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	s.connect(0, "set", "x", "1")
	c := s.start("connect", s.url, "doc", "watch", "2")
	if line, _ := c.out.ReadString('\n'); line != `{"value":{"x":1}}`+"\n" {
		t.Error(line)
	}
	s.connect(0, "set", "x", "2")
	if line, _ := c.out.ReadString('\n'); line != `{"path":"/x","change":"changed","before":1,"after":2}`+"\n" {
		t.Error(line)
	}
	s.kill() // and it waits for the server
	s = s.again("--data", "d")
	s.connect(0, "add", "votes", "1")
	if line, _ := c.out.ReadString('\n'); line != `{"path":"/votes","change":"added","after":1}`+"\n" {
		t.Error(line)
	}
	if code := c.wait(); code != 0 {
		t.Error(code, c.log)
	}
}
