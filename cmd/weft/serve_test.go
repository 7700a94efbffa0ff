//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// server is a "weft serve" that runs.
type server struct {
	*box
	cmd     *exec.Cmd
	url     string // ws://127.0.0.1:PORT
	metrics string
	log     *buffer
}

// serve starts a server, at a free port unless args say where, and returns when it listens.
func (b *box) serve(args ...string) *server {
	b.Helper()
	s := &server{box: b, log: &buffer{}}
	s.cmd = exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Dir, s.cmd.Stderr = b.dir, s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.kill)
	in := bufio.NewScanner(out)
	for s.url == "" && in.Scan() {
		if at, ok := strings.CutPrefix(in.Text(), "metrics at "); ok {
			s.metrics = at
		}
		if at, ok := strings.CutPrefix(in.Text(), "listening on "); ok {
			s.url = at
		}
	}
	if s.url == "" {
		s.cmd.Wait()
		b.Fatalf("the server does not start:\n%s", s.log)
	}
	return s
}

// again starts a server at the same address.
func (s *server) again(args ...string) *server {
	s.Helper()
	return s.serve(append([]string{"--listen", s.addr()}, args...)...)
}

func (s *server) addr() string { return s.url[strings.LastIndex(s.url, "/")+1:] }

func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

// stop ends the server by SIGTERM; it must succeed.
func (s *server) stop() {
	s.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.Errorf("after SIGTERM: %v\n%s", err, s.log)
	}
}

// logged waits until something stands in the log.
func (s *server) logged(text string) {
	s.Helper()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(s.log.String(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%q does not come:\n%s", text, s.log)
		}
	}
}

// connect runs "weft connect" with the document "doc".
func (s *server) connect(code int, words ...string) (stdout, stderr string) {
	s.Helper()
	return s.run(code, append([]string{"connect", "--json", "--timeout", "20s", s.url, "doc"}, words...)...)
}

func (s *server) prints(want string, words ...string) {
	s.Helper()
	out, _ := s.connect(0, append([]string{"print"}, words...)...)
	if strings.TrimSpace(out) != want {
		s.Errorf("print %v: %s, want %s", words, out, want)
	}
}

func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// The server is killed some moments after the fifth edit of each round, and its client before it can come back.
func TestServeKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	acked := 0
	for round := range 3 {
		client := s.start("connect", s.url, "doc")
		dead := make(chan struct{})
		for n := 0; ; n++ {
			if n == 5 {
				time.AfterFunc(time.Duration(round)*time.Millisecond, func() {
					s.cmd.Process.Kill()
					s.cmd.Wait()
					close(dead)
				})
			}
			io.WriteString(client.in, "add votes 1\nsave\nprint votes\n")
			answer := make(chan string, 1)
			go func() {
				line, _ := client.out.ReadString('\n')
				answer <- line
			}()
			var line string
			select {
			case line = <-answer:
			case <-dead:
				client.kill()
				line = <-answer
			}
			if _, err := fmt.Sscan(line, &acked); err != nil {
				if n < 5 {
					t.Fatalf("edit %d: %v\n%s", n, err, client.log)
				}
				break
			}
		}
		<-dead
		s = s.again("--data", "d")
		out, _ := s.connect(0, "print", "votes")
		votes := 0
		if _, err := fmt.Sscan(out, &votes); err != nil || votes < acked || votes > acked+1 {
			t.Errorf("round %d: %s votes are there, %d were acknowledged", round, out, acked)
		}
		acked = votes
	}
	s.stop()
}

func TestServeShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	client := s.start("connect", s.url, "doc")
	io.WriteString(client.in, "add votes 1\nsave\nprint votes\n")
	client.out.ReadString('\n')
	io.WriteString(client.in, strings.Repeat("add votes 1\n", 20)) // on their way
	s.stop()
	s = s.again("--data", "d") // the client comes back by itself
	client.in.Close()
	if code := client.wait(); code != 0 {
		t.Errorf("the client: %d\n%s", code, client.log)
	}
	s.prints("21", "votes")
	s.stop()
	s.contains(s.log.String(), "shut down")
}

func TestServeAnotherProcessHasTheDirectory(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--data", "d")
	s.connect(0, "set", "x", "1")
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--data", "d"}, {"store", "verify", "d"}, {"store", "compact", "d"}} {
		_, errs := s.run(1, args...)
		s.contains(errs, "in use by process", fmt.Sprint(s.cmd.Process.Pid))
	}
	_, errs := s.run(1, "serve", "--listen", s.addr(), "--data", "other")
	s.contains(errs, "address already in use")
	s.prints("1", "x")
	s.stop()
}

