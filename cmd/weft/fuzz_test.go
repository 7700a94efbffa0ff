package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzScript runs weft fuzz on a script.
func fuzzScript(t *testing.T, text string) (code int, out, err string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.txt")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	code = run([]string{"fuzz", "--replay", path}, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestFuzzReplay(t *testing.T) {
	code, out, err := fuzzScript(t, `
# Two write at one place.
schema text

join name=A id=1
join name=B id=2
edit writer=A is=m1
  insert at=0 text=ab
edit writer=B is=m2
  insert at=0 text=xy
deliver to=B message=m1
deliver to=C message=m1
`)
	if code != exitOK || err != "" {
		t.Fatalf("exit code %d: %s", code, err)
	}
	for _, want := range []string{"3. edit writer=A is=m1\n     insert at=0 text=ab\n", "B receives m1: 1 applied", `{"x":"abxy"}`,
		"6. deliver to=C message=m1\n   nothing to do", "7. deliver-all\n", "all is delivered to all:"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Count(out, `"abxy"`) < 4 {
		t.Errorf("the replicas do not agree:\n%s", out)
	}
}

func TestFuzzReplayRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no schema": "join name=A\n", "an unknown step": "schema text\nfly name=A\n",
		"an unknown operation": "schema text\njoin name=A\nedit writer=A\n  fly at=0\n", "no label": "schema text\njoin A\n",
	} {
		if code, _, err := fuzzScript(t, text); code != exitFailed || !strings.Contains(err, "not a script") {
			t.Errorf("%s: exit code %d, %q", name, code, err)
		}
	}
	if code, _, err := fuzzScript(t, "schema nothing\njoin name=A\n"); code != exitFailed || !strings.Contains(err, "go test -run TEST -v PACKAGE -fuzz.replay=") {
		t.Errorf("an unknown schema: exit code %d, %q", code, err)
	}
	var out, errs strings.Builder
	if code := run([]string{"fuzz"}, &out, &errs); code != exitUsage {
		t.Errorf("without a file: exit code %d", code)
	}
}

func TestFuzzDecoders(t *testing.T) {
	decode := func(args ...string) (code int, out, err string) {
		var stdout, stderr strings.Builder
		code = run(append([]string{"fuzz"}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	code, out, err := decode("--decoders", "26000", "--jobs", "2", "--seed", "13", "--json")
	var r struct {
		Executions, Rounds, Failed int
		Of                         map[string]int
	}
	if e := json.Unmarshal([]byte(out), &r); code != exitOK || e != nil || r.Executions != 26000 || r.Rounds != 3 || r.Failed != 0 || len(r.Of) != 3 {
		t.Fatal(code, out, err, e)
	}
	code, out, err = decode("-decoders", "500", "-only", "clock")
	if code != exitOK || !strings.HasPrefix(out, "500 executions in ") || !strings.Contains(out, "500 clock, ") {
		t.Fatal(code, out, err)
	}
	for _, args := range [][]string{{"-decoders", "-1"}, {"-decoders", "1", "x"}, {"-decoders", "1", "-replay", "x"}, {"-decoders", "1", "-jobs", "0"},
		{"-decoders", "1", "-only", "none"}} {
		if code, _, _ := decode(args...); code != exitUsage {
			t.Error(args, code)
		}
	}
}
