//go:build unix

package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestStore(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	s := b.serve("--data", "d", "--backup", "hot.db")
	s.logged("backup written")
	s.connect(0, "set", "x", `"here-is-something-to-damage"`)
	s.run(0, "connect", s.url, "../other\n", "set", "y", "2")
	s.stop()

	out, _ := b.run(0, "store", "list", "d")
	b.contains(out, `"../other\n"`, `"doc"`)
	out, _ = b.run(0, "store", "--json", "list", "d")
	b.contains(out, `"document":"doc"`, `"damaged":false`)
	out, _ = b.run(0, "store", "verify", "d")
	b.contains(out, "2 documents", "0 damaged")
	b.run(0, "store", "compact", "d")
	b.run(0, "store", "backup", "d", "cold.db")

	// A restored backup has all.
	if err := os.Mkdir(b.path("restored"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.write("restored/store.db", b.read("cold.db"))
	s = b.serve("--data", "restored")
	s.prints(`"here-is-something-to-damage"`, "x")
	s.stop()
	if len(b.read("hot.db")) == 0 {
		t.Error("the backup of the running server is empty")
	}

	data := b.read("d/store.db")
	if n := bytes.Count(data, []byte("something-to-damage")); n == 0 {
		t.Fatal("the value is not in the file as it is")
	}
	b.write("d/store.db", bytes.ReplaceAll(data, []byte("something-to-damage"), []byte("SOMETHING-to-damage")))
	out, errs := b.run(1, "store", "verify", "d")
	b.contains(out, `doc`)
	b.contains(errs, "damaged")
	out, _ = b.run(1, "store", "--json", "verify", "d")
	b.contains(out, `"damaged":["`)

	// The other document goes on; the damaged one is refused.
	s = b.serve("--data", "d")
	s.run(0, "connect", s.url, "../other\n", "print")
	_, errs = s.run(1, "connect", "--timeout", "3s", s.url, "doc", "print")
	s.contains(errs, "UNAVAILABLE")
	s.stop()
}

func TestStoreUsage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for _, c := range []struct {
		code       int
		args, want string
	}{
		{2, "", "what to do?"},
		{2, "frobnicate d", "there is no"},
		{2, "verify", "1 argument"},
		{2, "backup d", "2 arguments"},
		{1, "verify missing", "no store"},
		{1, "compact .", "no store"},
	} {
		_, errs := b.run(c.code, append([]string{"store"}, strings.Fields(c.args)...)...)
		b.contains(errs, c.want)
	}
	if entries, _ := os.ReadDir(b.dir); len(entries) > 0 {
		t.Errorf("files were made: %v", entries)
	}
}

func TestServeUsage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("bad.conf", []byte("# a comment\n\nlisten = 127.0.0.1:0\nnonsense = 1\n"))
	b.write("noequals.conf", []byte("memory"))
	b.write("empty", nil)
	b.write("short", []byte("\n# x\nsecret-token ann\n"))
	b.write("access", []byte("secret-token ann admin\n"))
	b.write("twice", []byte("secret-token ann read\nsecret-token ben read\n"))
	b.write("same", []byte("secret-token ann read\nsecret-token ann write-own\n"))
	b.write("option", []byte("secret-token ann read forever\n"))
	b.write("time", []byte("secret-token ann read expires=tomorrow\n"))
	b.write("hash", []byte("sha256:secret-token ann read\n"))
	for _, c := range []struct {
		code       int
		args, want string
	}{
		{2, "", "--data DIR, or --memory"},
		{2, "--data d --memory", "--data DIR, or --memory"},
		{2, "--memory stray", "flags only"},
		{2, "--memory --listen 0.0.0.0:0", "--insecure"},
		{2, "--memory --listen :0", "--insecure"},
		{2, "--memory --listen example.org:80", "--insecure"},
		{2, "--memory --limit Nonsense=1", "there is no limit"},
		{2, "--memory --limit Documents=0", "above 0"},
		{2, "--memory --limit Heartbeat=20", "is a time"},
		{2, "--memory --max-doc-size 10QB", "a number above 0"},
		{2, "--memory --max-doc-size 1GiB", "at most"},
		{2, "--memory --max-doc-size 1M --limit DocumentBytes=2M", "give one"},
		{2, "--memory --origins example.org", "origin"},
		{2, "--memory --trusted-proxies 10.0.0.1", "network"},
		{2, "--memory --tls-cert x", "go together"},
		{2, "--memory --log xml", "text or json"},
		{2, "--memory --log-level loud", "debug, info"},
		{2, "--memory --backup x", "--data"},
		{2, "--config bad.conf", "line 4: there is no setting"},
		{2, "--config noequals.conf", "NAME = VALUE"},
		{1, "--config missing.conf", "missing.conf"},
		{1, "--memory --auth-token-file missing", "missing"},
		{1, "--memory --auth-token-file empty", "no tokens"},
		{1, "--memory --auth-token-file short", "short, line 3: want TOKEN PRINCIPAL ACCESS"},
		{1, "--memory --auth-token-file access", "write-relay"},
		{1, "--memory --auth-token-file twice", "line 2: an earlier line"},
		{1, "--memory --auth-token-file same", "line 2: an earlier line"},
		{1, "--memory --auth-token-file option", "prefix=NAMES"},
		{1, "--memory --auth-token-file time", "2027"},
		{1, "--memory --auth-token-file hash", "64 hex digits"},
		{1, "--memory --listen 127.0.0.1:99999", "99999"},
		{1, "--memory --tls-cert missing --tls-key missing", "certificate"},
		{1, "--data bad.conf/x", "bad.conf"},
	} {
		_, errs := b.run(c.code, append([]string{"serve", "--listen", "127.0.0.1:0"}, strings.Fields(c.args)...)...)
		b.contains(errs, c.want)
		if strings.Contains(errs, "secret-token") {
			t.Errorf("a token is in %s", errs)
		}
	}
}