func TestServeMemory(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--memory")
	_, errs := s.connect(1, "set", "x", "1")
	s.contains(errs, "--wait synced")
	s.run(0, "connect", "--wait", "synced", s.url, "doc", "set", "x", "2")
	s.prints("2", "x")
	out, _ := s.connect(0, "status")
	s.contains(out, `"acknowledges":"received"`)
	s.stop()
}

func TestServeHealthAndMetrics(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	s := b.serve("--memory", "--metrics", "127.0.0.1:0")
	base := "http://" + s.addr()
	if status, body := get(t, http.DefaultClient, base+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, _ := get(t, http.DefaultClient, base+"/metrics"); status == 200 {
		t.Error("/metrics is where clients are")
	}
	if _, body := get(t, http.DefaultClient, s.metrics); !strings.Contains(body, "weft_connections ") {
		t.Error(body)
	}
	same := b.serve("--memory", "--metrics", "same")
	if _, body := get(t, http.DefaultClient, "http://"+same.addr()+"/metrics"); !strings.Contains(body, "weft_connections ") {
		t.Error(body)
	}
}

// A page that has its own name point to this machine is no page of this machine.
func TestServeForeignHostNames(t *testing.T) {
	t.Parallel()
	s := newBox(t).serve("--memory", "--origins", "*")
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "[::1]": true, "evil.example": false} {
		r, _ := http.NewRequest("GET", "http://"+s.addr(), nil)
		r.Host = host + ":80"
		r.Header = http.Header{"Origin": {"http://" + r.Host}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"MDEyMzQ1Njc4OWFiY2RlZg=="}}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.StatusCode == http.StatusSwitchingProtocols; got != want {
			t.Errorf("host %s: status %d", host, answer.StatusCode)
		}
	}
}

func TestServeTokens(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("tokens", fmt.Appendf(nil, `# who may do what
writer-token-0001 ann write-relay
own-token-00000002 ben write-own
sha256:%x cleo read
sha256:%x cleo write-own prefix=do
narrow-token-0004 dan write-relay prefix=other/
none-token-000005 eve none
expired-token-006 fay write-relay expires=2020-01-01T00:00:00Z
demoted-token-009 gus write-relay prefix=d expires=2020-01-01T00:00:00Z
demoted-token-009 gus read
- guest read
`, sha256.Sum256([]byte("reader-token-0003")), sha256.Sum256([]byte("own-token-cleo-07"))))
	s := b.serve("--data", "d", "--auth-token-file", "tokens", "--log", "json", "--log-level", "debug")
	for _, c := range []struct {
		token string
		code  int
		want  string
	}{
		{"writer-token-0001", 0, ""}, {"own-token-00000002", 0, ""}, {"own-token-cleo-07", 0, ""},
		{"reader-token-0003", 3, "READ_ONLY"}, {"", 3, "READ_ONLY"}, {"narrow-token-0004", 3, "FORBIDDEN"},
		{"none-token-000005", 3, "FORBIDDEN"}, {"expired-token-006", 3, "UNAUTHENTICATED"}, {"wrong-token-00008", 3, "UNAUTHENTICATED"},
		{"demoted-token-009", 3, "READ_ONLY"},
	} {
		args := []string{"connect", "--timeout", "20s"}
		if c.token != "" {
			b.write("t", []byte(c.token+"\n"))
			args = append(args, "--token-file", "t")
		}
		_, errs := b.run(c.code, append(args, s.url, "doc", "add", "votes", "1")...)
		b.contains(errs, c.want)
	}
	s.prints("3", "votes") // guests read
	s.stop()
	for line := range strings.Lines(s.log.String()) {
		if !json.Valid([]byte(line)) || strings.Contains(line, "-token-") {
			t.Error(line)
		}
	}
	b.contains(s.log.String(), `"principal":"ann"`)
}

func TestServeRevokesWhatVanished(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("tokens", []byte("ann-token-0000001 ann write-relay\nben-token-0000002 ben write-relay\nben-token-0000003 ben read\n"))
	b.write("ann", []byte("ann-token-0000001"))
	b.write("ben2", []byte("ben-token-0000002"))
	b.write("ben3", []byte("ben-token-0000003"))
	s := b.serve("--memory", "--auth-token-file", "tokens")
	watch := func(name string) *client {
		c := s.start("connect", "--token-file", name, s.url, "doc", "watch")
		c.out.ReadString('\n') // its value: it is in
		return c
	}
	ann, ben2, ben3 := watch("ann"), watch("ben2"), watch("ben3")

	b.write("tokens", []byte("ann-token-0000001 ann\n"))
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.logged("the tokens stay as they were")
	if strings.Contains(s.log.String(), "ann-token") {
		t.Error("a token is in the log")
	}
	b.write("tokens", []byte("cleo-token-000004 cleo write-relay\nben-token-0000003 ben read\n"))
	s.cmd.Process.Signal(syscall.SIGHUP)
	for _, c := range []*client{ann, ben2} {
		if code := c.wait(); code != 3 || !strings.Contains(c.log.String(), "FORBIDDEN") {
			t.Errorf("after the token vanished: %d %s", code, c.log)
		}
	}
	s.logged(`msg="weft: principal revoked" principal=ann`)
	b.run(3, "connect", "--token-file", "ann", s.url, "doc", "status")
	b.write("cleo", []byte("cleo-token-000004"))
	b.run(0, "connect", "--token-file", "cleo", "--wait", "synced", s.url, "doc", "set", "x", "1")
	if line, _ := ben3.out.ReadString('\n'); !strings.Contains(line, `"/x"`) {
		t.Errorf("who stayed hears %q", line)
	}
}

