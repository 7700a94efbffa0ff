package providertest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// CheckLeaks fails t if, when the returned function is called, goroutines of this module are running that were not when
// CheckLeaks was called. It waits for up to 5 s for them to end.
//
//	defer providertest.CheckLeaks(t)()
func CheckLeaks(t testing.TB) func() {
	before := count()
	return func() {
		t.Helper()
		if s := leaked(before); s != "" {
			t.Error(s)
		}
	}
}

// Main runs the tests of a package and fails if goroutines of this module are left over. Call it from TestMain.
func Main(m *testing.M) {
	before := count()
	code := m.Run()
	if s := leaked(before); s != "" && code == 0 {
		fmt.Fprintln(os.Stderr, s)
		code = 1
	}
	os.Exit(code)
}

func leaked(before int) string {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now := count()
		if now <= before {
			return ""
		}
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			return fmt.Sprintf("%d goroutines more than before:\n%s", now-before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// count counts the goroutines that run code of this module and are not tests themselves.
func count() (n int) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "seed1312cc15/weft/providers") && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "testing.(*M)") {
			n++
		}
	}
	return n
}