// Flags go before the file, limit by limit.
func TestServeConfig(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("c", []byte("limit = Documents = 7\nlimit = documentbytes=2MiB\nlimit = heartbeat=3s\nlog = json\nmemory = true\nmetrics = same\n"))
	out, _ := b.run(0, "serve", "--config", "c", "--print-limits", "--limit", "Heartbeat=4s", "--max-doc-size", "1MiB")
	b.contains(strings.Join(strings.Fields(out), " "), "Documents 7 documents", "DocumentBytes 1048576 bytes", "Heartbeat 4s")
	s := b.serve("--config", "c", "--data", "d")
	s.connect(0, "set", "x", "1") // saved: it is not in memory
	s.stop()
	b.contains(s.log.String(), `{"time":`)
}

func TestServerHelp(t *testing.T) {
	b := newBox(t)
	for _, name := range []string{"serve", "connect", "store"} {
		out, _ := b.run(0, "help", name)
		b.golden("help-"+name, out)
	}
}

// docs/operating.md has every flag of serve, and every limit.
func TestServeIsDocumented(t *testing.T) {
	b := newBox(t)
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	help, _ := b.run(0, "help", "serve")
	flags := regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help, -1)
	for _, f := range flags {
		if !regexp.MustCompile("`--" + f[1] + "[ `]").Match(doc) {
			t.Errorf("--%s is not documented", f[1])
		}
	}
	limits, _ := b.run(0, "serve", "--print-limits")
	for line := range strings.Lines(limits) {
		name, _, _ := strings.Cut(line, " ")
		if !bytes.Contains(doc, []byte(name)) {
			t.Errorf("the limit %s is not documented", name)
		}
	}
	if len(flags) < 15 || strings.Count(limits, "\n") < 25 {
		t.Error("flags and limits were not found")
	}
}