// certificate writes a self-signed certificate of 127.0.0.1.
func (b *box) certificate(serial int64) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{{127, 0, 0, 1}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	b.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	b.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.certificate(1)
	s := b.serve("--memory", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
	serial := func() (n int64) {
		web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
			VerifyConnection: func(c tls.ConnectionState) error { n = c.PeerCertificates[0].SerialNumber.Int64(); return nil }}}}
		if status, body := get(t, web, "https://"+s.addr()+"/healthz"); status != 200 {
			t.Error(status, body)
		}
		return n
	}
	if !strings.HasPrefix(s.url, "wss://") || serial() != 1 {
		t.Error(s.url)
	}
	if c, err := tls.Dial("tcp", s.addr(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	b.certificate(2)
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.logged("certificate read anew")
	if n := serial(); n != 2 {
		t.Errorf("certificate %d", n)
	}
	_, errs := s.run(1, "connect", "--timeout", "3s", s.url, "doc", "status")
	s.contains(errs, "certificate")
	os.WriteFile(b.path("key.pem"), []byte("nonsense"), 0o600)
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.logged("the certificate stays as it was")
	if n := serial(); n != 2 {
		t.Errorf("certificate %d", n)
	}
}

// TestServePeer links a server to another one: what is written at either is at both, also after the other was killed; a token that
// the other does not know is said in the log.
func TestServePeer(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("tokens", []byte("london-token-0001 london server\nann-token-0000001 ann write-relay\n"))
	b.write("london", []byte("london-token-0001"))
	b.write("ann", []byte("ann-token-0000001"))
	there := b.serve("--data", "there", "--auth-token-file", "tokens")
	here := b.serve("--data", "here", "--peer", there.url+" notes other", "--peer-token-file", "london")
	here.logged("linked to a server")
	comes := func(want string, args ...string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if out, _ := b.run(0, append([]string{"connect"}, args...)...); strings.Contains(out, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s does not come to %v:\n%s", want, args, here.log)
			}
		}
	}
	b.run(0, "connect", here.url, "notes", "set", "x", "1")
	comes(`"x": 1`, "--token-file", "ann", there.url, "notes", "print")
	there.kill()
	b.run(0, "connect", here.url, "notes", "set", "y", "2")
	there = there.again("--data", "there", "--auth-token-file", "tokens")
	comes(`"y": 2`, "--token-file", "ann", there.url, "notes", "print")
	b.run(0, "connect", "--token-file", "ann", there.url, "notes", "set", "z", "3")
	comes(`"z": 3`, here.url, "notes", "print")
	here.stop()

	b.write("london", []byte("paris-token-00001"))
	stranger := b.serve("--memory", "--peer", there.url+" notes", "--peer-token-file", "london")
	stranger.logged("a server refuses this one")
	if strings.Contains(stranger.log.String(), "in the clear") {
		t.Error("on this machine nobody listens")
	}
	b.write("london", nil)
	stranger.cmd.Process.Signal(syscall.SIGHUP)
	stranger.logged("the token for other servers and the links stay as they were")
	b.write("london", []byte("london-token-0001"))
	stranger.cmd.Process.Signal(syscall.SIGHUP)
	stranger.logged("linked to a server")
	comes(`"z": 3`, stranger.url, "notes", "print")
	stranger.stop()
	b.write("london", []byte("paris-token-00001"))
	clear := b.serve("--memory", "--peer", "ws://weft.invalid notes", "--peer-token-file", "london")
	clear.logged("the token for a server goes there in the clear")
	if strings.Contains(clear.log.String(), "paris-token") {
		t.Error("a token is in the log")
	}
	clear.stop()
	for _, args := range [][]string{
		{"--peer", there.url},
		{"--peer", "http://127.0.0.1 notes"},
		{"--peer", "notes"},
		{"--peer", there.url + " " + strings.Repeat("n", 129)},
		{"--peer", there.url + " notes other notes"},
		{"--peer-token-file", "london"},
	} {
		b.run(2, append([]string{"serve", "--memory"}, args...)...)
	}
	b.run(1, "serve", "--memory", "--peer", there.url+" notes", "--peer-token-file", "missing")
}
