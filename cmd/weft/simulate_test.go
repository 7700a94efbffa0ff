package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func simulate(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = run(append([]string{"simulate"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestSimulateRepeats(t *testing.T) {
	code, first, err := simulate(t, "-seed", "3", "-steps", "200")
	if code != exitOK || !regexp.MustCompile(`^seed 3: digest [0-9a-f]{32}, `).MatchString(first) {
		t.Fatal(code, first, err)
	}
	code, traced, err := simulate(t, "-seed", "3", "-steps", "200", "-trace")
	if code != exitOK || !strings.HasSuffix(traced, first) || !strings.Contains(traced, " FAULT ") {
		t.Fatalf("%d %s\n%.2000s", code, err, traced)
	}
	code, out, err := simulate(t, "-seed", "3", "-steps", "200", "-json")
	var r struct {
		Digest string
		OK     bool
	}
	if e := json.Unmarshal([]byte(out), &r); code != exitOK || e != nil || !r.OK || !strings.Contains(first, r.Digest) {
		t.Fatal(code, out, err, e)
	}
}

func TestSimulateMany(t *testing.T) {
	code, out, err := simulate(t, "-count", "3", "-steps", "100")
	if code != exitOK || !strings.HasPrefix(out, "3 seeds in ") || !strings.Contains(out, "; 0 failed") || !strings.Contains(out, " client killed\n") {
		t.Fatal(code, out, err)
	}
	// What fails is told with the command that repeats it.
	code, out, err = simulate(t, "-count", "4", "-jobs", "1", "-plant", "no-sync")
	command := regexp.MustCompile(`(?m)^weft simulate (.*) -trace$`).FindStringSubmatch(err)
	if code != exitFailed || command == nil || !strings.Contains(err, " runs failed") {
		t.Fatal(code, out, err)
	}
	if code, out, again := simulate(t, strings.Fields(command[1])...); code != exitFailed || !strings.Contains(err, strings.TrimPrefix(again, "weft simulate: ")) {
		t.Fatal(code, out, again, err)
	}
}

func TestSimulateUsage(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"-clients", "1"}, {"-servers", "3"}, {"-steps", "0"}, {"-plant", "x"}, {"-for", "-1s"},
		{"-jobs", "0"}, {"-trace", "-count", "2"}, {"-trace", "-json"}} {
		if code, _, _ := simulate(t, args...); code != exitUsage {
			t.Error(args, code)
		}
	}
}
